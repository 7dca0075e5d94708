"""Reading torch's own files (pytorch_model.bin) without torch and without running what is in them.

A file of torch ≥ 1.6 is a zip archive, stored without compression: `data.pkl` describes the tensors, `data/<key>` holds
the bytes of one storage. A pickle is a program; here a small interpreter runs the few instructions that a dictionary
of tensors needs, on the few functions named in `_SYMBOLS`, all of them our own. Nothing is ever imported or called by
name, and Python's pickle module never sees the file. Bytes are read from a memory map when a tensor is asked for.
"""

from __future__ import annotations

import itertools
import math
import pickletools
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from .safetensors import Index, Tensor, View, map_file, settled

_LARGEST_PICKLE = 1 << 24  # bytes; a description of 30,000 tensors takes about 6 MB
_MOST_STEPS = 2_000_000
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
        return settled(np.lib.stride_tricks.as_strided(flat, self.shape, steps, writeable=False), index)


def open_file(path: Path) -> dict[str, Tensor]:
    """The tensors of a torch file, by name; reads the description only.

    Nested dictionaries give names joined by "."; a training script's {"state_dict": {...}, "epoch": 3} gives what is
    in its state_dict; numbers and words among the tensors are passed over.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, compressed, big-endian or older than torch 1.6, or asks for anything else than
            tensors: then nothing of it has been run.
    """
    archive = _Archive.open(path)
    description = archive.bytes_of("data.pkl")
    if description.size > _LARGEST_PICKLE:
        raise ValueError(f"{path}: its description has {description.size} bytes, more than is sensible; {_RESAVE}")
    try:
        return _flatten(_run(description.tobytes(), archive.storage))
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
    def open(cls, path: Path) -> _Archive:
        buffer = map_file(path)
        if buffer[:4].tobytes() != b"PK\x03\x04":
            raise ValueError(f"{path}: no file of torch ≥ 1.6 (those are zip archives); {_RESAVE}")
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

    def storage(self, reference: Any) -> _Storage:
        """The storage that a persistent id names: ("storage", type, key, device, number of items)."""
        match reference:
            case ("storage", _Type() as kind, str(key), _, int(count)):
                dtype = kind.dtype or np.dtype(np.uint8)
            case _:
                raise ValueError("a persistent id that names no storage")
        if f"data/{key}" not in self.members:
            raise ValueError(f"storage {key[:40]!r} is not in the file")
        place = self.members[f"data/{key}"]
        if not 0 <= count * dtype.itemsize <= place.stop - place.start:
            raise ValueError(f"storage {key[:40]!r} claims more bytes than it has")
        return _Storage(self.buffer[: place.start + count * dtype.itemsize], place.start, kind.dtype)


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


# -- what a pickle may name -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Type:
    """A torch dtype, or the class of a storage of that type; None for one of plain bytes."""

    dtype: np.dtype[Any] | None


@dataclass(frozen=True)
class _Storage:
    """The bytes that tensors share: from `start` to the end of `buffer`."""

    buffer: np.ndarray
    start: int
    dtype: np.dtype[Any] | None


@dataclass(frozen=True)
class _Function:
    """A function that a pickle may apply: never a Python function of that name, but ours in its place."""

    apply: Callable[..., Any]


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, _grad: Any, _hooks: Any, flags: Any = None) -> Tensor:
    """Torch's _rebuild_tensor_v2: a view of a storage. Offset and strides count items."""
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


def _dictionary(*arguments: Any) -> dict[Any, Any]:
    if arguments:
        raise ValueError("a dictionary made from something else")
    return {}


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


def _run(program: bytes, storage: Callable[[Any], _Storage]) -> Any:
    """What a pickle describes.

    Args:
        program: the pickle.
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
