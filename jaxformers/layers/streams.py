"""Attention of streams beside the one that reads, which say later tokens (Qi et al. 2020, arXiv 2001.04063)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from . import cross, relative
from .attention import merge, project
from .causal import Causal
from .cells import read
from .inputs import Memory
from .linear import linear
from .run import Encoded
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


def mixing(c: Any, order: Causal) -> Callable[[Any, jax.Array, Any, Sites], tuple[jax.Array, Any]]:
    """How tokens mix in a layer: x [B, T, 1 + N, D] of all streams takes from the first one's tokens up to each."""
    count, rate, furthest = c.num_decoder_attention_heads, c.attention_dropout, c.relative_max_distance
    distance = order.keys[:, None, :] - order.positions[:, :, None]
    seen = visible(order, c.ngram)

    def mix(p: Any, x: jax.Array, cell: Any, sites: Sites) -> tuple[jax.Array, Any]:
        q, k, v = project(p, x, x.shape[-1] // count)
        scores = linear(p["distance"], x).reshape(*x.shape[:3], c.num_buckets, count)
        bias = by_distance(scores[:, :, :1], distance, furthest)[:, 0]
        first, cell = order.attend(q[:, :, 0], k[:, :, 0], v[:, :, 0], cell, bias=bias, rate=rate, sites=sites)
        new = k[:, :, 0].transpose(0, 2, 3, 1), jnp.swapaxes(v[:, :, 0], 1, 2)
        keys, values = new if cell is None else read(cell, v.shape[-1])
        bias = by_distance(scores[:, :, 1:], distance - 1, furthest)
        own = scores[:, :, 1:, 0].transpose(0, 2, 3, 1)[..., None]
        q, k, v = (part[:, :, 1:] for part in (q, k, v))
        ahead = taken_ahead(q, k, v, keys, values, seen, bias, own, rate=rate, sites=sites)
        return jnp.concatenate([first[:, :, None], merge(ahead)], axis=2), cell

    return mix


def looked(c: Any, p: Any, x: jax.Array, cell: Any, memory: Memory | None, sites: Sites) -> jax.Array:
    """What all streams x [B, T, 1 + N, D] take of an encoder; the first one apart, whose probabilities are told."""
    seen = partial(
        cross.attention,
        p,
        cell=cell,
        memory=memory,
        heads=c.num_decoder_attention_heads,
        rate=c.attention_dropout,
    )
    ahead = seen(x[:, :, 1:].reshape(len(x), -1, x.shape[-1]), sites=sites.under("streams"))
    return jnp.concatenate([seen(x[:, :, 0], sites=sites)[:, :, None], ahead.reshape(x[:, :, 1:].shape)], axis=2)


# -- results ----------------------------------------------------------------------------------------------------------


def others(x: jax.Array) -> jax.Array:
    """Of states [B, T, 1 + N, D] those of all streams but the first, one behind the other: [B, N * T, D]."""
    return jnp.swapaxes(x[:, :, 1:], 1, 2).reshape(len(x), -1, x.shape[-1])


def first_alone(encoded: Encoded) -> Encoded:
    """The result of the first stream."""
    states = encoded.hidden_states and tuple(x[:, :, 0] for x in encoded.hidden_states)
    return dataclasses.replace(encoded, state=encoded.state[:, :, 0], hidden_states=states)


def states_ahead(encoded: Encoded) -> tuple[jax.Array, ...] | None:
    """The states of the other streams, where they were asked for."""
    return encoded.hidden_states and tuple(map(others, encoded.hidden_states))
