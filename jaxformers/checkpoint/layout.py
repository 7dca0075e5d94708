"""Arrays that files lay out otherwise than our trees: transposed, with an axis more, or in parts. Each way has its
inverse, and reads no more of a file than the part that is asked for.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..declare import Param
from .safetensors import Index, Tensor


def names(param: Param, name: str) -> list[str]:
    """The files' names of an array's parts, under one of its names: of what is not in parts, that name."""
    return [name.replace("{}", str(i)) for i in range(param.shape[0])] if param.layout == "stacked" else [name]


def ours(param: Param, tensors: list[Tensor]) -> Tensor:
    """The array in our layout, from the tensors of its parts."""
    match param.layout:
        case "transposed":
            return transposed(tensors[0])
        case "squeezed":
            return _Squeezed(tensors[0])
        case "stacked":
            return Stacked(tuple(tensors))
    return tensors[0]


def theirs(param: Param, array: Any) -> Iterable[tuple[str, Written]]:
    """What files hold of one of our arrays: names and arrays in their layout, made when they are asked for."""
    return _written(param, tuple(array.shape), array.dtype, lambda: array)


def _written(
    param: Param, shape: tuple[int, ...], dtype: Any, array: Callable[[], Any]
) -> Iterable[tuple[str, Written]]:
    entry = lambda i: lambda: array()[i]  # noqa: E731
    for i, record in enumerate(param.entries):
        yield from _written(record, shape[1:], dtype, entry(i))
    if param.entries:
        return
    match param.layout:
        case "transposed":
            yield param.name, Written(_turned(shape), dtype, lambda: array().swapaxes(-1, -2))
        case "squeezed":
            yield param.name, Written((*shape, 1), dtype, lambda: array()[..., None])
        case "stacked":
            for i, name in enumerate(names(param, param.name)):
                yield name, Written(shape[1:], dtype, entry(i))
        case _:
            yield param.name, Written(shape, dtype, array)


@dataclasses.dataclass(frozen=True)
class Written:
    """An array as a file holds it: see `safetensors.Lazy`. One that is made from another lives while it is written."""

    shape: tuple[int, ...]
    dtype: Any
    make: Callable[[], Any]

    def __call__(self) -> np.ndarray:
        """The array."""
        return np.asarray(self.make())


def transposed(tensor: Tensor) -> Tensor:
    """The transpose of a matrix, or of each of several along first axes."""
    return tensor.stored if isinstance(tensor, _Transposed) else _Transposed(tensor)


@dataclasses.dataclass(frozen=True)
class _Transposed:
    """A matrix, or several along first axes, whose file holds the transpose of each."""

    stored: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return _turned(self.stored.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.stored.dtype

    def read(self, index: Index | None = None) -> np.ndarray:
        """See `Tensor.read`."""
        if index is not None:
            index = _turned((*index, *(slice(None),) * (len(self.shape) - len(index))))
        return np.ascontiguousarray(np.swapaxes(self.stored.read(index), -1, -2))


def _turned(axes: tuple[Any, ...]) -> tuple[Any, ...]:
    """What is said of each axis, the last two the other way round."""
    return (*axes[:-2], *axes[-2:][::-1])


@dataclasses.dataclass(frozen=True)
class _Squeezed:
    """An array whose file has a last axis of length 1 behind its own."""

    stored: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stored.shape[:-1] if self.stored.shape[-1:] == (1,) else self.stored.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.stored.dtype

    def read(self, index: Index | None = None) -> np.ndarray:
        """See `Tensor.read`."""
        return self.stored.read(index)[..., 0]


@dataclasses.dataclass(frozen=True)
class Stacked:
    """An array whose first axis counts tensors of a file."""

    parts: tuple[Tensor, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.parts), *self.parts[0].shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.parts[0].dtype

    def at(self, index: Index | None) -> list[tuple[Tensor, Index | None]]:
        """The tensors of a part, each with the part that is meant of it."""
        first, rest = (slice(None), ()) if not index else (index[0], index[1:])
        return [(part, rest or None) for part in self.parts[first]]

    def read(self, index: Index | None = None) -> np.ndarray:
        """See `Tensor.read`."""
        return np.stack([part.read(rest) for part, rest in self.at(index)])


def missing(param: Param, name: str, files: Mapping[str, Any]) -> bool:
    """Whether any part of an array is absent under one of its names."""
    return any(part not in files for part in names(param, name))


def absent(param: Param, spellings: Iterable[str], files: Mapping[str, Any]) -> tuple[list[str], set[str]]:
    """Of an array whose parts are not all there: those that no spelling has, by our name, and what the files have."""
    spelt = [names(param, name) for name in spellings]
    there = {part for parts in spelt for part in parts if part in files}
    lacking = [ours for ours, *others in zip(names(param, param.name), *spelt, strict=True) if not there & {*others}]
    return lacking, there
