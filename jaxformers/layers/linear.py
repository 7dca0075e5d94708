"""Dense layers."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType

from . import lora
from .quantized import Quantized


def linear(p: Any, x: jax.Array, like: jax.Array | None = None) -> jax.Array:
    """X [..., d_in] by weight [d_out, d_in], plus bias [d_out] where there is one: [..., d_out].

    The weight keeps the Hub's layout: contracting its last axis needs no transpose at load or save, and is the faster
    layout on CPU for few rows. On an explicit mesh the result takes the sharding of `like` (the residual that it will
    be added to), which settles what a contraction over a sharded axis leaves open. Sums are float32 or wider, and are
    rounded once: for half types that is both more exact and, on CPU, twice as fast. A weight may be `Quantized`;
    "lora" is what `lora.chosen` adds to it.
    """
    if "lora" in p:
        plain = linear({name: array for name, array in p.items() if name != "lora"}, x, like)
        return plain + lora.product(p["lora"], x).astype(plain.dtype)
    weight = p["weight"]
    small = isinstance(weight, Quantized)
    narrow = x.dtype if small else jnp.result_type(x, weight)
    multiplied = weight.multiplied(narrow) if small else narrow
    if math.prod(x.shape[:-1]) == 1 and multiplied.itemsize < 4:
        twice = jnp.broadcast_to(x.reshape(1, -1), (2, x.shape[-1]))  # XLA's CPU is ten times slower with one row
        return linear(p, twice)[:1].reshape(*x.shape[:-1], -1)
    if small:
        y = weight.product(x, _explicit_sharding(like))
    else:
        contract = (((x.ndim - 1,), (1,)), ((), ()))
        wide = jnp.promote_types(narrow, jnp.float32)
        y = jax.lax.dot_general(x, weight, contract, preferred_element_type=wide, out_sharding=_explicit_sharding(like))
    return (y + p["bias"] if "bias" in p else y).astype(narrow)


def _explicit_sharding(like: jax.Array | None) -> jax.sharding.NamedSharding | None:
    sharding = None if like is None else jax.typeof(like).sharding
    mesh = getattr(sharding, "mesh", None)
    if mesh is None or mesh.empty or AxisType.Explicit not in mesh.axis_types:
        return None
    return sharding
