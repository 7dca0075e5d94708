"""A model out of a GGUF file must be the model that was converted, and an ordinary one from then on."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf_files as files
import jax
import numpy as np
import pytest
from fake_hub import FakeHub

from jaxformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer, auto, hub, pipeline
from jaxformers.checkpoint import weights
from jaxformers.durable import Replacement

GOLDEN = Path(__file__).parent / "checkpoint" / "golden" / "gguf"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())
READ = [name for name, entry in EXPECTED.items() if entry["config"]["model_type"] in auto.model_types()]
IDS = np.arange(40)[None] * 7 % 24


def logits(model: Any) -> np.ndarray:
    """What a model gives some ids."""
    return np.asarray(model(input_ids=IDS).logits)


def as_on_the_hub(folder: Path, variant: str) -> Path:
    """A folder with the checkpoint from which the file of a variant was converted."""
    source = weights.open_weights(hub.source_of(GOLDEN / f"{variant}.gguf"))
    with Replacement(folder) as replacement:
        weights.write_weights(replacement, {name: tensor.read() for name, tensor in source.items()})
        replacement.write("config.json", json.dumps(EXPECTED[variant]["config"]).encode())
    return folder


@pytest.mark.parametrize("variant", READ)
def test_the_model_is_that_of_the_checkpoint(variant: str, tmp_path: Path) -> None:
    ours = AutoModelForCausalLM.from_pretrained(GOLDEN / f"{variant}.gguf")
    theirs = AutoModelForCausalLM.from_pretrained(as_on_the_hub(tmp_path, variant))
    np.testing.assert_allclose(logits(ours), logits(theirs), atol=1e-5)


def test_loading_says_what_did_not_fit(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        _, report = AutoModelForCausalLM.from_pretrained(GOLDEN, gguf_file="llama-3.1.gguf", output_loading_info=True)
        AutoModel.from_pretrained(str(GOLDEN / "llama-3.1.gguf"))
    assert not any(report.values())
    assert not caplog.records


def test_saved_it_loads_without_the_file(tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(GOLDEN / "llama-odd.gguf")
    model.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(write(tmp_path / "sub", words=["<s>", "</s>", "a", "b"])).save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    np.testing.assert_array_equal(logits(again), logits(model))
    assert AutoTokenizer.from_pretrained(tmp_path)("ab")["input_ids"] == [2, 3]


def write(folder: Path, words: list[str], more: Mapping[str, Any] = {}, **kinds: str) -> Path:
    """A small Llama with a tokenizer, more metadata, and matrices of some kinds."""
    folder.mkdir(exist_ok=True)
    arrays = files.tensors(len(words))
    for stem, kind in kinds.items():
        name = next(name for name in arrays if name.endswith(f"{stem}.weight"))
        shape = arrays[name][1]
        arrays[name] = (kind, shape, np.full(arrays[name][1], 0.5, np.float16).tobytes())
    said = {"model": "gpt2", "pre": "gpt-2", "tokens": words, "merges": [], "bos_token_id": 0, "eos_token_id": 1}
    said["token_type"] = np.array([3, 3] + [1] * (len(words) - 2), np.int32)
    metadata = {f"tokenizer.ggml.{key}": content for key, content in said.items()}
    (folder / "a.gguf").write_bytes(files.write({**files.LLAMA, **metadata, **more}, arrays))
    return folder / "a.gguf"


def test_texts_are_embedded_as_the_file_says(tmp_path: Path) -> None:
    """Each with its end token, by the state of it, in length 1."""
    words = ["<s>", "</s>", "a", "b", "c"]
    more = {"llama.pooling_type": 3, "tokenizer.ggml.add_eos_token": True, "tokenizer.ggml.add_bos_token": False}
    path = write(tmp_path, words, more)
    state = np.asarray(AutoModel.from_pretrained(path)(np.array([[2, 4, 3, 1]])).last_hidden_state[0, -1])
    embed = pipeline("text-embedding", model=path)
    np.testing.assert_allclose(embed(["b", "acb"])[1], state / np.linalg.norm(state), atol=1e-5)
    with pytest.raises(ValueError, match=r"llama.pooling_type is 4, no way to pool .*3 \(lasttoken\)"):
        pipeline("text-embedding", model=write(tmp_path, words, {"llama.pooling_type": 4}))


def test_types_of_weights(tmp_path: Path) -> None:
    path = write(tmp_path, list("abcdefgh"), ffn_up="F16", ffn_down="F16", ffn_gate="F16")
    for asked, expected in ((None, "float32"), ("bfloat16", "bfloat16"), ("auto", "float32")):
        model = AutoModelForCausalLM.from_pretrained(path, dtype=asked)
        assert {str(leaf.dtype) for leaf in jax.tree.leaves(model.params)} == {expected}
    most = dict.fromkeys(("ffn_up", "ffn_down", "ffn_gate", "attn_q", "attn_k", "attn_v", "attn_output"), "F16")
    halves = AutoModelForCausalLM.from_pretrained(write(tmp_path, list("abcdefgh"), **most), dtype="auto")
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(halves.params)} == {"float16"}  # the norms too


@pytest.mark.parametrize("dtype", ["int8_weight_only", "int4_weight_only"])
def test_weights_kept_in_fewer_bits(dtype: str) -> None:
    wide = AutoModelForCausalLM.from_pretrained(GOLDEN / "llama.gguf")
    small = AutoModelForCausalLM.from_pretrained(GOLDEN / "llama.gguf", dtype=dtype)
    assert dtype.removesuffix("_weight_only") in {str(leaf.dtype) for leaf in jax.tree.leaves(small.params)}
    error = np.linalg.norm(logits(small) - logits(wide)) / np.linalg.norm(logits(wide))
    assert 0 < error < (0.05 if dtype == "int8_weight_only" else 0.4)


def test_layouts_on_devices_are_read_in_parts() -> None:
    devices = jax.devices()[:2]
    mesh = jax.sharding.Mesh(np.array(devices), ("model",))
    whole = AutoModelForCausalLM.from_pretrained(GOLDEN / "llama.gguf")
    laid_out = AutoModelForCausalLM.from_pretrained(GOLDEN / "llama.gguf", mesh=mesh)
    jax.tree.map(np.testing.assert_array_equal, laid_out.params, whole.params)


def test_a_config_from_elsewhere(tmp_path: Path) -> None:
    AutoConfig.from_pretrained(GOLDEN / "llama.gguf", rope_theta=7.0).save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(GOLDEN, gguf_file="llama.gguf", config=tmp_path)
    assert model.config.rope_theta == 7.0


def test_a_config_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match=r"llama\.gguf: sizes differ"):
        AutoModelForCausalLM.from_pretrained(GOLDEN / "llama.gguf", intermediate_size=20)


def test_answers_end_where_the_file_says(tmp_path: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(write(tmp_path, list("abcdefgh")))
    assert model.generation_config.eos_token_id == 1
    assert AutoConfig.from_pretrained(tmp_path / "a.gguf").bos_token_id == 0


def test_a_repository_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = write(tmp_path, ["<s>", "</s>", "a", "b"]).read_bytes()
    with FakeHub() as server:
        server.connect(monkeypatch, tmp_path / "cache")
        server.add("owner/name-GGUF", {"a.gguf": content, "b.gguf": b""})
        model = AutoModelForCausalLM.from_pretrained("owner/name-GGUF", gguf_file="a.gguf")
        tokenizer = AutoTokenizer.from_pretrained("owner/name-GGUF", gguf_file="a.gguf")
        assert (model.config.vocab_size, len(tokenizer)) == (4, 4)
        assert sum(file == "a.gguf" and method == "GET" for method, _, _, file in server.requests) == 1
        with pytest.raises(OSError, match=r"to read a GGUF file pass gguf_file='a\.gguf'"):
            AutoModelForCausalLM.from_pretrained("owner/name-GGUF")
