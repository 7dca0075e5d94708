"""What a GGUF file says of a model must become the config of that model, or an error that names the key."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import gguf_files as files
import numpy as np
import pytest

from jaxformers import AutoConfig, config, gguf, hub

NAMES = {"gemma2": {"attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0}}


def fields(tmp_path: Path, arrays: Any = None, **changes: Any) -> dict[str, Any]:
    """The config of the small Llama with other metadata; "__" stands for "." and None for nothing."""
    metadata = {**files.LLAMA, **{key.replace("__", "."): content for key, content in changes.items()}}
    kept = {key: content for key, content in metadata.items() if content is not None}
    path = tmp_path / "a.gguf"
    path.write_bytes(files.write(kept, files.tensors() if arrays is None else arrays))
    return config.read(hub.source_of(path))


def of(tmp_path: Path, name: str, arrays: Any = None, **changes: Any) -> dict[str, Any]:
    """The config of a file of another architecture, of the same sizes; keys are without the architecture's name."""
    gone = {key: None for key in files.LLAMA if key.startswith("llama.")}
    renamed = {key.replace("llama.", f"{name}."): files.LLAMA[key] for key in gone}
    changed = {f"{name}.{key.replace('__', '.')}": content for key, content in (NAMES.get(name, {}) | changes).items()}
    return fields(tmp_path, arrays, **{**gone, **renamed, **changed, "general.architecture": name})


def layers(count: int) -> dict[str, Any]:
    """Tensors of many layers."""
    array = files.plain(np.ones(32))
    return files.tensors() | {f"blk.{layer}.attn_norm.weight": array for layer in range(count)}


def test_every_architecture_gets_the_class_that_a_pipeline_looks_for(tmp_path: Path) -> None:
    assert fields(tmp_path)["architectures"] == ["LlamaForCausalLM"]
    loaded = AutoConfig.from_pretrained(tmp_path, gguf_file="a.gguf")
    assert (loaded.model_type, loaded.rms_norm_eps, loaded.num_key_value_heads) == ("llama", 1e-5, 4)


def test_overrides_go_before_the_file(tmp_path: Path) -> None:
    fields(tmp_path)
    assert AutoConfig.from_pretrained(tmp_path / "a.gguf", rope_theta=5.0).rope_theta == 5.0
    with pytest.raises(TypeError, match="rope_tehta"):
        AutoConfig.from_pretrained(tmp_path / "a.gguf", rope_tehta=5.0)


def test_numbers_are_the_shortest_that_mean_the_same(tmp_path: Path) -> None:
    found = fields(tmp_path, llama__rope__freq_base=1234567.0)
    assert (found["rms_norm_eps"], found["rope_theta"]) == (1e-5, 1234567.0)


def test_one_count_a_layer_where_all_are_the_same(tmp_path: Path) -> None:
    same = np.array([2, 2, 2], np.int32)
    assert fields(tmp_path, llama__attention__head_count_kv=same)["num_key_value_heads"] == 2
    with pytest.raises(ValueError, match=r"llama\.attention\.head_count_kv differs from layer to layer"):
        fields(tmp_path, llama__attention__head_count_kv=np.array([2, 1, 2], np.int32))


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        ({}, None),
        ({"eos_token_id": 2}, 2),
        ({"eos_token_id": 2, "eot_token_id": 5, "eom_token_id": 2}, [2, 5]),
        ({"eos_token_id": 2, "eot_token_id": 99}, 2),  # no word has this id
        ({"eos_token_id": 2**32 - 1}, None),
    ],
)
def test_where_answers_end(changes: dict[str, int], ends: Any, tmp_path: Path) -> None:
    found = fields(tmp_path, **{f"tokenizer.ggml.{key}": index for key, index in changes.items()})
    assert found.get("eos_token_id") == ends


def test_chats_end_where_a_turn_does(tmp_path: Path) -> None:
    said: dict[str, Any] = {
        "tokenizer.ggml.tokens": ["<pad>", "<eos>", "<|im_end|>", "<end_of_turn>", "a", "b", "c", "d"],
        "tokenizer.ggml.token_type": np.array([3, 3, 1, 3, 1, 1, 1, 1], np.int32),
        "tokenizer.ggml.eos_token_id": 1,
    }
    assert fields(tmp_path, **said)["eos_token_id"] == 1
    assert fields(tmp_path, **said, **{"tokenizer.chat_template": "{{ 1 }}"})["eos_token_id"] == [1, 3]


def test_llama_3_s_rule_is_told_from_its_factors(tmp_path: Path) -> None:
    wavelengths = 2 * np.pi * 500000.0 ** (np.arange(32) / 32)
    turns = 8192 / wavelengths
    smooth = (turns - 1) / 3
    factors = np.where(turns < 1, 32.0, np.where(turns > 4, 1.0, 1 / ((1 - smooth) / 32 + smooth)))
    arrays = files.tensors() | {"rope_freqs.weight": files.plain(factors)}
    scaling = fields(tmp_path, arrays, llama__rope__freq_base=500000.0)["rope_scaling"]
    assert scaling == {
        "rope_type": "llama3",
        "factor": 32.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    other = fields(tmp_path, arrays, llama__rope__freq_base=10000.0)["rope_scaling"]
    assert other["rope_type"] == "longrope"
    np.testing.assert_allclose(other["long_factor"], factors, rtol=1e-6)
    assert other["short_factor"] == other["long_factor"]
    assert other["attention_factor"] == 1.0
    ones = files.tensors() | {"rope_freqs.weight": files.plain(np.ones(4))}
    assert "rope_scaling" not in fields(tmp_path, ones)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rope.scaling.type": "none", "rope.scaling.factor": 2.0}, None),
        ({"rope.scaling.type": "linear", "rope.scaling.factor": 2.0}, {"rope_type": "linear", "factor": 2.0}),
        ({"rope.scale_linear": 4.0}, {"rope_type": "linear", "factor": 4.0}),
        (
            {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 8}
            | {"rope.scaling.yarn_beta_fast": 16.0, "rope.scaling.yarn_attn_factor": 1.5},
            {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 8}
            | {"attention_factor": 1.5, "beta_fast": 16.0},
        ),
    ],
)
def test_stretched_positions(changes: dict[str, Any], expected: Any, tmp_path: Path) -> None:
    assert fields(tmp_path, **{f"llama.{key}": value for key, value in changes.items()}).get("rope_scaling") == expected


@pytest.mark.parametrize(("name", "largest"), [("gemma2", 46), ("gemma3", 62)])
def test_the_largest_gemma_scales_queries_otherwise(name: str, largest: int, tmp_path: Path) -> None:
    # the window that these have unless the file says otherwise is none of this
    small = of(tmp_path, name, layers(7), block_count=7, attention__key_length=16)
    large = of(tmp_path, name, layers(largest), block_count=largest, attention__key_length=16)
    assert (small["query_pre_attn_scalar"], large["query_pre_attn_scalar"]) == (16, 32 // 4)


def test_which_layers_of_gemma_3_look_back_by_a_window(tmp_path: Path) -> None:
    said = {"block_count": 3, "attention__sliding_window": 16}
    assert "layer_types" not in of(tmp_path, "gemma3", layers(3), **said)
    by_period = of(tmp_path, "gemma3", layers(3), **said, attention__sliding_window_pattern=2)
    assert [kind[:4] for kind in by_period["layer_types"]] == ["slid", "full", "slid"]
    flags = np.array([False, True, True])
    by_layer = of(tmp_path, "gemma3", layers(3), **said, attention__sliding_window_pattern=flags)
    assert [kind[:4] for kind in by_layer["layer_types"]] == ["full", "slid", "slid"]
    with pytest.raises(ValueError, match="speaks of 2 layers of 3"):
        of(tmp_path, "gemma3", layers(3), **said, attention__sliding_window_pattern=flags[:2])
    none = of(tmp_path, "gemma3", layers(3), block_count=3)
    assert set(none["layer_types"]) == {"full_attention"}
    assert of(tmp_path, "gemma3", layers(1), rope__freq_base_swa=5000.0)["rope_local_base_freq"] == 5000.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"general.architecture": None}, "general.architecture is missing"),
        ({"general.architecture": "mamba"}, "'mamba' is not read from GGUF; known are llama, qwen2"),
        ({"general.architecture": 5}, "general.architecture must be text, found 5"),
        ({"llama.embedding_length": None}, "llama.embedding_length is missing"),
        ({"llama.block_count": None}, "llama.block_count is None, but there are tensors of 1 layers"),
        ({"llama.block_count": 2**31}, "llama.block_count is 2147483648, but there are tensors of 1 layers"),
        ({"llama.embedding_length": "32"}, "llama.embedding_length must be a number, found '32'"),
        ({"llama.attention.head_count": 0}, "num_attention_heads is 0, expected a whole number above 0"),
        ({"llama.attention.head_count": 0.5}, "num_attention_heads is 0.5, expected a whole number above 0"),
        ({"llama.attention.causal": False}, "llama.attention.causal is false"),
        ({"llama.rope.dimension_count": 4}, "heads are 8 wide, of which 4 are rotated"),
        ({"tokenizer.ggml.eos_token_id": True}, "tokenizer.ggml.eos_token_id must be a whole number, found True"),
    ],
)
def test_impossible_metadata_is_refused_by_its_key(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        fields(tmp_path, **changes)
    assert message in str(error.value)
    assert str(tmp_path / "a.gguf") in str(error.value)


def test_a_file_without_words_or_without_tensors_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a vocabulary alone is no model"):
        fields(tmp_path, arrays={})
    without = {name: array for name, array in files.tensors().items() if name != "token_embd.weight"}
    with pytest.raises(ValueError, match=r"no token_embd\.weight in it"):
        fields(tmp_path, arrays=without)


def test_keys_without_effect_are_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        fields(tmp_path, llama__logit_scale=2.0, general__author="someone", llama__vocab_size=8)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "keys without effect here: 'llama.logit_scale'"
    ]


def test_texts_that_are_no_utf_8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    path.write_bytes(files.write({**files.LLAMA, "tokenizer.ggml.tokens": ["a", b"\xff"]}, files.tensors()))
    with pytest.raises(ValueError, match=r"tokenizer\.ggml\.tokens: not UTF-8"):
        gguf.read(hub.source_of(path)).texts("tokenizer.ggml.tokens")
