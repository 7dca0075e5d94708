"""From files to a model: whatever they call their arrays, whatever type they have, and never a wrong one in silence."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jaxformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    pipeline,
)
from jaxformers.checkpoint import safetensors

sys.path.append(str(Path(__file__).parent / "checkpoint"))
import torch_files
from devices import on_devices

IDS = [[5, 6, 7, 8, 9], [1, 2, 3, 4, 0]]
NOTHING = {"missing_keys": [], "unexpected_keys": [], "mismatched_keys": [], "error_msgs": []}


@pytest.fixture
def arrays(toy_folder):
    """The arrays of the toy's file by name; the file itself is gone."""
    read = load_file(toy_folder / "model.safetensors")
    (toy_folder / "model.safetensors").unlink()
    return read


def write(folder, arrays):
    save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / "model.safetensors")
    return folder


def write_all(folder, arrays):
    """The same for types that numpy does not know."""
    safetensors.write_file(folder / "model.safetensors", arrays, {"format": "pt"})


def edit_config(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def same(model, other):
    assert jax.tree.structure(model.params) == jax.tree.structure(other.params)
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(model.params), jax.tree.leaves(other.params), strict=True
    ):
        np.testing.assert_array_equal(a, b, err_msg=jax.tree_util.keystr(path))


def messages(caplog, level=logging.WARNING):
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


# -- files ------------------------------------------------------------------------------------------------------------


def sharded(folder, arrays, write_one, pattern):
    """Two shards with an index, as torch Transformers writes them."""
    names = sorted(arrays)
    parts = {pattern.format(1): names[: len(names) // 2], pattern.format(2): names[len(names) // 2 :]}
    for file, part in parts.items():
        write_one(folder / file, {name: arrays[name] for name in part})
    index = {"metadata": {"total_size": 1}, "weight_map": {name: file for file, part in parts.items() for name in part}}
    stem, _, suffix = pattern.format(1).partition("-00001-of-00002")
    (folder / f"{stem}{suffix}.index.json").write_text(json.dumps(index))


def as_flax(arrays):
    tree: dict = {}
    for name, array in arrays.items():
        *path, last = name.split(".")
        node = tree
        for part in path:
            node = node.setdefault(part, {})
        table, norm = path[-1].endswith("_embeddings"), path[-1] == "LayerNorm"
        ours = (
            "embedding" if table else "scale" if norm and last == "weight" else "kernel" if last == "weight" else last
        )
        node[ours] = array.T if ours == "kernel" else array
    return tree


def write_flax(folder, arrays):
    from flax.serialization import msgpack_serialize

    (folder / "flax_model.msgpack").write_bytes(msgpack_serialize(as_flax(arrays)))


FILES = {
    "safetensors": write,
    "safetensors in shards": lambda folder, arrays: sharded(
        folder, arrays, lambda path, part: save_file(part, path), "model-0000{}-of-00002.safetensors"
    ),
    "pickle": lambda folder, arrays: torch_files.write_state_dict(folder / "pytorch_model.bin", arrays),
    "old pickle": lambda folder, arrays: (folder / "pytorch_model.bin").write_bytes(torch_files.old_state_dict(arrays)),
    "pickles in shards": lambda folder, arrays: sharded(
        folder, arrays, torch_files.write_state_dict, "pytorch_model-0000{}-of-00002.bin"
    ),
    "flax": write_flax,
}


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_file_gives_the_same_model_that_never_looks_at_the_file_again(
    toy_model, toy_folder, arrays, kind
):
    FILES[kind](toy_folder, arrays)
    model, report = AutoModelForSequenceClassification.from_pretrained(toy_folder, output_loading_info=True)
    assert report == NOTHING
    assert type(model) is BertForSequenceClassification
    same(model, toy_model)
    for path in toy_folder.iterdir():  # in place, as a download or a careless program would
        with open(path, "r+b") as file:
            file.write(b"\xff" * path.stat().st_size)
    same(model, toy_model)
    np.testing.assert_array_equal(model(IDS).logits, toy_model(IDS).logits)


def test_parts_of_arrays_are_copies_too(toy_model, toy_folder):
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    model = AutoModelForSequenceClassification.from_pretrained(toy_folder, sharding=sharding)
    with open(toy_folder / "model.safetensors", "r+b") as file:
        file.write(b"\xff" * 50_000)
    same(model, toy_model)


# -- names ------------------------------------------------------------------------------------------------------------


def old(arrays):
    return {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): array
        for name, array in arrays.items()
    }


def bare(arrays):
    return {name.removeprefix("bert."): array for name, array in arrays.items()}


def buffers(arrays):
    return arrays | {"bert.embeddings.position_ids": np.arange(64)[None], "embeddings.token_type_ids": np.zeros(1)}


@pytest.mark.parametrize(
    "rename", [old, bare, lambda a: old(bare(a)), buffers], ids=["gamma", "bare", "both", "buffers"]
)
def test_old_names_and_prefixes_and_buffers_are_no_trouble(toy_model, toy_folder, arrays, caplog, rename):
    write(toy_folder, rename(arrays))
    model, report = AutoModelForSequenceClassification.from_pretrained(toy_folder, output_loading_info=True)
    assert report == NOTHING
    assert messages(caplog) == []
    same(model, toy_model)


def test_the_body_of_a_classifier_is_a_base_model(toy_model, toy_folder, caplog):
    with caplog.at_level(logging.INFO):
        model, report = AutoModel.from_pretrained(toy_folder, output_loading_info=True)
    assert type(model) is BertModel
    assert report["unexpected_keys"] == ["classifier.bias", "classifier.weight"]
    assert report["missing_keys"] == []
    assert messages(caplog) == []  # it is not among the config's architectures: a use that was meant
    assert any("classifier.weight" in said for said in messages(caplog, logging.INFO))
    same(model, BertModel(model.config, params={k: v for k, v in toy_model.params.items() if k != "head"}))


def test_what_the_checkpoints_own_class_cannot_use_is_a_warning(toy_folder, arrays, caplog):
    write(toy_folder, arrays | {"classifier.extra": np.zeros(3, np.float32)})
    _, report = AutoModelForSequenceClassification.from_pretrained(toy_folder, output_loading_info=True)
    assert report["unexpected_keys"] == ["classifier.extra"]
    assert len(messages(caplog)) == 1
    assert "in " + str(toy_folder) + " but not used: classifier.extra" in messages(caplog)[0]


@pytest.fixture
def words(make, toy_config, tmp_path):
    """A masked LM, its folder and its arrays."""
    model = make(BertForMaskedLM, toy_config)
    model.save_pretrained(tmp_path / "words")
    return model, tmp_path / "words", load_file(tmp_path / "words" / "model.safetensors")


def test_tied_weights_are_one_leaf_whatever_names_files_give_them(words, caplog):
    model, folder, arrays = words
    table, bias = "bert.embeddings.word_embeddings.weight", "cls.predictions.bias"
    assert "cls.predictions.decoder.weight" not in arrays
    twice = arrays | {
        "cls.predictions.decoder.weight": arrays[table] + 1,
        "cls.predictions.decoder.bias": arrays[bias] + 1,
    }
    other = {"cls.predictions.decoder.weight": arrays[table], "cls.predictions.decoder.bias": arrays[bias]}
    only_other = {name: array for name, array in arrays.items() if name not in (table, bias)} | other
    for stored in (twice, only_other):
        write(folder, stored)
        again, report = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
        assert report == NOTHING
        same(again, model)
    assert messages(caplog) == []
    logits = model(IDS).logits
    np.testing.assert_allclose(again(IDS).logits, logits, atol=1e-5)


def test_weights_that_the_config_unties_are_two_leaves(words):
    model, folder, arrays = words
    decoder = arrays["bert.embeddings.word_embeddings.weight"] + 1
    write(folder, arrays | {"cls.predictions.decoder.weight": decoder})
    untied, report = AutoModelForMaskedLM.from_pretrained(folder, tie_word_embeddings=False, output_loading_info=True)
    assert report == NOTHING
    np.testing.assert_array_equal(untied.params["head"]["decoder"]["table"], decoder)
    assert not np.allclose(untied(IDS).logits, model(IDS).logits)
    write(folder, arrays)
    _, report = AutoModelForMaskedLM.from_pretrained(folder, tie_word_embeddings=False, output_loading_info=True)
    assert report["missing_keys"] == ["cls.predictions.decoder.weight"]


def test_a_pooler_that_the_task_does_not_use_is_no_news(words, make, toy_config, tmp_path, caplog):
    _, folder, arrays = words
    pooler = {f"bert.pooler.dense.{k}": np.ones(s, np.float32) for k, s in (("weight", (32, 32)), ("bias", 32))}
    write(folder, arrays | pooler)
    _, report = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert report == NOTHING
    assert messages(caplog) == []


# -- what does not fit ------------------------------------------------------------------------------------------------


def test_a_new_head_is_random_by_key_and_one_warning_names_it(toy_model, toy_folder, arrays, caplog):
    headless = {name: array for name, array in bare(arrays).items() if not name.startswith("classifier")}
    write(toy_folder, headless)
    load = lambda **keywords: AutoModelForSequenceClassification.from_pretrained(toy_folder, num_labels=10, **keywords)  # noqa: E731
    model, report = load(output_loading_info=True)
    assert report == NOTHING | {"missing_keys": ["classifier.bias", "classifier.weight"]}
    assert len(messages(caplog)) == 1
    assert "newly initialised: classifier.bias, classifier.weight. Train" in messages(caplog)[0]
    assert str(toy_folder) in messages(caplog)[0]
    assert model.config.id2label == {i: f"LABEL_{i}" for i in range(10)}
    head = model.params["head"]["classifier"]
    assert head["weight"].shape == (10, 32)
    np.testing.assert_array_equal(head["bias"], np.zeros(10))
    assert abs(float(head["weight"].std()) - 0.02) < 0.005
    same(load(), model)
    other = load(key=jax.random.key(1))
    assert not np.array_equal(other.params["head"]["classifier"]["weight"], head["weight"])
    np.testing.assert_array_equal(other.params["word"]["table"], toy_model.params["word"]["table"])


def test_more_layers_than_the_file_has_are_new_and_a_long_list_is_cut(toy_folder, caplog):
    model, report = AutoModelForSequenceClassification.from_pretrained(
        toy_folder, num_hidden_layers=6, output_loading_info=True
    )
    assert len(report["missing_keys"]) == 4 * 16
    assert len(model.params["layers"]) == 6
    (warning,) = messages(caplog)
    assert "bert.encoder.layer.2.attention.self.query.weight" in warning or "and 24 more" in warning
    assert len(warning) < 4000


def test_other_sizes_are_an_error_that_names_the_field_and_the_way_out(toy_folder, caplog):
    with pytest.raises(
        ValueError, match=r"sizes differ: classifier\.\w+: \(2,.*\(num_labels=3\).*ignore_mismatched_sizes=True"
    ) as caught:
        AutoModelForSequenceClassification.from_pretrained(toy_folder, num_labels=3)
    assert str(toy_folder) in str(caught.value)
    with pytest.raises(ValueError, match=r"and \d+ more\. .*\(intermediate_size=128\)"):
        AutoModelForSequenceClassification.from_pretrained(toy_folder, intermediate_size=128)
    model, report = AutoModelForSequenceClassification.from_pretrained(
        toy_folder, num_labels=3, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert sorted(report["mismatched_keys"]) == [
        ("classifier.bias", (2,), (3,)),
        ("classifier.weight", (2, 32), (3, 32)),
    ]
    assert report["missing_keys"] == []
    assert model(IDS).logits.shape == (2, 3)
    assert len(messages(caplog)) == 1
    assert "classifier.weight ((3, 32) instead of (2, 32))" in messages(caplog)[0]


def test_another_architectures_checkpoint_is_an_error_and_never_random_weights(toy_folder, arrays, tmp_path):
    write(toy_folder, arrays)
    with pytest.raises(ValueError, match="DistilBertConfig: model_type is 'bert'"):
        DistilBertForSequenceClassification.from_pretrained(toy_folder)
    small = DistilBertConfig(vocab_size=96, dim=32, n_heads=4, n_layers=2, hidden_dim=64, max_position_embeddings=64)
    for rename in (lambda a: a, bare):  # without a prefix both architectures' embeddings have the same names
        write(toy_folder, rename(arrays))
        with pytest.raises(
            ValueError, match=r"model\.safetensors: none of the model's layers is there .*another architecture"
        ):
            DistilBertForSequenceClassification.from_pretrained(toy_folder, config=small)
    write(toy_folder, {"model.layers.0.weight": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match=r"it holds model\.layers\.0\.weight"):
        AutoModelForSequenceClassification.from_pretrained(toy_folder)
    write(toy_folder, {"classifier.weight": arrays["classifier.weight"], "classifier.bias": arrays["classifier.bias"]})
    with pytest.raises(ValueError, match="another architecture"):
        AutoModelForSequenceClassification.from_pretrained(toy_folder)


@pytest.mark.parametrize(
    ("rename", "said"),
    [
        (lambda name: f"module.{name}", "module."),
        (lambda name: f"_orig_mod.{name}", "_orig_mod."),
        (lambda name: f"module._orig_mod.{name}", "module._orig_mod."),
        (lambda name: f"model.{name}", "model."),
        (lambda name: f"base_model.model.{name}", "base_model.model."),
        (lambda name: f"0.auto_model.{name.removeprefix('bert.')}", "0.auto_model."),
        (lambda name: name.replace("bert.", "bert._orig_mod."), "bert._orig_mod."),
        (
            lambda name: name.replace("layer.1.", "layer.1._orig_mod.").replace("layer.0.", "layer.0._orig_mod."),
            "_orig_mod.",
        ),
        (
            lambda name: name.replace("attention.", "_checkpoint_wrapped_module.attention."),
            "_checkpoint_wrapped_module.",
        ),
        (lambda name: name.replace("pooler.", "_fsdp_wrapped_module.pooler."), "_fsdp_wrapped_module."),
        (lambda name: name.replace("bert.", "roberta."), "roberta."),
    ],
)
def test_what_stands_before_all_names_is_said(arrays, toy_folder, rename, said):
    write(toy_folder, {rename(name): array for name, array in arrays.items()})
    for cls in (AutoModel, AutoModelForSequenceClassification):
        with pytest.raises(ValueError, match=f"names are the model's but for '{re.escape(said)}'. Save the state_dict"):
            cls.from_pretrained(toy_folder)


def test_words_of_wrappers_elsewhere_are_no_fault(arrays, toy_folder):
    kept = {name: array for name, array in arrays.items() if "pooler" not in name}
    write(toy_folder, kept | {"module.other.weight": np.ones(2, np.float32)})
    _, report = AutoModelForSequenceClassification.from_pretrained(toy_folder, output_loading_info=True)
    assert report["missing_keys"] == ["bert.pooler.dense.bias", "bert.pooler.dense.weight"]


# -- options ----------------------------------------------------------------------------------------------------------


def test_a_config_may_be_given_or_read_from_elsewhere(toy_model, toy_folder, tmp_path):
    given = toy_model.config.replace(id2label={0: "x", 1: "y"})
    (toy_folder / "config.json").unlink()
    model = BertForSequenceClassification.from_pretrained(toy_folder, config=given)
    assert model.config is given
    given.save_pretrained(tmp_path / "elsewhere")
    for cls in (BertForSequenceClassification, AutoModelForSequenceClassification):
        model = cls.from_pretrained(toy_folder, config=str(tmp_path / "elsewhere"), hidden_dropout_prob=0.5)
        assert (model.config.id2label[0], model.config.hidden_dropout_prob) == ("x", 0.5)
        same(model, toy_model)
    with pytest.raises(ValueError, match="takes a BertConfig, not DistilBertConfig"):
        BertForSequenceClassification.from_pretrained(toy_folder, config=DistilBertConfig())
    with pytest.raises(OSError, match=r"config\.json"):
        BertForSequenceClassification.from_pretrained(toy_folder)


def test_fields_of_the_config_as_keywords(toy_folder):
    model = AutoModelForSequenceClassification.from_pretrained(
        toy_folder, output_hidden_states=True, hidden_dropout_prob=0.0, id2label={0: "a", 1: "b"}
    )
    assert len(model(IDS).hidden_states) == 3
    assert model.config.id2label == {0: "a", 1: "b"}
    with pytest.raises(
        TypeError, match="BertConfig has no field 'hidden_dropout_probs'; did you mean 'hidden_dropout_prob'"
    ):
        AutoModelForSequenceClassification.from_pretrained(toy_folder, hidden_dropout_probs=0.0)


LAYER = "bert.encoder.layer.1.attention.self.query"
PACKED = np.zeros((32, 4), np.uint32)
ONES = np.ones((32, 1), np.float32)


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        ({"weight": np.ones((32, 32), ml_dtypes.float8_e4m3fn)}, r"query\.weight is stored as float8_e4m3fn"),
        ({"weight": np.ones((32, 32), ml_dtypes.float8_e5m2)}, r"query\.weight is stored as float8_e5m2"),
        ({"weight": np.ones((32, 32), np.int8)}, r"query\.weight is stored as int8"),
        ({"weight": np.ones((512, 1), np.uint8)}, r"query\.weight is stored as uint8"),
        ({"weight_blocks": PACKED.astype(np.uint8), "weight_scales": PACKED.astype(np.uint8)}, "quantised by mxfp4"),
        ({"weight": np.ones((32, 32), ml_dtypes.float8_e4m3fn), "weight_scale_inv": ONES}, "quantised by fp8"),
        (
            {"weight": np.ones((32, 32), ml_dtypes.float8_e4m3fn), "weight_scale": ONES},
            "by compressed-tensors, modelopt or torchao",
        ),
        ({"weight": PACKED, "scales": ONES, "biases": ONES}, "quantised by MLX"),
        ({"qweight": PACKED, "qzeros": PACKED, "scales": ONES, "g_idx": PACKED[0]}, "quantised by GPTQ"),
        ({"qweight": PACKED, "qzeros": PACKED, "scales": ONES}, "quantised by AWQ or GPTQ"),
        ({"weight": PACKED.astype(np.uint8), "weight.absmax": ONES, "weight.quant_map": ONES}, "bitsandbytes"),
        ({"weight": PACKED.astype(np.int8), "SCB": ONES}, "quantised by bitsandbytes"),
        ({"weight_packed": PACKED, "weight_scale": ONES, "weight_shape": PACKED[0, :2]}, "by compressed-tensors"),
        ({"weight": PACKED.astype(np.uint8), "weight_scale": ONES, "weight_scale_2": ONES}, "quantised by NVFP4"),
        ({"weight_packed": PACKED, "weight_scale": ONES, "weight_global_scale": ONES}, "quantised by NVFP4"),
        ({"W_q": PACKED, "scale": ONES}, "quantised by HQQ"),
    ],
)
def test_quantised_weights_without_a_word_in_the_config_are_refused_by_name(arrays, toy_folder, instead, said):
    kept = {name: array for name, array in arrays.items() if name != f"{LAYER}.weight"}
    write_all(toy_folder, kept | {f"{LAYER}.{name}": array for name, array in instead.items()})
    for cls in (AutoModel, AutoModelForSequenceClassification):
        with pytest.raises(ValueError, match=said) as raised:
            cls.from_pretrained(toy_folder)
        line = str(raised.value)
        assert LAYER in line
        assert "load the checkpoint that this one was made from" in line
        assert "config.json" in line


def test_what_is_no_weight_may_be_of_any_type(toy_model, arrays, toy_folder):
    masks = {"bert.embeddings.position_ids": np.arange(8), "bert.encoder.mask": np.ones((4, 4), np.uint8)}
    write(toy_folder, arrays | masks)
    same(AutoModelForSequenceClassification.from_pretrained(toy_folder), toy_model)


@pytest.mark.parametrize("fields", [["quantization"], ["quantization", "quantization_config"]])
def test_mlx_is_named(toy_folder, fields):
    edit_config(toy_folder, **{field: {"group_size": 64, "bits": 4} for field in fields})
    for load in (AutoConfig.from_pretrained, AutoModelForSequenceClassification.from_pretrained):
        with pytest.raises(ValueError, match=r"quantization.*: weights quantised by 'MLX' are not read here"):
            load(toy_folder)


def test_an_adapter_names_its_base_model(tmp_path):
    save_file({"base_model.model.lora_A.weight": np.ones((2, 2), np.float32)}, tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "owner/base-model", "peft_type": "LORA", "r": 8})
    )
    said = r"is an adapter \(LoRA\) of 'owner/base-model', which cannot be read: "
    for load in (
        AutoConfig.from_pretrained,
        AutoTokenizer.from_pretrained,
        AutoModel.from_pretrained,
        BertModel.from_pretrained,
        lambda folder: pipeline(model=folder),
        lambda folder: pipeline("text-generation", model=folder),
        lambda folder: BertModel.from_pretrained(folder, config=BertConfig()),
    ):
        with pytest.raises(OSError, match=said) as raised:
            load(tmp_path)
        assert str(raised.value).count("adapter (LoRA)") == 1
    for broken in ("", "[]", "{}", '{"base_model_name_or_path": 5}', "[" * 100_000):
        (tmp_path / "adapter_config.json").write_text(broken)
        with pytest.raises(ValueError, match=r"adapter_config\.json"):
            AutoModel.from_pretrained(tmp_path)


def test_torchs_options_are_taken_with_a_word_or_refused(toy_model, toy_folder, caplog):
    with caplog.at_level(logging.INFO, "jaxformers"):
        model = AutoModelForSequenceClassification.from_pretrained(
            toy_folder, device_map="auto", low_cpu_mem_usage=True, from_pt=True, from_flax=True, trust_remote_code=True
        )
    same(model, toy_model)
    assert sum("torch machinery" in said for said in messages(caplog, logging.INFO)) == 3
    with pytest.raises(ValueError, match="TensorFlow checkpoints are not read; convert"):
        AutoModelForSequenceClassification.from_pretrained(toy_folder, from_tf=True)
    with pytest.raises(ValueError, match="quantization_config"):
        AutoModelForSequenceClassification.from_pretrained(toy_folder, quantization_config={"bits": 4})
    with pytest.raises(OSError, match=r"pytorch_model\.bin"):
        AutoModelForSequenceClassification.from_pretrained(toy_folder, use_safetensors=False)
    with pytest.raises(OSError, match=r"model\.fp16\.safetensors"):
        AutoModelForSequenceClassification.from_pretrained(toy_folder, variant="fp16")


SPELLINGS = ["bfloat16", "torch.bfloat16", jnp.bfloat16, np.dtype("bfloat16"), jnp.zeros((), "bfloat16").dtype]


def test_types_of_weights(toy_model, toy_folder, arrays, caplog):
    halves = {name: array.astype(np.float16) for name, array in arrays.items() if not name.startswith("classifier")}
    write(toy_folder, halves)
    load = lambda **keywords: AutoModelForSequenceClassification.from_pretrained(toy_folder, **keywords)  # noqa: E731
    types = lambda model: {leaf.dtype.name for leaf in jax.tree.leaves(model)}  # noqa: E731
    with caplog.at_level(logging.INFO, "jaxformers.checkpoint.dtypes"):
        assert types(load()) == {"float32"}
    said = [record.getMessage() for record in caplog.records if record.name == "jaxformers.checkpoint.dtypes"]
    assert said == ["weights are stored as float16 and become float32 on CPU (dtype='auto' keeps them)"]
    assert types(load(dtype="auto")) == types(load(torch_dtype="auto")) == {"float16"}  # the new head too
    for spelling in SPELLINGS:
        assert types(load(dtype=spelling)) == {"bfloat16"}
        assert types(load(torch_dtype=spelling)) == {"bfloat16"}
    assert types(load(dtype=np.float32)) == {"float32"}
    expected = np.asarray(toy_model.params["word"]["table"]).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(load().params["word"]["table"], expected)
    for wrong in ("float99", "int4", "int32", 7, "float64", float):
        with pytest.raises(ValueError, match="dtype="):
            load(dtype=wrong)
    with jax.enable_x64(True):
        assert types(load(dtype="float64")) == {"float64"}
        assert types(load()) == {"float32"}


def test_stacked_layers(toy_model, toy_folder, tmp_path):
    model = AutoModelForSequenceClassification.from_pretrained(toy_folder, stacked=True)
    assert model.params["layers"]["up"]["weight"].shape == (2, 64, 32)
    model.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == (toy_folder / "model.safetensors").read_bytes()


def test_every_device_reads_its_own_part(toy_model, toy_folder, monkeypatch):
    reads = []
    read = safetensors.View.read
    monkeypatch.setattr(
        safetensors.View, "read", lambda self, *index: (reads.append((self.shape, index)), read(self, *index))[1]
    )
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    tree = jax.tree.map(lambda _: sharding, toy_model.params)
    for given in (sharding, tree):
        reads.clear()
        same(AutoModelForSequenceClassification.from_pretrained(toy_folder, sharding=given), toy_model)
        assert len(reads) == len(jax.tree.leaves(toy_model.params))
        assert all(len(index[0]) == len(shape) for shape, index in reads)
    for wrong in (jax.devices()[0], {"word": sharding}, tree | {"more": sharding}, "tp"):
        with pytest.raises(ValueError, match=r"sharding must be a jax\.sharding\.Sharding"):
            AutoModelForSequenceClassification.from_pretrained(toy_folder, sharding=wrong)


SHARDED = """
import sys, jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
from jaxformers import BertForSequenceClassification
from jaxformers.checkpoint import safetensors

folder = sys.argv[1]
ids = np.arange(1, 25).reshape(4, 6)
plain = BertForSequenceClassification.from_pretrained(folder)
expected = plain(ids, labels=[0, 1, 0, 1], output_hidden_states=True)
largest = 0
read = safetensors.View.read
def watched(self, *index):
    global largest
    part = read(self, *index)
    largest = max(largest, part.nbytes)
    return part
safetensors.View.read = watched
mesh = jax.make_mesh((8,), ("tp",), axis_types=(AxisType.Auto,))
whole, columns = NamedSharding(mesh, P()), NamedSharding(mesh, P(None, "tp"))
place = lambda x: columns if x.ndim == 2 and x.shape[1] % 8 == 0 else whole
sharding = jax.tree.map(place, plain.params)
model = BertForSequenceClassification.from_pretrained(folder, sharding=sharding, dtype="float32")
assert largest == 96 * 32 * 4 // 8, largest  # never a whole table
table = model.params["word"]["table"]
assert table.sharding == columns and table.addressable_shards[0].data.shape == (96, 4)
out = model(ids, labels=[0, 1, 0, 1], output_hidden_states=True)
for a, b in zip(jax.tree.leaves(out), jax.tree.leaves(expected)):
    np.testing.assert_allclose(a, b, atol=2e-5)
moved = jax.device_put(plain, whole)
np.testing.assert_allclose(moved(ids).logits, expected.logits, atol=2e-5)
model.save_pretrained(folder + "/again")
again = BertForSequenceClassification.from_pretrained(folder + "/again")
jax.tree.map(np.testing.assert_array_equal, again.params, plain.params)
print("equal")
"""


def test_eight_devices_read_their_parts_and_compute_and_save_the_same(toy_folder):
    assert on_devices(SHARDED, toy_folder) == "equal"


# -- what it costs ----------------------------------------------------------------------------------------------------

BIG = {
    "vocab_size": 24_000,
    "hidden_size": 512,
    "num_hidden_layers": 6,
    "num_attention_heads": 8,
    "intermediate_size": 2048,
}

COST = """
import json, sys, threading, time
from pathlib import Path
import jax, numpy as np
from jaxformers import BertModel

folder, small, dtype = sys.argv[1:]

def anonymous():
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024

def watch():
    global most
    while not done.wait(0.001):
        most = max(most, anonymous())

jax.block_until_ready(BertModel.from_pretrained(small, dtype=dtype).params)  # what imports and a first call take
before = most = anonymous()
done = threading.Event()
watcher = threading.Thread(target=watch)
watcher.start()
jax.block_until_ready(BertModel.from_pretrained(folder, dtype=dtype).params)
done.set()
watcher.join()

def load():
    start = time.perf_counter()
    jax.block_until_ready(BertModel.from_pretrained(folder, dtype=dtype).params)
    return time.perf_counter() - start

def read_and_cast():
    start = time.perf_counter()
    stored = np.fromfile(folder + "/model.safetensors", np.uint8)
    stored = stored[: len(stored) // 4 * 4].view(np.float32)
    stored.astype(dtype)
    return time.perf_counter() - start

ours, floor = zip(*((load(), read_and_cast()) for _ in range(5)))
print(json.dumps({"grown": most - before, "ratio": min(ours) / min(floor), "load": min(ours), "floor": min(floor)}))
"""


@pytest.fixture(scope="module")
def big_folder(tmp_path_factory):
    """A checkpoint of 125 MB with random bytes, written without the library."""
    from jaxformers import declare

    folder = tmp_path_factory.mktemp("big")
    config = BertConfig(**BIG)
    config.save_pretrained(folder)
    rng = np.random.default_rng(0)
    arrays = {p.name: rng.random(p.shape, np.float32) for _, p in declare.walk(BertModel.declaration(config))}
    return write(folder, arrays)


def cost(folder, small, dtype):
    done = subprocess.run(
        [sys.executable, "-c", COST, str(folder), str(small), dtype],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": ":".join(sys.path)},
    )
    return json.loads(done.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells what memory is a process's own")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_loading_takes_the_models_memory_and_one_array_more(big_folder, toy_folder, dtype):
    measured = cost(big_folder, toy_folder, dtype)
    count = (big_folder / "model.safetensors").stat().st_size / 4
    size = np.dtype(dtype).itemsize
    allowed = count * size + BIG["vocab_size"] * BIG["hidden_size"] * size
    assert measured["grown"] < allowed, measured
    assert measured["ratio"] < 6, measured  # generous: machines that run tests are busy


@pytest.mark.heavy
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_loading_takes_at_most_twice_the_time_of_reading_and_casting(big_folder, toy_folder, dtype):
    measured = min((cost(big_folder, toy_folder, dtype) for _ in range(3)), key=lambda m: m["ratio"])
    print(dtype, measured)
    assert measured["ratio"] <= 2
