"""Attention by distance: a learnt score for how far a key is from a query (Raffel et al. 2020, arXiv 1910.10683)."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from .embedding import embed


def buckets(distance: jax.Array, count: int, furthest: int = 128) -> jax.Array:
    """The bucket, 0 to count - 1, of each distance key - query: half of them for keys behind, half for keys ahead.

    Near distances have a bucket each, further ones share them on a logarithmic scale up to `furthest`.
    """
    half = count // 2
    near = half // 2
    steps = jnp.abs(distance)
    scale = (half - near) / math.log(furthest / near)
    far = near + (jnp.log(jnp.maximum(steps, 1).astype(jnp.float32) / near) * scale).astype(jnp.int32)
    return jnp.where(distance > 0, half, 0) + jnp.where(steps < near, steps, jnp.minimum(far, half - 1))


def bias(p: Any, length: int, furthest: int = 128) -> jax.Array:
    """What `attend` adds to the scores of a row of T tokens [1, H, T, T], from a table [buckets, H]."""
    place = jnp.arange(length)
    rows = embed(p, buckets(place[None] - place[:, None], p["table"].shape[0], furthest))
    return jnp.moveaxis(rows, -1, 0)[None]
