"""The right weight file must be found, no index may lead astray, and a save must replace just what it replaces."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy as oracle
import torch_files
from flax import serialization

from jaxformers import durable, hub
from jaxformers.checkpoint import safetensors, weights

HERE = Path(__file__).parent
ARRAYS = {
    "embeddings.weight": np.arange(32, dtype=np.float32).reshape(8, 4),
    "layer.0.weight": np.arange(16, dtype=np.float16).reshape(4, 4),
    "layer.0.bias": np.arange(4, dtype=np.float32).astype(ml_dtypes.bfloat16),
    "head.weight": np.arange(8, dtype=np.float32).reshape(2, 4),
}


def put(folder: Path, name: str, value: float) -> None:
    """A weight file of any kind with one array `w` that holds `value`."""
    array = np.full((2, 2), value, np.float32)
    if name.endswith(".safetensors"):
        safetensors.write_file(folder / name, {"w": array}, {})
    elif name.endswith(".bin"):
        torch_files.write_state_dict(folder / name, {"w": array})
    elif name.endswith(".msgpack"):
        (folder / name).write_bytes(serialization.msgpack_serialize({"w": array}))
    else:
        raise AssertionError(name)


def put_index(folder: Path, weight_map: object, name: str = "model.safetensors.index.json") -> None:
    """An index, sound or not."""
    (folder / name).write_text(json.dumps({"metadata": {"total_size": 16}, "weight_map": weight_map}))


def value_in(folder: Path, **options: object) -> float:
    """The value of `w` in whatever file is taken."""
    return float(weights.open_weights(hub.source_of(folder), **options)["w"].read()[0, 0])


def error_in(folder: Path, kind: type[Exception] = OSError, **options: object) -> str:
    """The one line of the error."""
    with pytest.raises(kind, match=r".") as caught:
        weights.open_weights(hub.source_of(folder), **options)
    line = str(caught.value)
    assert "\n" not in line
    return line


def save(folder: Path, arrays: dict, size: int | str = "5GB") -> list[str]:
    """The names of the files that a save of these arrays wrote."""
    with durable.Replacement(folder) as files:
        return weights.write_weights(files, arrays, max_shard_size=size)


def load(folder: Path) -> dict[str, np.ndarray]:
    """All arrays of a folder."""
    return {name: tensor.read() for name, tensor in weights.open_weights(hub.source_of(folder)).items()}


def assert_same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    """Equal names, types and values."""
    assert left.keys() == right.keys()
    for name in left:
        assert left[name].dtype == right[name].dtype
        np.testing.assert_array_equal(left[name], right[name])


# -- which file -------------------------------------------------------------------------------------------------------

ORDER = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "flax_model.msgpack",
    "flax_model.msgpack.index.json",
]


def put_all(folder: Path, variant: str = "") -> None:
    """One weight file of each kind; `w` is its place in the order."""
    for place, name in enumerate(ORDER):
        stem, dot, suffix = name.rpartition(".")
        full = f"{stem}.{variant}{dot}{suffix}" if variant else name
        if name.endswith(".index.json"):
            shard = f"part-{place}.{name.split('.')[1]}"
            put(folder, shard, place)
            put_index(folder, {"w": shard}, full)
        else:
            put(folder, full, place)


def test_the_first_of_the_order_that_is_there_is_taken_and_named_at_info(tmp_path, caplog):
    put_all(tmp_path)
    caplog.set_level(logging.INFO, "jaxformers")
    for place, name in enumerate(ORDER):
        caplog.clear()
        assert value_in(tmp_path) == place
        assert [record.levelname for record in caplog.records] == ["INFO"]
        assert name in caplog.text
        (tmp_path / name).unlink()
    assert "does not appear to have weights" in error_in(tmp_path)


def test_use_safetensors_chooses_the_kind(tmp_path):
    put_all(tmp_path)
    assert value_in(tmp_path, use_safetensors=True) == 0
    assert value_in(tmp_path, use_safetensors=False) == 2
    for name in ORDER[:2]:
        (tmp_path / name).unlink()
    line = error_in(tmp_path, use_safetensors=True)
    assert "weights (model.safetensors, model.safetensors.index.json); it has: " in line


def test_a_variant_is_a_word_in_the_name(tmp_path):
    put_all(tmp_path, "fp16")
    assert (tmp_path / "model.safetensors.index.fp16.json").exists()
    for place, name in enumerate(ORDER):
        assert value_in(tmp_path, variant="fp16") == place
        stem, _, suffix = name.rpartition(".")
        (tmp_path / f"{stem}.fp16.{suffix}").unlink()
    put(tmp_path, "model.safetensors", 7)
    assert "model.fp16.safetensors" in error_in(tmp_path, variant="fp16")
    assert value_in(tmp_path) == 7


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("tf_model.h5", "convert it first"),
        ("model.ckpt.index", "convert it first"),
        ("adapter_config.json", "load the base model"),
        ("adapter_model.safetensors", "load the base model"),
        ("model.fp16.safetensors", "pass variant="),
        ("consolidated.00.pth", "another library"),
        ("weights.safetensors", "another name"),
    ],
)
def test_what_is_there_instead_is_said_with_advice(tmp_path, name, advice):
    (tmp_path / name).write_bytes(b"")
    (tmp_path / "config.json").write_text("{}")
    line = error_in(tmp_path)
    assert line.startswith(f"{tmp_path} does not appear to have weights (model.safetensors, ")
    assert f"; {name} is " in line
    assert advice in line


def test_an_empty_folder_says_what_was_looked_for(tmp_path):
    line = error_in(tmp_path)
    assert all(name in line for name in ORDER)
    assert line.endswith("it has: nothing")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "flax_model.msgpack"])
def test_a_clone_without_git_lfs_is_told_to_fetch(tmp_path, name):
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n")
    line = error_in(tmp_path, ValueError)
    assert line.startswith(f"{tmp_path / name}: only a pointer to the file")
    assert "git lfs pull" in line


def test_weights_are_a_mapping_that_says_where_they_are(tmp_path):
    save(tmp_path, ARRAYS)
    opened = weights.open_weights(hub.source_of(tmp_path))
    assert (opened.format, opened.files, len(opened)) == ("safetensors", [tmp_path / "model.safetensors"], 4)
    assert set(opened) == set(ARRAYS)
    assert opened["head.weight"].shape == (2, 4)
    assert "nothing" not in opened
    with pytest.raises(KeyError):
        opened["nothing"]
    assert repr(opened) == "Weights(safetensors, 4 arrays in 1 files)"


# -- shards -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
def test_shards_are_read_as_one(tmp_path, kind):
    stem = {"safetensors": "model", "bin": "pytorch_model"}[kind]
    places = {}
    for number, (name, array) in enumerate(ARRAYS.items(), 1):
        shard = f"{stem}-{number:05}-of-00004.{kind}"
        places[name] = shard
        if kind == "safetensors":
            oracle.save_file({name: array}, tmp_path / shard)
        else:
            torch_files.write_state_dict(tmp_path / shard, {name: array})
    put_index(tmp_path, places, f"{stem}.{kind}.index.json")
    assert_same(load(tmp_path), ARRAYS)
    assert len(weights.open_weights(hub.source_of(tmp_path)).files) == 4


HOSTILE_PLACES = {
    "parent": "../secret.safetensors",
    "parent further down": "sub/../../secret.safetensors",
    "absolute": "/secret.safetensors",
    "this folder": "./model-1.safetensors",
    "backslash": "..\\secret.safetensors",
    "drive": "C:secret.safetensors",
    "zero byte": "model-1.safetensors\0",
    "empty": "",
    "dot": ".",
    "dots": "..",
    "double slash": "sub//a.safetensors",
    "trailing slash": "sub/",
    "link out": "link.safetensors",
    "link to a folder": "up/secret.safetensors",
    "broken link": "broken.safetensors",
    "folder": "folder.safetensors",
    "pipe": "pipe.safetensors",
    "device": "null.safetensors",
    "missing": "model-9.safetensors",
    "very long": "a" * 5000,
    "lone surrogate": "\ud800.safetensors",
    "number": 3,
    "none": None,
    "list": ["model-1.safetensors"],
    "object": {"file": "model-1.safetensors"},
    "truth": True,
    "not weights": "config.json",
    "itself": "model.safetensors.index.json",
    "another kind": "pytorch_model.bin",
}


@pytest.mark.parametrize("attack", HOSTILE_PLACES)
def test_hostile_places_in_an_index_are_clear_errors_and_nothing_else_is_read(tmp_path, attack):
    folder = tmp_path / "folder"
    (folder / "folder.safetensors").mkdir(parents=True)
    put(tmp_path, "secret.safetensors", 666)
    put(folder, "model-1.safetensors", 1)
    put(folder, "pytorch_model.bin", 1)
    (folder / "config.json").write_text("{}")
    (folder / "link.safetensors").symlink_to(tmp_path / "secret.safetensors")
    (folder / "up").symlink_to("..")
    (folder / "broken.safetensors").symlink_to("nowhere")
    (folder / "null.safetensors").symlink_to("/dev/null")
    os.mkfifo(folder / "pipe.safetensors")
    put_index(folder, {"a": "model-1.safetensors", "w": HOSTILE_PLACES[attack]})
    start = time.perf_counter()
    with pytest.raises((OSError, ValueError), match=r".") as caught:
        weights.open_weights(hub.source_of(folder))
    assert time.perf_counter() - start < 2
    line = str(caught.value)
    assert "\n" not in line
    assert len(line) < 6000


INDEXES = {
    "empty": b"",
    "text": b"<html>",
    "a list": b"[]",
    "null": b"null",
    "no map": b"{}",
    "map a list": b'{"weight_map": []}',
    "map empty": b'{"weight_map": {}}',
    "map a word": b'{"weight_map": "model.safetensors"}',
    "cut": b'{"weight_map": {"w": "mod',
    "not utf-8": b'{"weight_map": {"w": "\xff"}}',
    "deep": b'{"weight_map":' * 50_000,
    "deep lists": b"[" * 100_000,
    "NaN": b'{"weight_map": {"w": NaN}}',
    "a name twice": b'{"weight_map": {"w": "model-1.safetensors", "w": "model-2.safetensors"}}',
    "map twice": b'{"weight_map": {}, "weight_map": {"w": "model-1.safetensors"}}',
}


@pytest.mark.parametrize("damage", INDEXES)
def test_damaged_indexes_are_value_errors_that_name_the_file(tmp_path, damage):
    put(tmp_path, "model-1.safetensors", 1)
    (tmp_path / "model.safetensors.index.json").write_bytes(INDEXES[damage])
    assert "model.safetensors.index.json: " in error_in(tmp_path, ValueError)


def test_an_index_of_100_mb_is_not_even_parsed(tmp_path):
    with open(tmp_path / "model.safetensors.index.json", "wb") as file:
        file.truncate(100_000_000)
    start = time.perf_counter()
    assert "too large" in error_in(tmp_path, ValueError)
    assert time.perf_counter() - start < 0.5


def test_an_array_that_its_shard_lacks_is_a_key_error_that_names_both(tmp_path):
    put(tmp_path, "model-1.safetensors", 1)
    put_index(tmp_path, {"w": "model-1.safetensors", "b": "model-1.safetensors"})
    line = error_in(tmp_path, KeyError)
    assert "model-1.safetensors lacks 'b'" in line


def test_an_absent_shard_is_an_os_error_that_names_it(tmp_path):
    put_index(tmp_path, {"w": "model-00001-of-00002.safetensors"})
    assert "does not appear to have a file named model-00001-of-00002.safetensors" in error_in(tmp_path)


def test_shards_in_a_folder_below_are_allowed(tmp_path):
    (tmp_path / "sub").mkdir()
    put(tmp_path, "sub/a.safetensors", 5)
    put_index(tmp_path, {"w": "sub/a.safetensors"})
    assert value_in(tmp_path) == 5


# -- saving -----------------------------------------------------------------------------------------------------------


def test_one_file_or_shards_by_size_and_back(tmp_path):
    assert save(tmp_path, ARRAYS) == ["model.safetensors"]
    assert_same(load(tmp_path), ARRAYS)
    assert_same(oracle.load_file(tmp_path / "model.safetensors"), ARRAYS)
    assert save(tmp_path, ARRAYS, 64) == [
        "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors",
        "model-00003-of-00003.safetensors",
        "model.safetensors.index.json",
    ]
    assert_same(load(tmp_path), ARRAYS)
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_size": sum(array.nbytes for array in ARRAYS.values())}
    assert index["weight_map"]["embeddings.weight"] == "model-00001-of-00003.safetensors"  # larger than 64: alone
    assert index["weight_map"]["layer.0.weight"] == index["weight_map"]["layer.0.bias"]
    assert not (tmp_path / "model.safetensors").exists()
    for shard in set(index["weight_map"].values()):
        with safetensors_metadata(tmp_path / shard) as metadata:
            assert metadata == {"format": "pt"}
    assert save(tmp_path, ARRAYS) == ["model.safetensors"]
    assert os.listdir(tmp_path) == ["model.safetensors"]


class safetensors_metadata:
    """The metadata of a file, by the library."""

    def __init__(self, path: Path) -> None:
        from safetensors import safe_open

        self.file = safe_open(path, "numpy")

    def __enter__(self) -> dict[str, str]:
        return self.file.__enter__().metadata()

    def __exit__(self, *error: object) -> None:
        self.file.__exit__(*error)


def test_new_shards_never_take_the_names_of_old_ones(tmp_path):
    """Else whoever reads the old index between two renames would get a mix without noticing."""
    seen: set[str] = set()
    for _ in range(4):
        names = set(save(tmp_path, ARRAYS, 100)) - {"model.safetensors.index.json"}
        assert not names & seen
        seen = names
        assert {path.name for path in tmp_path.iterdir()} == names | {"model.safetensors.index.json"}
        assert_same(load(tmp_path), ARRAYS)


SUPERSEDED = [
    *("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"),
    *("flax_model.msgpack", "flax_model.msgpack.index.json", "model-00001-of-00007.safetensors"),
    *("model-00007-of-00007.safetensors", "model-0a1b2c3d-00001-of-00007.safetensors"),
    *("pytorch_model-00001-of-00002.bin", "flax_model-00001-of-00002.msgpack"),
]
KEPT = [
    *("config.json", "tokenizer.json", "vocab.txt", "README.md", "notes.txt", "model.fp16.safetensors", "tf_model.h5"),
    *("adapter_model.safetensors", "my_model.safetensors", "model.safetensors.bak", "model-best.safetensors"),
    *("optimizer.bin", "training_args.bin", "model.onnx", "model-00001-of-00007.safetensors.txt"),
]


@pytest.mark.parametrize("size", ["5GB", 100])
def test_superseded_weight_files_go_and_nothing_else(tmp_path, size):
    for name in (*SUPERSEDED, *KEPT):
        (tmp_path / name).write_text(name)
    (tmp_path / "checkpoint-5").mkdir()
    names = save(tmp_path, ARRAYS, size)
    assert sorted(os.listdir(tmp_path)) == sorted([*names, *KEPT, "checkpoint-5"])
    assert all((tmp_path / name).read_text() == name for name in KEPT)


def test_a_save_that_ends_last_wins_over_one_that_began_after_it(tmp_path):
    """A single file would be read before any index: the shards' save must remove it though it came meanwhile."""
    with durable.Replacement(tmp_path) as files:
        weights.write_weights(files, ARRAYS, max_shard_size=64)
        save(tmp_path, {"other": np.zeros(3)})
    assert_same(load(tmp_path), ARRAYS)


def test_a_save_that_fails_leaves_the_old_weights(tmp_path):
    save(tmp_path, ARRAYS)
    with pytest.raises(TypeError, match="cannot hold arrays of type"):
        save(tmp_path, {"a": np.zeros(3), "b": np.array(["text"])})
    assert_same(load(tmp_path), ARRAYS)
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_no_arrays_are_a_file_too(tmp_path):
    assert save(tmp_path, {}) == ["model.safetensors"]
    assert load(tmp_path) == {}


@pytest.mark.parametrize(
    ("size", "limit"),
    [
        (100, 100),
        ("100", 100),
        ("5GB", 5 * 10**9),
        ("200MB", 2 * 10**8),
        ("1.5 kb", 1500),
        ("1GiB", 2**30),
        ("2kib", 2048),
    ],
)
def test_sizes(size, limit):
    assert weights._bytes_in(size) == limit


@pytest.mark.parametrize("size", [0, -1, "0GB", "5 apples", "", "GB", "-5GB", None, True, 1.5])
def test_impossible_sizes_are_errors(tmp_path, size):
    with pytest.raises(ValueError, match="max_shard_size="):
        save(tmp_path, ARRAYS, size)
    assert os.listdir(tmp_path) == []


def run_kills(*arguments: str) -> dict:
    """The result of kills.py in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(HERE.parent / "kills.py"), str(HERE / "kills_weights.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_killed_before_any_operation_of_a_save_the_old_or_the_new_weights_load():
    result = run_kills("steps")
    assert result["steps"] > 20  # three shards, index, config; journal; renames; five removals
    assert result["left"] == sorted(result["left"])
    assert set(result["left"]) == {0, 1}


def test_killed_20_times_at_random_moments_the_weights_load():
    assert len(run_kills("20")["seen"]) == 21
