"""Reading in one direction: which token stands where, and which earlier ones it sees, with and without a cache."""

from __future__ import annotations

import dataclasses
from typing import Any, Self

import jax
import jax.numpy as jnp

from ..placement.constraints import laid
from .attention import weighed
from .cache import Cache
from .cells import read, write
from .flash import Band, band_of
from .inputs import Inputs
from .sites import PLAIN, Sites

FULL = 2**30
"""A window that hides nothing."""


@dataclasses.dataclass(frozen=True)
class Causal:
    """What all layers of one call know of its tokens' order. T tokens are new, S are there to be seen.

    positions: [B or 1, T] of each token in its row, counted over real tokens, 0 at padding.
    reach: [B or 1, T or 1] the length that each token's row, or its text where rows hold several, is known to reach.
    slots: [B, T] the cache's slot of each token, past the end at padding; None without a cache.
    keys: [B or 1, S] the position of what may be seen.
    queries: [B or 1, T] up to which key each token sees: keys are compared as they lie, so padding is counted here
        where there is no cache.
    mask: [B, 1, 1 or T, S] what may be seen beside that; None: all.
    band: the same, where it says but to which text a token belongs; else None.
    cache: what the call came with.
    """

    positions: jax.Array
    reach: jax.Array
    slots: jax.Array | None
    keys: jax.Array
    queries: jax.Array
    mask: jax.Array | None
    band: Band | None
    cache: Cache | None

    @classmethod
    def of(cls, inputs: Inputs) -> Self:
        """The order of a batch's tokens, behind those of its cache."""
        rows, length = inputs.shape
        cache = inputs.cache
        if cache is None:
            places = jnp.arange(length)[None]
            positions = _counted(inputs)
            counted = positions if inputs.positions is None else inputs.positions
            mask = None if inputs.mask is None else inputs.mask.astype(bool)
            seen = mask if mask is None else mask[:, None, None, :] if mask.ndim == 2 else mask[:, None]
            return cls(counted, _reached(inputs, positions), None, positions, places, seen, band_of(inputs), None)
        real = jnp.ones((rows, length), bool) if inputs.mask is None else inputs.mask.astype(bool)
        slots = cache.length[:, None] + jnp.cumsum(real, axis=1, dtype=jnp.int32) - 1
        positions = jnp.maximum(slots, 0) if inputs.positions is None else inputs.positions
        keys = jnp.arange(cache.slots)[None]
        reach = jnp.maximum(cache.reach, cache.length + real.sum(1, dtype=jnp.int32))[:, None]
        return cls(positions, reach, jnp.where(real, slots, cache.slots), keys, slots, None, None, cache)

    def seen(self, window: Any = FULL, ahead: Any = 0) -> jax.Array:
        """Which tokens each sees, among the last `window`, itself included, and the next `ahead`: [B or 1, 1, T, S]."""
        keys = self.keys if self.slots is not None else jnp.arange(self.keys.shape[1])[None]
        distance = self.queries[:, :, None] - keys[:, None, :]
        seen = ((distance >= -ahead) & (distance < window))[:, None]
        return seen if self.mask is None else seen & self.mask

    @property
    def used(self) -> jax.Array:
        """How many of the cache's slots hold a token that one of these may see; past the end lies padding."""
        assert self.slots is not None
        return jnp.where(self.slots < self.keys.shape[1], self.slots, 0).max(initial=0) + 1

    def attend(
        self,
        q: jax.Array,
        k: jax.Array,
        v: jax.Array,
        cell: Any,
        *,
        window: Any = FULL,
        ahead: Any = 0,
        bias: jax.Array | None = None,
        sinks: jax.Array | None = None,
        scale: float | None = None,
        cap: float | None = None,
        rate: float = 0.0,
        sites: Sites = PLAIN,
    ) -> tuple[jax.Array, Any]:
        """Attention of new tokens to themselves and to those in the cell.

        q [B, T, H, d], k [B, T, K, d], v [B, T, K, e]; cell: what this layer keeps, None without a cache; window: how
        many tokens each sees at most, itself included; ahead: how many of those behind it; the rest as in
        `attention.weighed`. Returns the context [B, T, H * e] and the cell with the new tokens in it.
        """
        used = None
        if self.slots is None or cell is None:
            keys, values = k.transpose(0, 2, 3, 1), jnp.swapaxes(v, 1, 2)
        else:
            cell = write(cell, k, v, self.slots)
            keys, values = read(cell, v.shape[-1])
            used = self.used
            q = _asking(q, k.shape[2])
        options: dict[str, Any] = {
            "bias": bias,
            "sinks": sinks,
            "scale": scale,
            "cap": cap,
            "rate": rate,
            "sites": sites,
        }
        seen = self.seen(window, ahead)
        band = None
        if self.band is not None and used is None and isinstance(window, int) and isinstance(ahead, int):
            band = dataclasses.replace(self.band, before=None if window >= FULL else window - 1, after=ahead)
        context = weighed(jnp.swapaxes(q, 1, 2), keys, values, seen, used=used, band=band, **options)
        rows, length = q.shape[:2]
        return jnp.swapaxes(context, 1, 2).reshape(rows, length, -1), cell

    def after(self, cells: Any) -> Cache | None:
        """The cache after this call, whose layers gave `cells`."""
        if self.cache is None or self.slots is None:
            return None
        new = (self.slots < self.cache.slots).sum(1, dtype=jnp.int32)
        return dataclasses.replace(self.cache, cells=cells, length=self.cache.length + new)


def _asking(q: jax.Array, keys: int) -> jax.Array:
    """Queries [B, T, H, d] that lie as the heads of keys in a cell do, which is larger and stays where it is."""
    grouped = q.reshape(*q.shape[:2], keys, -1, q.shape[3])
    return laid(grouped, ("batch", None, "kv_heads", None, None)).reshape(q.shape)


def _reached(inputs: Inputs, positions: jax.Array) -> jax.Array:
    """How long the text of each token is, by the places of tokens in their texts [B or 1, T or 1]."""
    if inputs.texts is None:
        return positions.max(1, keepdims=True) + 1
    longest = lambda places, owner: jax.ops.segment_max(places, owner, inputs.shape[1] + 1)[owner]  # noqa: E731
    return jax.vmap(longest)(positions, inputs.texts) + 1


def _counted(inputs: Inputs) -> jax.Array:
    """The place of each token in its text, counted over what is no padding [B or 1, T]."""
    if inputs.texts is not None or inputs.mask is None or inputs.mask.ndim == 3:
        return dataclasses.replace(inputs, positions=None).places
    return jnp.maximum(jnp.cumsum(inputs.mask != 0, axis=1, dtype=jnp.int32) - 1, 0)
