"""Weights that files hold in eight or four bits, as plain tensors: what was made small for a product in such numbers is
widened where it is read, and only so much of it as is asked for.

"fp8": numbers of 8 bits, with one scale for each block of a matrix (DeepSeek-AI 2024, arXiv 2412.19437, section 3.3).
"mxfp4": numbers of 4 bits, with a power of two for 32 of a row (Open Compute Project 2023, Microscaling Formats).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from .layout import transposed
from .safetensors import Index, Tensor, contiguous
from .weights import Weights

_BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
_EIGHTS = (np.dtype(ml_dtypes.float8_e4m3fn), np.dtype(ml_dtypes.float8_e5m2))
_SCALE = "_scale_inv"
_ACTIVATIONS = (".activation_scale", ".input_scale")  # of products that are not computed in 8 bits here
_FOURS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_GROUP = 32  # numbers of 4 bits that share a power of two


def plain(weights: Weights, said: Mapping[str, Any] | None) -> Weights:
    """The files with plain tensors in place of quantised ones; as stored is then bfloat16.

    Args:
        weights: the open files.
        said: `quantization_config` of config.json, whose method the config has let through; None: there is none.

    Raises:
        ValueError: scales that a tensor lacks, blocks that do not fit it, or tensors quantised in a way that the config
            does not say; the message names the tensor.
    """
    if said is None:
        _check_unsaid(weights)
        return weights
    tensors = _READERS[said["quant_method"]](weights, said)
    return Weights(weights.format, weights.files, tensors, _BFLOAT16)


# -- what config.json does not speak of -------------------------------------------------------------------------------

# How names end that only tensors beside quantised weights have, by who makes them, the surest first.
_ENDINGS: Mapping[str, tuple[str, ...]] = {
    "GPTQ": (".g_idx",),
    "AWQ or GPTQ": (".qweight", ".qzeros"),
    "bitsandbytes": (".absmax", ".quant_map", ".SCB", ".bitsandbytes__nf4", ".bitsandbytes__fp4"),
    "NVFP4": (".weight_scale_2", ".weight_global_scale"),
    "compressed-tensors": (".weight_packed", ".weight_zero_point"),
    "mxfp4": ("_blocks",),
    "fp8": (_SCALE,),
    "HQQ": (".W_q",),
    "AQLM": (".codebooks",),
    "VPTQ": (".centroids.weight",),
    "quanto": (".weight._data",),
    "compressed-tensors, modelopt or torchao": (".weight_scale", ".weight_scales"),
}


def _check_unsaid(weights: Weights) -> None:
    """Refuse tensors whose names say that weights are quantised: nothing would say how, and some would seem absent."""
    mlx = next((name for name in weights if name.endswith(".biases") and _is_packed(name, weights)), None)
    found = [(how, next((name for name in weights if name.endswith(ends)), None)) for how, ends in _ENDINGS.items()]
    for how, name in [("MLX", mlx), *found]:
        if name is not None:
            advice = "add the quantization_config that its config.json had" if how in _READERS else "they are not read"
            raise ValueError(
                f"{weights.files[0]}: {name} belongs to weights quantised by {how}, and config.json does not say so: "
                f"{advice}, or load the checkpoint that this one was made from"
            )


def _is_packed(name: str, weights: Weights) -> bool:
    """Whether the weight beside MLX's biases is of its packed numbers."""
    weight = weights.get(f"{name.removesuffix('.biases')}.weight")
    return weight is not None and weight.dtype == np.uint32


# -- numbers of 8 bits ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scaled:
    """A matrix of numbers of 8 bits whose blocks have a scale each.

    Attributes:
        stored: [M, N]. block: (m, n).
        scales: [M / m, N / n], rounded up, or where the config says no block, one for all.
    """

    stored: Tensor
    scales: Tensor
    block: tuple[int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stored.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(np.float32)

    def read(self, index: Index | None = None) -> np.ndarray:
        """See `Tensor.read`."""
        stored = self.stored.read(index)
        values = np.arange(256, dtype=np.uint8).view(stored.dtype).astype(np.float32)[stored.view(np.uint8)]
        scales = self.scales.read().astype(np.float32)
        if scales.size == 1:  # of all, or of the only block
            return values * scales.reshape(())
        parts = (*(index or ()), slice(None), slice(None))[:2]
        rows, columns = (
            np.arange(size)[part] // of for size, part, of in zip(self.shape, parts, self.block, strict=True)
        )
        for row in np.unique(rows):  # the scales of one row of blocks at a time, not one for each number
            values[rows == row] *= scales[row][columns]
        return values


def _fp8(weights: Weights, said: Mapping[str, Any]) -> dict[str, Tensor]:
    block = said.get("weight_block_size")
    two = isinstance(block, list) and len(block) == 2 and all(type(size) is int and size > 0 for size in block)
    if block is not None and not two:
        raise ValueError(
            f"quantization_config: weight_block_size must be two positive whole numbers, found {block!r:.60}"
        )
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name.endswith((_SCALE, *_ACTIVATIONS)):
            continue
        scales = weights.get(f"{name}{_SCALE}")
        if scales is not None or tensor.dtype in _EIGHTS:
            what = f"{weights.files[0]}: {name} {tensor.shape}"
            if scales is None:
                raise ValueError(f"{what} is stored as {tensor.dtype}, and its scales, {name}{_SCALE}, are absent")
            if tensor.dtype not in _EIGHTS:
                raise ValueError(f"{what} has scales, which numbers of 8 bits have, and is stored as {tensor.dtype}")
            _check_scales(what, tensor.shape, scales.shape, block)
            tensor = Scaled(tensor, scales, tuple(block or (1, 1)))
        found[name] = tensor
    return found


def _check_scales(what: str, shape: tuple[int, ...], scales: tuple[int, ...], block: list[int] | None) -> None:
    if block is None:
        if math.prod(scales) != 1:
            raise ValueError(
                f"{what} has scales {scales}, where one is expected: quantization_config has no weight_block_size"
            )
        return
    expected = tuple(math.ceil(size / of) for size, of in zip(shape, block, strict=False))
    if len(shape) != 2 or scales != expected:
        wanted = f"expected are {expected}" if len(shape) == 2 else "and only matrices have blocks"
        raise ValueError(f"{what} has scales {scales}, {wanted} (weight_block_size {block} of quantization_config)")


# -- numbers of 4 bits ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fours:
    """Matrices of numbers of 4 bits, 32 of a row with a power of two.

    Attributes:
        blocks: uint8 [E, M, N / 32, 16], two numbers a byte, the first in the lower half.
        scales: uint8 [E, M, N / 32], exponents of two and 127.
    """

    blocks: Tensor
    scales: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.scales.shape[:-1], self.scales.shape[-1] * _GROUP)

    @property
    def dtype(self) -> np.dtype[Any]:
        return _BFLOAT16  # which holds each of them exactly

    def read(self, index: Index | None = None) -> np.ndarray:
        """See `Tensor.read`."""
        parts = (*(index or ()), slice(None), slice(None), slice(None))[:3]
        blocks, scales = self.blocks.read(parts[:2]), self.scales.read(parts[:2])
        pairs, made = _pairs(), np.empty((*scales.shape[:2], self.shape[-1] // 2), np.uint32)
        for one, block, scale in zip(made, blocks, scales, strict=True):
            one[:] = pairs[scale[..., None], block].reshape(one.shape)
        return contiguous(made.view(self.dtype), (slice(None), slice(None), parts[2]))


def _pairs() -> np.ndarray:
    """The two numbers of each byte under each scale, as 32 bits [256, 256]: looked up, they are not computed each."""
    numbers = np.array([*_FOURS, *(-value for value in _FOURS)], np.float32)
    both = np.stack([np.tile(numbers, 16), np.repeat(numbers, 16)], axis=-1)
    with np.errstate(over="ignore", invalid="ignore"):  # the last power stands for no number
        powers = np.ldexp(np.float32(1), np.arange(256) - 127)
        return (powers[:, None, None] * both).astype(_BFLOAT16).view(np.uint32)[..., 0]


def _mxfp4(weights: Weights, said: Mapping[str, Any]) -> dict[str, Tensor]:
    """Files have the transposes of what stands there unquantised."""
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        stem = name.removesuffix("_blocks")
        scales = weights.get(f"{stem}_scales")
        if stem != name and scales is not None:
            if tensor.shape != (*scales.shape, _GROUP // 2) or len(scales.shape) != 3:
                raise ValueError(
                    f"{weights.files[0]}: {name} {tensor.shape} and its scales {scales.shape} are no blocks of {_GROUP}"
                )
            found[stem] = transposed(Fours(tensor, scales))
        elif f"{name.removesuffix('_scales')}_blocks" not in weights:
            found[name] = tensor
    return found


_READERS: Mapping[str, Callable[[Weights, Mapping[str, Any]], dict[str, Tensor]]] = {"fp8": _fp8, "mxfp4": _mxfp4}
