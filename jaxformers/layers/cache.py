"""What decoders keep of earlier tokens: keys and values by position, in a layout that only this file knows.

A row's token at position p stands in slot p, whatever padding is beside it, and sees the slots up to its own. What
stands in later slots is meaningless and harmless: a slot is written before a token can see it. So nothing is ever
cleared, tokens are taken back by making a row shorter, and prompts of any length share their programs.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from ..declare import Param, is_param


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Cache:
    """The earlier tokens of B rows.

    cells: what each layer keeps, listed or stacked as the layers' params are.
    length: [B] how many tokens each row has.
    reach: [B] the length that each row is known to reach, 0 where nobody said; rotations that depend on the length go
        by it, so that a prompt gives the same in parts as at once.
    past: the tokens themselves, where the layers may have to read them again (`layers.again`).
    """

    cells: Any
    length: jax.Array
    reach: jax.Array
    past: Past | None = None

    @property
    def slots(self) -> int:
        """How many tokens a row has room for."""
        return _first(self.cells)["key"].shape[_SLOTS["key"]]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Past:
    """The earlier tokens of B rows as they were given to the layers, each in its slot.

    embeds: [B, 1, S, D] what entered. positions: [B, 1, S, 1]. beyond: [B] whether each row was read as one that is
    longer than those of training.
    """

    embeds: jax.Array
    positions: jax.Array
    beyond: jax.Array


_SLOTS = {"key": -1, "value": -2, "embeds": -2, "positions": -2}  # the axis of places
_ROWS = -4  # the axis of rows


def keys_values(rows: int, slots: int, heads: int, dim: int, value_dim: int | None = None) -> declare.Tree:
    """What a layer keeps: keys and values of `heads` heads in `slots` places of each of `rows` rows.

    Keys lie transposed: on CPU the products over both are two to ten times as fast as with the dimensions last in both.
    """
    return {
        "key": Param((rows, heads, dim, slots), ("batch", "kv_heads", None, "length"), "key", "zeros"),
        "value": Param((rows, heads, slots, value_dim or dim), ("batch", "kv_heads", "length", None), "value", "zeros"),
    }


def empty(cells: declare.Tree, dtype: Any) -> Cache:
    """A cache without tokens, from the declaration of its cells, one a layer."""
    rows = jax.tree.leaves(cells, is_leaf=is_param)[0].shape[0]
    made = jax.tree.map(lambda p: jnp.zeros(p.shape, dtype), cells, is_leaf=is_param)
    nothing = jnp.zeros(rows, jnp.int32)
    return Cache(made, nothing, nothing)


def no_past(rows: int, slots: int, width: int, dtype: Any) -> Past:
    """Room for the tokens of a cache, vectors of `width` numbers."""
    embeds, positions = jnp.zeros((rows, 1, slots, width), dtype), jnp.zeros((rows, 1, slots, 1), jnp.int32)
    return Past(embeds, positions, jnp.zeros(rows, bool))


def write(cell: Any, k: jax.Array, v: jax.Array, slots: jax.Array) -> Any:
    """The cell with keys and values [B, T, K, d] of new tokens in slots [B, T]; what is past the end is left out."""

    def put_key(kept: jax.Array, new: jax.Array, place: jax.Array) -> jax.Array:  # [K, d, S], [T, K, d], [T]
        return kept.at[:, :, place].set(new.transpose(1, 2, 0).astype(kept.dtype), mode="drop")

    def put_value(kept: jax.Array, new: jax.Array, place: jax.Array) -> jax.Array:  # [K, S, d], [T, K, d], [T]
        return kept.at[:, place].set(jnp.swapaxes(new, 0, 1).astype(kept.dtype), mode="drop")

    if slots.size == 1:  # XLA takes a scatter of one apart, and copies both caches to fuse the parts: so it gets two
        k, v, slots = (jnp.repeat(x, 2, axis=1) for x in (k, v, slots))
    return {"key": jax.vmap(put_key)(cell["key"], k, slots), "value": jax.vmap(put_value)(cell["value"], v, slots)}


def read(cell: Any) -> tuple[jax.Array, jax.Array]:
    """Keys [B, K, d, S] and values [B, K, S, d], as `attention.weighed` takes them."""
    return cell["key"], cell["value"]


def grown(cache: Cache, slots: int) -> Cache:
    """The cache with room for more tokens."""

    def widen(path: Any, array: jax.Array) -> jax.Array:
        axis = _SLOTS.get(jax.tree_util.keystr(path[-1:], simple=True))
        if axis is None:
            return array
        more = [(0, 0)] * array.ndim
        more[axis] = (0, slots - array.shape[axis])
        return jnp.pad(array, more)

    return jax.tree_util.tree_map_with_path(widen, cache)


def axis_of_rows(array: jax.Array) -> int:
    """The axis of an array of a cache, or of a whole one's layers, that has an entry a row."""
    return array.ndim + _ROWS if array.ndim > 1 else 0


def rows_of(cache: Cache, rows: jax.Array) -> Cache:
    """The cache whose row i is row `rows[i]` of this one."""
    return jax.tree.map(lambda array: jnp.take(array, rows, axis=axis_of_rows(array)), cache)


def replaced(cache: Cache, rows: jax.Array, other: Cache) -> Cache:
    """The cache with the rows of another one in place of its own `rows`; numbers past the end are left out."""

    def put(array: jax.Array, new: jax.Array) -> jax.Array:
        axis = axis_of_rows(array)
        moved = jnp.moveaxis(array, axis, 0).at[rows].set(jnp.moveaxis(new, axis, 0), mode="drop")
        return jnp.moveaxis(moved, 0, axis)

    return jax.tree.map(put, cache, other)


def _first(cells: Any) -> Any:
    """The cell of the first layer, or the stacked one of all."""
    return cells[0] if isinstance(cells, list | tuple) else cells
