"""Keys and values of a layer's tokens: how they lie, and how new ones are put beside them.

How keys lie is chosen where a cache is made (`cache.lying`), and what is here goes by a leaf's axes. New tokens are
scattered; on TPU each row's are one slice, since a scatter would have whole cells copied there.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from .. import declare
from ..declare import Param
from ..placement.constraints import laid, layout_of
from .cache import Leaf


def keys_values(rows: int, slots: int, heads: int, dim: int, value_dim: int | None = None) -> declare.Tree:
    """What a layer keeps: keys and values of `heads` heads in `slots` places of each of `rows` rows."""
    key, value = ("batch", "kv_heads", "key_dim", "length"), ("batch", "kv_heads", "length", None)
    return {
        "key": Param((rows, heads, dim, slots), key, "key", "buffer"),
        "value": Param((rows, heads, slots, value_dim or dim), value, "value", "buffer"),
    }


def shared(rows: int, slots: int, dim: int) -> declare.Tree:
    """What a layer keeps where all heads have the same key, whose first numbers are the value."""
    return {"key": keys_values(rows, slots, 1, dim)["key"]}


def read(cell: Any, value_dim: int) -> tuple[jax.Array, jax.Array]:
    """Keys [B, K, d, S] and values [B, K, S, value_dim], as `attention.weighed` takes them."""
    keys = read_keys(cell["key"])
    return keys, cell["value"].read() if "value" in cell else jnp.swapaxes(keys[:, :, :value_dim], -1, -2)


def read_keys(leaf: Leaf) -> jax.Array:
    """Keys [B, K, d, S], however they lie."""
    keys = leaf.read()
    return jnp.swapaxes(keys, -1, -2) if leaf.axes[-1] == "key_dim" else keys


def write(cell: Any, k: jax.Array, v: jax.Array, slots: jax.Array) -> Any:
    """The cell with keys and values [B, T, K, d] of new tokens in slots [B, T]; what is past the end is left out.

    Those of a row that are not past the end follow each other.
    """
    put = _scattered if cell["key"].axes[-1] == "length" else _sliced
    new = {"key": k, "value": v} if "value" in cell else {"key": k}
    return cell | {name: put(cell[name], array, slots) for name, array in new.items()}


# -- by a scatter ------------------------------------------------------------------------------------------------------


def _scattered(leaf: Leaf, new: jax.Array, slots: jax.Array) -> Leaf:
    """A leaf [B, K, d, S] or [B, K, S, d] with new [B, T, K, d] in slots [B, T]."""
    if slots.size == 1:  # XLA takes a scatter of one apart, and copies both caches to fuse the parts: so it gets two
        new, slots = (jnp.repeat(x, 2, axis=1) for x in (new, slots))
    new = laid(new, ("batch", None, "kv_heads", None)).astype(leaf.array.dtype)  # all heads, where slots are divided
    last = leaf.axes[-1] == "length"

    def put(kept: jax.Array, new: jax.Array, place: jax.Array) -> jax.Array:  # [K, d, S] or [K, S, d], [T, K, d], [T]
        if last:
            return kept.at[:, :, place].set(new.transpose(1, 2, 0), mode="drop")
        return kept.at[:, place].set(jnp.swapaxes(new, 0, 1), mode="drop")

    return leaf.put(laid(jax.vmap(put)(leaf.read(), new, slots), leaf.axes))


# -- on TPU ------------------------------------------------------------------------------------------------------------


def _sliced(leaf: Leaf, new: jax.Array, slots: jax.Array) -> Leaf:
    """A leaf [B, K, S, d] with new [B, T, K, d] in slots [B, T], on each device of a mesh what it has of both."""
    slot_count = leaf.array.shape[-2]
    real = slots < slot_count
    begin, count = jnp.where(real, slots, slot_count).min(1), real.sum(1)
    if new.shape[1] > 1:  # padding may lie anywhere
        order = jnp.argsort(~real, axis=1, stable=True)
        new = jnp.take_along_axis(new, order[:, :, None, None], axis=1)
    given = (leaf.array, leaf.layer, new.astype(leaf.array.dtype), begin, count)
    layout = layout_of(leaf.array, leaf.axes)
    if layout is None:
        return dataclasses.replace(leaf, array=_in_slices(*given))
    whole, all_of_it = layout.spec, PartitionSpec()
    rows, heads, length = whole[-4:-1]
    specs = (whole, all_of_it, PartitionSpec(rows, None, heads), PartitionSpec(rows), PartitionSpec(rows))
    put = jax.shard_map(partial(_in_slices, divided=length), mesh=layout.mesh, in_specs=specs, out_specs=whole)
    return dataclasses.replace(leaf, array=put(*given))


_FEWEST = 8
"""Slots of a slice: of fewer, XLA's TPU lays whole cells anew."""
_ROWS_APART = 64
"""Up to how many rows have slices of their own in the program; more are written in a loop."""


def _in_slices(
    array: jax.Array,
    layer: jax.Array | None,
    new: jax.Array,
    begin: jax.Array,
    count: jax.Array,
    divided: Any = None,
) -> jax.Array:
    """Cells [B, K, S, d], or [L, B, K, S, d] of which a layer, with the first of new [B, T, K, d]: `count` of a row,
    from slot `begin` on.

    divided: along which axes of the mesh slots are divided; they are counted through all of its devices.
    """
    (rows, most), room = new.shape[:2], array.shape[-2]
    if divided is not None:
        begin = begin - jax.lax.axis_index(divided) * room
    size = min(max(most, _FEWEST), room)
    start = jnp.clip(begin, 0, room - size)
    token = (start - begin)[:, None] + jnp.arange(size)  # which one comes into each place of a slice
    real = ((token >= 0) & (token < count[:, None]))[:, None, :, None]
    new = jnp.take_along_axis(new, jnp.clip(token, 0, most - 1)[:, :, None, None], axis=1)
    new = jnp.swapaxes(new, 1, 2)  # [B, K, size, d]
    first: tuple[Any, ...] = () if layer is None else (layer,)
    sizes = (*(1,) * len(first), 1, *new.shape[1:])

    def put(row: Any, array: jax.Array) -> jax.Array:
        at = (*first, row, 0, start[row], 0)
        old = jax.lax.dynamic_slice(array, at, sizes)
        return jax.lax.dynamic_update_slice(array, jnp.where(real[row], new[row], old), at)

    if rows > _ROWS_APART:
        return jax.lax.fori_loop(0, rows, put, array)
    for row in range(rows):
        array = put(row, array)
    return array
