"""Calls on a mesh with explicit axes: within our functions all axes are automatic.

On explicit axes, which `jax.make_mesh` gives, an array's layout is a part of its type, and an operation has to be told
that of its result wherever it does not follow from its arguments. Within a model the compiler finds layouts, so that no
layer names a mesh: arrays come in as they lie, and results go out on the mesh that was there.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec, reshard

from ..layers import cache as caches
from ..layers.cache import Cache
from ..layers.inputs import Inputs

AnyMesh = TypeVar("AnyMesh", Mesh, AbstractMesh)


def call(function: Callable[..., Any], inputs: Inputs, *args: Any) -> Any:
    """`function(*args)`, a pure function of arrays that may be traced.

    On explicit axes rows of the result lie as those of the inputs do, and of what has no rows each device has a copy.
    A cache goes out as it came in, so that loops can carry it.

    Args:
        function: args → a tree of arrays with rows in front, one or several for each row of the inputs, or without.
        inputs: the batch among the arguments.
        *args: trees of arrays.

    Raises:
        ValueError: arrays lie on different meshes.
    """
    mesh = _explicit_mesh(args)
    if mesh is None:
        return function(*args)
    within = automatic_mesh(mesh)

    def enter(x: Any) -> Any:
        return reshard(x, NamedSharding(within, PartitionSpec())) if _is_explicit(_mesh_of(x)) else x

    with jax.sharding.use_abstract_mesh(within):
        out = function(*jax.tree.map(enter, args))

    count, rows = inputs.shape[0], _layout_of_rows(inputs)

    def leave(x: Any, axis: int | None = 0, like: Any = None) -> Any:
        if _is_explicit(_mesh_of(like)):
            spec = jax.typeof(like).sharding.spec
        else:
            divided = axis is not None and x.ndim and x.shape[axis] % count == 0
            spec = PartitionSpec(*[None] * (axis or 0), rows) if divided else PartitionSpec()
        return reshard(x, NamedSharding(mesh, spec))

    def leave_all(x: Any) -> Any:
        if not isinstance(x, Cache):
            return leave(x)
        like = x if inputs.cache is None else inputs.cache
        return caches.by_rows(leave, x, like)

    return jax.tree.map(leave_all, out, is_leaf=lambda x: isinstance(x, Cache))


def call_on_host(function: Callable[..., Any], *args: Any) -> Any:
    """`function(*args)`, a function of the host such as a loop over compiled programs.

    It gets arrays on automatic axes. Those of its result lie as its programs left them, on the mesh that was there.

    Raises:
        ValueError: arrays lie on different meshes.
    """
    mesh = _explicit_mesh(args)
    if mesh is None:
        return function(*args)
    within = automatic_mesh(mesh)
    with automatic():
        out = function(*to_automatic(args))
    return jax.tree.map(lambda x: _moved(x, mesh) if _mesh_of(x) == within else x, out)


@contextlib.contextmanager
def automatic() -> Iterator[None]:
    """Within it the axes of the mesh that `jax.set_mesh` has set are automatic; not for what is traced."""
    mesh = jax.sharding.get_mesh()
    with jax.set_mesh(automatic_mesh(mesh)) if _is_explicit(mesh) else contextlib.nullcontext():
        yield


def to_automatic(tree: Any) -> Any:
    """The tree with what lies on explicit axes on automatic ones, in the same layout and without a copy."""
    if not any(_is_explicit(_mesh_of(x)) for x in jax.tree.leaves(tree)):
        return tree
    return jax.tree.map(lambda x: _moved(x, automatic_mesh(_mesh_of(x))) if _is_explicit(_mesh_of(x)) else x, tree)


def _explicit_mesh(tree: Any) -> AbstractMesh | None:
    """The mesh with explicit axes that is set or on which arrays lie; None: there is none."""
    meshes = dict.fromkeys([jax.sharding.get_abstract_mesh(), *map(_mesh_of, jax.tree.leaves(tree))])
    first = next(filter(_is_explicit, meshes), None)
    if first is None:
        return None
    for mesh in meshes:
        if not mesh.empty and automatic_mesh(mesh) != automatic_mesh(first):
            raise ValueError(
                f"arrays lie on meshes of {dict(first.shape)} and of {dict(mesh.shape)}: params, batch and what "
                "jax.set_mesh has set must be of one"
            )
    return first


def _mesh_of(x: Any) -> AbstractMesh:
    """The mesh that an array's type names, an empty one where it names none, or where there is no array."""
    return jax.typeof(x).sharding.mesh if isinstance(x, jax.Array) else jax.sharding.AbstractMesh((), ())


def _is_explicit(mesh: Mesh | AbstractMesh) -> bool:
    return AxisType.Explicit in mesh.axis_types


def automatic_mesh(mesh: AnyMesh) -> AnyMesh:
    """The mesh with automatic axes in place of explicit ones."""
    types = [AxisType.Auto if kind == AxisType.Explicit else kind for kind in mesh.axis_types]
    return mesh.update(axis_types=tuple(types))


def _layout_of_rows(inputs: Inputs) -> Any:
    """The mesh axes among which the rows of a batch are divided; None: each device has all."""
    plain = dataclasses.replace(inputs, cache=None)
    arrays: list[tuple[Any, int | None]] = [(x, 0) for x in jax.tree.leaves(plain)]
    if inputs.cache is not None:
        arrays += [(leaf.array, leaf.rows) for leaf in caches.leaves(inputs.cache)] + [(inputs.cache.length, 0)]
    return next(filter(None, (jax.typeof(x).sharding.spec[axis] for x, axis in arrays if axis is not None)), None)


def _moved(x: jax.Array, mesh: AbstractMesh) -> jax.Array:
    """An array of a mesh on one of the same devices with other types of axes."""
    assert isinstance(x.sharding, NamedSharding)
    own = x.sharding.mesh.update(axis_types=mesh.axis_types)
    return jax.device_put(x, NamedSharding(own, x.sharding.spec, memory_kind=x.sharding.memory_kind))
