"""Look-ups in tables."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ..placement.constraints import laid
from .inputs import Inputs
from .quantized import Quantized


def embed(p: Any, ids: jax.Array) -> jax.Array:
    """Rows of table [V, D] at ids [...]: [..., D]. An id out of range gives NaN, never another token's row."""
    table = p["table"]
    if isinstance(table, Quantized):
        return table.rows(ids).widened()
    return table.at[ids].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)


def embed_tokens(p: Any, inputs: Inputs) -> jax.Array:
    """The vectors [B, T, D] of a batch's ids, or those that were given in their place, in the table's type."""
    if inputs.embeds is not None:
        return inputs.embeds.astype(p["table"].dtype)
    assert inputs.ids is not None
    return laid(embed(p, inputs.ids), ("lookups", "tokens", "columns"))


def scaled_by_width(x: jax.Array) -> jax.Array:
    """Word vectors [B, T, D] times the root of D, rounded to their type."""
    return x * jnp.asarray(x.shape[-1] ** 0.5, x.dtype)
