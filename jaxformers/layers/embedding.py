"""Look-ups in tables, and the way back from vectors to scores over a vocabulary."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from . import linear
from .inputs import Inputs
from .int8 import Int8, widened


def embed(p: Any, ids: jax.Array) -> jax.Array:
    """Rows of table [V, D] at ids [...]: [..., D]. An id out of range gives NaN, never another token's row."""
    table = p["table"]
    if isinstance(table, Int8):
        return widened(Int8(_rows(table.values, ids, 0), _rows(table.scale, ids, jnp.nan)))
    return _rows(table, ids, jnp.nan)


def _rows(table: jax.Array, ids: jax.Array, outside: float) -> jax.Array:
    return table.at[ids].get(mode="fill", fill_value=outside, wrap_negative_indices=False)


def dtype_of(p: Any) -> Any:
    """The type of a table's vectors."""
    return jnp.float32 if isinstance(p["table"], Int8) else p["table"].dtype


def embed_tokens(p: Any, inputs: Inputs) -> jax.Array:
    """The vectors [B, T, D] of a batch's ids, or those that were given in their place, in the table's type."""
    if inputs.embeds is not None:
        return inputs.embeds.astype(dtype_of(p))
    assert inputs.ids is not None
    return embed(p, inputs.ids)


def unembed(p: Any, x: jax.Array) -> jax.Array:
    """Scores [..., V] of vectors x [..., D] against the table [V, D]."""
    return linear.linear({"weight": p["table"]}, x)
