"""Torch's files must give torch's values, and a pickle must never be more than a description of tensors."""

from __future__ import annotations

import builtins
import io
import itertools
import json
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import time
import tracemalloc
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch_files as tf

from jaxformers.checkpoint import torch_pickle

GOLDEN = Path(__file__).parent / "golden"
ANSWERS = json.loads((GOLDEN / "torch.json").read_text())["tensors"]
WEIGHT = np.arange(12, dtype=np.float32).reshape(3, 4)
DATA = {"0": WEIGHT.tobytes()}
SOUND = tf.tensor(tf.storage("0", "FloatStorage", 12), (3, 4))


def opened(path: Path, content: bytes) -> dict:
    """The tensors of a file with this content."""
    path.write_bytes(content)
    return torch_pickle.open_file(path)


def refused(path: Path, content: bytes) -> str:
    """What the error says of a file that must be refused at once, with little memory and without touching anything."""
    path.write_bytes(content)
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(ValueError, match=path.name) as caught:
            torch_pickle.open_file(path)
        seconds, (_, peak) = time.process_time() - start, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seconds < 0.5  # tracing makes it slow
    assert peak < 20e6
    line = str(caught.value)
    assert "\n" not in line
    assert "safetensors" in line
    assert len(line) < 600
    return line


# -- what torch has written -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["pytorch_model.bin", "wrapped.bin", "row_of_pickles.bin"])
def test_a_file_of_torch_gives_torch_s_names_types_shapes_and_values(file):
    """`wrapped.bin` is {"state_dict": …, "epoch": 3, …}, the last is as before torch 1.6; the tensors have every type,
    views, shares and a Parameter.
    """
    tensors = torch_pickle.open_file(GOLDEN / file)
    assert list(tensors) == list(ANSWERS)
    for name, answer in ANSWERS.items():
        values = tensors[name].read()
        assert (values.dtype.name, list(values.shape)) == (answer["dtype"], answer["shape"])
        assert (tensors[name].dtype, tensors[name].shape) == (values.dtype, values.shape)
        assert values.flags.c_contiguous
        assert values.flags.aligned
        np.testing.assert_array_equal(values.astype(np.float64).reshape(-1), answer["values"])


@pytest.mark.parametrize("name", [name for name, answer in ANSWERS.items() if len(answer["shape"]) == 2])
@pytest.mark.parametrize("index", [(slice(1, 2),), (slice(None), slice(0, 1)), (slice(0, 0),), ()])
@pytest.mark.parametrize("file", ["pytorch_model.bin", "row_of_pickles.bin"])
def test_parts_are_parts_of_the_whole(name, index, file):
    tensor = torch_pickle.open_file(GOLDEN / file)[name]
    part = tensor.read(index)
    assert part.tobytes() == tensor.read()[index].tobytes()
    assert part.shape == tensor.read()[index].shape
    assert part.flags.c_contiguous


def test_contiguous_tensors_are_read_only_views_of_the_file_and_shared_ones_share(tmp_path):
    tensors = torch_pickle.open_file(GOLDEN / "pytorch_model.bin")
    assert not tensors["plain"].read().flags.writeable
    assert np.shares_memory(tensors["plain"].read(), tensors["shared"].read())
    assert np.shares_memory(tensors["plain"].read(), tensors["row"].read())


@pytest.mark.parametrize("dtype", tf.STORAGES)
def test_every_type_of_storage(tmp_path, dtype):
    array = np.arange(48).astype(np.uint8).view(bool if dtype == "bool" else getattr(ml_dtypes, dtype, dtype))
    read = opened(tmp_path / "a", tf.state_dict({"a": array}))["a"].read()
    assert read.dtype == array.dtype
    assert read.tobytes() == array.tobytes()


@pytest.mark.parametrize("alignment", [1, 3, 64])
def test_values_are_aligned_wherever_they_lie_in_the_file(tmp_path, alignment):
    path = tf.write_state_dict(tmp_path / "a", {"a": WEIGHT, "b": WEIGHT[0]}, alignment)
    for tensor, array in zip(torch_pickle.open_file(path).values(), (WEIGHT, WEIGHT[0]), strict=True):
        assert tensor.read().flags.aligned
        np.testing.assert_array_equal(tensor.read(), array)
        np.testing.assert_array_equal(tensor.read((slice(1, 2),)), array[1:2])


def test_tensors_over_plain_bytes_as_torch_writes_newer_types(tmp_path):
    plain = tf.tuple_of(
        tf.text("storage"), tf.name("torch.storage", "UntypedStorage"), tf.text("0"), tf.text("cpu"), tf.number(8)
    )
    arguments = [
        tf.number(0),
        tf.numbers((2, 2)),
        tf.numbers((2, 1)),
        tf.FALSE,
        tf.call(tf.name("collections", "OrderedDict")),
    ]
    content = tf.call(
        tf.name("torch._utils", "_rebuild_tensor_v3"), plain + tf.PERSID, *arguments, tf.name("torch", "uint16")
    )
    data = np.array([1, 2, 3, 65535], np.uint16)
    read = opened(tmp_path / "a", tf.archive(tf.program(tf.dict_of({"a": content})), {"0": data.tobytes()}))["a"].read()
    np.testing.assert_array_equal(read, data.reshape(2, 2))


def test_a_subclass_of_tensor_is_read_as_a_tensor(tmp_path):
    rebuild = SOUND.removesuffix(tf.REDUCE)
    function, arguments = rebuild.split(b"\n", 2)[:2], rebuild.split(b"\n", 2)[2]
    content = (
        tf.name("torch._tensor", "_rebuild_from_type_v2")
        + tf.MARK
        + b"\n".join(function)
        + b"\n"
        + tf.name("torch.nn.parameter", "Parameter")
        + arguments
        + tf.EMPTY_DICT
        + tf.TUPLE
        + tf.REDUCE
    )
    read = opened(tmp_path / "a", tf.archive(tf.program(tf.dict_of({"a": content})), DATA))
    np.testing.assert_array_equal(read["a"].read(), WEIGHT)


def test_nested_dictionaries_lists_numbers_and_words(tmp_path):
    inner = tf.dict_of(
        {"weight": SOUND, "steps": tf.number(3), "note": tf.text("x"), "rate": b"G" + struct.pack(">d", 0.1)}
    )
    several = tf.EMPTY_LIST + SOUND + tf.APPEND + SOUND + tf.APPEND
    content = tf.dict_of({"layer": inner, "several": several, "top": SOUND, "none": tf.NONE, "empty": tf.EMPTY_DICT})
    names = set(opened(tmp_path / "a", tf.archive(tf.program(content), DATA)))
    assert names == {"layer.weight", "several.0", "several.1", "top"}


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "module"])
def test_what_training_scripts_put_weights_under_is_taken_off(tmp_path, key):
    content = tf.dict_of({"epoch": tf.number(1), key: tf.dict_of({"a.weight": SOUND})})
    assert list(opened(tmp_path / "a", tf.archive(tf.program(content), DATA))) == ["a.weight"]
    content = tf.dict_of({"head": SOUND, key: tf.dict_of({"weight": SOUND})})  # a module of that name
    assert set(opened(tmp_path / "a", tf.archive(tf.program(content), DATA))) == {"head", f"{key}.weight"}


def test_newer_pickle_protocols(tmp_path):
    """Protocol 4 names things on the stack, and frames and memoizes."""
    content = SOUND
    for module, attribute in (
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch", "FloatStorage"),
        ("collections", "OrderedDict"),
    ):
        short = (
            b"\x8c" + bytes([len(module)]) + module.encode() + b"\x8c" + bytes([len(attribute)]) + attribute.encode()
        )
        content = content.replace(tf.name(module, attribute), short + b"\x93\x94")
    body = tf.dict_of({"a": content}) + tf.STOP
    whole = b"\x80\x04\x95" + struct.pack("<Q", len(body)) + body
    np.testing.assert_array_equal(opened(tmp_path / "a", tf.archive(whole, DATA))["a"].read(), WEIGHT)


# -- hostile pickles --------------------------------------------------------------------------------------------------


def run_of(module: str, attribute: str, *arguments: bytes) -> bytes:
    """A state dict of which one value is the result of a call."""
    return tf.dict_of({"a": SOUND, "b": tf.call(tf.name(module, attribute), *arguments)})


TOUCH = tf.text("touch hacked")
SYSTEM = tf.call(tf.name("os", "system"), TOUCH)

HOSTILE = {
    "os.system": run_of("os", "system", TOUCH),
    "posix.system": run_of("posix", "system", TOUCH),
    "nt.system": run_of("nt", "system", TOUCH),
    "subprocess.Popen": run_of("subprocess", "Popen", TOUCH),
    "subprocess.check_output": run_of("subprocess", "check_output", TOUCH),
    "builtins.eval": run_of("builtins", "eval", tf.text("open('hacked','w')")),
    "builtins.exec": run_of("builtins", "exec", tf.text("open('hacked','w')")),
    "builtins.compile": run_of("builtins", "compile", tf.text("1"), tf.text("x"), tf.text("eval")),
    "__builtin__.eval": run_of("__builtin__", "eval", tf.text("1")),
    "builtins.open": run_of("builtins", "open", tf.text("hacked"), tf.text("w")),
    "builtins.__import__": run_of("builtins", "__import__", tf.text("antigravity")),
    "builtins.getattr": run_of("builtins", "getattr", tf.name("collections", "OrderedDict"), tf.text("__class__")),
    "builtins.setattr": run_of("builtins", "setattr", tf.name("collections", "OrderedDict"), tf.text("x"), tf.NONE),
    "functools.partial": run_of("functools", "partial", tf.name("os", "system"), TOUCH),
    "operator.methodcaller": run_of("operator", "methodcaller", tf.text("system"), TOUCH),
    "importlib.import_module": run_of("importlib", "import_module", tf.text("antigravity")),
    "runpy._run_code": run_of("runpy", "_run_code", tf.text("1")),
    "pty.spawn": run_of("pty", "spawn", TOUCH),
    "shutil.rmtree": run_of("shutil", "rmtree", tf.text(".")),
    "socket.create_connection": run_of("socket", "create_connection", tf.numbers((1, 2))),
    "webbrowser.open": run_of("webbrowser", "open", tf.text("http://127.0.0.1")),
    "torch.hub.load": run_of("torch.hub", "load", tf.text("owner/name"), tf.text("model")),
    "torch.load": run_of("torch", "load", tf.text("other.bin")),
    "torch.serialization.load": run_of("torch.serialization", "load", tf.text("other.bin")),
    "torch.jit.load": run_of("torch.jit", "load", tf.text("other.bin")),
    "torch.utils.cpp_extension": run_of("torch.utils.cpp_extension", "load_inline", tf.text("x")),
    "torch._utils.os": run_of("torch._utils", "os.system", TOUCH),
    "numpy.load": run_of("numpy", "load", tf.text("other.npy")),
    "numpy scalar": run_of("numpy.core.multiarray", "scalar", tf.NONE),
    "numpy.fromfile": run_of("numpy", "fromfile", tf.text("/etc/passwd")),
    "our own room": run_of("jaxformers.durable", "_tidy", tf.text(".")),
    "pickle.loads": run_of("pickle", "loads", tf.text("x")),
    "codecs.encode": run_of("_codecs", "encode", tf.text("x"), tf.text("latin1")),
    "bytearray": run_of("builtins", "bytearray", tf.number(10**12)),
    "a dotted name": run_of("collections", "OrderedDict.__init__.__globals__"),
    "nested reduce": run_of("collections", "OrderedDict", tf.EMPTY_LIST + SYSTEM + tf.APPEND),
    "reduce as function": tf.dict_of({"a": tf.call(SYSTEM, TOUCH)}),
    "reduce of a result": tf.dict_of({"a": tf.call(SOUND, TOUCH)}),
    "reduce of a type": tf.dict_of({"a": tf.call(tf.name("torch", "FloatStorage"), tf.number(10**12))}),
    "reduce of text": tf.dict_of({"a": tf.call(tf.text("os.system"), TOUCH)}),
    "call as key": tf.EMPTY_DICT + SYSTEM + SOUND + tf.SETITEM,
    "call thrown away": SYSTEM + b"0" + tf.dict_of({"a": SOUND}),
    "call in a storage": tf.dict_of({"a": tf.tensor(SYSTEM, (1,))}),
    "call in a persistent id": tf.dict_of({"a": SYSTEM + tf.PERSID}),
    "build with a call": tf.dict_of({"a": SOUND}) + SYSTEM + tf.BUILD,
    "build on a function": tf.name("torch._utils", "_rebuild_tensor_v2") + tf.dict_of({"__code__": tf.NONE}) + tf.BUILD,
    "build on a tensor": tf.dict_of({"a": SOUND + tf.dict_of({"read": SYSTEM}) + tf.BUILD}),
    "build on a type": tf.name("torch", "FloatStorage") + tf.dict_of({"dtype": tf.NONE}) + tf.BUILD,
    "hooks": tf.dict_of({"a": SOUND.replace(tf.call(tf.name("collections", "OrderedDict")), SYSTEM)}),
    "inst": tf.MARK + TOUCH + b"ios\nsystem\n",
    "obj": tf.MARK + tf.name("os", "system") + TOUCH + b"o",
    "newobj": tf.name("subprocess", "Popen") + tf.tuple_of(TOUCH) + b"\x81",
    "newobj_ex": tf.name("subprocess", "Popen") + tf.tuple_of(TOUCH) + tf.EMPTY_DICT + b"\x92",
    "newobj of a dictionary": tf.name("collections", "OrderedDict") + tf.EMPTY_TUPLE + b"\x81",
    "stack global": tf.text("os") + tf.text("system") + b"\x93" + tf.tuple_of(TOUCH) + tf.REDUCE,
    "extension": b"\x82\x01",
    "extension of four bytes": b"\x84\x01\x00\x00\x00",
    "old persistent id": b"Pstorage\n",
    "a line with a newline in it": tf.dict_of({"a": b"cos\rx\nsystem\n" + tf.tuple_of(TOUCH) + tf.REDUCE}),
}


@pytest.fixture
def alarms(monkeypatch, tmp_path):
    """A working folder of its own, and an alarm on everything that a pickle could do harm with."""
    monkeypatch.chdir(tmp_path)

    def alarm(*arguments: object, **_: object) -> None:
        raise AssertionError(f"called: {arguments}")

    for module, attribute in ((os, "system"), (subprocess, "Popen"), (builtins, "eval"), (builtins, "exec")):
        monkeypatch.setattr(module, attribute, alarm)
    for function in ("load", "loads", "Unpickler", "_Unpickler"):
        monkeypatch.setattr(pickle, function, alarm)
    return tmp_path


def archive(content: bytes) -> bytes:
    """A file of torch around a description."""
    return tf.archive(tf.program(content), DATA)


def row(content: bytes, **others: bytes) -> bytes:
    """A file of before torch 1.6 around it."""
    return tf.row_of_pickles(tf.program(content), {"0": (12, DATA["0"])}, **others)


@pytest.mark.parametrize("form", [archive, row])
@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_pickles_run_nothing_and_are_refused(alarms, attack, form):
    modules = set(sys.modules)
    line = refused(alarms / "pytorch_model.bin", form(HOSTILE[attack]))
    assert "refused" in line
    assert os.listdir(alarms) == ["pytorch_model.bin"]
    assert not {name for name in set(sys.modules) - modules if name.startswith(("torch", "antigravity", "jaxformers"))}


def test_the_refused_name_is_said(tmp_path):
    line = refused(tmp_path / "a.bin", tf.archive(tf.program(HOSTILE["os.system"]), DATA))
    assert "it wants to use 'os.system', and only tensors are read" in line


def test_no_other_file_is_opened(tmp_path):
    """Every hostile file at once, in a process whose audit hook sees each file that is opened."""
    for number, (form, attack) in enumerate(itertools.product((archive, row), HOSTILE.values())):
        (tmp_path / f"{number}.bin").write_bytes(form(attack))
    (tmp_path / "sound.bin").write_bytes(WHOLE)
    code = """
import sys, pathlib
from jaxformers.checkpoint import torch_pickle
folder, seen = pathlib.Path(sys.argv[1]), []
paths = sorted(folder.glob("[0-9]*.bin"))
torch_pickle.open_file(folder / "sound.bin")  # what Python itself loads on the way
sys.addaudithook(lambda event, arguments: seen.append((event, *map(str, arguments[:1]))))
for path in paths:
    try:
        torch_pickle.open_file(path)
    except ValueError:
        pass
harmless = ("mmap.__new__", "object.__getattr__", "sys._getframe")
print(len(paths), [e for e in seen if e[0] not in harmless and (e[0] != "open" or not e[1].startswith(str(folder)))])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split(" ", 1) == [str(2 * len(HOSTILE)), "[]\n"]


# -- damaged descriptions ---------------------------------------------------------------------------------------------


def bomb() -> bytes:
    """Dictionaries of which each holds the one before it twice: 2⁶⁰ leaves if followed."""
    content = tf.EMPTY_DICT + b"q\x00"
    for level in range(60):
        memo = bytes([level])
        content += tf.EMPTY_DICT + tf.text("a") + b"h" + memo + tf.SETITEM + tf.text("b") + b"h" + memo + tf.SETITEM
        content += b"q" + bytes([level + 1])
    return content


def tuples() -> bytes:
    """The same with tuples, as the key of a dictionary: 2⁶⁰ steps for a hash."""
    content = tf.EMPTY_TUPLE + b"q\x00"
    for level in range(60):
        content += b"h" + bytes([level]) + b"h" + bytes([level]) + b"\x86q" + bytes([level + 1])
    return tf.EMPTY_DICT + content + SOUND + tf.SETITEM


ITSELF = tf.EMPTY_DICT + b"q\x00" + tf.text("a") + b"h\x00" + tf.SETITEM + tf.text("b") + SOUND + tf.SETITEM
FLOATS = tf.storage("0", "FloatStorage", 12)

DAMAGED = {
    "bomb of dictionaries": bomb(),
    "bomb of tuples": tuples(),
    "a dictionary in itself": ITSELF,
    "deep lists": tf.EMPTY_LIST * 5000 + tf.APPEND * 4999,
    "deep dictionaries": (tf.EMPTY_DICT + tf.text("a")) * 5000 + tf.NONE + tf.SETITEM * 5000,
    "no tensors": tf.dict_of({"a": tf.number(1)}),
    "a tensor": SOUND,
    "a number": tf.number(3),
    "nothing": b"",
    "two results": SOUND + SOUND,
    "no stop": tf.dict_of({"a": SOUND})[:-1],
    "empty stack": tf.SETITEM,
    "reduce of nothing": tf.REDUCE,
    "no mark": tf.TUPLE,
    "odd items": tf.EMPTY_DICT + tf.MARK + tf.text("a") + tf.SETITEMS,
    "mark as value": tf.EMPTY_DICT + tf.MARK + tf.text("a") + tf.MARK + tf.SETITEMS,
    "unknown memo": b"h\x07",
    "far memo": tf.EMPTY_DICT + b"r\xff\xff\xff\x7f" + b"j\xff\xff\xff\xfe",
    "unknown opcode": b"\xff",
    "cut text": b"X\xff\xff\xff\xffabc",
    "claim of 8 bytes": b"\x8d" + struct.pack("<Q", 10**12) + b"abc",
    "bytearray claim": b"\x96" + struct.pack("<Q", 10**12) + b"abc",
    "frame claim": b"\x95" + struct.pack("<Q", 2**63) + tf.EMPTY_DICT,
    "long claim": b"\x8b" + struct.pack("<i", 2**31 - 1) + b"abc",
    "long number": b"L" + b"9" * 100_000 + b"L\n",
    "text not utf-8": b"X\x02\x00\x00\x00\xff\xfe",
    "key a number of floats": tf.EMPTY_DICT + b"G" + bytes(8) + SOUND + tf.SETITEM,
    "key a list": tf.EMPTY_DICT + tf.EMPTY_LIST + SOUND + tf.SETITEM,
    "the same name twice": tf.dict_of({"a.b": SOUND, "a": tf.dict_of({"b": SOUND})}),
    "too few arguments": tf.dict_of({"a": tf.call(tf.name("torch._utils", "_rebuild_tensor_v2"), FLOATS)}),
    "parameter of nothing": tf.dict_of({"a": tf.call(tf.name("torch._utils", "_rebuild_parameter"), tf.NONE)}),
    "past the end": tf.dict_of({"a": tf.tensor(FLOATS, (3, 5))}),
    "offset past the end": tf.dict_of({"a": tf.tensor(FLOATS, (3, 4), offset=1)}),
    "strides past the end": tf.dict_of({"a": tf.tensor(FLOATS, (3, 4), (5, 1))}),
    "negative offset": tf.dict_of({"a": tf.tensor(FLOATS, (3,), offset=-1)}),
    "negative strides": tf.dict_of({"a": tf.tensor(FLOATS, (3,), (-1,), offset=5)}),
    "negative shape": tf.dict_of({"a": tf.tensor(FLOATS, (-1,), (1,))}),
    "fewer strides": tf.dict_of({"a": tf.tensor(FLOATS, (3, 4), (1,))}),
    "one value spread over 10¹⁸": tf.dict_of({"a": tf.tensor(FLOATS, (10**9, 10**9), (0, 0))}),
    "huge shape": tf.dict_of({"a": tf.tensor(FLOATS, (2**62, 2**62), (0, 0))}),
    "huge stride": tf.dict_of({"a": tf.tensor(FLOATS, (2,), (2**63,))}),
    "numbers of 200 bytes": tf.dict_of({"a": tf.tensor(FLOATS, (2**1600,), (1,))}),
    "65 axes": tf.dict_of({"a": tf.tensor(FLOATS, (1,) * 65, (1,) * 65)}),
    "shape of text": tf.dict_of({"a": SOUND.replace(tf.numbers((3, 4)), tf.tuple_of(tf.text("3"), tf.text("4")))}),
    "shape of truth": tf.dict_of({"a": SOUND.replace(tf.numbers((3, 4)), tf.tuple_of(tf.TRUE, tf.TRUE))}),
    "storage absent": tf.dict_of({"a": tf.tensor(tf.storage("1", "FloatStorage", 1), (1,))}),
    "storage outside": tf.dict_of({"a": tf.tensor(tf.storage("../data.pkl", "ByteStorage", 1), (1,))}),
    "storage of a path": tf.dict_of({"a": tf.tensor(tf.storage("/etc/passwd", "ByteStorage", 1), (1,))}),
    "storage too long": tf.dict_of({"a": tf.tensor(tf.storage("0", "FloatStorage", 13), (1,))}),
    "storage of 10¹⁸": tf.dict_of({"a": tf.tensor(tf.storage("0", "FloatStorage", 10**18), (10**18,))}),
    "storage negative": tf.dict_of({"a": tf.tensor(tf.storage("0", "FloatStorage", -1), (0,))}),
    "storage of no type": tf.dict_of({"a": tf.text("storage") + tf.PERSID}),
    "storage a dictionary": tf.dict_of({"a": tf.EMPTY_DICT + tf.PERSID}),
    "storage of a function": tf.dict_of(
        {
            "a": tf.tuple_of(
                *(tf.text("storage"), tf.name("torch", "Size"), tf.text("0"), tf.text("cpu"), tf.number(1))
            )
            + tf.PERSID
        }
    ),
    "a quantised tensor": run_of("torch._utils", "_rebuild_qtensor", FLOATS),
    "a sparse tensor": run_of("torch._utils", "_rebuild_sparse_tensor", FLOATS),
    "a whole model": run_of("transformers.models.bert.modeling_bert", "BertModel"),
}


@pytest.mark.parametrize("form", [archive, row])
@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_descriptions_are_refused_at_once(tmp_path, damage, form):
    refused(tmp_path / "pytorch_model.bin", form(DAMAGED[damage]))


def test_a_conjugate_view_is_refused_rather_than_read_wrongly(tmp_path):
    flagged = SOUND.removesuffix(tf.TUPLE + tf.REDUCE) + tf.dict_of({"conj": tf.TRUE}) + tf.TUPLE + tf.REDUCE
    line = refused(tmp_path / "a", tf.archive(tf.program(tf.dict_of({"a": flagged})), DATA))
    assert "conjugate" in line


def test_a_description_of_endless_steps_is_cut_short(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_pickle, "_MOST_STEPS", 1000)
    line = refused(tmp_path / "a", tf.archive(tf.program(tf.NONE * 2000), DATA))
    assert "more than 1000 steps" in line
    monkeypatch.setattr(torch_pickle, "_LARGEST_PICKLE", 1000)
    assert "more than is sensible" in refused(tmp_path / "a", tf.archive(tf.program(tf.NONE * 2000), DATA))


# -- damaged archives -------------------------------------------------------------------------------------------------

WHOLE = tf.state_dict({"a": WEIGHT})


def packed(method: int) -> bytes:
    """A sound file, compressed: what could be a bomb."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as source, zipfile.ZipFile(buffer, "w", method) as file:
        for member in source.namelist():
            file.writestr(member, source.read(member))
    return buffer.getvalue()


def deflate_bomb() -> bytes:
    """A storage of 100 MB of zeros in 100 kB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("archive/data.pkl", tf.program(tf.dict_of({"a": SOUND})), zipfile.ZIP_STORED)
        file.writestr("archive/data/0", bytes(100_000_000))
    return buffer.getvalue()


def patched(old: bytes, new: bytes, *, last: bool = False) -> bytes:
    """The sound file with one field changed."""
    at = WHOLE.rindex(old) if last else WHOLE.index(old)
    return WHOLE[:at] + new + WHOLE[at + len(new) :]


def directory_entry(member: bytes, field: int, value: bytes) -> bytes:
    """The sound file with one field of a member's entry in the central directory changed."""
    at = WHOLE.rindex(member) - 46 + field
    return WHOLE[:at] + value + WHOLE[at + len(value) :]


def twice() -> bytes:
    """Two members of the same name: which of them counts is a matter of the reader."""
    buffer = io.BytesIO(WHOLE)
    with zipfile.ZipFile(buffer, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("archive/data.pkl", b"other")
    return buffer.getvalue()


ARCHIVES = {
    "empty": b"",
    "text": b"<html>",
    "before torch 1.6": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
    "a plain pickle": pickle.dumps({"a": 1}, 2),
    "a pickle that runs": tf.program(SYSTEM),
    "only a head": WHOLE[:30],
    "cut": WHOLE[:-30],
    "cut in the middle": WHOLE[: len(WHOLE) // 2],
    "deflated": packed(zipfile.ZIP_DEFLATED),
    "bzip2": packed(zipfile.ZIP_BZIP2),
    "bomb": deflate_bomb(),
    "encrypted": directory_entry(b"archive/data/0", 8, b"\x01\x00"),
    "size past the end": directory_entry(b"archive/data/0", 20, struct.pack("<II", 2**31, 2**31)),
    "sizes that differ": directory_entry(b"archive/data/0", 24, struct.pack("<I", 47)),
    "header elsewhere": directory_entry(b"archive/data/0", 42, struct.pack("<I", 7)),
    "header past the end": directory_entry(b"archive/data/0", 42, struct.pack("<I", 2**31)),
    "directory past the end": patched(b"PK\x05\x06" + bytes(4), b"PK\x05\x06" + bytes(8) + b"\xff" * 8),
    "big-endian": tf.archive(tf.program(tf.dict_of({"a": SOUND})), DATA, extra={"byteorder": b"big"}),
    "torchscript": tf.archive(tf.program(tf.dict_of({"a": SOUND})), DATA, extra={"constants.pkl": b""}),
    "two descriptions": tf.archive(tf.program(tf.dict_of({"a": SOUND})), DATA, extra={"inner/data.pkl": b""}),
    "another zip": packed(zipfile.ZIP_STORED).replace(b"data.pkl", b"date.pkl"),
}


@pytest.mark.parametrize("damage", ARCHIVES)
def test_damaged_archives_are_refused_at_once(alarms, damage):
    refused(alarms / "pytorch_model.bin", ARCHIVES[damage])
    assert os.listdir(alarms) == ["pytorch_model.bin"]


def test_a_name_that_stands_twice_in_the_archive_is_refused(tmp_path):
    assert "two members" in refused(tmp_path / "a", twice())


# -- files of before torch 1.6 ----------------------------------------------------------------------------------------

OLD = tf.old_state_dict({"a": WEIGHT, "b": WEIGHT[0]})


def part_of(kind: str, key: str, count: int, first: int, size: int) -> bytes:
    """A reference to a part of a storage, as torch wrote it before 0.4; memoized, so that nothing is added to it."""
    entries = tf.text("storage") + tf.name("torch", kind) + tf.text(key) + tf.text("cpu") + tf.number(count)
    part = tf.tuple_of(tf.text("1"), tf.number(first), tf.number(size))
    return tf.tuple_of(entries, part) + b"q\x07" + tf.PERSID


def old(description: bytes, *storages: tuple[int, bytes], **others: bytes) -> bytes:
    """A file of before torch 1.6 with storages 0, 1, …"""
    return tf.row_of_pickles(tf.program(description), {str(i): one for i, one in enumerate(storages)}, **others)


def test_storages_stand_behind_one_another(tmp_path):
    arrays = {
        "c": WEIGHT,
        "a": np.arange(3, dtype=np.int64),
        "b": np.float16([[1, 2], [3, 4]]),
        "none": np.zeros((0, 2), np.float32),
        "z": np.array([True]),
    }
    tensors = opened(tmp_path / "a", tf.old_state_dict(arrays))
    assert list(tensors) == list(arrays)
    for name, array in arrays.items():
        assert tensors[name].read().dtype == array.dtype
        assert tensors[name].read().flags.aligned
        np.testing.assert_array_equal(tensors[name].read(), array)
        np.testing.assert_array_equal(tensors[name].read((slice(0, 1),)), array[:1])


def test_what_python_2_and_torch_0_3_wrote(tmp_path):
    """Short strings, dictionaries of pairs, a shorter function, parts of storages."""
    short = lambda word: b"U" + bytes([len(word)]) + word.encode()  # noqa: E731
    reference = part_of("FloatStorage", "0", 12, 4, 8).replace(tf.text("0"), short("0"))
    tensor = tf.call(
        tf.name("torch._utils", "_rebuild_tensor"), reference, tf.number(1), tf.numbers((2, 3)), tf.numbers((3, 1))
    )
    pair = tf.EMPTY_LIST + tf.MARK + short("a.weight") + tensor + b"e"
    content = tf.call(tf.name("collections", "OrderedDict"), tf.EMPTY_LIST + pair + tf.APPEND)
    keys = tf.EMPTY_LIST + short("0") + tf.APPEND
    read = opened(tmp_path / "a", old(content, (12, DATA["0"]), keys=keys))
    np.testing.assert_array_equal(read["a.weight"].read(), WEIGHT.reshape(-1)[5:11].reshape(2, 3))


def of_part(*numbers: int, shape: tuple[int, ...] = (1,)) -> bytes:
    return tf.dict_of({"a": tf.tensor(part_of("FloatStorage", "0", *numbers), shape)})


ALL = (12, DATA["0"])
ONE = tf.dict_of({"a": SOUND})
TWO = tf.dict_of({"a": SOUND, "b": tf.tensor(tf.storage("1", "FloatStorage", 12), (3, 4))})
DEEP = tf.EMPTY_LIST * 5_000 + tf.APPEND * 4_999
ITSELF = tf.EMPTY_DICT + b"q\x00" + tf.text("a") + b"h\x00" + tf.SETITEM + tf.text("b") + SOUND + tf.SETITEM

ROWS = {
    "fewer items than said": old(ONE, (12, DATA["0"][:-4])),
    "another number of items": old(ONE, (11, DATA["0"])),
    "a negative number of items": old(ONE, (-12, DATA["0"])),
    "2⁶² items": old(ONE, (2**62, DATA["0"])),
    "2⁶² items twice": old(ONE.replace(tf.number(12), tf.number(2**62)), (2**62, DATA["0"])),
    "10¹² items": old(ONE.replace(tf.number(12), tf.number(10**12)), (10**12, DATA["0"])),
    "no number of items": old(ONE, ALL)[: -len(DATA["0"]) - 3],
    "no storage": old(ONE),
    "a storage too few": old(TWO, ALL),
    "a storage too many": old(ONE, ALL, ALL),
    "a key twice": old(ONE, ALL, keys=tf.EMPTY_LIST + (tf.text("0") + tf.APPEND) * 2),
    "another key": old(ONE, ALL, keys=tf.EMPTY_LIST + tf.text("1") + tf.APPEND),
    "keys that are numbers": old(ONE, ALL, keys=tf.EMPTY_LIST + tf.number(0) + tf.APPEND),
    "keys of many kinds": old(TWO, ALL, keys=tf.EMPTY_LIST + tf.number(0) + tf.APPEND + tf.text("1") + tf.APPEND),
    "keys that are a dictionary": old(ONE, ALL, keys=tf.EMPTY_DICT),
    "keys that run": old(ONE, ALL, keys=SYSTEM),
    "a storage of two types": old(
        tf.dict_of({"a": SOUND, "b": tf.tensor(tf.storage("0", "DoubleStorage", 12), (3, 4))}), ALL
    ),
    "a storage of two sizes": old(
        tf.dict_of({"a": SOUND, "b": tf.tensor(tf.storage("0", "FloatStorage", 11), (1,))}), ALL
    ),
    "a part past the end": old(of_part(12, 5, 8), ALL),
    "a part before the beginning": old(of_part(12, -1, 8), ALL),
    "a part of a negative size": old(of_part(12, 4, -2), ALL),
    "a part of 2⁶³ items": old(of_part(12, 1, 2**63), ALL),
    "more than a part": old(of_part(12, 4, 8, shape=(9,)), ALL),
    "a part without a key": old(of_part(12, 4, 8).replace(tf.text("1"), tf.NONE), ALL),
    "a reference without an end": old(ONE, ALL).replace(tf.NONE + tf.TUPLE + tf.PERSID, tf.TUPLE + tf.PERSID),
    "a module with its source": old(
        tf.dict_of({"a": SOUND, "b": tf.tuple_of(*map(tf.text, ("module", "os", "os.py", "import os"))) + tf.PERSID}),
        ALL,
    ),
    "a beginning that runs": old(ONE, ALL, begins=SYSTEM),
    "another beginning": old(ONE, ALL, begins=tf.number(5)),
    "a beginning with a storage": old(ONE, ALL, begins=tf.storage("0", "FloatStorage", 12)),
    "a version that runs": old(ONE, ALL, version=SYSTEM),
    "another version": old(ONE, ALL, version=tf.number(1002)),
    "a long version": old(ONE, ALL, version=tf.text("9" * 10_000)),
    "a machine that runs": old(ONE, ALL, machine=SYSTEM),
    "a big-endian machine": old(ONE, ALL, machine=tf.dict_of({"little_endian": tf.FALSE})),
    "no machine": old(ONE, ALL, machine=tf.NONE),
    "endless depth": old(tf.dict_of({"a": DEEP, "b": SOUND}), ALL),
    "itself": old(ITSELF, ALL),
    "pairs of three": old(tf.call(tf.name("collections", "OrderedDict"), tf.tuple_of(tf.numbers((1, 2, 3)))), ALL),
    "pairs of calls": old(tf.call(tf.name("collections", "OrderedDict"), tf.EMPTY_LIST + SYSTEM + tf.APPEND), ALL),
    "cut": OLD[: len(OLD) // 2],
    "cut behind the beginning": OLD[:20],
}


@pytest.mark.parametrize("damage", ROWS)
def test_hostile_rows_of_pickles_run_nothing_and_are_refused_at_once(alarms, damage):
    line = refused(alarms / "pytorch_model.bin", ROWS[damage])
    assert "refused" in line
    assert os.listdir(alarms) == ["pytorch_model.bin"]


def test_what_is_wrong_with_a_row_of_pickles_is_said(tmp_path):
    for damage, said in {
        "another number of items": "storage '0' holds 11 items, its tensors say 12",
        "fewer items than said": "storages go past the end of the file",
        "a big-endian machine": "big-endian",
        "another version": "version 1002, not 1001",
        "another beginning": "none of torch's",
        "a part past the end": "a part of storage '0' that goes past its end",
        "endless depth": "recursion",
        "itself": "in itself",
        "a storage too few": "not those of its tensors",
    }.items():
        assert said in refused(tmp_path / "a", ROWS[damage])


def test_a_tar_archive_is_named(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            file.addfile(tarfile.TarInfo(name))
    assert "a tar archive, as only torch's first releases wrote" in refused(tmp_path / "a", buffer.getvalue())


def test_a_description_that_is_too_long_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_pickle, "_LARGEST_PICKLE", 1000)
    refused(tmp_path / "a", old(tf.dict_of({"a": SOUND, "b": tf.text("x" * 2000)}), ALL))


def test_hostile_files_are_refused_within_a_tenth_of_a_second(tmp_path):
    """Without the tracing of memory that slows the other tests down; the better of two, for garbage is collected now
    and then.
    """
    path = tmp_path / "a"

    def seconds() -> float:
        start = time.process_time()
        with pytest.raises(ValueError, match="safetensors"):
            torch_pickle.open_file(path)
        return time.process_time() - start

    slowest = 0.0
    for content in (
        *ARCHIVES.values(),
        *ROWS.values(),
        *(form(p) for form in (archive, row) for p in (*HOSTILE.values(), *DAMAGED.values())),
    ):
        path.write_bytes(content)
        slowest = max(slowest, min(seconds(), seconds()))
    assert slowest < 0.1


@pytest.mark.parametrize("whole", [WHOLE, OLD])
def test_every_single_changed_byte_ends_in_tensors_or_in_a_value_error(tmp_path, whole):
    """One bit of each byte of the description and of the file's own fields."""
    path = tmp_path / "a"
    outcomes = {"read": 0, "refused": 0}
    for at in range(len(whole)):
        changed = bytearray(whole)
        changed[at] ^= 1 << (at % 8)
        path.write_bytes(changed)
        try:
            for tensor in torch_pickle.open_file(path).values():
                tensor.read()
            outcomes["read"] += 1
        except ValueError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 50


def test_missing_files_are_os_errors(tmp_path):
    with pytest.raises(OSError, match="missing"):
        torch_pickle.open_file(tmp_path / "missing")
