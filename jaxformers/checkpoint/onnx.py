"""Weights of an ONNX file as named arrays, under the names that the model had when it was exported.

Only what an export of a torch model leaves is read: the graph's initialisers, which keep their names; uint8 arrays with
a scale and a zero point (`X_quantized`); and the weights of `MatMulNBits`, whose own names say nothing but whose node
stands under the path of its module ("/bert/encoder/layer.0/output/dense/MatMul_Q4"). The graph itself is not run.

The format is protobuf: a message is a sequence of fields, each a number with a kind, then an integer or some bytes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

# Numbers of the fields that are read, by message.
_GRAPH = 7
_NODES, _INITIALIZERS = 1, 5
_INPUTS, _NODE_NAME, _OPERATION, _ATTRIBUTES = 1, 3, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_INTEGER = 1, 3
_DIMS, _DTYPE, _FLOATS, _INTEGERS, _TENSOR_NAME, _RAW = 1, 2, 4, 5, 8, 9

_DTYPES: Mapping[int, np.dtype[Any]] = {1: np.dtype("<f4"), 2: np.dtype("u1")}  # as the format numbers them

Message = Mapping[int, Sequence[Any]]
"""The values of each field by its number, in order: an int each, or bytes."""


def read_file(path: Path) -> dict[str, np.ndarray]:
    """The weights of a file by name, float32.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no ONNX file of this kind, or damaged.
    """
    data = memoryview(path.read_bytes())
    try:
        graph = _message(_message(data)[_GRAPH][0])
        tensors = [_message(tensor) for tensor in graph[_INITIALIZERS]]
        arrays = {_text(tensor[_TENSOR_NAME][0]): _array(tensor) for tensor in tensors if tensor[_DTYPE][0] in _DTYPES}
        weights = dict(_products(graph, arrays))
        for name, array in arrays.items():
            base = name.removesuffix("_quantized")
            if base != name:
                weights[base] = _scaled(array, arrays[f"{base}_scale"], arrays[f"{base}_zero_point"])
            elif array.dtype == np.float32 and not name.endswith(("_scale", "_scales")):
                weights[name] = array
        return weights
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not an ONNX file that can be read here ({type(error).__name__}: {error})") from None


def _products(graph: Message, arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
    """Name and weight, [out, in], of every product whose weight is kept in 4 bits."""
    for node in map(_message, graph.get(_NODES, ())):
        if _text(*node.get(_OPERATION, ())) != "MatMulNBits":
            continue
        attributes = map(_message, node[_ATTRIBUTES])
        settings = {_text(each[_ATTRIBUTE_NAME][0]): each.get(_ATTRIBUTE_INTEGER, [0])[0] for each in attributes}
        inputs = [_text(name) for name in node[_INPUTS]]
        if settings["bits"] != 4 or len(inputs) != 3:  # a fourth would be zero points other than the middle
            raise ValueError(f"a product of {settings['bits']} bits and {len(inputs)} inputs")
        blocks = arrays[inputs[1]]  # [out, blocks of a row, bytes]
        scales = arrays[inputs[2]].reshape(*blocks.shape[:2], 1)
        halves = np.stack([blocks & 15, blocks >> 4], axis=-1).reshape(*blocks.shape[:2], -1)
        weight = _scaled(halves, scales, np.float32(8)).reshape(len(blocks), -1)
        module = _text(node[_NODE_NAME][0]).strip("/").rpartition("/")[0]
        yield f"{module.replace('/', '.')}.weight", np.ascontiguousarray(weight[:, : settings["K"]])


def _scaled(values: np.ndarray, scale: np.ndarray, zero: Any) -> np.ndarray:
    """What unsigned integers stand for, float32."""
    return (values.astype(np.float32) - np.float32(zero)) * scale


def _array(tensor: Message) -> np.ndarray:
    """The values of an initialiser, which stand as they are, or number by number in a field for their type."""
    dims = [length for value in tensor.get(_DIMS, ()) for length in _integers(value)]
    dtype = _DTYPES[tensor[_DTYPE][0]]
    if _INTEGERS in tensor:
        values = np.array([number for value in tensor[_INTEGERS] for number in _integers(value)], dtype)
    else:
        values = np.frombuffer(b"".join(tensor.get(_RAW) or tensor.get(_FLOATS, ())), dtype)
    return values.reshape(dims)


def _text(value: memoryview | bytes = b"") -> str:
    return bytes(value).decode()


def _message(data: memoryview) -> Message:
    """The fields of a message."""
    fields: defaultdict[int, list[Any]] = defaultdict(list)
    place = 0
    while place < len(data):
        key, place = _integer(data, place)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, place = _integer(data, place)
            fields[number].append(value)
            continue
        size, place = _integer(data, place) if kind == 2 else ({1: 8, 5: 4}[kind], place)
        if place + size > len(data):
            raise ValueError("it ends in the middle of a field")
        fields[number].append(data[place : place + size])
        place += size
    return dict(fields)


def _integers(value: int | memoryview) -> list[int]:
    """The integers of one field: one, or several behind each other."""
    if isinstance(value, int):
        return [value]
    found, place = [], 0
    while place < len(value):
        integer, place = _integer(value, place)
        found.append(integer)
    return found


def _integer(data: memoryview, place: int) -> tuple[int, int]:
    """An integer of seven bits a byte, the lowest first, and the place behind it."""
    value = shift = 0
    while shift < 64:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
    raise ValueError("an integer of more than 64 bits")
