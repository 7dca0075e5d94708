"""Attention by distance: a learnt score for how far a key is from a query (Raffel et al. 2020, arXiv 1910.10683), or a
learnt look at the sines of that distance (Dai et al. 2019, arXiv 1901.02860).
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from .embedding import embed
from .product import einsum


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


def between(p: Any, queries: jax.Array, keys: jax.Array, furthest: int, *, ahead: bool) -> jax.Array:
    """What `attend` adds to scores [B or 1, H, T, S] of queries at places [B or 1, T] to keys at [B or 1, S].

    p: a table [buckets, H]. ahead: whether half of the buckets are for keys ahead of their query; else all are for
    those behind.
    """
    distance, count = keys[:, None, :] - queries[:, :, None], p["table"].shape[0]
    which = buckets(distance, count, furthest) if ahead else buckets(jnp.minimum(distance, 0), 2 * count, furthest)
    return jnp.moveaxis(embed(p, which), -1, 1)


def bias(p: Any, length: int, furthest: int = 128) -> jax.Array:
    """What `attend` adds to the scores of a row of T tokens [1, H, T, T], from a table [buckets, H]."""
    place = jnp.arange(length)
    rows = embed(p, buckets(place[None] - place[:, None], p["table"].shape[0], furthest))
    return jnp.moveaxis(rows, -1, 0)[None]


def sheared(scores: jax.Array, step: int = 1) -> jax.Array:
    """Scores for each distance, the furthest behind first, [..., T, step·(T - 1) + S] as scores by key: [..., T, S].

    A query is `step` keys further than the one before, so the keys of query t begin in column step·(T - 1 - t): rows
    are laid end to end and cut anew, `step` numbers shorter (Dai et al. 2019, appendix B).
    """
    *leading, length, count = scores.shape
    start = step * (length - 1)
    flat = jnp.pad(scores, [(0, 0)] * (len(leading) + 1) + [(0, step)]).reshape(*leading, -1)
    cut = flat[..., start : start + length * count].reshape(*leading, length, count)
    return cut[..., : count - start]


def sines_then_cosines(distances: jax.Array, dim: int) -> jax.Array:
    """A vector for each of K distances [K, dim]: sines in its first half, cosines in its second."""
    angles = distances.astype(jnp.float32)[:, None] * declare.frequencies(dim // 2)
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def look_around(p: Any, q: jax.Array, far: jax.Array, apart: jax.Array | None, step: int = 1) -> jax.Array:
    """What `attend` adds to queries for where keys stand and whose segment they are: [B, H, T, S].

    So XLNet has it (Yang et al. 2019, arXiv 1906.08237, sections 2.4 and 2.5).

    Args:
        p: "distance" [D, H, d], "segments" [2, H, d], and a bias [H, d] for each: "distance_bias", "segment_bias".
        q: [B, T, H, d].
        far: [step·(T - 1) + S, D] the vectors of all distances, as `sheared` has them.
        apart: [B, T, S] false: the first of the two vectors of segments counts, true: the second. None: neither.
        step: keys from one query to the next.
    """
    wide = jnp.promote_types(q.dtype, jnp.float32)
    scale = q.shape[-1] ** -0.5
    r = einsum("rm,mhd->rhd", far.astype(q.dtype), p["distance"], wide).astype(q.dtype)
    scores = einsum("bthd,rhd->bhtr", (q + p["distance_bias"]) * scale, r, wide)
    scores = sheared(scores, step)
    if apart is None:
        return scores
    own = einsum("bthd,shd->sbht", (q + p["segment_bias"]) * scale, p["segments"], wide)
    return scores + jnp.where(apart[:, None], own[1][..., None], own[0][..., None])
