"""Look-ups in tables, and the way back from vectors to scores over a vocabulary."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def embed(p: Any, ids: jax.Array) -> jax.Array:
    """Rows of table [V, D] at ids [...]: [..., D]. An id out of range gives NaN, never another token's row."""
    return jnp.take(p["table"], ids, axis=0, mode="fill", fill_value=jnp.nan)


def unembed(p: Any, x: jax.Array) -> jax.Array:
    """Scores [..., V] of vectors x [..., D] against the table [V, D]."""
    return jax.lax.dot_general(x, p["table"], (((x.ndim - 1,), (1,)), ((), ())))
