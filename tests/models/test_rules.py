"""That the table of axes reaches every large array of every class, at toy and at published sizes."""

from __future__ import annotations

import ast
import functools
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jax.sharding import AbstractMesh, PartitionSpec

from jaxformers import declare, parallel
from jaxformers.declare import Param, Tree
from jaxformers.placement.sharding import SMALL

from . import golden
from .registry import classes

MESHES = (
    {"fsdp": 8},
    {"tensor": 8},
    {"fsdp": 4, "tensor": 2},
    {"data": 2, "fsdp": 2, "tensor": 2},
)
OF_TWO = {"EncoderDecoderModel"}
"""Classes whose config has no sizes of its own: their arrays are those of other classes."""


@functools.cache
def toys() -> dict[str, Tree]:
    """The declarations of the parity suite's cases."""
    found = classes()
    return {
        case.name: found[case.cls].declaration(found[case.cls].config_class.from_dict(dict(case.config)))
        for case in golden.cases().values()
    }


@functools.cache
def published() -> dict[str, Param]:
    """An array of each kind that the classes have at their configs' own sizes, which are those of a published model."""
    return {
        f"{name} {path}": param
        for name, cls in classes().items()
        if name not in OF_TWO
        for path, param in _kinds(cls.declaration(_config(cls))).items()
    }


def _config(cls: Any) -> Any:
    """The config that a class is made with where nothing is said."""
    config = cls.config_class()
    return config.override(is_decoder=True) if cls.network.decode and hasattr(config, "is_decoder") else config


def _kinds(tree: Tree) -> dict[str, Param]:
    """One array of each shape and axes."""
    kinds = {(param.shape, param.axes, param.heads): (path, param) for path, param in declare.walk(tree)}
    return dict(kinds.values())


def _mesh(sizes: dict[str, int]) -> AbstractMesh:
    return AbstractMesh(tuple(sizes.values()), tuple(sizes))


def _parts(spec: PartitionSpec) -> Iterator[tuple[str, ...]]:
    """The axes of the mesh that divide each axis of an array."""
    for entry in spec:
        yield () if entry is None else (entry,) if isinstance(entry, str) else tuple(entry)


def _whole(param: Param, spec: PartitionSpec, sizes: dict[str, int]) -> set[str]:
    """Along which of "fsdp" and "tensor" there are copies of a large array."""
    used = [axis for axes in _parts(spec) for axis in axes]
    assert len(used) == len(set(used)), (param, spec)
    for length, axes in zip(param.shape, _parts(spec), strict=True):
        assert length % math.prod(sizes[axis] for axis in axes) == 0, (param, spec)
    return {"fsdp", "tensor"} & {*sizes} - {*used} if math.prod(param.shape) > SMALL else set()


def _odd(param: Param, axes: set[str], sizes: dict[str, int]) -> bool:
    """Whether it is a vector of numbers for words, so many that none of these axes divides them beside the others."""
    words = "vocab" in param.axes and math.prod(param.shape) == max(param.shape)
    others = math.prod(size for axis, size in sizes.items() if axis in ("fsdp", "tensor") and axis not in axes)
    return words and all(max(param.shape) % (others * sizes[axis]) for axis in axes)


@pytest.mark.parametrize("sizes", MESHES, ids=str)
def test_no_large_array_of_a_published_size_has_copies(sizes: dict[str, int]) -> None:
    layouts = parallel.shardings(published(), _mesh(sizes))
    wrong = {
        name: (param.shape, param.axes, layouts[name].spec)
        for name, param in published().items()
        if (whole := _whole(param, layouts[name].spec, sizes)) and not _odd(param, whole, sizes)
    }
    assert not wrong
    assert len(published()) > 1_000


def _told(kinds: dict[str, Param], sizes: dict[str, int]) -> dict[str, int]:
    """The sizes, or those of the mesh that is named where they do not divide the arrays."""
    try:
        parallel.shardings(kinds, _mesh(sizes))
    except ValueError as error:
        lengths, names = re.findall(r"jax\.make_mesh\((\(.*?\)), (\(.*?\))\) would do", str(error))[0]
        return dict(zip(ast.literal_eval(names), ast.literal_eval(lengths), strict=True))
    return sizes


@pytest.mark.parametrize("sizes", MESHES, ids=str)
def test_toys_have_no_copies_or_are_told_a_mesh(sizes: dict[str, int]) -> None:
    refused = 0
    for name, tree in toys().items():
        kinds = _kinds(tree)
        own = _told(kinds, sizes)
        assert own.keys() == sizes.keys()
        assert all(own[axis] <= sizes[axis] for axis in own)
        layouts, refused = parallel.shardings(kinds, _mesh(own)), refused + (own != sizes)
        for path, param in kinds.items():
            whole = {axis for axis in _whole(param, layouts[path].spec, own) if own[axis] > 1}
            assert not whole or _odd(param, whole, own), (name, path, param, layouts[path].spec)
    assert refused < 0.1 * len(toys())


@pytest.mark.parametrize(
    "sizes", [{"tensor": 8}, {"data": 2, "fsdp": 2, "tensor": 2}, {"sequence": 2, "data": 4}], ids=str
)
def test_no_decoder_keeps_copies_of_its_cells(sizes: dict[str, int]) -> None:
    decoders = {name: cls for name, cls in classes().items() if cls.network.cells is not None and name not in OF_TWO}
    for name, cls in decoders.items():
        source = (64,) if cls.network.two_sided else ()
        cells = _kinds(cls.network.cells(_config(cls), 8, 128, *source))
        layouts = parallel.shardings(cells, _mesh(sizes))
        for path, param in cells.items():
            used = {axis for axes in _parts(layouts[path].spec) for axis in axes}
            assert used == {*sizes} or math.prod(param.shape) <= SMALL, (name, path, layouts[path].spec)
    assert len(decoders) > 50


def test_stacked_layers_lie_as_listed_ones() -> None:
    mesh = _mesh({"data": 2, "fsdp": 2, "tensor": 2})
    compared = 0
    for tree in toys().values():
        for _, param in declare.walk(declare.stacked(tree)):
            if param.entries and math.prod(param.entries[0].shape) > SMALL:
                one, all_of_them = (parallel.shardings(p, mesh).spec for p in (param.entries[0], param))
                assert all_of_them == PartitionSpec(None, *one), param.name
                compared += 1
    assert compared
