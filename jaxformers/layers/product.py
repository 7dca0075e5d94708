"""The product that dense layers are made of, in the order that each platform is fast in."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType


def _few(size: int) -> int:
    """Up to how many tokens a CPU waits for a weight with so many inputs, measured on x86."""
    return 16 if size < 1024 else 32


def product(x: jax.Array, weight: jax.Array, sums: Any, out_sharding: Any = None) -> jax.Array:
    """X [..., in] by weight [out, in], both of one type: [..., out] in the type of the sums.

    XLA's CPU lays its second factor out anew at each product. So of few tokens and a weight, the weight is its first
    there: up to twice as fast. Of one token it is ten times slower in half types and whole numbers than of two.
    """
    front, size = x.shape[:-1], x.shape[-1]
    known = all(isinstance(size, int) for size in x.shape)  # an exported program's may be symbols
    if out_sharding is not None or explicit_sharding(x) is not None or not known:
        return _tokens_first(x, weight, sums, out_sharding)
    if 1 in front:  # in a loop XLA's CPU transposes weights first where x has more axes than two
        x = x.reshape(*(count for count in front if count != 1), size)
    count = math.prod(front)
    if 1 < count <= _few(size) or (count == 1 and x.dtype.itemsize < 4):
        y = jax.lax.platform_dependent(
            x.reshape(count, size),
            weight,
            cpu=lambda x, weight: _weight_first(x, weight, sums),
            default=lambda x, weight: _tokens_first(x, weight, sums),
        )
    else:
        y = _tokens_first(x, weight, sums)
    return y.reshape(*front, y.shape[-1])


def _tokens_first(x: jax.Array, weight: jax.Array, sums: Any, out_sharding: Any = None) -> jax.Array:
    contract = (((x.ndim - 1,), (1,)), ((), ()))
    return jax.lax.dot_general(x, weight, contract, preferred_element_type=sums, out_sharding=out_sharding)


def _weight_first(x: jax.Array, weight: jax.Array, sums: Any) -> jax.Array:
    if x.shape[0] == 1:
        return _weight_first(jnp.repeat(x, 2, axis=0), weight, sums)[:1]
    y = jax.lax.dot_general(weight, x, (((1,), (1,)), ((), ())), preferred_element_type=sums)
    return jax.lax.optimization_barrier(y).T  # without the barrier XLA would turn the two around again


def explicit_sharding(x: jax.Array | None) -> jax.sharding.NamedSharding | None:
    """The sharding of an array on an explicit mesh."""
    sharding = None if x is None else jax.typeof(x).sharding
    mesh = getattr(sharding, "mesh", None)
    if mesh is None or mesh.empty or AxisType.Explicit not in mesh.axis_types:
        return None
    return sharding
