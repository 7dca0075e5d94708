"""A save is what torch expects, byte for byte what the model holds, and never leaves a folder that does not load."""

from __future__ import annotations

import importlib.util
import json
import os
import stat
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from jaxformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    BertForPreTraining,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForMaskedLM,
)

IDS = [[5, 6, 7, 8, 9], [1, 2, 3, 4, 0]]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


# -- what is written --------------------------------------------------------------------------------------------------


def test_names_and_layout_are_torchs(toy_model, toy_folder):
    arrays = load_file(toy_folder / "model.safetensors")
    layer = [
        *(f"attention.{name}" for name in ("self.query", "self.key", "self.value", "output.dense", "output.LayerNorm")),
        *("intermediate.dense", "output.dense", "output.LayerNorm"),
    ]
    modules = [
        *("bert.embeddings.LayerNorm", "bert.pooler.dense", "classifier"),
        *(f"bert.encoder.layer.{i}.{name}" for i in range(2) for name in layer),
    ]
    tables = [f"bert.embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type")]
    assert set(arrays) == {f"{module}.{kind}" for module in modules for kind in ("weight", "bias")} | set(tables)
    up = arrays["bert.encoder.layer.1.intermediate.dense.weight"]
    assert up.shape == (64, 32)  # out, in
    np.testing.assert_array_equal(up, toy_model.params["layers"][1]["up"]["weight"])
    with safe_open(toy_folder / "model.safetensors", "np") as file:
        assert file.metadata() == {"format": "pt"}  # torch Transformers refuses files that do not say so
    config = json.loads((toy_folder / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]
    assert (config["dtype"], config["model_type"], config["id2label"]) == ("float32", "bert", {"0": "BAD", "1": "GOOD"})
    assert sorted(contents(toy_folder)) == ["config.json", "model.safetensors"]


def test_what_is_loaded_and_saved_again_is_the_same_to_the_byte(toy_folder, tmp_path):
    AutoModelForSequenceClassification.from_pretrained(toy_folder).save_pretrained(tmp_path / "again")
    assert contents(tmp_path / "again") == contents(toy_folder)


def test_tied_weights_are_written_once(make, toy_config, tmp_path):
    small = DistilBertConfig(vocab_size=96, dim=32, n_heads=4, n_layers=1, hidden_dim=64, max_position_embeddings=64)
    for cls, config in ((BertForPreTraining, toy_config), (DistilBertForMaskedLM, small)):
        model = make(cls, config)
        model.save_pretrained(tmp_path / cls.__name__)
        assert not [name for name in load_file(tmp_path / cls.__name__ / "model.safetensors") if "decoder" in name]
        again, report = cls.from_pretrained(tmp_path / cls.__name__, output_loading_info=True)
        assert not any(report.values())
        same(again, model)


def test_arrays_of_any_layout_are_written_as_they_read(toy_model, tmp_path):
    def turned(x):  # the same values, in memory in another order: the writer of safetensors 0.8 writes these wrong
        x = np.asarray(x)
        return np.ascontiguousarray(x.T).T if x.ndim == 2 else np.repeat(x, 2)[::2]

    views = BertForSequenceClassification(toy_model.config, params=jax.tree.map(turned, toy_model.params))
    assert not views.params["pooler"]["weight"].flags.c_contiguous
    views.save_pretrained(tmp_path / "views")
    same(AutoModelForSequenceClassification.from_pretrained(tmp_path / "views"), toy_model)
    through_jax = jax.tree.map(lambda x: x.T.T if x.ndim == 2 else x[::-1][::-1], toy_model)
    through_jax.save_pretrained(tmp_path / "jax")
    assert contents(tmp_path / "jax") == contents(tmp_path / "views")


def test_the_type_of_the_weights_is_written_and_contradicted_nowhere(toy_model, toy_folder, tmp_path):
    path = toy_folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "torch_dtype": "float16"}))
    narrow = AutoModelForSequenceClassification.from_pretrained(toy_folder, dtype="bfloat16")
    narrow.save_pretrained(tmp_path / "narrow")
    config = json.loads((tmp_path / "narrow" / "config.json").read_text())
    assert config["dtype"] == "bfloat16"
    assert "torch_dtype" not in config
    stored = AutoModelForSequenceClassification.from_pretrained(tmp_path / "narrow", dtype="auto")
    assert stored.params["norm"]["bias"].dtype == jnp.bfloat16
    same(stored, narrow)


def test_every_field_of_the_config_survives(toy_model, tmp_path):
    config = toy_model.config.replace(task_specific_params={"a": 1}, house_number=7)
    toy_model.replace(config=config).save_pretrained(tmp_path)
    again = BertConfig.from_pretrained(tmp_path)
    assert (again.task_specific_params, again.house_number) == ({"a": 1}, 7)
    assert again == config.replace(architectures=["BertForSequenceClassification"], dtype="float32")


# -- where it is written ----------------------------------------------------------------------------------------------


def test_shards_and_their_index(toy_model, tmp_path):
    toy_model.save_pretrained(tmp_path, max_shard_size="30KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    shards = sorted(set(index["weight_map"].values()))
    count = len(shards)
    assert count > 2
    assert shards == [f"model-{i + 1:05}-of-{count:05}.safetensors" for i in range(count)]
    held = {name: load_file(tmp_path / name) for name in shards}
    assert {name: shard for shard, arrays in held.items() for name in arrays} == index["weight_map"]
    sizes = [sum(array.nbytes for array in arrays.values()) for arrays in held.values()]
    assert index["metadata"]["total_size"] == sum(sizes)
    assert max(sizes) <= 30_000
    same(AutoModelForSequenceClassification.from_pretrained(tmp_path), toy_model)


def test_saves_over_one_another_leave_only_the_last_and_what_is_not_theirs(toy_model, tmp_path):
    mine = {"tokenizer.json": b"{}", "vocab.txt": b"a\nb", "README.md": b"#", "optimizer.bin": b"1", "model.onnx": b"2"}
    for name, content in mine.items():
        (tmp_path / name).write_bytes(content)
    for superseded in ("pytorch_model.bin", "flax_model.msgpack"):
        (tmp_path / superseded).write_bytes(b"an older save")
    single = {"config.json", "model.safetensors"}
    for i, size in enumerate((20_000, "5GB", "30KB", "31KB", 20_000, 10**9)):
        model = jax.tree.map(lambda x, i=i: x + i, toy_model)
        model.save_pretrained(str(tmp_path), max_shard_size=size)
        files = contents(tmp_path)
        assert {name: files.pop(name) for name in mine} == mine
        if "model.safetensors.index.json" in files:
            shards = set(json.loads(files.pop("model.safetensors.index.json"))["weight_map"].values())
            assert files.keys() == shards | {"config.json"}
        else:
            assert files.keys() == single
        same(AutoModelForSequenceClassification.from_pretrained(tmp_path), model)


def test_file_modes_follow_the_umask(toy_model, tmp_path):
    before = os.umask(0o027)
    try:
        toy_model.save_pretrained(tmp_path / "new", max_shard_size=30_000)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()} == {0o640}


def test_what_cannot_be_saved_is_refused_and_leaves_the_folder_as_it_was(toy_model, toy_folder):
    before = contents(toy_folder)
    params = toy_model.params
    with pytest.raises(ValueError, match="max_shard_size"):
        toy_model.save_pretrained(toy_folder, max_shard_size="much")
    for broken, message in (
        ({name: child for name, child in params.items() if name != "norm"}, r"params lack norm\.bias"),
        (params | {"more": params["norm"]}, "params have, unlike the config's model, more"),
        (params | {"norm": jax.tree.map(lambda x: x[:3], params["norm"])}, r"params norm\.bias have shape \(3,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            toy_model.replace(params=broken).save_pretrained(toy_folder)
    complex_ = toy_model.replace(params=params | {"norm": jax.tree.map(lambda x: np.zeros(32, "O"), params["norm"])})
    with pytest.raises(TypeError, match="safetensors files cannot hold"):
        complex_.save_pretrained(toy_folder)
    with pytest.raises(OSError, match=r"config\.json is a file"):
        toy_model.save_pretrained(toy_folder / "config.json")
    assert contents(toy_folder) == before


# -- killed -----------------------------------------------------------------------------------------------------------

# A child is forked for each kill, from a process in which jax has started nothing yet: that takes milliseconds instead
# of the seconds of a fresh start. What each kill left is loaded at the end, when jax may start.
KILLS = """
import json, os, random, shutil, signal, sys, time
from pathlib import Path
import jax, numpy as np
from jaxformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification, declare

folder, tries = Path(sys.argv[1]), int(sys.argv[2])
config = BertConfig(vocab_size=2000, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128)
shapes = declare.abstract(BertForSequenceClassification.declaration(config))

def save(generation):
    params = jax.tree.map(lambda x: np.full(x.shape, generation, np.float32), shapes)
    model = BertForSequenceClassification(config.replace(generation=generation), params=params)
    model.save_pretrained(folder, max_shard_size=("1GB", "100KB", "101KB")[generation % 3])

save(0)
(folder / "tokenizer.json").write_text("mine")
start = time.perf_counter()
for generation in (1, 2, 3):
    save(generation)
each = (time.perf_counter() - start) / 3
finished, floors, inside = folder.parent / "finished", [3], 0
for attempt in range(tries):
    child = os.fork()
    if child == 0:
        generation = floors[-1]
        while True:
            generation += 1
            save(generation)
            (folder.parent / "finishing").write_text(str(generation))
            os.replace(folder.parent / "finishing", finished)
    time.sleep(each * (0.2 + 3 * random.Random(attempt).random()))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    inside += any(name.startswith(".jaxformers-save") for name in os.listdir(folder))
    shutil.copytree(folder, folder.parent / f"left-{attempt}")
    floors.append(max(floors[-1], int(finished.read_text()) if finished.exists() else 0))

seen = []
for attempt in range(tries):
    left = folder.parent / f"left-{attempt}"
    model = AutoModelForSequenceClassification.from_pretrained(left)
    values = {float(v) for leaf in jax.tree.leaves(model.params) for v in np.unique(leaf)}
    assert values == {float(model.config.generation)}, (attempt, values, model.config.generation)
    assert (left / "tokenizer.json").read_text() == "mine"
    assert model.config.generation >= floors[attempt + 1]  # a save that came back is never lost
    seen.append(model.config.generation)
save(floors[-1] + 10)
assert not [name for name in os.listdir(folder) if name.startswith(".")]
print(json.dumps({"seen": seen, "inside": inside}))
"""


def test_twenty_kills_leave_twenty_checkpoints_that_load_wholly_old_or_wholly_new(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path / "model"), "20"],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert len(report["seen"]) == 20
    assert report["inside"] >= 5, report  # else the kills came too late to mean anything


# -- torch ------------------------------------------------------------------------------------------------------------

TORCH = """
import sys, json, torch
from transformers import AutoModelForSequenceClassification
model, info = AutoModelForSequenceClassification.from_pretrained(sys.argv[1], output_loading_info=True)
with torch.no_grad():
    logits = model(torch.tensor(json.loads(sys.argv[2]))).logits
info = [list(value) for value in info.values()]
print(json.dumps({"logits": logits.tolist(), "labels": model.config.id2label, "info": info}))
model.save_pretrained(sys.argv[3])
"""


@pytest.mark.heavy
@pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("torch", "transformers"))), reason="torch Transformers is not installed"
)
@pytest.mark.parametrize("size", ["5GB", "30KB"])
def test_torch_transformers_loads_our_folder_and_we_load_its(toy_model, tmp_path, size):
    toy_model.save_pretrained(tmp_path / "ours", max_shard_size=size)
    done = subprocess.run(
        [sys.executable, "-c", TORCH, str(tmp_path / "ours"), json.dumps(IDS), str(tmp_path / "theirs")],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    np.testing.assert_allclose(report["logits"], toy_model(IDS).logits, atol=1e-5)
    assert report["labels"] == {"0": "BAD", "1": "GOOD"}
    assert not any(report["info"])
    same(AutoModelForSequenceClassification.from_pretrained(tmp_path / "theirs"), toy_model)
