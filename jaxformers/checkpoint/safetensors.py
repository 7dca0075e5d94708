"""Reading and writing safetensors files: a JSON header, then the arrays one after the other, little-endian.

The format: 8 bytes with the header's length, the header `{name: {dtype, shape, data_offsets}, "__metadata__": {...}}`,
then data without holes or overlaps. Reading maps the file into memory and gives views; nothing is copied and nothing
of the file counts as memory of the process. Writing makes one array at a time.
"""

from __future__ import annotations

import contextlib
import json
import math
import mmap
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, Protocol

import ml_dtypes
import numpy as np

_LARGEST_HEADER = 100_000_000  # bytes: the limit of the format
_LARGEST_COUNT = 2**64 - 1
_POINTER = b"version https://git-lfs.github.com/"
_ALIGNMENT = 64  # bytes: what jax needs to take host memory as it is

_DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "U16": np.dtype("<u2"),
    "I16": np.dtype("<i2"),
    "U32": np.dtype("<u4"),
    "I32": np.dtype("<i4"),
    "U64": np.dtype("<u8"),
    "I64": np.dtype("<i8"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
    "C64": np.dtype("<c8"),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "F8_E4M3FNUZ": np.dtype(ml_dtypes.float8_e4m3fnuz),
    "F8_E5M2FNUZ": np.dtype(ml_dtypes.float8_e5m2fnuz),
    "F8_E8M0": np.dtype(ml_dtypes.float8_e8m0fnu),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
DTYPES = frozenset(_NAMES)
"""The types that an array in a weight file may have."""

Index = tuple[slice, ...]
"""A part of an array: one slice per axis, or fewer."""


class Tensor(Protocol):
    """An array in a file: its shape and type are known, its values are read when asked for.

    Attributes:
        shape: the shape of the whole array.
        dtype: a numpy type, or one of ml_dtypes (bfloat16, float8_e4m3fn, …).
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    def read(self, index: Index | None = None) -> np.ndarray:
        """The values of the part that `index` names, or all.

        The result is C-contiguous and aligned to its item size. It may be a read-only view of the file or a fresh
        array, as it comes: never write to it, and copy what should outlive a change of the file. Only the part that
        is asked for is read.
        """
        ...


@dataclass(frozen=True)
class View:
    """A `Tensor` whose bytes lie in a buffer.

    Attributes:
        buffer: uint8, one axis; usually a file mapped into memory.
        start: where the array begins in the buffer, in bytes.
    """

    buffer: np.ndarray
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, index: Index | None = None) -> np.ndarray:
        """See `Tensor.read`."""
        count = math.prod(self.shape)
        flat = self.buffer[self.start : self.start + count * self.dtype.itemsize]
        return contiguous(flat.view(self.dtype).reshape(self.shape), index)


def contiguous(array: np.ndarray, index: Index | None) -> np.ndarray:
    """A part of `array` as `Tensor.read` promises it: C-contiguous and aligned; copied only where it is not."""
    part = array if index is None else array[index]
    return part if part.flags.c_contiguous and part.flags.aligned else np.array(part, order="C")


def map_file(path: Path) -> np.ndarray:
    """A file's bytes as a read-only uint8 array, read from disk when touched.

    Raises:
        OSError: the file cannot be read.
        ValueError: a clone without git-lfs has left a pointer in the file's place.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return np.zeros(0, np.uint8)
        buffer = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.uint8)
    if buffer[: len(_POINTER)].tobytes() == _POINTER:
        raise ValueError(f"{path}: only a pointer to the file, which git-lfs has not fetched: run `git lfs pull` there")
    return buffer


def open_file(path: Path) -> dict[str, Tensor]:
    """The arrays of a safetensors file, in the order of the header; reads the header only.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no safetensors file, or a damaged one: the message says where.
    """
    buffer = map_file(path)
    if buffer.size < 8:
        raise ValueError(f"{path}: not a safetensors file: {buffer.size} bytes")
    (length,) = struct.unpack("<Q", buffer[:8].tobytes())
    if length > _LARGEST_HEADER or 8 + length > buffer.size:
        raise ValueError(f"{path}: not a safetensors file, or cut off: its header claims {length} bytes")
    try:
        header = parse_json(buffer[8 : 8 + length].tobytes())
        if not isinstance(header, dict):
            raise ValueError("it is not a JSON object")
        _check_metadata(header.pop("__metadata__", None))
        entries = {name: _Entry.from_json(name, fields) for name, fields in header.items()}
        _check_layout(entries, buffer.size - 8 - length)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged safetensors header: {error}") from None
    return {name: View(buffer, 8 + length + entry.start, entry.shape, entry.dtype) for name, entry in entries.items()}


@dataclass(frozen=True)
class _Entry:
    """What a header says of one array; offsets count from the end of the header."""

    start: int
    end: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @classmethod
    def from_json(cls, name: str, fields: Any) -> _Entry:
        if not isinstance(fields, dict) or not fields.keys() >= {"dtype", "shape", "data_offsets"}:
            raise ValueError(f"{name!r} lacks dtype, shape or data_offsets")
        shape, offsets = _counts(name, fields["shape"]), _counts(name, fields["data_offsets"])
        dtype = _DTYPES.get(fields["dtype"]) if isinstance(fields["dtype"], str) else None
        if dtype is None:
            raise ValueError(f"{name!r} has type {fields['dtype']!r}; known are {', '.join(_DTYPES)}")
        if len(offsets) != 2:
            raise ValueError(f"{name!r} has {len(offsets)} offsets instead of 2")
        if len(shape) > 64:
            raise ValueError(f"{name!r} has {len(shape)} axes; numpy allows 64")
        size = dtype.itemsize
        for length in shape:  # a product with a 0 in it must not hide an overflow before it
            size *= length
            if size > _LARGEST_COUNT or length > np.iinfo(np.intp).max:
                raise ValueError(f"{name!r} has the impossible shape {list(shape)}")
        if offsets[1] - offsets[0] != size:
            raise ValueError(f"{name!r} has {offsets[1] - offsets[0]} bytes, its shape and type need {size}")
        return cls(*offsets, shape, dtype)


def _counts(name: str, values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(type(n) is int and 0 <= n <= _LARGEST_COUNT for n in values):
        raise ValueError(f"{name!r} has a shape or offsets that are no whole numbers")
    return tuple(values)


def _check_metadata(metadata: Any) -> None:
    if metadata is None:
        return
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("__metadata__ may hold strings only")


def _check_layout(entries: Mapping[str, _Entry], size: int) -> None:
    """Arrays must follow one another without holes or overlaps, from the header to the end of the file."""
    end = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)):
        if entry.start != end:
            raise ValueError(f"{name!r} begins at byte {entry.start} of the data, not at {end}")
        end = entry.end
    if end != size:
        raise ValueError(f"the data has {size} bytes, the arrays need {end}")


def parse_json(text: bytes) -> Any:
    """JSON as the format's specification wants it: UTF-8, no key twice, no NaN.

    Raises:
        ValueError: it is not.
        RecursionError: it is nested too deeply.
    """
    return json.loads(
        text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant, parse_int=_whole_number
    )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key stands there twice")
    for text in (*fields, *(value for value in fields.values() if isinstance(value, str))):
        text.encode("utf-8")  # lone surrogates raise a ValueError
    return fields


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _whole_number(digits: str) -> int | float:
    return -0.0 if digits == "-0" else int(digits)


class Lazy(Protocol):
    """An array that is made when called, such as the host copy of an array on a device."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    __call__: Callable[[], np.ndarray]


Array = np.ndarray | Lazy


def size_of(array: Array) -> int:
    """The bytes that an array takes in a file."""
    return math.prod(array.shape) * np.dtype(array.dtype).itemsize


def write_file(path: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write arrays to a safetensors file, one after the other: only one is made and held at a time.

    Arrays of any layout are written as they read (`w.T` as the transpose). The header is padded so that the data, and
    nearly every array in it, begins at a multiple of 64 bytes.

    Raises:
        TypeError: an array has a type that the format cannot hold.
        ValueError: a lazy array has another shape or type than it announced; or one is called "__metadata__".
    """
    if "__metadata__" in arrays:
        raise ValueError('an array cannot be called "__metadata__": the format keeps that name for itself')
    names = sorted(arrays, key=lambda name: _order(name, arrays[name]))
    with open(path, "wb") as file:
        file.write(_header(((name, arrays[name]) for name in names), metadata))
        for name in names:
            file.write(_bytes_of(name, arrays[name]))


def _order(name: str, array: Array) -> tuple[bool, int, str]:
    """First what ends at a multiple of 64 bytes, then large items before small ones: so that all are aligned."""
    return size_of(array) % _ALIGNMENT != 0, -np.dtype(array.dtype).itemsize, name


def _header(arrays: Iterable[tuple[str, Array]], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    start = 0
    for name, array in arrays:
        end = start + size_of(array)
        shape = [int(length) for length in array.shape]
        header[name] = {"dtype": _name_of(name, array.dtype), "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    return struct.pack("<Q", len(text)) + text


def _name_of(name: str, dtype: Any) -> str:
    with contextlib.suppress(KeyError):
        return _NAMES[np.dtype(dtype).newbyteorder("<")]
    raise TypeError(f"{name}: safetensors files cannot hold arrays of type {dtype}; they hold {', '.join(_DTYPES)}")


def _bytes_of(name: str, array: Array) -> memoryview:
    values = np.asarray(array() if callable(array) else array)
    if values.shape != tuple(array.shape) or values.dtype != array.dtype:
        raise ValueError(
            f"{name}: announced as {array.dtype} {tuple(array.shape)}, but made as {values.dtype} {values.shape}"
        )
    values = np.ascontiguousarray(values, _DTYPES[_name_of(name, values.dtype)])
    return values.reshape(-1).view(np.uint8).data
