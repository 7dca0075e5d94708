"""Attention of streams beside the one that reads, which say later tokens (Qi et al. 2020, arXiv 2001.04063)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from . import relative
from .causal import Causal
from .sites import Sites


def by_distance(scores: jax.Array, distance: jax.Array, furthest: int) -> jax.Array:
    """What is added to scores [B, N, H, T, S], of scores for each bucket of distances [B, T, N, K, H].

    distance: [B or 1, T, S] from the query to what it takes from.
    """
    which = relative.buckets(jnp.minimum(distance, 0), 2 * scores.shape[3], furthest)
    found = jnp.take_along_axis(scores, which[:, :, None, :, None], axis=3)
    return found.transpose(0, 2, 4, 1, 3)


def taken_ahead(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    keys: jax.Array,
    values: jax.Array,
    seen: jax.Array,
    bias: jax.Array,
    own: jax.Array,
    *,
    rate: float,
    sites: Sites,
) -> jax.Array:
    """What streams take of the first one, and each token of itself: [B, T, N, H, d].

    q, k, v: [B, T, N, H, d] of the streams. keys [B, H, d, S], values [B, H, S, d]: of the first one. seen: [B or 1, N,
    1, T, S]. bias: [B, N, H, T, S]. own: [B, N, H, T, 1], added to scores of tokens with themselves.
    """
    wide = jnp.promote_types(q.dtype, jnp.float32)
    q = q * q.shape[-1] ** -0.5
    scores = jnp.einsum("btnhd,bhds->bnhts", q, keys, preferred_element_type=wide) + bias
    itself = jnp.einsum("btnhd,btnhd->bnht", q, k, preferred_element_type=wide)[..., None] + own
    scores = jnp.concatenate([jnp.where(seen, scores, jnp.finfo(wide).min), itself], axis=-1)
    odds = sites.drop("stream_weights", jax.nn.softmax(scores, axis=-1), rate)
    before = jnp.einsum("bnhts,bhsd->btnhd", odds[..., :-1].astype(v.dtype), values, preferred_element_type=wide)
    return (before + odds[..., -1:].transpose(0, 3, 1, 2, 4) * v).astype(v.dtype)


def visible(order: Causal, count: int) -> jax.Array:
    """Which tokens of the first stream the others see [B or 1, N, 1, T, S]: the one for the k-th next token those up
    to k - 1 before its own, and the row's first always.
    """
    places = order.keys if order.slots is not None else jnp.arange(order.keys.shape[1])[None]
    first = order.seen() & (places == 0)[:, None, None, :]
    return jnp.stack([order.seen(ahead=-i) | first for i in range(count)], axis=1)
