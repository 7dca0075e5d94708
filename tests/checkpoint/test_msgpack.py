"""Flax files must come out under torch's names and in torch's layout."""

from __future__ import annotations

import struct
import time

import ml_dtypes
import msgpack as plain_msgpack
import numpy as np
import pytest
from flax import serialization

from jaxformers.checkpoint import msgpack


def some(*shape: int, dtype: object = np.float32) -> np.ndarray:
    """An array whose values all differ."""
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def bert() -> dict:
    """The tree of a small FlaxBertForSequenceClassification."""
    return {
        "bert": {
            "embeddings": {
                "word_embeddings": {"embedding": some(6, 4)},
                "LayerNorm": {"scale": some(4), "bias": some(4)},
            },
            "encoder": {"layer": {"0": {"attention": {"self": {"query": {"kernel": some(4, 3), "bias": some(3)}}}}}},
        },
        "classifier": {"kernel": some(4, 2, dtype=ml_dtypes.bfloat16), "bias": some(2, dtype=np.float16)},
        "cls": {"predictions": {"bias": some(6)}},
    }


def test_names_and_layouts_are_torch_s(tmp_path):
    tree = bert()
    (tmp_path / "a").write_bytes(serialization.msgpack_serialize(tree))
    read = {name: tensor.read() for name, tensor in msgpack.open_file(tmp_path / "a").items()}
    query = tree["bert"]["encoder"]["layer"]["0"]["attention"]["self"]["query"]
    expected = {
        "bert.embeddings.word_embeddings.weight": some(6, 4),
        "bert.embeddings.LayerNorm.weight": some(4),
        "bert.embeddings.LayerNorm.bias": some(4),
        "bert.encoder.layer.0.attention.self.query.weight": query["kernel"].T,
        "bert.encoder.layer.0.attention.self.query.bias": some(3),
        "classifier.weight": tree["classifier"]["kernel"].T,
        "classifier.bias": tree["classifier"]["bias"],
        "cls.predictions.bias": some(6),
    }
    assert read.keys() == expected.keys()
    for name, values in expected.items():
        assert (read[name].dtype, read[name].shape) == (values.dtype, values.shape)
        np.testing.assert_array_equal(read[name], values)
        assert read[name].flags.c_contiguous
        assert read[name].flags.aligned


def test_parts_of_a_transposed_kernel(tmp_path):
    (tmp_path / "a").write_bytes(serialization.msgpack_serialize({"a": {"kernel": some(4, 6)}}))
    tensor = msgpack.open_file(tmp_path / "a")["a.weight"]
    assert tensor.shape == (6, 4)
    for index in ((slice(1, 3),), (slice(None), slice(0, 2)), (slice(2, 2),)):
        np.testing.assert_array_equal(tensor.read(index), some(4, 6).T[index])


def test_convolutions_and_running_statistics(tmp_path):
    tree = {
        "params": {
            "conv": {"kernel": some(3, 5, 2, 4)},
            "conv1d": {"kernel": some(3, 2, 4)},
            "norm": {"scale": some(4)},
        },
        "batch_stats": {"norm": {"mean": some(4), "var": some(4)}},
    }
    (tmp_path / "a").write_bytes(serialization.msgpack_serialize(tree))
    tensors = msgpack.open_file(tmp_path / "a")
    np.testing.assert_array_equal(tensors["conv.weight"].read(), some(3, 5, 2, 4).transpose(3, 2, 0, 1))
    np.testing.assert_array_equal(tensors["conv1d.weight"].read(), some(3, 2, 4).transpose(2, 1, 0))
    assert set(tensors) == {"conv.weight", "conv1d.weight", "norm.weight", "norm.running_mean", "norm.running_var"}


def test_arrays_in_chunks_as_flax_writes_large_ones(tmp_path, monkeypatch):
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 64)
    tree = {"a": {"embedding": some(10, 8)}, "b": {"kernel": some(20, 3)}}
    (tmp_path / "a").write_bytes(serialization.msgpack_serialize(tree))
    assert b"__msgpack_chunked_array__" in (tmp_path / "a").read_bytes()
    tensors = msgpack.open_file(tmp_path / "a")
    np.testing.assert_array_equal(tensors["a.weight"].read(), some(10, 8))
    np.testing.assert_array_equal(tensors["b.weight"].read(), some(20, 3).T)


def test_scalars_are_tensors_and_other_leaves_are_passed_over(tmp_path):
    tree = {"scale": np.float32(2.0), "steps": 3, "note": "x", "none": None, "a": {"kernel": some(2)}}
    (tmp_path / "a").write_bytes(serialization.msgpack_serialize(tree))
    tensors = msgpack.open_file(tmp_path / "a")
    assert {name: tensor.read().tolist() for name, tensor in tensors.items()} == {"weight": 2.0, "a.weight": [0.0, 1.0]}


def array(shape: object, dtype: bytes, data: bytes) -> bytes:
    """A file of one array, described however one likes."""
    return plain_msgpack.packb({"a": plain_msgpack.ExtType(1, plain_msgpack.packb((shape, dtype, data)))})


SOUND = serialization.msgpack_serialize(bert())
DAMAGED = {
    "empty": b"",
    "text": b"<html>",
    "a pickle": b"\x80\x02}q\x00.",
    "a number": b"\x07",
    "a list": plain_msgpack.packb([1, 2]),
    "no arrays": plain_msgpack.packb({"a": 1}),
    "cut": SOUND[:-3],
    "trailing bytes": SOUND + b"\x01",
    "array claim": b"\x81\xa1a\xdd\xff\xff\xff\xff",
    "map claim": b"\xdf\xff\xff\xff\xff",
    "bytes claim": b"\x81\xa1a\xc6\xff\xff\xff\xff",
    **{f"{depth} deep": b"\x81\xa1a" * depth + SOUND for depth in (1000, 1010, 1020)},
    "deep": b"\x81\xa1a" * 100_000 + b"\x01",
    "deep lists": b"\x91" * 100_000 + b"\x01",
    "key a list": b"\x81\x91\x01\x01",
    "unknown type": array((2,), b"float31", bytes(8)),
    "object type": array((1,), b"O", bytes(8)),
    "text type": array((1,), b"U2", bytes(8)),
    "record type": array((1,), b"f4,f4", bytes(8)),
    "size of another shape": array((3,), b"float32", bytes(8)),
    "huge shape": array((2**40, 2**40), b"float32", bytes(8)),
    "shape of text": array(("x",), b"float32", bytes(8)),
    "not an array": plain_msgpack.packb({"a": plain_msgpack.ExtType(1, b"\xff")}),
    "chunks absent": plain_msgpack.packb({"a": {"__msgpack_chunked_array__": True}}),
    "not utf-8": b"\x81\xa2\xff\xfe\x01",
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_damaged_files_are_value_errors_that_name_the_file(tmp_path, damage):
    (tmp_path / "flax_model.msgpack").write_bytes(DAMAGED[damage])
    start = time.process_time()
    with pytest.raises(ValueError, match=r"flax_model\.msgpack: damaged or no flax file") as caught:
        msgpack.open_file(tmp_path / "flax_model.msgpack")
    assert time.process_time() - start < 1
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_every_single_changed_byte_ends_in_arrays_or_in_a_value_error(tmp_path):
    path, outcomes = tmp_path / "a", {"read": 0, "refused": 0}
    for at in range(len(SOUND)):
        changed = bytearray(SOUND)
        changed[at] ^= 1 << (at % 8)
        path.write_bytes(changed)
        try:
            for tensor in msgpack.open_file(path).values():
                tensor.read()
            outcomes["read"] += 1
        except ValueError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 50


def test_missing_files_are_os_errors_and_a_claim_beyond_the_memory_is_refused(tmp_path):
    with pytest.raises(OSError, match="missing"):
        msgpack.open_file(tmp_path / "missing")
    (tmp_path / "a").write_bytes(b"\xdd" + struct.pack(">I", 2**32 - 1) + bytes(1000))
    with pytest.raises(ValueError, match="damaged"):
        msgpack.open_file(tmp_path / "a")
