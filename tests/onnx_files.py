"""ONNX files as an exporter leaves them, written field by field."""

from __future__ import annotations

import numpy as np

BLOCK = 32  # numbers with a scale of their own


def number(value: int) -> bytes:
    """An integer, seven bits a byte."""
    parts = []
    while value >= 128:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def field(place: int, value: int | bytes | str) -> bytes:
    """A field of a message."""
    if isinstance(value, int):
        return number(place << 3) + number(value)
    content = value.encode() if isinstance(value, str) else value
    return number(place << 3 | 2) + number(len(content)) + content


def tensor(name: str, array: np.ndarray, dtype: int, raw: bool = True) -> bytes:
    """An initialiser of a graph; `raw=False`: its numbers in a field for their type."""
    dims = b"".join(field(1, length) for length in array.shape)
    if raw:
        values = field(9, array.tobytes())
    elif dtype == 1:
        values = field(4, array.astype("<f4").tobytes())
    else:
        values = field(5, b"".join(map(number, array.ravel().tolist())))
    return field(5, dims + field(2, dtype) + field(8, name) + values)


def product(module: str, values: np.ndarray, scales: np.ndarray, name: str, bits: int = 4) -> bytes:
    """A product whose weight, [out, in], is `(values - 8) * scale` for each block."""
    out, width = values.shape
    padded = np.pad(values, ((0, 0), (0, -width % BLOCK)), constant_values=8).reshape(out, -1, BLOCK // 2, 2)
    packed = (padded[..., 0] | padded[..., 1] << 4).astype(np.uint8)
    settings = b"".join(
        field(5, field(1, key) + field(3, value)) for key, value in (("K", width), ("N", out), ("bits", bits))
    )
    inputs = field(1, "hidden") + field(1, f"{name}_Q4") + field(1, f"{name}_scales")
    node = inputs + field(2, "out") + field(3, f"/{module}/MatMul_Q4") + field(4, "MatMulNBits") + settings
    return field(1, node) + tensor(f"{name}_Q4", packed, 2) + tensor(f"{name}_scales", scales.ravel(), 1)


def model(*parts: bytes) -> bytes:
    """A file."""
    return field(1, 8) + field(2, "exporter") + field(7, b"".join(parts))
