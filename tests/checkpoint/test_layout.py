"""Arrays that files lay out otherwise: there and back, whole and in parts."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import numpy as np
import pytest

from jaxformers.checkpoint import layout
from jaxformers.declare import Layout, Param


@dataclasses.dataclass
class Stored:
    """A tensor of a file, which notes how much of it was read."""

    array: np.ndarray
    read_: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    def read(self, index: Any = None) -> np.ndarray:
        part = self.array if index is None else self.array[index]
        self.read_ += part.size
        return part


def files(kind: Layout, array: np.ndarray) -> tuple[Param, dict[str, Stored]]:
    """The record of an array, and what a file holds of it."""
    param = Param(array.shape, (None,) * array.ndim, "a.{}.w" if kind == "stacked" else "a.w", "matrix", layout=kind)
    made = {name: part() for name, part in layout.theirs(param, array)}
    assert {name: part.shape for name, part in layout.theirs(param, array)} == {k: v.shape for k, v in made.items()}
    return param, {name: Stored(part) for name, part in made.items()}


@pytest.mark.parametrize("kind", get_args(Layout))
@pytest.mark.parametrize("shape", [(4, 3), (2, 4, 3)])
def test_what_is_written_is_read(kind: Layout, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    param, stored = files(kind, array)
    assert not layout.missing(param, param.name, stored)
    tensor = layout.ours(param, [stored[name] for name in layout.names(param, param.name)])
    assert (tensor.shape, tensor.dtype) == (shape, array.dtype)
    np.testing.assert_array_equal(tensor.read(), array)


@pytest.mark.parametrize("kind", get_args(Layout))
@pytest.mark.parametrize("shape", [(4, 3), (2, 4, 3)])
def test_a_part_is_read_alone(kind: Layout, shape: tuple[int, ...]) -> None:
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    draw = np.random.RandomState(0)
    for _ in range(20):
        axes = draw.randint(1, len(shape) + 1)
        ends = [sorted(draw.randint(0, size + 1, 2)) for size in shape[:axes]]
        index = tuple(slice(int(start), int(stop)) for start, stop in ends)
        param, stored = files(kind, array)
        tensor = layout.ours(param, [stored[name] for name in layout.names(param, param.name)])
        if kind == "stacked" and not array[index[0]].size:
            continue  # no device holds none of a file's tensors
        np.testing.assert_array_equal(tensor.read(index), array[index])
        assert sum(part.read_ for part in stored.values()) == array[index].size


def test_files_have_the_shapes_of_torch() -> None:
    array = np.zeros((2, 4, 3), np.float32)
    shapes = {kind: {name: part.shape for name, part in files(kind, array)[1].items()} for kind in get_args(Layout)}
    assert shapes == {
        "plain": {"a.w": (2, 4, 3)},
        "transposed": {"a.w": (2, 3, 4)},
        "squeezed": {"a.w": (2, 4, 3, 1)},
        "stacked": {"a.0.w": (4, 3), "a.1.w": (4, 3)},
    }


def test_another_last_axis_is_another_shape() -> None:
    param = Param((4, 3), (None, None), "w", "matrix", layout="squeezed")
    assert layout.ours(param, [Stored(np.zeros((4, 3, 2)))]).shape == (4, 3, 2)


def test_what_lacks_a_part_lacks_it_by_name() -> None:
    param, stored = files("stacked", np.zeros((3, 4), np.float32))
    del stored["a.1.w"]
    stored["b.a.0.w"] = stored.pop("a.0.w")
    assert layout.absent(param, ["a.{}.w", "b.a.{}.w"], stored) == (["a.1.w"], {"b.a.0.w", "a.2.w"})
