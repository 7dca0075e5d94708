"""Quantised weights read as plain ones: each number by its definition, whole and in parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from jaxformers.checkpoint import quantized, safetensors
from jaxformers.checkpoint.weights import Weights

EIGHT = {"quant_method": "fp8", "weight_block_size": [4, 3]}
FOUR = {"quant_method": "mxfp4"}
FOURS = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]


def opened(folder: Path, said: dict[str, Any], **arrays: np.ndarray) -> Weights:
    """A file with these arrays, read as `said` tells."""
    path = folder / "model.safetensors"
    safetensors.write_file(path, {name.replace("__", "."): array for name, array in arrays.items()}, {"format": "pt"})
    return quantized.plain(Weights("safetensors", [path], safetensors.open_file(path)), said)


def test_numbers_of_8_bits_times_the_scale_of_their_block(tmp_path: Path) -> None:
    draw = np.random.RandomState(0)
    small = draw.randn(10, 7).astype(ml_dtypes.float8_e4m3fn)
    scales = draw.random_sample((3, 3)).astype(np.float32)
    files = opened(
        tmp_path,
        EIGHT,
        a__weight=small,
        a__weight_scale_inv=scales,
        a__activation_scale=np.ones(1, np.float32),
        norm__weight=np.ones(3, ml_dtypes.bfloat16),
    )
    assert set(files) == {"a.weight", "norm.weight"}
    assert files.dtype == ml_dtypes.bfloat16
    tensor = files["a.weight"]
    assert (tensor.shape, tensor.dtype) == ((10, 7), np.float32)
    expected = np.array(
        [[float(small[i, j]) * scales[i // 4, j // 3] for j in range(7)] for i in range(10)], np.float32
    )
    np.testing.assert_array_equal(tensor.read(), expected)
    for index in [(slice(3, 9),), (slice(None), slice(2, 7)), (slice(5, 6), slice(4, 5)), (slice(2, 2), slice(0, 7))]:
        np.testing.assert_array_equal(tensor.read(index), expected[index])


def test_one_scale_for_a_whole_matrix(tmp_path: Path) -> None:
    small = np.arange(6, dtype=np.float32).reshape(2, 3).astype(ml_dtypes.float8_e5m2)
    said = {"quant_method": "fp8", "weight_block_size": None}
    files = opened(tmp_path, said, a__weight=small, a__weight_scale_inv=np.float32(0.5).reshape(()))
    np.testing.assert_array_equal(files["a.weight"].read(), small.astype(np.float32) / 2)


@pytest.mark.parametrize(
    ("said", "scales", "words"),
    [
        (EIGHT, (2, 3), r"a.weight \(10, 7\) has scales \(2, 3\), expected are \(3, 3\) \(weight_block_size \[4, 3\]"),
        (EIGHT, (1, 1), r"has scales \(1, 1\), expected are \(3, 3\)"),
        (EIGHT, (), r"has scales \(\), expected are \(3, 3\)"),
        (EIGHT | {"weight_block_size": None}, (3, 3), r"has scales \(3, 3\), where one is expected"),
        (EIGHT | {"weight_block_size": [4, 0]}, (3, 3), r"two positive whole numbers, found \[4, 0\]"),
        (EIGHT | {"weight_block_size": 4}, (3, 3), "two positive whole numbers, found 4"),
    ],
)
def test_blocks_that_do_not_fit(said: Any, scales: tuple[int, ...], words: str, tmp_path: Path) -> None:
    small = np.zeros((10, 7), ml_dtypes.float8_e4m3fn)
    with pytest.raises(ValueError, match=words):
        opened(tmp_path, said, a__weight=small, a__weight_scale_inv=np.ones(scales, np.float32))


@pytest.mark.parametrize("block", [[4, 3], None])
def test_numbers_of_8_bits_mean_nothing_without_scales(block: Any, tmp_path: Path) -> None:
    small, scales = np.zeros((10, 7), ml_dtypes.float8_e4m3fn), np.ones((3, 3) if block else (1,), np.float32)
    with pytest.raises(
        ValueError, match=r"b.weight \(10, 7\) is .* float8_e4m3fn, and .* b.weight_scale_inv, are absent"
    ):
        opened(
            tmp_path, EIGHT | {"weight_block_size": block}, a__weight=small, a__weight_scale_inv=scales, b__weight=small
        )
    wide = small.astype(ml_dtypes.bfloat16)
    with pytest.raises(ValueError, match=r"a.weight \(10, 7\) has scales, .* stored as bfloat16"):
        opened(tmp_path, EIGHT | {"weight_block_size": block}, a__weight=wide, a__weight_scale_inv=scales)


def test_a_matrix_of_one_block_has_one_scale(tmp_path: Path) -> None:
    small = np.arange(6, dtype=np.float32).reshape(2, 3).astype(ml_dtypes.float8_e4m3fn)
    files = opened(tmp_path, EIGHT, a__weight=small, a__weight_scale_inv=np.full((1, 1), 0.5, np.float32))
    np.testing.assert_array_equal(files["a.weight"].read(), small.astype(np.float32) / 2)


def test_numbers_of_4_bits_times_their_power_of_two(tmp_path: Path) -> None:
    draw = np.random.RandomState(0)
    blocks = draw.randint(0, 256, (2, 3, 2, 16)).astype(np.uint8)
    scales = draw.randint(120, 135, (2, 3, 2)).astype(np.uint8)
    scales[0, 0] = 0, 252  # the smallest power, and the largest at which 6 times it is a number
    plain = {"bias_scales": np.ones(2, np.uint8), "router__weight": np.ones((2, 2), ml_dtypes.bfloat16)}
    files = opened(tmp_path, FOUR, up_blocks=blocks, up_scales=scales, **plain)
    assert set(files) == {"up", "bias_scales", "router.weight"}
    expected = np.zeros((2, 64, 3), np.float64)  # the transpose, as stands there unquantised
    for (e, m, g, i), byte in np.ndenumerate(blocks):
        for j, four in enumerate((byte & 15, byte >> 4)):
            sign = -1 if four & 8 else 1
            expected[e, 32 * g + 2 * i + j, m] = sign * FOURS[four & 7] * 2.0 ** (int(scales[e, m, g]) - 127)
    tensor = files["up"]
    assert (tensor.shape, tensor.dtype) == ((2, 64, 3), ml_dtypes.bfloat16)
    np.testing.assert_array_equal(tensor.read().astype(np.float64), expected)
    for index in [(slice(1, 2),), (slice(0, 1), slice(5, 40)), (slice(None), slice(30, 34), slice(1, 3))]:
        np.testing.assert_array_equal(tensor.read(index).astype(np.float64), expected[index])


def test_blocks_of_4_bits_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"up_blocks \(2, 3, 2, 8\) and its scales \(2, 3, 2\) are no blocks of 32"):
        opened(tmp_path, FOUR, up_blocks=np.zeros((2, 3, 2, 8), np.uint8), up_scales=np.zeros((2, 3, 2), np.uint8))
