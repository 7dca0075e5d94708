"""Dense layers, and tables taken as such: the way back from vectors to scores over a vocabulary."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ..placement.constraints import laid, whole
from . import lora
from .product import explicit_sharding
from .weight import Weight, multiplied


def linear(p: Any, x: jax.Array, like: jax.Array | None = None) -> jax.Array:
    """X [..., d_in] by weight [d_out, d_in], plus bias [d_out] where there is one: [..., d_out].

    The weight keeps the Hub's layout: contracting its last axis needs no transpose at load or save, and is the faster
    layout on CPU for few rows. On an explicit mesh the result takes the sharding of `like` (the residual that it will
    be added to), which settles what a contraction over a sharded axis leaves open. Sums are float32 or wider, and are
    rounded once: for half types that is both more exact and, on CPU, twice as fast. A weight may be a `Weight`; "lora"
    is what `lora.chosen` adds to it.
    """
    if "lora" in p:
        plain = linear({name: array for name, array in p.items() if name != "lora"}, x, like)
        return plain + lora.product(p["lora"], x).astype(plain.dtype)
    weight = p["weight"]
    narrow = x.dtype if isinstance(weight, Weight) else jnp.result_type(x, weight)
    y = multiplied(weight, x, explicit_sharding(like))
    return (y + whole(p["bias"]) if "bias" in p else y).astype(narrow)


def unembed(p: Any, x: jax.Array) -> jax.Array:
    """Scores [..., V] of vectors x [..., D] against the table [V, D]."""
    scores = linear({"weight": p["table"]}, x)
    return laid(scores, ("batch", "tokens", "vocab")) if scores.ndim == 3 else scores
