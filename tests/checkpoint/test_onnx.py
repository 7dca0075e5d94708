"""Weights of ONNX files: their names and values, and that damage is a ValueError."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from onnx_files import BLOCK, field, model, product, tensor

from jaxformers.checkpoint import onnx

RNG = np.random.default_rng(0)


def test_names_and_values(tmp_path: Path) -> None:
    bias = RNG.normal(size=5).astype("<f4")
    values, scales = RNG.integers(0, 16, (5, 70)), RNG.normal(size=(5, 3)).astype("<f4")
    words = RNG.integers(0, 256, (7, 4)).astype(np.uint8)
    content = model(
        tensor("body.layer.0.dense.bias", bias, 1),
        tensor("positions", np.arange(3, dtype="<i8"), 7),
        tensor("body.words.weight_quantized", words, 2),
        tensor("body.words.weight_scale", np.array(0.5), 1, raw=False),
        tensor("body.words.weight_zero_point", np.array(131), 2, raw=False),
        field(1, field(1, "a") + field(2, "b") + field(4, "Add")),
        product("body/layer.0/dense", values, scales, "onnx::MatMul_7"),
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    read = onnx.read_file(path)
    assert set(read) == {"body.layer.0.dense.bias", "body.layer.0.dense.weight", "body.words.weight"}
    assert all(array.dtype == np.float32 and array.flags.c_contiguous for array in read.values())
    np.testing.assert_array_equal(read["body.layer.0.dense.bias"], bias)
    np.testing.assert_array_equal(read["body.words.weight"], (words.astype(np.float32) - 131) * np.float32(0.5))
    np.testing.assert_array_equal(
        read["body.layer.0.dense.weight"], (values - 8).astype(np.float32) * scales.repeat(BLOCK, axis=1)[:, :70]
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff" * 40,
        b"PK\x03\x04 a zip file",
        field(7, b""),
        model(tensor("a", np.zeros(3, "<f4"), 1).replace(struct.pack("B", 3), struct.pack("B", 4), 1)),
        model(tensor("a_quantized", np.zeros(3, np.uint8), 2)),
        model(product("a", np.full((2, 32), 8), np.ones((2, 1), "<f4"), "w", bits=8)),
        model(product("a", np.full((2, 32), 8), np.ones((3, 1), "<f4"), "w")),
    ],
    ids=["empty", "endless integer", "zip", "no tensors", "size", "no scale", "8 bits", "scales"],
)
def test_damage_is_a_value_error_that_names_the_file(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.onnx: not an ONNX file that can be read here"):
        onnx.read_file(path)


def test_a_file_cut_anywhere_is_a_value_error(tmp_path: Path) -> None:
    whole = model(product("a", np.full((2, 32), 8), np.ones((2, 1), "<f4"), "w"))
    path = tmp_path / "model.onnx"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="not an ONNX file"):
            onnx.read_file(path)
