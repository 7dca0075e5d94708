"""GGUF files made by hand, sound or not: the format as its description has it, without the `gguf` package."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxformers.gguf.header import KINDS

NUMBERS = {kind.name: number for number, kind in KINDS.items()}
TYPES = {bool: 7, int: 4, float: 6, str: 8}  # of values: UINT32, FLOAT32, ...

LLAMA: Mapping[str, Any] = {
    "general.architecture": "llama",
    "llama.block_count": 1,
    "llama.context_length": 32,
    "llama.embedding_length": 32,
    "llama.feed_forward_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.layer_norm_rms_epsilon": 1e-5,
}
"""The metadata of a small Llama without words; `shapes` are its tensors."""


def shapes(words: int = 8) -> dict[str, tuple[int, ...]]:
    """The tensors of the Llama of `LLAMA`, by llama.cpp's names."""
    layer: dict[str, tuple[int, ...]] = {
        "attn_norm": (32,),
        **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (32, 32)),
        "ffn_norm": (32,),
        "ffn_gate": (64, 32),
        "ffn_up": (64, 32),
        "ffn_down": (32, 64),
    }
    return {
        "token_embd.weight": (words, 32),
        "output_norm.weight": (32,),
        **{f"blk.0.{name}.weight": shape for name, shape in layer.items()},
    }


def tensors(words: int = 8) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """The same with values, as `write` takes them."""
    rng = np.random.default_rng(0)
    return {name: plain(rng.normal(size=shape).astype(np.float32)) for name, shape in shapes(words).items()}


def plain(array: np.ndarray) -> tuple[str, tuple[int, ...], bytes]:
    """A tensor of float32."""
    return "F32", array.shape, array.astype("<f4").tobytes()


def string(text: str | bytes) -> bytes:
    """A string with its length."""
    content = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(content)) + content


def value(content: Any) -> bytes:
    """A typed value; lists hold strings, or what a numpy array holds."""
    if isinstance(content, np.ndarray):
        number = {"float32": 6, "int32": 5, "bool": 7}[content.dtype.name]
        return struct.pack("<IIQ", 9, number, len(content)) + content.tobytes()
    if isinstance(content, list):
        return struct.pack("<IIQ", 9, 8, len(content)) + b"".join(map(string, content))
    number = TYPES[type(content)]
    packed = string(content) if number == 8 else struct.pack({7: "<?", 4: "<I", 6: "<f"}[number], content)
    return struct.pack("<I", number) + packed


def write(
    metadata: Mapping[str, Any],
    arrays: Mapping[str, tuple[str, tuple[int, ...], bytes]],
    *,
    version: int = 3,
    alignment: int = 32,
    offsets: Mapping[str, int] = {},
) -> bytes:
    """The bytes of a file.

    Args:
        metadata: values by key.
        arrays: kind, shape and bytes by name.
        version: the format's.
        alignment: of the tensors' data.
        offsets: where a tensor is said to begin in the data, instead of where it does.
    """
    head = b"GGUF" + struct.pack("<IQQ", version, len(arrays), len(metadata))
    head += b"".join(string(key) + value(content) for key, content in metadata.items())
    data = b""
    for name, (kind, shape, content) in arrays.items():
        data += b"\0" * (-len(data) % alignment)
        start = offsets.get(name, len(data))
        axes = struct.pack(f"<I{len(shape)}Q", len(shape), *reversed(shape))
        head += string(name) + axes + struct.pack("<IQ", NUMBERS[kind], start)
        data += content
    return head + b"\0" * (-len(head) % alignment) + data


def size(kind: str, shape: tuple[int, ...]) -> int:
    """The bytes of a tensor."""
    found = KINDS[NUMBERS[kind]]
    return math.prod(shape) // found.count * found.size
