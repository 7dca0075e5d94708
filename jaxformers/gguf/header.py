"""The header of a GGUF file: its metadata, and where its tensors lie.

The format (ggml's docs/gguf.md, versions 2 and 3, little-endian): a magic word, the version, two counts; pairs of keys
and typed values; one entry per tensor; then, from the next multiple of the alignment on, the tensors' data. A large
model may be split into several such files, of which the first has the metadata. Every length is checked against the
file before it is used: what a header claims is never allocated.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import hub

_MAGIC = b"GGUF"
_POINTER = b"version https://git-lfs.github.com/"
_ALIGNMENT = 32  # bytes, unless general.alignment says otherwise
_LARGEST_KEY = 1 << 16  # bytes: the limit of the format
_LARGEST_TEXT = 1 << 26  # bytes: chat templates are pages of text
_MOST_ENTRIES = 1 << 17  # pairs, or tensors
_MOST_STRINGS = 1 << 21  # of all lists together: vocabularies have some 100,000 tokens and as many merges
_MOST_AXES = 4
_MOST_FILES = 10_000


@dataclass(frozen=True)
class Kind:
    """How numbers are stored: in blocks of `count` numbers that take `size` bytes each."""

    name: str
    count: int
    size: int


KINDS: Mapping[int, Kind] = {
    0: Kind("F32", 1, 4),
    1: Kind("F16", 1, 2),
    2: Kind("Q4_0", 32, 18),
    3: Kind("Q4_1", 32, 20),
    6: Kind("Q5_0", 32, 22),
    7: Kind("Q5_1", 32, 24),
    8: Kind("Q8_0", 32, 34),
    9: Kind("Q8_1", 32, 40),
    10: Kind("Q2_K", 256, 84),
    11: Kind("Q3_K", 256, 110),
    12: Kind("Q4_K", 256, 144),
    13: Kind("Q5_K", 256, 176),
    14: Kind("Q6_K", 256, 210),
    15: Kind("Q8_K", 256, 292),
    16: Kind("IQ2_XXS", 256, 66),
    17: Kind("IQ2_XS", 256, 74),
    18: Kind("IQ3_XXS", 256, 98),
    19: Kind("IQ1_S", 256, 50),
    20: Kind("IQ4_NL", 32, 18),
    21: Kind("IQ3_S", 256, 110),
    22: Kind("IQ2_S", 256, 82),
    23: Kind("IQ4_XS", 256, 136),
    24: Kind("I8", 1, 1),
    25: Kind("I16", 1, 2),
    26: Kind("I32", 1, 4),
    27: Kind("I64", 1, 8),
    28: Kind("F64", 1, 8),
    29: Kind("IQ1_M", 256, 56),
    30: Kind("BF16", 1, 2),
    34: Kind("TQ1_0", 256, 54),
    35: Kind("TQ2_0", 256, 66),
    39: Kind("MXFP4", 32, 17),
    40: Kind("NVFP4", 64, 36),
    41: Kind("Q1_0", 128, 18),
}
"""The types of ggml by the number that files have."""

_STRING, _ARRAY = 8, 9
_SCALARS: Mapping[int, np.dtype[Any]] = {
    number: np.dtype(name)
    for number, name in enumerate(("u1", "i1", "<u2", "<i2", "<u4", "<i4", "<f4", "?", "", "", "<u8", "<i8", "<f8"))
    if name
}


@dataclass(frozen=True)
class Entry:
    """What a header says of one tensor.

    Attributes:
        file: which of the header's files has the data.
        start, size: where in that file, in bytes.
        shape: slowest axis first, as numpy and the Hub have it.
    """

    file: int
    start: int
    size: int
    shape: tuple[int, ...]
    kind: Kind


@dataclass(frozen=True)
class _Strings:
    """A list of strings, decoded when asked for."""

    data: mmap.mmap
    start: int
    count: int

    def __iter__(self) -> Iterator[bytes]:
        at = self.start
        for _ in range(self.count):
            (length,) = _U64(self.data, at)
            at += 8 + length
            yield self.data[at - length : at]


@dataclass(frozen=True)
class Header:
    """The header of a model: of one file, or of all that it is split into.

    Attributes:
        files: where the tensors are; the first has the metadata.
        tensors: by llama.cpp's names, such as "blk.0.attn_q.weight".
    """

    files: tuple[Path, ...]
    tensors: Mapping[str, Entry]
    _metadata: Mapping[str, Any]

    def __contains__(self, key: str) -> bool:
        return key in self._metadata

    def __iter__(self) -> Iterator[str]:
        return iter(self._metadata)

    def whole(self, key: str) -> int | None:
        """A whole number; None if the key is not there.

        Raises:
            ValueError: it is something else. So for the next ones.
        """
        return self._typed(key, int, "a whole number")

    def real(self, key: str) -> float | None:
        """A number."""
        return self._typed(key, float | int, "a number")

    def flag(self, key: str) -> bool | None:
        """True or False."""
        return self._typed(key, bool, "true or false")

    def text(self, key: str) -> str | None:
        """A string."""
        return self._typed(key, str, "text")

    def numbers(self, key: str) -> np.ndarray | None:
        """A list of numbers, [count]."""
        return self._typed(key, np.ndarray, "a list of numbers")

    def texts(self, key: str) -> list[str] | None:
        """A list of strings."""
        found = self._typed(key, _Strings, "a list of texts")
        if found is None:
            return None
        try:
            return [text.decode() for text in found]
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.files[0]}: {key}: not UTF-8 ({error.object[:20]!r})") from None

    def indices(self, key: str, wanted: Iterable[str]) -> dict[str, int]:
        """Where in a list of strings those are that are there at all."""
        found = self._typed(key, _Strings, "a list of texts")
        words = {word.encode(): word for word in wanted}
        return {words[text]: index for index, text in enumerate(found or ()) if text in words}

    def _typed(self, key: str, kind: Any, expected: str) -> Any:
        value = self._metadata.get(key)
        if value is None or (isinstance(value, kind) and isinstance(value, bool) is (kind is bool)):
            return value
        found = repr(value)[:40] if isinstance(value, str | bool | int | float) else "a list"
        raise ValueError(f"{self.files[0]}: {key} must be {expected}, found {found}")

    def floats(self, name: str) -> list[float]:
        """The values of a small tensor of kind F32, flat; as decimals that are no longer than they need be.

        Raises:
            ValueError: it is of another kind.
        """
        entry = self.tensors[name]
        if entry.kind.name != "F32":
            raise ValueError(f"{self.files[entry.file]}: {name} is {entry.kind.name}, expected F32")
        with open(self.files[entry.file], "rb") as file:
            file.seek(entry.start)
            return [float(str(value)) for value in np.frombuffer(file.read(entry.size), "<f4")]


def read(source: hub.Source) -> Header:
    """The header of the file that `source.gguf_file` names, and of those that follow it where a model is split.

    Raises:
        OSError: a file is absent or cannot be read.
        ValueError: it is no GGUF file, or damaged: the message says where.
    """
    assert source.gguf_file is not None
    name = source.gguf_file
    files = [source.file(name)]
    metadata, tensors = _read_file(files[0], 0)
    count, number = metadata.get("split.count", 1), metadata.get("split.no", 0)
    if type(count) is not int or not 0 <= count <= _MOST_FILES:
        raise ValueError(f"{files[0]}: split.count is {count!r:.40}, no number of files")
    if count > 1:
        ending = f"-{1:05}-of-{count:05}.gguf"
        if number != 0 or not name.endswith(ending):
            raise ValueError(f"{files[0]} is one of {count} parts: name the first, which ends in {ending}")
        for part in range(1, count):
            files.append(source.file(f"{name.removesuffix(ending)}-{part + 1:05}-of-{count:05}.gguf"))
            more = _read_file(files[-1], part)[1]
            if twice := tensors.keys() & more.keys():
                raise ValueError(f"{files[-1]}: {min(twice)!r:.80} is in an earlier part too")
            tensors |= more
    return Header(tuple(files), tensors, metadata)


def read_file(path: Path) -> Header:
    """The header of one file, whatever other parts a model has.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no GGUF file, or damaged.
    """
    metadata, tensors = _read_file(path, 0)
    return Header((path,), tensors, metadata)


def _read_file(path: Path, number: int) -> tuple[dict[str, Any], dict[str, Entry]]:
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < len(_MAGIC) + 20:
            raise ValueError(f"{path}: not a GGUF file: {size} bytes")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if data[: len(_POINTER)] == _POINTER:
        raise ValueError(f"{path}: only a pointer to the file, which git-lfs has not fetched: run `git lfs pull` there")
    if data[:4] != _MAGIC:
        raise ValueError(f"{path}: not a GGUF file: it begins with {data[:4]!r}")
    try:
        return _Reader(data, size).read(number)
    except ValueError as error:
        raise ValueError(f"{path}: damaged GGUF header: {error}") from None


_U32 = struct.Struct("<I").unpack_from
_U64 = struct.Struct("<Q").unpack_from


class _Reader:
    """Goes through a header once, from front to back."""

    def __init__(self, data: mmap.mmap, size: int) -> None:
        self._data, self._size, self._at, self._strings = data, size, len(_MAGIC), 0

    def read(self, number: int) -> tuple[dict[str, Any], dict[str, Entry]]:
        version = self._whole(_U32, 4)
        if version not in (2, 3):
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
            why = "its bytes are in big-endian order" if swapped in (2, 3) else "versions 2 and 3 are read"
            raise ValueError(f"version {version}: {why}")
        tensor_count, pair_count = self._whole(_U64, 8), self._whole(_U64, 8)
        for what, count in (("tensors", tensor_count), ("keys", pair_count)):
            if count > _MOST_ENTRIES:
                raise ValueError(f"{count} {what} are more than a model has")
        metadata: dict[str, Any] = {}
        for _ in range(pair_count):
            key = self._text(_LARGEST_KEY, "a key")
            if key in metadata:
                raise ValueError(f"the key {key!r:.80} stands there twice")
            metadata[key] = self._value(key)
        claims = [self._claim() for _ in range(tensor_count)]
        alignment = metadata.get("general.alignment", _ALIGNMENT)
        if type(alignment) is not int or not 8 <= alignment <= 1 << 20 or alignment & (alignment - 1):
            raise ValueError(f"general.alignment is {alignment!r:.40}, no power of two from 8 on")
        return metadata, self._placed(claims, self._at + -self._at % alignment, alignment, number)

    def _take(self, size: int) -> int:
        """Go on by `size` bytes, and give where they begin."""
        at = self._at
        if size > self._size - at:
            raise ValueError(f"at byte {at} it goes on for {size} bytes, the file has {self._size}")
        self._at = at + size
        return at

    def _whole(self, unpack: Any, size: int) -> int:
        return unpack(self._data, self._take(size))[0]

    def _text(self, limit: int, what: str) -> str:
        length = self._whole(_U64, 8)
        if length > limit:
            raise ValueError(f"at byte {self._at} {what} has {length} bytes")
        at = self._take(length)
        try:
            return self._data[at : at + length].decode()
        except UnicodeDecodeError:
            raise ValueError(f"at byte {at} {what} is not UTF-8") from None

    def _value(self, key: str) -> Any:
        kind = self._whole(_U32, 4)
        if kind == _STRING:
            return self._text(_LARGEST_TEXT, f"{key!r:.80}")
        if kind in _SCALARS:
            value = self._array(_SCALARS[kind], 1)[0]
            return float(str(value)) if value.dtype == np.float32 else value.item()  # 1e-05, not 9.999999747378752e-06
        if kind != _ARRAY:
            raise ValueError(f"{key!r:.80} has a value of the unknown type {kind}")
        kind, count = self._whole(_U32, 4), self._whole(_U64, 8)
        if kind in _SCALARS:
            return self._array(_SCALARS[kind], count)
        if kind != _STRING:
            raise ValueError(f"{key!r:.80} is a list of the type {kind}: lists of numbers and of texts are read")
        self._strings += count
        if self._strings > _MOST_STRINGS:
            raise ValueError(f"{key!r:.80} has {count} texts, more than a vocabulary has")
        start = self._at
        data, size, at = self._data, self._size - 8, start
        for _ in range(count):  # half a million of these: everything is a local name
            if at > size:
                at += 8  # of a length that the file has no room for: refused below
                break
            at += 8 + _U64(data, at)[0]
        self._take(at - start)
        return _Strings(data, start, count)

    def _array(self, dtype: np.dtype[Any], count: int) -> np.ndarray:
        at = self._take(count * dtype.itemsize)
        return np.frombuffer(self._data[at : self._at], dtype)

    def _claim(self) -> tuple[str, tuple[int, ...], Kind, int]:
        """What an entry says: name, shape, kind, and the offset in the data."""
        name = self._text(_LARGEST_KEY, "a tensor's name")
        axes = self._whole(_U32, 4)
        if not 1 <= axes <= _MOST_AXES:
            raise ValueError(f"{name!r:.80} has {axes} axes, expected 1 to {_MOST_AXES}")
        shape = tuple(reversed([self._whole(_U64, 8) for _ in range(axes)]))  # the file has the fastest axis first
        number, offset = self._whole(_U32, 4), self._whole(_U64, 8)
        if number not in KINDS:
            raise ValueError(f"{name!r:.80} is of the unknown ggml type {number}")
        return name, shape, KINDS[number], offset

    def _placed(self, claims: list[Any], start: int, alignment: int, number: int) -> dict[str, Entry]:
        """The entries, where their data is in the file, not beyond its end and not in another's place."""
        entries: dict[str, Entry] = {}
        for name, shape, kind, offset in claims:
            if name in entries:
                raise ValueError(f"{name!r:.80} stands there twice")
            if 0 in shape or shape[-1] % kind.count:
                raise ValueError(f"{name!r:.80} has shape {list(shape)}: {kind.name} has rows of {kind.count}s")
            size = kind.size
            for length in (*shape[:-1], shape[-1] // kind.count):
                size *= length
                if size > self._size:
                    raise ValueError(f"{name!r:.80} has shape {list(shape)}, which the file has no room for")
            if offset % alignment or offset + size > self._size - start:
                raise ValueError(
                    f"{name!r:.80} has {size} bytes at {offset} of the data, which has {max(self._size - start, 0)}: "
                    "the file is cut off or damaged"
                )
            entries[name] = Entry(number, start + offset, size, shape, kind)
        end, before = 0, ""
        for name, entry in sorted(entries.items(), key=lambda item: item[1].start):
            if entry.start < end:
                raise ValueError(f"{name!r:.80} begins within {before!r:.80}")
            end, before = entry.start + entry.size, name
        return entries
