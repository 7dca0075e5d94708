"""Where arrays lie within a traced function: said at few places, from which the compiler finds the rest.

A constraint goes by the mesh on which the arguments of the function lie, so that nothing names one. Where there is no
mesh, or its axes are not left to the compiler (`shard_map`, explicit axes), a constraint is nothing.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from ..declare import Param
from .sharding import spec_of

Axes = tuple[str | None, ...]
"""Logical names of an array's axes."""


def whole(x: jax.Array) -> jax.Array:
    """The same vector, all of it on each device of a mesh.

    Scales and biases lie in parts like all weights, and are gathered before they meet activations: as they lie, they
    would have these divided likewise, and what is gathered before the next product would be the activations.
    """
    mesh = _traced_mesh(x)
    return x if mesh is None else jax.lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec()))


def laid(x: jax.Array, axes: Axes) -> jax.Array:
    """The same array, lying as the rules say of its logical axes; of what they do not divide each device has a copy."""
    mesh = _traced_mesh(x)
    return x if mesh is None else jax.lax.with_sharding_constraint(x, _layout(x.shape, axes, mesh))


def layout_of(x: jax.Array, axes: Axes) -> NamedSharding | None:
    """How an array lies in a traced function, as the rules say; None: there is no mesh, or it is not the compiler's."""
    mesh = _traced_mesh(x)
    return None if mesh is None else _layout(x.shape, axes, mesh)


def platform_of(x: Any) -> str:
    """Of the devices on which an array lies; where a traced one has no mesh, of those that jax computes on."""
    if isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer):
        return next(iter(x.devices())).platform
    return _platform_of_mesh(x) or jax.default_backend()


def may_be_on(platform: str, x: Any) -> bool:
    """Whether a traced array may come to lie on devices of a platform: those of its mesh, or any of this process."""
    known = _platform_of_mesh(x)
    return _is_here(platform) if known is None else known == platform


def _platform_of_mesh(x: Any) -> str | None:
    device = jax.typeof(x).sharding.mesh.abstract_device
    return None if device is None else device.platform


@functools.cache
def _is_here(platform: str) -> bool:
    try:
        return bool(jax.devices(platform))
    except RuntimeError:  # as jax says it
        return False


def zeros(shape: tuple[int, ...], dtype: Any, axes: Axes, like: jax.Array) -> jax.Array:
    """Zeros that lie as the rules say of their logical axes, on the mesh of another array."""
    if isinstance(like, jax.core.Tracer):
        mesh, made = _traced_mesh(like), jnp.zeros(shape, dtype)
        return made if mesh is None else jax.lax.with_sharding_constraint(made, _layout(shape, axes, mesh))
    own = like.sharding.mesh if isinstance(like, jax.Array) and isinstance(like.sharding, NamedSharding) else None
    layout = _layout(shape, axes, own) if isinstance(own, Mesh) and _is_automatic(own) else None
    return jnp.zeros(shape, dtype, device=layout)  # none of it is first made on one device


def _traced_mesh(x: jax.Array) -> AbstractMesh | None:
    """The mesh of a traced array, if its axes are the compiler's."""
    mesh = jax.typeof(x).sharding.mesh
    return mesh if isinstance(x, jax.core.Tracer) and not mesh.empty and _is_automatic(mesh) else None


def _is_automatic(mesh: Mesh | AbstractMesh) -> bool:
    return {*mesh.axis_types} == {AxisType.Auto}


def _layout(shape: tuple[int, ...], axes: Axes, mesh: Mesh | AbstractMesh) -> NamedSharding:
    """As the rules say. Axes are counted from the end: stacked layers have one more in front, of which one has none."""
    names = (*(None,) * (len(shape) - len(axes)), *axes[-len(shape) :]) if shape else ()
    return NamedSharding(mesh, spec_of(Param(shape, names, "activations", "buffer"), dict(mesh.shape)))
