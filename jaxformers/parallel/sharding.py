"""Where each array of a model lies on a mesh, by one table outside the models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from .. import declare
from ..declare import Param, Tree

RULES: Mapping[str, Sequence[str]] = {
    "vocab": ("tp", "tensor", "model"),
    "source_vocab": ("tp", "tensor", "model"),
    "heads": ("tp", "tensor", "model"),
    "mlp": ("tp", "tensor", "model"),
    "embed": ("fsdp",),
    "expert": ("ep", "expert"),
}
"""Logical axis → names of mesh axes, best first; the first that the mesh has is taken; others are replicated."""

ROWS: Sequence[str] = ("dp", "data", "batch", "fsdp")
"""Names of the mesh axes that the rows of a batch are divided among: all that the mesh has."""


def checked_mesh(mesh: Any) -> Mesh | None:
    """The mesh that a caller gives, or None.

    Raises:
        ValueError: it is no mesh of devices.
    """
    if mesh is None or isinstance(mesh, Mesh):
        return mesh
    count = jax.device_count()
    raise ValueError(f'mesh={mesh!r:.60}: expected a jax.sharding.Mesh, such as jax.make_mesh(({count},), ("tp",))')


def shardings(declaration: Tree, mesh: Mesh, rules: Mapping[str, Sequence[str]] = RULES) -> Tree:
    """A tree of `NamedSharding`, one for each array of a declaration.

    Args:
        declaration: the model's arrays (`Model.declaration(config)`).
        mesh: any mesh; axes that no rule names, such as "dp", hold copies.
        rules: logical axis → names of mesh axes.

    Raises:
        ValueError: a length is no multiple of the mesh axis that a rule gives it; the message names a mesh that fits.
    """

    def place(param: Param) -> NamedSharding:
        spec: list[str | None] = []
        for length, logical in zip(param.shape, param.axes, strict=True):
            axis = _axis(logical, mesh, rules)
            if axis in spec:
                axis = None  # a mesh axis divides one axis of an array at most
            if axis is not None and length % mesh.shape[axis]:
                if logical not in ("vocab", "source_vocab"):
                    raise ValueError(
                        f"{param.name}: its axis {logical!r} of {length} cannot be divided among {mesh.shape[axis]} "
                        f"devices of mesh axis {axis!r}: {_fitting(declaration, mesh, rules)} would do, or other rules"
                    )
                axis = None  # vocabularies have odd sizes: such a table is replicated rather than padded
            spec.append(axis)
        return NamedSharding(mesh, PartitionSpec(*spec))

    return jax.tree.map(place, declaration, is_leaf=declare.is_param)


def _axis(logical: str | None, mesh: Mesh, rules: Mapping[str, Sequence[str]]) -> str | None:
    """The mesh axis that divides a logical one."""
    return next((name for name in rules.get(logical or "", ()) if name in mesh.shape), None)


def _fitting(declaration: Tree, mesh: Mesh, rules: Mapping[str, Sequence[str]]) -> str:
    """The call for a mesh of the same axes, none longer, each of which divides all that it is to divide."""
    lengths: dict[str | None, int] = {}
    for _, param in declare.walk(declaration):
        for length, logical in zip(param.shape, param.axes, strict=True):
            if logical not in ("vocab", "source_vocab"):
                axis = _axis(logical, mesh, rules)
                lengths[axis] = math.gcd(lengths.get(axis, 0), length)
    sizes = [max(n for n in range(1, size + 1) if lengths.get(axis, 0) % n == 0) for axis, size in mesh.shape.items()]
    return f"jax.make_mesh({tuple(sizes)}, {mesh.axis_names})"
