"""Attention of a decoder's tokens to what an encoder has read (Vaswani et al. 2017, arXiv 1706.03762).

Its keys and values are those of the encoder's states, so in generation they are worked out once and kept in the cells,
under the axis "source": the beams of a row share them.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from ..declare import Param
from .attention import through_out, weighed
from .cache import Leaf
from .cells import read_keys
from .inputs import Memory
from .linear import linear
from .sites import Sites

KEYS, VALUES, MASK = "cross_key", "cross_value", "cross_mask"


def cells(rows: int, source: int, heads: int, dim: int) -> declare.Tree:
    """What a layer keeps of `source` tokens that an encoder has read, as `cells.keys_values` has it."""
    return {
        KEYS: Param((rows, heads, dim, source), ("source", "kv_heads", "key_dim", "source_length"), KEYS, "buffer"),
        VALUES: Param((rows, heads, source, dim), ("source", "kv_heads", "source_length", None), VALUES, "buffer"),
        MASK: Param((rows, source), ("source", "source_length"), MASK, "buffer", dtype="bool"),
    }


def arrays(d: int, *names: str, bias: bool = True) -> declare.Tree:
    """The four projections; `names` are the Hub's for query, key, value and output."""
    inside = zip(("query", "key", "value"), names[:3], strict=True)
    tree = {ours: declare.linear(d, d, name, ("embed", "heads"), bias=bias) for ours, name in inside}
    return tree | {"out": declare.linear(d, d, names[3], ("heads", "embed"), bias=bias)}


def beside(cell: dict[str, Leaf] | None, memory: Memory | None) -> bool:
    """Whether there is an encoder's result to look at, in a cell or as it is; a decoder may also run alone."""
    return memory is not None or (cell is not None and KEYS in cell)


def remembered(layers: Any, kept: Any, memory: Memory) -> Any:
    """The cells of all layers, listed or stacked, with the keys and values of what an encoder has read."""
    if isinstance(layers, list | tuple):
        return type(layers)(remembered(*pair, memory) for pair in zip(layers, kept, strict=True))
    stacked = kept[MASK].array.ndim == 3  # layers in front
    find = lambda p: keys_values(p, memory.state, kept[KEYS].array.shape[-3])  # noqa: E731
    k, v = (jax.vmap(find) if stacked else find)(layers["cross"])
    k = k if kept[KEYS].axes[-1] == "source_length" else jnp.swapaxes(k, -1, -2)
    mask = jnp.broadcast_to(memory.mask, kept[MASK].array.shape)
    new = {KEYS: k, VALUES: v, MASK: mask}
    return kept | {name: kept[name].put(array.astype(kept[name].array.dtype)) for name, array in new.items()}


def keys_values(p: Any, x: jax.Array, heads: int) -> tuple[jax.Array, jax.Array]:
    """Keys [B, H, d, S] and values [B, H, S, d] of states x [B, S, D], of projections that files may hold as one."""
    both = jnp.split(linear(p["kv"], x), 2, axis=-1) if "kv" in p else [linear(p[name], x) for name in ("key", "value")]
    k, v = (part.reshape(*x.shape[:2], heads, -1) for part in both)
    return k.transpose(0, 2, 3, 1), jnp.swapaxes(v, 1, 2)


def attention(
    p: Any,
    x: jax.Array,
    cell: dict[str, Leaf] | None,
    memory: Memory | None,
    heads: int,
    sites: Sites,
    *,
    scale: float | None = None,
    rate: float = 0.0,
) -> jax.Array:
    """What attention gives to tokens x [B, T, D] of what an encoder has read: [B, T, D].

    Args:
        p: the arrays of the four projections.
        x: [B, T, D]; of N beams of each row in a cell, B is N times its rows.
        cell: what the layer keeps.
        memory: in its place, where there is none.
        heads: H.
        sites: of the layer.
        scale: as `attention.weighed` has it.
        rate: of dropout on the probabilities.
    """
    if cell is None:
        assert memory is not None
        (k, v), mask = keys_values(p, memory.state, heads), memory.mask
    else:
        k, v, mask = read_keys(cell[KEYS]), cell[VALUES].read(), cell[MASK].read()
    q = linear(p["query"], x)
    shared = q.reshape(k.shape[0], -1, heads, q.shape[-1] // heads)  # beams of a row beside each other
    inner = sites.under("cross")
    context = weighed(jnp.swapaxes(shared, 1, 2), k, v, mask[:, None, None, :], scale=scale, rate=rate, sites=inner)
    return through_out(p, jnp.swapaxes(context, 1, 2).reshape(q.shape), x, inner)
