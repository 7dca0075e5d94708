"""Torch's file format from numpy arrays and hand-made pickles: sound files and hostile ones, without torch."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

STORAGES = {
    "float32": "FloatStorage",
    "float64": "DoubleStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
    "complex64": "ComplexFloatStorage",
}

EMPTY_DICT, EMPTY_LIST, MARK, SETITEM, SETITEMS, APPEND = b"}", b"]", b"(", b"s", b"u", b"a"
REDUCE, BUILD, TUPLE, EMPTY_TUPLE, STOP, NONE, PERSID = b"R", b"b", b"t", b")", b".", b"N", b"Q"
TRUE, FALSE = b"\x88", b"\x89"


def text(value: str) -> bytes:
    """A string."""
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    """A whole number of up to 255 bytes."""
    data = value.to_bytes((value.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def name(module: str, attribute: str) -> bytes:
    """A global."""
    return f"c{module}\n{attribute}\n".encode()


def tuple_of(*items: bytes) -> bytes:
    """A tuple."""
    return MARK + b"".join(items) + TUPLE


def numbers(values: tuple[int, ...]) -> bytes:
    """A tuple of whole numbers."""
    return tuple_of(*map(number, values))


def call(function: bytes, *arguments: bytes) -> bytes:
    """A function applied."""
    return function + tuple_of(*arguments) + REDUCE


def dict_of(items: Mapping[str, bytes]) -> bytes:
    """A dictionary with text for keys."""
    return EMPTY_DICT + MARK + b"".join(text(key) + value for key, value in items.items()) + SETITEMS


def storage(key: str, kind: str, count: int) -> bytes:
    """A reference to the storage `data/<key>`."""
    return tuple_of(text("storage"), name("torch", kind), text(key), text("cpu"), number(count)) + PERSID


def tensor(reference: bytes, shape: tuple[int, ...], strides: tuple[int, ...] | None = None, offset: int = 0) -> bytes:
    """A view of a storage, contiguous unless strides say otherwise."""
    if strides is None:
        strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    hooks = call(name("collections", "OrderedDict"))
    return call(
        name("torch._utils", "_rebuild_tensor_v2"),
        reference,
        number(offset),
        numbers(shape),
        numbers(strides),
        FALSE,
        hooks,
    )


def program(content: bytes) -> bytes:
    """A pickle of one object."""
    return b"\x80\x02" + content + STOP


def archive(
    pickle: bytes,
    storages: Mapping[str, bytes],
    *,
    extra: Mapping[str, bytes] | None = None,
    alignment: int = 1,
) -> bytes:
    """The zip file that torch.save would write around a pickle; torch aligns data to 64 bytes, others need not."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        file.writestr("archive/data.pkl", pickle)
        for key, data in storages.items():
            member = zipfile.ZipInfo(f"archive/data/{key}")
            padding = -(buffer.tell() + 30 + len(member.filename) + 4) % alignment
            member.extra = b"FB" + struct.pack("<H", padding) + bytes(padding)
            file.writestr(member, data)
        for member, data in ({"byteorder": b"little", "version": b"3\n"} | dict(extra or {})).items():
            file.writestr(f"archive/{member}", data)
    return buffer.getvalue()


def row_of_pickles(
    pickle: bytes,
    storages: Mapping[str, tuple[int, bytes]],
    *,
    begins: bytes = number(0x1950A86A20F9469CFC6C),
    version: bytes = number(1001),
    machine: bytes = dict_of({"protocol_version": number(1001), "little_endian": TRUE, "type_sizes": EMPTY_DICT}),
    keys: bytes | None = None,
) -> bytes:
    """The file that torch.save wrote before 1.6 around a pickle: references to storages had one entry more then.

    storages: by key, the number of items that is written before the bytes, and these.
    """
    if keys is None:
        keys = EMPTY_LIST + MARK + b"".join(map(text, storages)) + b"e"
    pickles = [*map(program, (begins, version, machine)), pickle.replace(TUPLE + PERSID, NONE + TUPLE + PERSID)]
    data = [struct.pack("<q", count) + content for count, content in storages.values()]
    return b"".join([*pickles, program(keys), *data])


def state_dict(arrays: Mapping[str, np.ndarray], alignment: int = 1) -> bytes:
    """What torch.save writes for a dictionary of contiguous tensors."""
    data = {str(i): np.ascontiguousarray(array).tobytes() for i, array in enumerate(arrays.values())}
    return archive(_described(arrays), data, alignment=alignment)


def _described(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The pickle of a dictionary of contiguous tensors, each with a storage of its own."""
    tensors = {
        key: tensor(storage(str(i), STORAGES[array.dtype.name], array.size), array.shape)
        for i, (key, array) in enumerate(arrays.items())
    }
    return program(dict_of(tensors))


def old_state_dict(arrays: Mapping[str, np.ndarray]) -> bytes:
    """What torch.save wrote for it before 1.6."""
    data = {str(i): (array.size, np.ascontiguousarray(array).tobytes()) for i, array in enumerate(arrays.values())}
    return row_of_pickles(_described(arrays), data)


def write_state_dict(path: Path, arrays: Mapping[str, np.ndarray], alignment: int = 1) -> Path:
    """The path, after `state_dict` has been written to it."""
    path.write_bytes(state_dict(arrays, alignment))
    return path
