"""The product that dense layers are made of, in the order that each platform is fast in."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jax.sharding import AxisType


def product(x: jax.Array, weight: jax.Array, sums: Any, out_sharding: Any = None) -> jax.Array:
    """X [..., in] by weight [out, in], both of one type: [..., out] in the type of the sums.

    XLA's CPU lays the second factor of a product anew each time. So where tokens are few, a weight is the first one
    there: up to three times as fast. Half types and whole numbers are multiplied with two tokens where there is one:
    four to fourteen times as fast. A vector [in] goes in as it is, so that XLA reads a weight that is a part of another
    in place.
    """
    front, size = x.shape[:-1], x.shape[-1]
    known = all(isinstance(size, int) for size in x.shape)  # an exported program's may be symbols
    if not front or not known or out_sharding is not None or explicit_sharding(x) is not None:
        return narrow_gradients(partial(_tokens_first, out_sharding=out_sharding), x, weight, sums)
    x = x.reshape(*(count for count in front if count != 1), size)  # see `_on_cpu`; all that shards its rows stays
    count = math.prod(front)
    narrow = x.dtype.itemsize < 4
    if 1 < count <= _few(*weight.shape) or (narrow and (count == 1 or x.ndim > 2)):
        y = narrow_gradients(_on_each, x, weight, sums)
    else:
        y = narrow_gradients(_tokens_first, x, weight, sums)
    return y.reshape(*front, y.shape[-1])


def narrow_gradients(
    multiply: Callable[..., jax.Array], a: jax.Array, b: jax.Array, sums: Any, *beside: jax.Array
) -> jax.Array:
    """`multiply(a, b, sums, *beside)`, a product in the type `sums`, whose gradients are products in the type of a and
    b. beside: what else it needs, that has no gradient.

    Sums of half types are wide, so what comes back to them in a backward pass is wide, and a product with that would be
    one of float32: here it is rounded first.
    """
    if a.dtype != b.dtype or jnp.dtype(sums).itemsize <= a.dtype.itemsize or not jnp.issubdtype(a.dtype, jnp.floating):
        return multiply(a, b, sums, *beside)

    @jax.custom_jvp
    def wide(a: jax.Array, b: jax.Array, *beside: jax.Array) -> jax.Array:
        return multiply(a, b, sums, *beside)

    def differentiate(primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
        (a, b, *beside), (da, db, *_) = primals, tangents
        pairs = [pair for pair in ((da, b), (a, db)) if not any(isinstance(x, SymbolicZero) for x in pair)]
        first, *others = (multiply(*pair, a.dtype, *beside) for pair in pairs)
        return wide(a, b, *beside), sum(others, start=first).astype(sums)

    wide.defjvp(differentiate, symbolic_zeros=True)
    return wide(a, b, *beside)


def einsum(formula: str, a: jax.Array, b: jax.Array, sums: Any) -> jax.Array:
    """`jnp.einsum` of two arrays in the type of the sums, with gradients as `narrow_gradients` says."""
    return narrow_gradients(lambda a, b, sums: jnp.einsum(formula, a, b, preferred_element_type=sums), a, b, sums)


def matmul(a: jax.Array, b: jax.Array, sums: Any) -> jax.Array:
    """`jnp.matmul` likewise."""
    return narrow_gradients(lambda a, b, sums: jnp.matmul(a, b, preferred_element_type=sums), a, b, sums)


def _tokens_first(x: jax.Array, weight: jax.Array, sums: Any, out_sharding: Any = None) -> jax.Array:
    contract = (((x.ndim - 1,), (1,)), ((), ()))
    return jax.lax.dot_general(x, weight, contract, preferred_element_type=sums, out_sharding=out_sharding)


def _on_each(x: jax.Array, weight: jax.Array, sums: Any) -> jax.Array:
    """On CPU in its own order."""
    on_cpu, elsewhere = partial(_on_cpu, sums), partial(_tokens_first, sums=sums)
    return jax.lax.platform_dependent(x, weight, cpu=on_cpu, default=elsewhere)


def _on_cpu(sums: Any, x: jax.Array, weight: jax.Array) -> jax.Array:
    """The product of x with two axes: with more, XLA's CPU transposes the weights of a loop before it."""
    flat = x.reshape(-1, x.shape[-1])
    count = flat.shape[0]
    if count > _few(*weight.shape):
        y = _tokens_first(flat, weight, sums)
    else:
        two = jnp.repeat(flat, 2, axis=0) if count == 1 else flat
        y = jax.lax.dot_general(weight, two, (((1,), (1,)), ((), ())), preferred_element_type=sums)
        y = jax.lax.optimization_barrier(y).T[:count]  # without the barrier XLA would turn the two around again
    return y.reshape(*x.shape[:-1], y.shape[-1])


def _few(outputs: int, inputs: int) -> int:
    """Up to how many tokens a weight of such sizes comes first: see tests/benchmarks/layers.py."""
    if outputs >= _MANY:
        return 64
    return 16 if inputs < 1024 else 32


_MANY = 16_384  # words: a product that takes as long to lay the weight anew as to multiply


def explicit_sharding(x: jax.Array | None) -> jax.sharding.NamedSharding | None:
    """The sharding of an array on an explicit mesh."""
    sharding = None if x is None else jax.typeof(x).sharding
    mesh = getattr(sharding, "mesh", None)
    if mesh is None or mesh.empty or AxisType.Explicit not in mesh.axis_types:
        return None
    return sharding
