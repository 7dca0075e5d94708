"""Attention within a window, and of a few places with all (Beltagy et al. 2020, arXiv 2004.05150)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from .attention import attend
from .sites import Sites


def near(length: int, width: jax.Array | int) -> jax.Array:
    """Which places [T, T] are at most `width` from each other."""
    place = jnp.arange(length)
    return jnp.abs(place[:, None] - place) <= width


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
        x = jnp.pad(x, [(0, 0), (0, count * width - length)] + [(0, 0)] * (x.ndim - 2))
        return x.reshape(rows * count, width, *x.shape[2:])

    def around(x: jax.Array) -> jax.Array:
        """Each chunk between its neighbours, behind the first places: [B · count, first + 3 · width, ...]."""
        own = chunks(x).reshape(rows, count, width, *x.shape[2:])
        wide = jnp.pad(own, [(0, 0), (1, 1)] + [(0, 0)] * (own.ndim - 2))
        three = jnp.concatenate([wide[:, :-2], wide[:, 1:-1], wide[:, 2:]], axis=2)
        first = jnp.broadcast_to(x[:, None, :seen_by_all], (rows, count, seen_by_all, *x.shape[2:]))
        return jnp.concatenate([first, three], axis=2).reshape(rows * count, -1, *x.shape[2:])

    place = jnp.broadcast_to(jnp.arange(1, length + 1), (rows, length))  # zero is beyond the row
    asks, asked = chunks(place)[:, :, None], around(place)[:, None, :]
    allowed = around(real)[:, None, :] & (asked != 0) & (jnp.abs(asks - asked) <= width)
    if seen_by_all:  # once: where they stand in front, not where they are in reach
        front = jnp.arange(asked.shape[-1]) < seen_by_all
        allowed = jnp.where(front, around(real)[:, None, :], allowed & (asked > seen_by_all))
    context = attend(chunks(q), around(k), around(v), allowed[:, None], rate=rate, sites=sites)
    return context.reshape(rows, count * width, *head)[:, :length]
