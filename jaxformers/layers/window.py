"""Attention within a window, and of a few places with all (Beltagy et al. 2020, arXiv 2004.05150)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from .attention import QKV, attend, merge, probabilities, project, taken
from .inputs import Inputs
from .post_norm import Mix
from .sites import Sites

Heads = tuple[jax.Array, jax.Array, jax.Array]
"""Queries, keys and values [B, T, H, d]."""


def sizes(c: Any) -> tuple[int, ...]:
    """The window of each layer, as the config says for all or for each."""
    one = c.attention_window
    return (one,) * c.num_hidden_layers if isinstance(one, int) else one


def check(c: Any) -> None:
    """Refuse windows that are not one a layer, or not even.

    Raises:
        ValueError: naming what is wrong.
    """
    owner, count = type(c).__name__, c.num_hidden_layers
    if len(sizes(c)) != count:
        raise ValueError(f"{owner}: attention_window has {len(sizes(c))} numbers for num_hidden_layers={count}")
    for size in sizes(c):
        if not 0 < size < 2**20 or size % 2:
            raise ValueError(f"{owner}: attention_window={size} must be even and positive")


def wide_arrays(d: int, prefix: str) -> declare.Tree:
    """The projections of the few tokens that see all."""
    whole = {name: declare.linear(d, d, f"{prefix}.{name}_global", ("embed", "heads")) for name in QKV}
    return declare.together("qkv", whole)


def near(length: int, width: jax.Array | int) -> jax.Array:
    """Which places [T, T] are at most `width` from each other."""
    place = jnp.arange(length)
    return jnp.abs(place[:, None] - place) <= width


def cut(x: jax.Array, width: int) -> jax.Array:
    """X [B, T, ...] in chunks [B, count, width, ...], the last one filled with zeros."""
    rows, length = x.shape[:2]
    count = -(-length // width)
    x = jnp.pad(x, [(0, 0), (0, count * width - length)] + [(0, 0)] * (x.ndim - 2))
    return x.reshape(rows, count, width, *x.shape[2:])


def between_neighbours(chunks: jax.Array) -> jax.Array:
    """Chunks [B, count, width, ...], each between the two beside it, zeros at the ends: [B, count, 3 · width, ...]."""
    wide = jnp.pad(chunks, [(0, 0), (1, 1)] + [(0, 0)] * (chunks.ndim - 2))
    return jnp.concatenate([wide[:, :-2], wide[:, 1:-1], wide[:, 2:]], axis=2)


def together(chunks: jax.Array) -> jax.Array:
    """Chunks [B, count, ...] as rows of their own [B · count, ...]."""
    return chunks.reshape(chunks.shape[0] * chunks.shape[1], *chunks.shape[2:])


def in_chunks(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    real: jax.Array,
    width: int,
    seen_by_all: int,
    *,
    rate: float,
    sites: Sites,
) -> jax.Array:
    """Attention of each place with those at most `width` away, and with the first few, in memory of T · width.

    The row is cut into chunks of `width`; the queries of one see the keys of three, and the mask does the rest.

    Args:
        q: [B, T, H, d].
        k: [B, T, H, d].
        v: [B, T, H, d].
        real: [B, T] which keys may be seen.
        width: to either side.
        seen_by_all: how many of the first places every query sees, however far they are.
        rate: of dropout.
        sites: as `attend` takes it.

    Returns:
        The context [B, T, H, d].
    """
    rows, length, *head = q.shape
    count = -(-length // width)

    def chunks(x: jax.Array) -> jax.Array:
        return together(cut(x, width))

    def around(x: jax.Array) -> jax.Array:
        """Each chunk between its neighbours, behind the first places: [B · count, first + 3 · width, ...]."""
        first = jnp.broadcast_to(x[:, None, :seen_by_all], (rows, count, seen_by_all, *x.shape[2:]))
        return together(jnp.concatenate([first, between_neighbours(cut(x, width))], axis=2))

    place = jnp.broadcast_to(jnp.arange(1, length + 1), (rows, length))  # zero is beyond the row
    asks, asked = chunks(place)[:, :, None], around(place)[:, None, :]
    allowed = around(real)[:, None, :] & (asked != 0) & (jnp.abs(asks - asked) <= width)
    if seen_by_all:  # once: where they stand in front, not where they are in reach
        front = jnp.arange(asked.shape[-1]) < seen_by_all
        allowed = jnp.where(front, around(real)[:, None, :], allowed & (asked > seen_by_all))
    context = attend(chunks(q), around(k), around(v), allowed[:, None], rate=rate, sites=sites)
    return context.reshape(rows, count * width, *head)[:, :length]


def attention(
    inputs: Inputs, width: Any, marks: jax.Array | None, chunks: int | None, *, head: int, rate: float
) -> Mix:
    """Every token takes from those at most `width` away and from those of `marks`, which take from all.

    `chunks`, where it is no None: rows are cut, and so many of their first places are all that have marks. Padding
    takes nothing.
    """
    real = inputs.segment_ids != 0
    own = (inputs.segment_ids[:, :, None] == inputs.segment_ids[:, None, :]) & real[:, None, :]
    if inputs.mask is not None and inputs.mask.ndim == 3:
        own = inputs.mask != 0
    seen = near(inputs.shape[1], width) & own
    if marks is not None:
        marks = marks & real
        seen = seen | (marks[:, None] & own)

    def mix(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        heads, wide = project(p, x, head), project(p["global"], x, head)
        context = (at_once if sites.taps("attention_weights") else in_parts)(heads, wide, sites)
        return merge(jnp.where(real[..., None, None], context, 0))

    def in_parts(heads: Heads, wide: Heads, sites: Sites) -> jax.Array:
        q, k, v = heads
        if chunks is None:
            context = attend(q, k, v, seen[:, None], rate=rate, sites=sites)
        else:
            context = in_chunks(q, k, v, real, width, chunks, rate=rate, sites=sites)
        if marks is None:
            return context
        asks = slice(chunks)
        q, k, v = wide
        all_of_it = attend(q[:, asks], k, v, own[:, None, asks], rate=rate, sites=sites)
        return context.at[:, asks].set(jnp.where(marks[:, asks, None, None], all_of_it, context[:, asks]))

    def at_once(heads: Heads, wide: Heads, sites: Sites) -> jax.Array:
        (q, k, v), (all_q, all_k, all_v) = heads, wide
        odds = probabilities(q, k, seen[:, None])
        if marks is not None:
            odds = jnp.where(marks[:, None, :, None], probabilities(all_q, all_k, own[:, None]), odds)
        odds = sites("attention_weights", odds, rate)
        context = taken(odds, v)
        return context if marks is None else jnp.where(marks[..., None, None], taken(odds, all_v), context)

    return mix


def mixes(
    inputs: Inputs, wide: Sequence[int], marks: jax.Array | None, few: int | None, *, head: int, rate: float
) -> tuple[Callable[..., Mix], list[Sequence[int]]]:
    """How tokens mix in layers whose windows are so wide: a function of what is a layer's own, and that for `run`.

    marks: [B or 1, T] tokens that see all and are seen by all; None: none. few: where those are the first tokens of
    rows, how many; None: any may be. head: numbers of a head. rate: of dropout.
    """
    plain = inputs.texts is None and (inputs.mask is None or inputs.mask.ndim == 2)
    marks = None if marks is None else jnp.broadcast_to(marks, inputs.shape)

    def mix(width: Any) -> Mix:
        chunks = few if plain and isinstance(width, int) and inputs.shape[1] >= 4 * width else None
        return attention(inputs, width, marks, chunks, head=head, rate=rate)

    if len(set(wide)) == 1:  # known when layers are scanned, too
        return lambda: mix(wide[0] // 2), []
    return mix, [[size // 2 for size in wide]]
