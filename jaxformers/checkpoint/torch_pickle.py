"""Reading torch's own files (pytorch_model.bin) without torch and without running what is in them.

A file of torch ≥ 1.6 is a zip archive, stored without compression: `data.pkl` describes the tensors, `data/<key>` holds
the bytes of one storage. Before, a file was a row of pickles, of which one describes the tensors, with the bytes of all
storages behind them. A pickle is a program; here a small interpreter runs the few instructions that a dictionary
of tensors needs, on the few functions named in `_SYMBOLS`, all of them our own. Nothing is ever imported or called by
name, and Python's pickle module never sees the file. Bytes are read from a memory map when a tensor is asked for.
"""

from __future__ import annotations

import io
import itertools
import math
import pickletools
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from .safetensors import Index, Tensor, View, contiguous, map_file

_LARGEST_PICKLE = 1 << 24  # bytes; a description of 30,000 tensors takes about 6 MB
_MOST_STEPS = 2_000_000
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001  # with which files of before torch 1.6 begin
_WRAPPERS = ("state_dict", "model_state_dict", "model", "module")  # what training scripts put weights under
_RESAVE = "re-save the model as safetensors with the library that wrote it"


@dataclass(frozen=True)
class Strided:
    """A `Tensor` whose items lie in a buffer at regular but not contiguous places.

    Attributes:
        buffer: uint8, one axis.
        start: where the first item begins in the buffer, in bytes.
        strides: items from one index to the next, by axis.
    """

    buffer: np.ndarray
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    strides: tuple[int, ...]

    def read(self, index: Index | None = None) -> np.ndarray:
        """See `Tensor.read`."""
        size = self.dtype.itemsize
        flat = self.buffer[self.start : self.start + size * _reach(self.shape, self.strides)].view(self.dtype)
        steps = tuple(stride * size for stride in self.strides)
        return contiguous(np.lib.stride_tricks.as_strided(flat, self.shape, steps, writeable=False), index)


def open_file(path: Path) -> dict[str, Tensor]:
    """The tensors of a torch file, by name; reads the description only.

    Nested dictionaries give names joined by "."; a training script's {"state_dict": {...}, "epoch": 3} gives what is
    in its state_dict; numbers and words among the tensors are passed over.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, compressed, big-endian or of torch's first releases, or asks for anything else than
            tensors: then nothing of it has been run.
    """
    buffer = map_file(path)
    if buffer[:4].tobytes() == b"PK\x03\x04":
        describe = _Archive.open(path, buffer).content
    elif buffer[:1].tobytes() == b"\x80":
        describe = partial(_row_of_pickles, buffer)
    else:
        tar = buffer[257:262].tobytes() == b"ustar"
        found = "a tar archive, as only torch's first releases wrote" if tar else "no file of torch"
        raise ValueError(f"{path}: {found}; {_RESAVE}")
    try:
        return _flatten(describe())
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, RecursionError, struct.error) as error:
        raise ValueError(f"{path}: refused: {error}; {_RESAVE}") from None


# -- the archive ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Archive:
    """The members of a zip archive whose bytes stand in it as they are.

    Attributes:
        members: name without the archive's own folder → where its bytes are in the file.
    """

    path: Path
    buffer: np.ndarray
    members: dict[str, slice]

    @classmethod
    def open(cls, path: Path, buffer: np.ndarray) -> _Archive:
        try:
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
            members = {entry.filename: _place(entry, buffer) for entry in entries}
            if len(members) != len(entries):
                raise ValueError("two members have the same name")
            return cls(path, buffer, _below_root(members)).checked()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OverflowError, struct.error) as error:
            raise ValueError(f"{path}: damaged or refused archive: {error}; {_RESAVE}") from None

    def checked(self) -> _Archive:
        if "byteorder" in self.members and self.bytes_of("byteorder").tobytes() != b"little":
            raise ValueError("its numbers are big-endian")
        if "constants.pkl" in self.members:
            raise ValueError("it is a TorchScript program, not a dictionary of weights")
        return self

    def bytes_of(self, name: str) -> np.ndarray:
        """The bytes of a member, as a view of the file."""
        return self.buffer[self.members[name]]

    def content(self) -> Any:
        """What the description describes."""
        description = self.bytes_of("data.pkl")
        if description.size > _LARGEST_PICKLE:
            raise ValueError(f"its description has {description.size} bytes, more than is sensible")
        return _run(io.BytesIO(description.tobytes()), self.storage)

    def storage(self, reference: Any) -> _Storage:
        """The storage that a persistent id names: ("storage", type, key, device, number of items)."""
        match reference:
            case ("storage", _Type() as kind, str(key), _, int(count)):
                pass
            case _:
                raise ValueError("a persistent id that names no storage")
        if f"data/{key}" not in self.members:
            raise ValueError(f"storage {key[:40]!r} is not in the file")
        return _stored(self.buffer, self.members[f"data/{key}"], kind, key, 0, count)


def _place(entry: zipfile.ZipInfo, buffer: np.ndarray) -> slice:
    """Where a member's bytes are, from its local header; refuses what is not stored as it is."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size or entry.flag_bits & 1:
        raise ValueError(f"member {entry.filename[:40]!r} is compressed or encrypted, as torch never writes it")
    header = buffer[entry.header_offset : entry.header_offset + 30].tobytes()
    if len(header) != 30 or header[:4] != b"PK\x03\x04":
        raise ValueError(f"member {entry.filename[:40]!r} has no header")
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    start = entry.header_offset + 30 + name_length + extra_length
    if start + entry.file_size > buffer.size:
        raise ValueError(f"member {entry.filename[:40]!r} goes past the end of the file")
    return slice(start, start + entry.file_size)


def _below_root(members: dict[str, slice]) -> dict[str, slice]:
    """Members by their names below the one folder that all of torch's members are in."""
    roots = [name.removesuffix("data.pkl") for name in members if name.endswith("/data.pkl")]
    if len(roots) != 1:
        raise ValueError(f"{len(roots)} descriptions of tensors in it (data.pkl) instead of one")
    return {name.removeprefix(roots[0]): place for name, place in members.items() if name.startswith(roots[0])}


# -- what was before the archive --------------------------------------------------------------------------------


def _row_of_pickles(buffer: np.ndarray) -> Any:
    """What a file of before torch 1.6 describes.

    Five pickles: a number that all such files begin with, the format's version, the machine that wrote it, the
    description, the keys of the storages. Then each storage: the number of its items in 8 bytes, and these. How large
    an item is only the description says, so it is read once for that, and again when it is known where storages are.
    """
    file = io.BytesIO(buffer[:_LARGEST_PICKLE].tobytes())
    if _run(file, _nowhere) != _MAGIC:
        raise ValueError("it is a pickle, and none of torch's")
    if (version := _run(file, _nowhere)) != _VERSION:
        raise ValueError(f"its format is of version {version!r:.40}, not {_VERSION}")
    if _expect(_run(file, _nowhere), dict).get("little_endian") is not True:
        raise ValueError("its numbers are big-endian")
    described = file.tell()
    sizes: dict[str, tuple[int, int]] = {}
    _run(file, partial(_counted, sizes, buffer.size))
    keys = _expect(_run(file, _nowhere), list)
    if not all(isinstance(key, str) for key in keys) or sorted(keys) != sorted(sizes):
        raise ValueError("the storages that it lists are not those of its tensors")
    places = _places(buffer, file.tell(), {key: sizes[key] for key in keys})
    file.seek(described)
    return _run(file, partial(_placed, buffer, places))


def _nowhere(reference: Any) -> _Storage:
    raise ValueError("a storage outside of the description")


def _reference(reference: Any) -> tuple[_Type, str, int, int, int]:
    """Of a persistent id the type and key of a storage, the number of its items, and the first and the number of those
    that are meant: ("storage", type, key, device, number of items, None or (key of a part, first, number)).
    """
    match reference:
        case ("storage", _Type() as kind, str(key), _, int(count), None):
            return kind, key, count, 0, count
        case ("storage", _Type() as kind, str(key), _, int(count), (str(), int(first), int(part))):
            if not 0 <= first <= first + part <= count:
                raise ValueError(f"a part of storage {key[:40]!r} that goes past its end")
            return kind, key, count, first, part
    raise ValueError("a persistent id that names no storage")


def _counted(sizes: dict[str, tuple[int, int]], limit: int, reference: Any) -> _Storage:
    """Note the items of a storage and the bytes of each; the result has its size, and nothing in it."""
    kind, key, count, _, part = _reference(reference)
    if not 0 <= count * kind.size <= limit:
        raise ValueError(f"storage {key[:40]!r} claims more bytes than it has")
    if sizes.setdefault(key, (count, kind.size)) != (count, kind.size):
        raise ValueError(f"storage {key[:40]!r} is of two sizes")
    return _Storage(np.broadcast_to(np.uint8(0), part * kind.size), 0, kind.dtype)


def _places(buffer: np.ndarray, start: int, sizes: dict[str, tuple[int, int]]) -> dict[str, slice]:
    """Where the bytes of each storage are, one behind the other from `start`."""
    places = {}
    for key, (count, size) in sizes.items():
        said = int.from_bytes(buffer[start : start + 8].tobytes(), "little", signed=True)
        if said != count:
            raise ValueError(f"storage {key[:40]!r} holds {said} items, its tensors say {count}")
        places[key] = slice(start + 8, start + 8 + count * size)
        start = places[key].stop
    if start > buffer.size:
        raise ValueError("its storages go past the end of the file")
    return places


def _placed(buffer: np.ndarray, places: dict[str, slice], reference: Any) -> _Storage:
    kind, key, _, first, part = _reference(reference)
    return _stored(buffer, places[key], kind, key, first, part)


# -- what a pickle may name -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Type:
    """A torch dtype, or the class of a storage of that type; None for one of plain bytes."""

    dtype: np.dtype[Any] | None

    @property
    def size(self) -> int:
        """The bytes of an item."""
        return 1 if self.dtype is None else self.dtype.itemsize


@dataclass(frozen=True)
class _Storage:
    """The bytes that tensors share: from `start` to the end of `buffer`."""

    buffer: np.ndarray
    start: int
    dtype: np.dtype[Any] | None


def _stored(buffer: np.ndarray, place: slice, kind: _Type, key: str, first: int, count: int) -> _Storage:
    """The storage at a place of a file, or `count` of its items from `first` on."""
    start = place.start + first * kind.size
    if not 0 <= count * kind.size <= place.stop - start:
        raise ValueError(f"storage {key[:40]!r} claims more bytes than it has")
    return _Storage(buffer[: start + count * kind.size], start, kind.dtype)


@dataclass(frozen=True)
class _Function:
    """A function that a pickle may apply: never a Python function of that name, but ours in its place."""

    apply: Callable[..., Any]


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, _grad: Any = None, _hooks: Any = None, flags: Any = None
) -> Tensor:
    """Torch's _rebuild_tensor_v2, and the one before it: a view of a storage. Offset and strides count items."""
    if not isinstance(storage, _Storage) or storage.dtype is None:
        raise ValueError("a tensor without a typed storage")
    return _view(storage, storage.dtype, offset, shape, strides, flags)


def _tensor_of(
    storage: Any, offset: Any, shape: Any, strides: Any, _grad: Any, _hooks: Any, kind: Any, flags: Any = None
) -> Tensor:
    """Torch's _rebuild_tensor_v3: the same over a storage of plain bytes."""
    if not isinstance(storage, _Storage) or not isinstance(kind, _Type) or kind.dtype is None:
        raise ValueError("a tensor without storage or type")
    return _view(storage, kind.dtype, offset, shape, strides, flags)


def _view(storage: _Storage, dtype: np.dtype[Any], offset: Any, shape: Any, strides: Any, flags: Any) -> Tensor:
    if not (_are_counts(shape) and _are_counts(strides) and _are_counts((offset,)) and len(shape) == len(strides)):
        raise ValueError("a tensor whose shape, strides or offset are no whole numbers")
    if flags:
        raise ValueError("a tensor that is a conjugate or negative view")
    items = (storage.buffer.size - storage.start) // dtype.itemsize
    if len(shape) > 64 or math.prod(shape) > items or offset + _reach(shape, strides) > items:
        raise ValueError(f"a tensor of shape {list(shape[:64])} that goes past the end of its storage")
    start = storage.start + offset * dtype.itemsize
    if math.prod(shape) == 0 or _is_contiguous(shape, strides):
        return View(storage.buffer, start, shape, dtype)
    return Strided(storage.buffer, start, shape, dtype, strides)


def _are_counts(values: Any) -> bool:
    return isinstance(values, tuple) and all(type(n) is int and 0 <= n < 2**63 for n in values)


def _reach(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """How many items lie between the first and the last of a strided array, both included."""
    if 0 in shape:
        return 0
    return 1 + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))


def _is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    steps = itertools.accumulate(reversed(shape), lambda step, length: step * length, initial=1)
    return all(
        length == 1 or stride == step for length, stride, step in zip(shape[::-1], strides[::-1], steps, strict=False)
    )


def _parameter(tensor: Any, *_: Any) -> Tensor:
    """Torch's _rebuild_parameter: a tensor that was trained is a tensor."""
    if not isinstance(tensor, View | Strided):
        raise ValueError("a parameter that is no tensor")
    return tensor


def _subclass(function: Any, kind: Any, arguments: Any, _state: Any) -> Tensor:
    """Torch's _rebuild_from_type_v2: a tensor with attributes of its own, which are dropped."""
    if not isinstance(function, _Function) or kind is not _PLAIN or not isinstance(arguments, tuple):
        raise ValueError("a tensor of a class of its own")
    return _parameter(function.apply(*arguments))


def _dictionary(pairs: Any = ()) -> dict[Any, Any]:
    """An OrderedDict: empty, or as Python 2 writes it, of pairs."""
    if not isinstance(pairs, list | tuple) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise ValueError("a dictionary made from something else")
    return {_expect(key, str, int): value for key, value in pairs}


def _size(values: Any) -> tuple[int, ...]:
    if not _are_counts(values):
        raise ValueError("a shape that is no tuple of whole numbers")
    return values


_PLAIN = object()  # the class of a plain tensor

_TYPES: dict[str, tuple[str, Any]] = {  # torch's dtype → (prefix of its storage class, numpy type)
    "float64": ("Double", "<f8"),
    "float32": ("Float", "<f4"),
    "float16": ("Half", "<f2"),
    "bfloat16": ("BFloat16", ml_dtypes.bfloat16),
    "int64": ("Long", "<i8"),
    "int32": ("Int", "<i4"),
    "int16": ("Short", "<i2"),
    "int8": ("Char", "i1"),
    "uint8": ("Byte", "u1"),
    "bool": ("Bool", "?"),
    "complex64": ("ComplexFloat", "<c8"),
    "complex128": ("ComplexDouble", "<c16"),
    "uint16": ("", "<u2"),
    "uint32": ("", "<u4"),
    "uint64": ("", "<u8"),
    "float8_e4m3fn": ("", ml_dtypes.float8_e4m3fn),
    "float8_e5m2": ("", ml_dtypes.float8_e5m2),
    "float8_e4m3fnuz": ("", ml_dtypes.float8_e4m3fnuz),
    "float8_e5m2fnuz": ("", ml_dtypes.float8_e5m2fnuz),
    "float8_e8m0fnu": ("", ml_dtypes.float8_e8m0fnu),
}

_SYMBOLS: dict[str, Any] = {
    "collections OrderedDict": _Function(_dictionary),
    "torch Size": _Function(_size),
    "torch._utils _rebuild_tensor": _Function(_tensor),
    "torch._utils _rebuild_tensor_v2": _Function(_tensor),
    "torch._utils _rebuild_tensor_v3": _Function(_tensor_of),
    "torch._utils _rebuild_parameter": _Function(_parameter),
    "torch._utils _rebuild_parameter_with_state": _Function(_parameter),
    "torch._tensor _rebuild_from_type_v2": _Function(_subclass),
    "torch.nn.parameter Parameter": _PLAIN,
    "torch Tensor": _PLAIN,
    "torch.storage UntypedStorage": _Type(None),
    **{f"torch {name}": _Type(np.dtype(dtype)) for name, (_, dtype) in _TYPES.items()},
    **{f"torch {storage}Storage": _Type(np.dtype(dtype)) for storage, dtype in _TYPES.values() if storage},
}


# -- the interpreter --------------------------------------------------------------------------------------------

_MARK = object()


def _run(program: io.BytesIO, storage: Callable[[Any], _Storage]) -> Any:
    """What a pickle describes.

    Args:
        program: the pickle, and perhaps more behind it; it is read up to its end.
        storage: from a persistent id to the storage it names.

    Raises:
        ValueError, IndexError, KeyError, TypeError: a damaged pickle, or one that asks for what tensors never need.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def symbol(name: str) -> Any:
        if name not in _SYMBOLS:
            raise ValueError(f"it wants to use {name.replace(' ', '.')[:100]!r}, and only tensors are read")
        return _SYMBOLS[name]

    def down_to_mark() -> list[Any]:
        at = len(stack) - 1
        while stack[at] is not _MARK:  # an IndexError ends the search in a stack without one
            at -= 1
        items = stack[at + 1 :]
        del stack[at:]
        return items

    instructions: Iterator[tuple[Any, Any, Any]] = pickletools.genops(program)
    for step, (instruction, argument, _) in enumerate(instructions):
        if step > _MOST_STEPS:
            raise ValueError(f"its description takes more than {_MOST_STEPS} steps")
        match instruction.name:
            case "PROTO" | "FRAME":
                pass
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(instruction.name == "NEWTRUE")
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT" | "BINUNICODE" | "SHORT_BINUNICODE":
                stack.append(argument)
            case "BINSTRING" | "SHORT_BINSTRING":  # a name, where Python 2 wrote it
                stack.append(argument.encode("latin-1").decode())
            case "MARK":
                stack.append(_MARK)
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "TUPLE":
                stack.append(tuple(down_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(instruction.name[-1])
                if len(stack) < count:
                    raise ValueError("a tuple of more than there is")
                stack[-count:] = [tuple(stack[-count:])]
            case "APPEND":
                item = stack.pop()
                _expect(stack[-1], list).append(item)
            case "APPENDS":
                items = down_to_mark()
                _expect(stack[-1], list).extend(items)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _expect(stack[-1], dict)[_expect(key, str, int)] = value
            case "SETITEMS":
                items = down_to_mark()
                target = _expect(stack[-1], dict)
                for key, value in zip(items[::2], items[1::2], strict=True):
                    target[_expect(key, str, int)] = value
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "GLOBAL":
                stack.append(symbol(argument))
            case "STACK_GLOBAL":
                name, module = _expect(stack.pop(), str), _expect(stack.pop(), str)
                stack.append(symbol(f"{module} {name}"))
            case "BINPERSID":
                stack.append(storage(stack.pop()))
            case "REDUCE":
                arguments, function = _expect(stack.pop(), tuple), _expect(stack.pop(), _Function)
                stack.append(function.apply(*arguments))
            case "BUILD":  # attributes of a state dict (its versions): of no use here
                stack.pop()
                _expect(stack[-1], dict)
            case "STOP":
                break
            case unknown:
                raise ValueError(f"it uses the pickle instruction {unknown}, and tensors never need that")
    (content,) = stack
    return content


def _expect(value: Any, *kinds: type) -> Any:
    if not isinstance(value, kinds):
        raise ValueError(f"a damaged pickle: {type(value).__name__} in the place of {kinds[0].__name__}")
    return value


def _flatten(content: Any) -> dict[str, Tensor]:
    """The tensors of nested dictionaries and lists, by the path to each."""
    if isinstance(content, dict) and not any(isinstance(value, View | Strided) for value in content.values()):
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), dict)), None)
        content = content if inner is None else inner
    if not isinstance(content, dict):
        raise ValueError(f"it holds a {type(content).__name__} instead of a dictionary of tensors")
    found = {}
    for name, tensor in _leaves(content, "", set()):
        if name in found:
            raise ValueError(f"two tensors are called {name[:100]!r}")
        found[name] = tensor
    if not found:
        raise ValueError("it holds no tensors")
    return found


def _leaves(value: Any, name: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, View | Strided):
        yield name, value
    elif isinstance(value, dict | list | tuple) and value:
        if id(value) in seen:
            raise ValueError("a dictionary that is in two places, or in itself")
        seen.add(id(value))
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _leaves(item, f"{name}.{key}" if name else str(key), seen)
