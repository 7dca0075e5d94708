"""The values of the arrays in golden/gguf: every array has its own, by its name on the Hub."""

from __future__ import annotations

import zlib

import numpy as np


def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 array that a checkpoint of `record_gguf.py` has under a name."""
    drawn = np.random.default_rng(zlib.crc32(name.encode())).normal(0.0, 0.3, shape)
    return (drawn + (len(shape) == 1)).astype(np.float32)
