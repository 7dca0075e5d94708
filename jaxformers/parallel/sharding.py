"""Where each array of a model lies on a mesh, by one table outside the models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from .. import declare
from ..declare import Param, Tree

RULES: Mapping[str, Sequence[str]] = {
    "vocab": ("tp", "tensor", "model"),
    "heads": ("tp", "tensor", "model"),
    "mlp": ("tp", "tensor", "model"),
    "embed": ("fsdp",),
    "expert": ("ep", "expert"),
}
"""Logical axis → names of mesh axes, best first; the first that the mesh has is taken; others are replicated."""


def shardings(declaration: Tree, mesh: Mesh, rules: Mapping[str, Sequence[str]] = RULES) -> Tree:
    """A tree of `NamedSharding`, one for each array of a declaration.

    Args:
        declaration: the model's arrays (`Model.declaration(config)`).
        mesh: any mesh; axes that no rule names, such as "dp", hold copies. Explicit axes are taken as automatic ones:
            the compiler, not the types, then carries shardings through a model.
        rules: logical axis → names of mesh axes.

    Raises:
        ValueError: a length is no multiple of the mesh axis that a rule gives it.
    """
    mesh = Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))

    def place(param: Param) -> NamedSharding:
        spec: list[str | None] = []
        for length, logical in zip(param.shape, param.axes, strict=True):
            axis = next((name for name in rules.get(logical or "", ()) if name in mesh.shape), None)
            if axis in spec:
                axis = None  # a mesh axis divides one axis of an array at most
            if axis is not None and length % mesh.shape[axis]:
                if logical != "vocab":
                    raise ValueError(
                        f"{param.name}: its axis {logical!r} of {length} cannot be divided among {mesh.shape[axis]} "
                        f"devices of mesh axis {axis!r}: choose a divisor of {length}, or other rules"
                    )
                axis = None  # vocabularies have odd sizes: such a table is replicated rather than padded
            spec.append(axis)
        return NamedSharding(mesh, PartitionSpec(*spec))

    return jax.tree.map(place, declaration, is_leaf=declare.is_param)
