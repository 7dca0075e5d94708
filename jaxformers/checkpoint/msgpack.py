"""Reading flax's own files (flax_model.msgpack), under the names and in the layout that torch checkpoints have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .safetensors import DTYPES, Index, Tensor, contiguous, map_file

# flax's name of the last part → torch's. A kernel maps [in, out], a weight [out, in]; convolutions likewise.
_PARTS = {"kernel": "weight", "scale": "weight", "embedding": "weight", "mean": "running_mean", "var": "running_var"}
_COLLECTIONS = {"params", "batch_stats"}


@dataclass(frozen=True)
class Held:
    """A `Tensor` that is in memory, seen with its axes in another order.

    Attributes:
        values: the array as flax keeps it.
        axes: which of its axes each axis of this tensor is.
    """

    values: np.ndarray
    axes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Tensor`."""
        return self.values.transpose(self.axes).shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """See `Tensor`."""
        return self.values.dtype

    def read(self, index: Index | None = None) -> np.ndarray:
        """See `Tensor.read`."""
        return contiguous(self.values.transpose(self.axes), index)


def open_file(path: Path) -> dict[str, Tensor]:
    """The arrays of a flax file by torch name. The whole file is read: the format knows no other way.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is damaged, or holds no arrays.
    """
    from flax.serialization import msgpack_restore  # on demand: it takes longer to import than to use

    content = map_file(path)
    try:
        tree = msgpack_restore(content.data)  # type: ignore[arg-type]
        if not isinstance(tree, dict):
            raise ValueError(f"it holds a {type(tree).__name__} instead of a dictionary of arrays")
        wrapped = "params" in tree and tree.keys() <= _COLLECTIONS
        found = {name: tensor for part in (tree.values() if wrapped else [tree]) for name, tensor in _leaves(part, ())}
        if not found:
            raise ValueError("it holds no arrays")
    except MemoryError:
        raise
    except Exception as error:  # msgpack, numpy and flax raise whatever a damaged file leads them into
        raise ValueError(f"{path}: damaged or no flax file: {type(error).__name__}: {error}"[:300]) from None
    return found


def _leaves(value: Any, parts: tuple[str, ...]) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*parts, str(key)))
    elif isinstance(value, np.ndarray | np.generic):
        values = np.asarray(value)
        if values.dtype not in DTYPES:
            raise ValueError(f"{'.'.join(parts)} is of type {values.dtype}")
        *path, last = parts
        yield ".".join((*path, _PARTS.get(last, last))), Held(values, _axes(last, values.ndim))


def _axes(part: str, count: int) -> tuple[int, ...]:
    """The order in which torch has the axes of an array that flax calls `part`."""
    if part != "kernel" or count < 2:
        return tuple(range(count))
    return (count - 1, count - 2, *range(count - 2))  # what is left are the height and width of a convolution
