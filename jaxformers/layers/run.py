"""The run over layers: listed (unrolled, fast on CPU) or stacked (scanned, compiles once), as the tree holds them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from .inputs import Want

Block = Callable[..., tuple[jax.Array, Any]]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoded:
    """What an encoder gives to a head.

    state [B, T, D]; pooled [B, D] where the model has a pooler; hidden_states (embeddings first) and attentions, a
    tuple each, where wanted. owners [B, T]: which text of its row each token belongs to, zero for padding. Of rows that
    hold several texts starts [N]: where each text's first token is, counted through all rows; then `first`, `pooled`
    and `mean` are [N, D]. ends [B or N]: where each text's last token is, counted alike. cells: what the
    layers keep, and cache: the `Cache` around them.
    """

    state: jax.Array
    pooled: jax.Array | None = None
    hidden_states: tuple[jax.Array, ...] | None = None
    attentions: tuple[jax.Array, ...] | None = None
    owners: jax.Array | None = None
    starts: jax.Array | None = None
    ends: jax.Array | None = None
    cells: Any = None
    cache: Any = None

    @property
    def first(self) -> jax.Array:
        """The state of each text's first token [B or N, D]."""
        if self.starts is None:
            return self.state[:, 0]
        return self.state.reshape(-1, self.state.shape[-1])[self.starts]

    @property
    def last(self) -> jax.Array:
        """The state of each text's last token [B or N, D]."""
        return self.state.reshape(-1, self.state.shape[-1])[self.ends]

    def mean(self, x: jax.Array) -> jax.Array:
        """The mean of x [B, T, K] over each text's tokens [B or N, K]."""
        assert self.owners is not None
        rows, length = self.owners.shape
        real = (self.owners != 0)[..., None]
        if self.starts is None:
            return jnp.where(real, x, 0).sum(1) / jnp.maximum(real.sum(1), 1)
        text = (self.owners + jnp.arange(rows)[:, None] * (length + 1)).reshape(-1)
        total = lambda values: jax.ops.segment_sum(values.reshape(len(text), -1), text, rows * (length + 1))  # noqa: E731
        return (total(jnp.where(real, x, 0)) / jnp.maximum(total(real.astype(x.dtype)), 1))[text[self.starts]]


def run(block: Block, layers: Any, x: jax.Array, *each: Sequence[Any], want: Want = Want()) -> Encoded:
    """Send x [B, T, D] through all layers.

    Args:
        block: `block(params, x, *each) -> (x, attention probabilities)`.
        layers: a list of the layers' trees, or one tree whose arrays are stacked along a new first axis, or a tuple of
            such trees, whose layers differ from those of the others.
        x: what enters the first layer.
        *each: sequences of one entry a layer, handed to `block` (dropout, window sizes, rotary bases).
        want: which intermediate results to collect.
    """
    return remembering(lambda p, x, cell, *each: (*block(p, x, *each), cell), layers, None, x, *each, want=want)


def remembering(
    block: Callable[..., tuple[jax.Array, Any, Any]],
    layers: Any,
    cells: Any,
    x: jax.Array,
    *each: Sequence[Any],
    want: Want = Want(),
) -> Encoded:
    """`run` for layers that read and write something of their own, such as the keys and values of earlier tokens.

    Args:
        block: `block(params, x, cell, *each) -> (x, attention probabilities, cell)`.
        layers: as in `run`.
        cells: one a layer, listed or stacked as the layers are; None: the layers keep nothing, and `block` gets None.
        x: what enters the first layer.
        *each: as in `run`.
        want: as in `run`.
    """
    if isinstance(layers, tuple):
        return _in_runs(block, layers, cells, x, *each, want=want)
    if isinstance(layers, list):
        states, attentions, kept = [x], [], []
        cells = [None] * len(layers) if cells is None else cells
        for p, cell, *own in zip(layers, cells, *each, strict=True):
            x, weights, cell = block(p, x, cell, *own)
            states.append(x)
            attentions.append(weights)
            kept.append(cell)
        return _collected(x, states, attentions, kept, want)

    # Cells ride in the carry: as results of each step, all of them would be copied.
    def body(carry: tuple[jax.Array, Any], step: tuple[Any, ...]) -> tuple[tuple[jax.Array, Any], tuple[Any, Any]]:
        (x, cells), (i, p, *own) = carry, step
        cell = jax.tree.map(lambda array: jax.lax.dynamic_index_in_dim(array, i, keepdims=False), cells)
        after, weights, cell = block(p, x, cell, *own)
        cells = jax.tree.map(lambda array, new: jax.lax.dynamic_update_index_in_dim(array, new, i, 0), cells, cell)
        return (after, cells), (x if want.hidden_states else None, weights if want.attentions else None)

    count = jax.tree.leaves(layers)[0].shape[0]
    steps = (jnp.arange(count), layers, *map(stack, each))
    (last, cells), (states, attentions) = jax.lax.scan(body, (x, cells), steps)
    return _collected(last, None if states is None else [*states, last], attentions, cells, want)


def _in_runs(
    block: Any, layers: tuple[Any, ...], cells: Any, x: jax.Array, *each: Sequence[Any], want: Want
) -> Encoded:
    """`remembering` for runs of stacked layers."""
    states, first = [x], 0
    attentions: list[Any] = []
    kept: list[Any] = []
    for part, cell in zip(layers, [None] * len(layers) if cells is None else cells, strict=True):
        after = first + jax.tree.leaves(part)[0].shape[0]
        encoded = remembering(block, part, cell, x, *(own[first:after] for own in each), want=want)
        x, first = encoded.state, after
        states.extend((encoded.hidden_states or ())[1:])
        attentions.extend(encoded.attentions or ())
        kept.append(encoded.cells)
    return _collected(x, states, attentions, tuple(kept), want)


def either(flag: Any, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
    """What `yes` or `no` gives, by a flag of the layer: Python's where layers are listed, an array where scanned."""
    return (yes if flag else no)() if isinstance(flag, bool) else jax.lax.cond(flag, yes, no)


def reuse(block: Block, groups: Any, which: Sequence[int]) -> tuple[Block, Any]:
    """The block and the layers for `run` where layer i has the arrays of group `which[i]`; nothing is copied."""
    if isinstance(groups, list | tuple):
        return block, [groups[group] for group in which]

    def look_up(group: jax.Array, x: jax.Array, *each: Any) -> tuple[jax.Array, jax.Array]:
        return block(jax.tree.map(lambda array: array[group], groups), x, *each)

    return look_up, jnp.array(which, jnp.int32)


def _collected(x: jax.Array, states: Any, attentions: Any, cells: Any, want: Want) -> Encoded:
    return Encoded(
        state=x,
        cells=cells,
        hidden_states=tuple(states) if want.hidden_states else None,
        attentions=tuple(attentions) if want.attentions else None,
    )


def stack(layers: Sequence[Any]) -> Any:
    """Layers' trees as one tree, each array with a new first axis [n_layers, …].

    Of layers that differ in their arrays a tuple of such trees, one for each run of equal ones.
    """
    kind = lambda layer: (jax.tree.structure(layer), [*map(jnp.shape, jax.tree.leaves(layer))])  # noqa: E731
    runs = [jax.tree.map(lambda *arrays: jnp.stack(arrays), *run) for _, run in itertools.groupby(layers, kind)]
    return runs[0] if len(runs) == 1 else tuple(runs)


def unstack(layers: Any) -> list[Any]:
    """The inverse of `stack`: a list of the layers' trees."""
    if isinstance(layers, tuple):
        return [layer for run in layers for layer in unstack(run)]
    count = jax.tree.leaves(layers)[0].shape[0]
    return [jax.tree.map(lambda array, i=i: array[i], layers) for i in range(count)]


def listed(layers: Any) -> list[Any]:
    """The layers' trees, for an architecture whose layers cannot be scanned."""
    return layers if isinstance(layers, list) else unstack(layers)


def arranged(cells: Sequence[declare.Tree], layers: Any) -> declare.Tree:
    """The declaration of what each layer keeps, listed or stacked as the layers are."""
    if isinstance(layers, list):
        return list(cells)
    runs = layers if isinstance(layers, tuple) else (layers,)
    return declare.in_runs(cells, [jax.tree.leaves(run)[0].shape[0] for run in runs])
