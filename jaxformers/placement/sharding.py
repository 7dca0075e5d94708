"""Where each array of a model, and of what it keeps of tokens, lies on a mesh."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .. import declare
from ..declare import Param, Tree
from .rules import RULES, Rules, named

SMALL = 1_000
"""Arrays of so many numbers have copies wherever the first choices of their axes do not divide them."""

Sizes = Mapping[str, int]
"""Axes of a mesh → their lengths."""


class Undivided(ValueError):
    """An axis of the mesh divides none of an array's axes."""

    def __init__(self, param: Param, axis: str, sizes: Sizes) -> None:
        lengths = ", ".join(f"{name} {n}" for n, name in zip(param.shape, param.axes, strict=True) if name)
        super().__init__(
            f"{param.name}: its axes ({lengths}) cannot be divided among {sizes[axis]} devices of mesh axis {axis!r}"
        )
        self.axis = axis


def shardings(declaration: Tree, mesh: Mesh, rules: Rules = RULES) -> Tree:
    """A tree of `NamedSharding`, one for each array of a declaration.

    Each axis of an array takes the axes of the mesh that the rules choose for it and that divide it, first choices of
    all axes before second ones. Heads are divided whole; where there are too few, another axis of the array is divided
    instead, or of a vector the numbers. Each axis of the mesh that the rules name for a weight above `SMALL` numbers
    divides it, or there is an error. Only a vector whose length it does not divide has copies then, such as the biases
    of an odd vocabulary; so have cells, and what rules do not name.

    Args:
        declaration: the model's arrays (`Model.declaration(config)`), or cells (`network.cells(config, rows, slots)`).
        mesh: any mesh, with axes of any type.
        rules: the table, see `RULES`.

    Raises:
        ValueError: no axis of a weight can be divided as the rules say; the message names a mesh that would do.
    """
    sizes: Sizes = dict(mesh.shape)
    placed = _placement(sizes, rules)
    try:
        return jax.tree.map(lambda p: NamedSharding(mesh, placed(p)), declaration, is_leaf=declare.is_param)
    except Undivided as error:
        would = fitting(declaration, sizes, rules)
        call = f"jax.make_mesh({tuple(would.values())}, {tuple(would)})"
        raise ValueError(f"{error}: {call} would do, or other rules") from None


def fits(declaration: Tree, sizes: Sizes, rules: Rules = RULES) -> bool:
    """Whether a mesh of these sizes divides all weights."""
    return fitting(declaration, sizes, rules) == dict(sizes)


def fitting(declaration: Tree, sizes: Sizes, rules: Rules = RULES) -> dict[str, int]:
    """Sizes of the same axes, none longer, that divide all weights."""
    kinds = list({(p.shape, p.axes, p.heads): p for _, p in declare.walk(declaration)}.values())
    found = dict(sizes)
    while True:
        placed = _placement(found, rules)
        try:
            for param in kinds:
                placed(param)
        except Undivided as error:
            found[error.axis] -= 1
        else:
            return found


def _placement(sizes: Sizes, rules: Rules) -> Callable[[Param], PartitionSpec]:
    """Array → its layout on a mesh of these sizes; layers are alike, so it is worked out once for each kind."""
    known: dict[object, PartitionSpec] = {}

    def placed(param: Param) -> PartitionSpec:
        kind = param.shape, param.axes, param.heads
        if kind not in known:
            known[kind] = spec_of(param, sizes, rules)
        return known[kind]

    return placed


def spec_of(param: Param, sizes: Sizes, rules: Rules = RULES) -> PartitionSpec:
    """The layout of an array.

    Raises:
        Undivided: an axis of the mesh that should divide a weight does not.
    """
    large = math.prod(param.shape) > SMALL
    weight = large and not _is_cell(param)
    told = [rules.get(name or "", ()) for name in param.axes]
    taken: list[tuple[str, ...]] = [()] * len(told)
    for units in (param.units, param.shape) if weight else (param.units,):  # whole heads, else their numbers
        for rank in range(max(map(len, told), default=0) if large else 1):
            for axis in sorted(range(len(told)), key=lambda axis: bool(taken[axis])):
                among = named(told[axis][rank], sizes) if rank < len(told[axis]) else ()
                if _divides((*taken[axis], *among), units[axis], sizes) and not {*among} & {*_flat(taken)}:
                    taken[axis] = (*taken[axis], *among)
    if weight and not _is_vector(param):
        unused = {axis for entries in told for entry in entries for axis in named(entry, sizes)} - {*_flat(taken)}
        for name in (name for name, size in sizes.items() if name in unused and size > 1):
            raise Undivided(param, name, sizes)
    return PartitionSpec(*(names[0] if len(names) == 1 else names or None for names in taken))


def _divides(names: Sequence[str], units: int, sizes: Sizes) -> bool:
    """Whether so many equal parts can be divided among axes of the mesh together."""
    return units % math.prod(sizes[name] for name in names) == 0


def _flat(taken: Sequence[Sequence[str]]) -> Iterator[str]:
    """All axes of the mesh that are taken."""
    return itertools.chain.from_iterable(taken)


def _is_vector(param: Param) -> bool:
    """Whether an array has one axis, beside that of stacked layers."""
    return sum(length > 1 for length, name in zip(param.shape, param.axes, strict=True) if name != "layers") <= 1


def _is_cell(param: Param) -> bool:
    """Whether it is of what layers keep of tokens, or compute of them."""
    return bool({"batch", "source", "lookups"} & {*param.axes})
