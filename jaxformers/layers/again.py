"""Rows that are read again: where rotations are others beyond a length ("longrope"), all that a row has in the cache
depends on which side of it the row is, the values of later layers too.

So the cache of such a model holds what entered the layers, and a row that comes to the other side, by growing or by
being made shorter, is read anew behind that length or before it. That is once for a row that grows, as in torch
Transformers 5; the results are those of the whole row. Models without such rotations have no part in it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .cache import Cache, Past
from .causal import Causal
from .embedding import embed_tokens
from .inputs import Ask, Inputs
from .rotation import switch_length
from .run import Encoded
from .sites import PLAIN, Sites

Decode = Callable[..., Encoded]
"""(params, config, inputs, what is asked for, sites) → the result of a model that reads in one direction."""

_AT_ONCE = 256  # tokens


def again(decode: Decode) -> Decode:
    """`decode`, which before it reads new tokens reads those rows again that they bring to the other side."""

    @functools.wraps(decode)
    def encode(params: Any, c: Any, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
        switch, cache = switch_length(c), inputs.cache
        if switch is None or cache is None or cache.past is None:
            return decode(params, c, inputs, ask, sites)
        order = Causal.of(inputs)
        beyond = order.reach[:, 0] > switch
        if cache.slots > switch:  # rows of smaller caches cannot be beyond
            reach = jnp.where(beyond, switch + 1, 0)
            wrong = (cache.past.beyond.array != beyond) & (cache.length > 0)
            whole = functools.partial(decode, params, c, ask=Ask(), sites=sites.closed())
            cells = _read_again(whole, dataclasses.replace(cache, reach=reach), cache.past, wrong)
            inputs = dataclasses.replace(inputs, cache=dataclasses.replace(cache, cells=cells))
        encoded = decode(params, c, inputs, ask, sites)
        past = _with(cache.past, order, embed_tokens(params["word"], inputs), beyond)
        return dataclasses.replace(encoded, cache=dataclasses.replace(encoded.cache, past=past))

    return encode


def _read_again(decode: Decode, cache: Cache, past: Past, wrong: jax.Array) -> Any:
    """The cells with all tokens of those rows anew that are `wrong` [B], under the rotation of the cache's reach."""
    size, rows = min(_AT_ONCE, cache.slots), len(cache.length)

    def read(part: jax.Array, cells: Any) -> Any:
        start = jnp.minimum(part * size, cache.slots - size)  # the last part may read a few tokens twice
        cut = lambda leaf: jax.lax.dynamic_slice_in_dim(leaf.array, start, size, axis=1)  # noqa: E731
        real = wrong[:, None] & (start + jnp.arange(size) < cache.length[:, None])
        begun = dataclasses.replace(cache, cells=cells, length=jnp.full(rows, start, jnp.int32), past=None)
        tokens = Inputs(embeds=cut(past.embeds), mask=real, positions=cut(past.positions), cache=begun)
        return decode(tokens).cache.cells

    parts = -(-jnp.where(wrong, cache.length, 0).max() // size)
    return jax.lax.fori_loop(0, parts, read, cache.cells)


def _with(past: Past, order: Causal, x: jax.Array, beyond: jax.Array) -> Past:
    """What is kept of a cache's tokens, and of new ones x [B, T, D]."""
    put = jax.vmap(lambda kept, slots, new: kept.at[slots].set(new.astype(kept.dtype), mode="drop"))
    embeds = past.embeds.put(put(past.embeds.array, order.slots, x))
    positions = jnp.broadcast_to(order.positions, x.shape[:2])
    return Past(embeds, past.positions.put(put(past.positions.array, order.slots, positions)), past.beyond.put(beyond))
