"""Positions by rotation: queries and keys turn with their place, so that scores depend on the distance alone
(Su et al. 2021, arXiv 2104.09864).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def angles(places: jax.Array, dim: int, base: float = 10_000.0) -> jax.Array:
    """How far each pair of a head of `dim` numbers is turned at places [B or 1, T]: [B or 1, T, dim/2]."""
    steps = base ** (-jnp.arange(0, dim, 2, dtype=jnp.float32) / dim)
    return places[..., None].astype(jnp.float32) * steps


def rotate(x: jax.Array, angles: jax.Array) -> jax.Array:
    """Heads x [B, T, H, d] whose pairs, one of each half, are turned by angles [B or 1, T, d/2]."""
    sine, cosine = (f(angles)[:, :, None] for f in (jnp.sin, jnp.cos))
    left, right = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([left * cosine - right * sine, right * cosine + left * sine], axis=-1).astype(x.dtype)
