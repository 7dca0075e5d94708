"""The tensors of a GGUF file under the names and in the layout of the Hub, dequantised when read.

Only the rows that are asked for are read. What the blocks of a quantised tensor mean is left to the `gguf` package.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from .. import gguf
from ..gguf.header import Kind
from .gguf_names import Place, names_of
from .safetensors import Index, Tensor, contiguous, map_file

_FLOATS: Mapping[str, np.dtype[Any]] = {
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
_AT_ONCE = 1 << 17  # numbers: what they take while they are unpacked stays in the processor's cache

# Tensors that say how positions are rotated: the config has read them.
_READ_BY_CONFIG = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")

Unpack = Callable[[np.ndarray], np.ndarray]
"""Blocks, uint8 [count, bytes of a block], to numbers [count, numbers of a block]."""


@dataclass(frozen=True)
class Blocks:
    """A `Tensor` that lies in a file as blocks, row after row.

    Attributes:
        data: uint8, the axes of the tensor but the last, then [blocks of a row, bytes of a block]. The rows of a vector
            are its numbers.
        unpack: what the blocks mean.
        shape, dtype: of the tensor.
        order: which of the file's rows each row of the tensor is; None: the same.
        turned: whether the tensor is the transpose of what the file has.
        less: what is taken away from every number.
    """

    data: np.ndarray
    unpack: Unpack
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: np.ndarray | None = None
    turned: bool = False
    less: int = 0

    def read(self, index: Index | None = None) -> np.ndarray:
        """See `Tensor.read`."""
        if self.turned:
            return contiguous(self._numbers(self.data).reshape(self.shape[::-1]).T, index)
        first, rest = (index[0], index[1:]) if index else (slice(None), ())
        rows = self.data[first] if self.order is None else self.data[self.order[first]]
        return contiguous(self._numbers(rows).reshape(-1, *self.shape[1:]), (slice(None), *rest))

    def _numbers(self, rows: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):  # the scales in a damaged file may be anything
            numbers = self.unpack(rows.reshape(-1, rows.shape[-1]))
            if self.less:
                numbers = numbers.astype(np.float32) - self.less
            return numbers.astype(self.dtype, copy=False)


def open_header(header: gguf.Header) -> dict[str, Tensor]:
    """The tensors of a model's files by the Hub's names; those that have no place there keep their own.

    Raises:
        ImportError: a tensor is quantised, and the `gguf` package is not installed.
        OSError: a file cannot be read.
        ValueError: a tensor is of a type that cannot be unpacked, or of a shape that does not fit the header's counts.
    """
    config = gguf.config(header)
    names = names_of(config["model_type"], two_norms="blk.0.attn_norm_2.weight" in header.tensors)
    files = [map_file(path) for path in header.files]
    kinds = {entry.kind for entry in header.tensors.values()}
    unpacks = {kind: _unpack(kind, header) for kind in kinds}
    tensors: dict[str, Tensor] = {}
    for name, entry in header.tensors.items():
        if name in _READ_BY_CONFIG:
            continue
        data = files[entry.file][entry.start : entry.start + entry.size]
        if len(entry.shape) == 1 and entry.kind.count > 1:
            raise ValueError(f"{header.files[entry.file]}: {name} is a vector of type {entry.kind.name}, expected F32")
        place = names.place(name)
        try:
            made = _placed(data, entry.shape, entry.kind, unpacks[entry.kind], place, config)
            for hub_name, tensor in made:
                if hub_name in tensors:
                    raise ValueError(f"there is another {hub_name}")
                tensors[hub_name] = tensor
        except ValueError as error:
            raise ValueError(f"{header.files[entry.file]}: {name}: {error}") from None
    return tensors


def _placed(
    data: np.ndarray,
    shape: tuple[int, ...],
    kind: Kind,
    unpack: Unpack,
    place: Place,
    config: Mapping[str, Any],
) -> Iterator[tuple[str, Blocks]]:
    """What a tensor of the file is on the Hub: one tensor, or several with their numbers in the name."""
    layout, dtype = place.layout, _dtype(kind)
    if layout == "each":
        if len(shape) < 2:
            raise ValueError(f"it has shape {list(shape)}, expected one that is stacked")
        for number, part in enumerate(data.reshape(shape[0], -1)):
            yield place.name.format(number), Blocks(_rows(part, shape[1:], kind), unpack, shape[1:], dtype)
        return
    if layout == "row" and len(shape) == 1:
        shape = (1, *shape)
    order = None
    if layout == "pairs":
        heads = config["num_attention_heads" if "q_proj" in place.name else "num_key_value_heads"]
        order = _pairs(shape[0], heads)
    elif layout == "groups":
        order = _groups(shape[0], config["num_attention_heads"], config["num_kv_heads"])
    turned = layout == "turned" and len(shape) == 2
    seen = shape[::-1] if turned else shape
    less = 1 if layout == "one_less" else 0
    yield place.name, Blocks(_rows(data, shape, kind), unpack, seen, dtype, order, turned, less)


def dtype_of(header: gguf.Header) -> np.dtype[Any]:
    """The type in which a file keeps most of its numbers; float32 if they are quantised."""
    sizes: dict[Kind, int] = {}
    for entry in header.tensors.values():
        sizes[entry.kind] = sizes.get(entry.kind, 0) + entry.size
    return _dtype(max(sizes, key=sizes.__getitem__))


def _dtype(kind: Kind) -> np.dtype[Any]:
    """The type of what blocks hold: jax has no wider one than float32 unless asked."""
    return _FLOATS[kind.name if kind.name in ("F16", "BF16") else "F32"]


def _rows(data: np.ndarray, shape: tuple[int, ...], kind: Kind) -> np.ndarray:
    """The bytes of a tensor as rows of blocks: `Blocks.data`."""
    if len(shape) == 1:
        return data.reshape(shape[0], 1, -1)
    return data.reshape(*shape[:-1], shape[-1] // kind.count, -1)


def _pairs(rows: int, heads: Any) -> np.ndarray:
    """Where the rows of two halves a head are among pairs side by side, [rows]."""
    if type(heads) is not int or heads < 1 or rows % (2 * heads):
        raise ValueError(f"{rows} rows cannot be pairs of {heads} heads")
    return np.arange(rows).reshape(heads, -1, 2).swapaxes(1, 2).reshape(-1)


def _groups(rows: int, heads: Any, keys: Any) -> np.ndarray:
    """Where the rows of groups (queries, their key, their value) are among all queries, keys and values, [rows]."""
    sound = all(type(count) is int and count > 0 for count in (heads, keys))
    if not sound or heads % keys or rows % (heads + 2 * keys):
        raise ValueError(f"{rows} rows cannot be {heads} heads with {keys} keys and values")
    width = rows // (heads + 2 * keys)
    parts = np.split(np.arange(rows), [heads * width, (heads + keys) * width])
    return np.concatenate([part.reshape(keys, -1, width) for part in parts], axis=1).reshape(-1)


def _unpack(kind: Kind, header: gguf.Header) -> Unpack:
    """What blocks of a type mean.

    Raises:
        ImportError: the package that knows is not installed.
        ValueError: it does not know this type.
    """
    if kind.name in _FLOATS:
        return lambda blocks: blocks.view(_FLOATS[kind.name])
    from gguf import GGMLQuantizationType, dequantize

    number: Any = getattr(GGMLQuantizationType, kind.name, None)

    def unpack(blocks: np.ndarray) -> np.ndarray:
        numbers = np.empty((len(blocks), kind.count), np.float32)
        step = max(_AT_ONCE // kind.count, 1)
        for start in range(0, len(blocks), step):
            some = blocks[start : start + step]
            numbers[start : start + step] = dequantize(some.reshape(1, -1), number).reshape(len(some), -1)
        return numbers

    try:
        with np.errstate(all="ignore"):
            unpack(np.zeros((1, kind.size), np.uint8))
    except (NotImplementedError, AttributeError):
        name = next(name for name, entry in header.tensors.items() if entry.kind == kind)
        raise ValueError(f"{header.files[0]}: {name} is of type {kind.name}, which cannot be dequantised") from None
    return unpack
