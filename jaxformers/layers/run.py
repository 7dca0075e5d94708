"""The run over layers: listed (unrolled, fast on CPU) or stacked (scanned, compiles once), as the tree holds them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from ..placement.constraints import laid
from .cache import of_layer
from .inputs import Ask, Inputs
from .remat import rematerialised
from .sites import PLAIN, Sites

STATE = ("batch", "tokens", None)
"""The axes of what goes from layer to layer: without a word on it a compiler divides features, and has rows copied."""

Block = Callable[..., jax.Array]
"""(a layer's arrays, x [B, T, D], its sites, what is this layer's own) → x."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Encoded:
    """What an encoder or a decoder gives to a head.

    state: [B, T, D]. pooled: [B, D] where the model has a pooler. hidden_states (embeddings first), attentions,
    cross_attentions: one a layer, where asked for. inputs: what was read; of rows that hold several texts `first`,
    `last`, `pooled` and `mean` are [N, D]. encoder: the result of the one beside a decoder, computed or given.
    cells: what the layers keep, and cache: the `Cache` around them.
    """

    state: jax.Array
    pooled: jax.Array | None = None
    hidden_states: tuple[jax.Array, ...] | None = None
    attentions: tuple[jax.Array, ...] | None = None
    cross_attentions: tuple[jax.Array, ...] | None = None
    inputs: Inputs = Inputs()
    encoder: Encoded | None = None
    cells: Any = None
    cache: Any = None

    def normed(self, state: jax.Array) -> Encoded:
        """The result whose state, and last hidden state, is one that came through a last norm."""
        states = self.hidden_states and (*self.hidden_states[:-1], state)
        return dataclasses.replace(self, state=state, hidden_states=states)

    @property
    def first(self) -> jax.Array:
        """The state of each text's first token [B or N, D]."""
        if self.inputs.starts is None:
            return self.state[:, 0]
        return self.state.reshape(-1, self.state.shape[-1])[self.inputs.starts]

    def last(self, pad: int | None) -> jax.Array:
        """The state of each text's last token [B or N, D], as `Inputs.ends` finds it."""
        return self.state.reshape(-1, self.state.shape[-1])[self.inputs.ends(pad)]

    def mean(self, x: jax.Array) -> jax.Array:
        """The mean of x [B, T, K] over each text's tokens [B or N, K]."""
        segments, starts = self.inputs.segment_ids, self.inputs.starts
        rows, length = segments.shape
        real = (segments != 0)[..., None]
        if starts is None:
            return jnp.where(real, x, 0).sum(1) / jnp.maximum(real.sum(1), 1)
        text = (segments + jnp.arange(rows)[:, None] * (length + 1)).reshape(-1)
        total = lambda values: jax.ops.segment_sum(values.reshape(len(text), -1), text, rows * (length + 1))  # noqa: E731
        return (total(jnp.where(real, x, 0)) / jnp.maximum(total(real.astype(x.dtype)), 1))[text[starts]]


def run(
    block: Block, layers: Any, x: jax.Array, *each: Sequence[Any], ask: Ask = Ask(), sites: Sites = PLAIN
) -> Encoded:
    """Send x [B, T, D] through all layers.

    Args:
        block: `block(params, x, sites, *each) -> x`, with the sites of the layer.
        layers: a list of the layers' trees, or one tree whose arrays are stacked along a new first axis, or a tuple of
            such trees, whose layers differ from those of the others.
        x: what enters the first layer.
        *each: sequences of one entry a layer, handed to `block` (window sizes, rotary bases).
        ask: which intermediate results to collect, and how gradients compute layers again.
        sites: of the model, or of its side that these layers are.
    """
    return remembering(
        lambda p, x, cell, *each: (block(p, x, *each), cell), layers, None, x, *each, ask=ask, sites=sites
    )


def remembering(
    block: Callable[..., tuple[jax.Array, Any]],
    layers: Any,
    cells: Any,
    x: jax.Array,
    *each: Sequence[Any],
    ask: Ask = Ask(),
    sites: Sites = PLAIN,
) -> Encoded:
    """`run` for layers that read and write something of their own, such as the keys and values of earlier tokens.

    Args:
        block: `block(params, x, cell, sites, *each) -> (x, cell)`.
        layers: as in `run`.
        cells: one a layer, listed or stacked as the layers are; None: the layers keep nothing, and `block` gets None.
        x: what enters the first layer.
        *each: as in `run`.
        ask: as in `run`.
        sites: as in `run`.
    """
    runs = layers if isinstance(layers, tuple) else (layers,)
    kept: Any = cells if isinstance(layers, tuple) and cells is not None else (cells,) * len(runs)
    count = sum(map(_count, runs))
    if wrong := [len(one) for one in each if len(one) != count]:
        raise ValueError(f"{wrong[0]} entries for {count} layers: each sequence has one a layer")
    x = entered = laid(sites("embeddings", x), STATE)
    shown, after, first = [], [], 0
    for part, own in zip(runs, kept, strict=True):
        through = _unrolled if isinstance(part, list) else _scanned
        slices = [one[first : first + _count(part)] for one in each]
        x, own, done = through(partial(_layer, block, ask, sites), ask, part, own, x, slices, first)
        after.append(own)
        shown.extend(done)
        first += len(done)
    return _collected(entered, x, shown, tuple(after) if isinstance(layers, tuple) else after[0], ask, sites)


_FIELDS = {
    "hidden_states": "residual",
    "attentions": "attention_weights",
    "cross_attentions": "cross.attention_weights",
}
"""Of which sites in each layer intermediate results are."""

Shown = dict[str, jax.Array]
"""What a layer has shown, by the rest of its name."""


def _layer(
    block: Any, ask: Ask, sites: Sites, p: Any, x: jax.Array, cell: Any, number: Any, own: Sequence[Any]
) -> tuple[jax.Array, Any, Shown]:
    """One layer, by its number."""
    wanted = [site for field, site in _FIELDS.items() if getattr(ask, field)]
    here = sites.at(number)
    here = here.opened(*wanted) if wanted or sites.shown is not None else here
    x, cell = block(p, x, cell, here, *own)
    x = laid(here("residual", x), STATE)
    return x, cell, {name.removeprefix(here.path): value for name, value in (here.shown or {}).items()}


def _unrolled(
    layer: Any, ask: Ask, layers: Any, cells: Any, x: jax.Array, each: Any, first: int
) -> tuple[jax.Array, Any, list[Shown]]:
    """Listed layers, one after the other."""
    kept, shown = [], []
    cells = [None] * len(layers) if cells is None else cells
    for i, (p, cell, *own) in enumerate(zip(layers, cells, *each, strict=True), first):
        through = rematerialised(partial(layer, number=i, own=own), ask.remat, scanned=False)
        x, cell, values = through(p, x, cell)
        kept.append(cell)
        shown.append(values)
    return x, kept, shown


def _scanned(
    layer: Any, ask: Ask, layers: Any, cells: Any, x: jax.Array, each: Any, first: int
) -> tuple[jax.Array, Any, list[Shown]]:
    """Stacked layers. Cells ride in the carry, those of all layers, and each writes into them what is new: as results
    of a step, or cut out and put back, all of them would be copied.
    """

    def body(carry: tuple[jax.Array, Any], step: tuple[Any, ...]) -> tuple[tuple[jax.Array, Any], Shown]:
        (x, cells), (i, p, *rest) = carry, step
        varying = iter(rest)
        own = [one[0] if _is_uniform(one) else next(varying) for one in each]
        through = rematerialised(partial(layer, number=i + first, own=own), ask.remat, scanned=True)
        x, cells, values = through(p, x, of_layer(cells, i))
        return (x, of_layer(cells, None)), values

    count = _count(layers)
    (x, cells), values = jax.lax.scan(
        body, (x, cells), (jnp.arange(count), layers, *(stack(one) for one in each if not _is_uniform(one)))
    )
    return x, cells, [jax.tree.map(lambda array, i=i: array[i], values) for i in range(count)]


def _is_uniform(one: Sequence[Any]) -> bool:
    """Whether all layers have the same number, which is then known when they are compiled."""
    return all(isinstance(value, int) and value == one[0] for value in one)


def _count(layers: Any) -> int:
    """How many layers are listed, or stacked."""
    return len(layers) if isinstance(layers, list) else jax.tree.leaves(layers)[0].shape[0]


def _collected(entered: jax.Array, x: jax.Array, shown: list[Shown], cells: Any, ask: Ask, sites: Sites) -> Encoded:
    """The result, with what was asked for; what was captured goes where the sites keep it."""
    for i, values in enumerate(shown):
        sites.keep({f"layers.{i}.{name}": value for name, value in values.items()})

    def each(field: str) -> tuple[jax.Array, ...] | None:
        site = _FIELDS[field]
        return tuple(values[site] for values in shown if site in values) if getattr(ask, field) else None

    states = each("hidden_states")
    return Encoded(
        state=x,
        cells=cells,
        hidden_states=None if states is None else (entered, *states),
        attentions=each("attentions"),
        cross_attentions=each("cross_attentions"),
    )


def either(flag: Any, yes: Callable[[], Any], no: Callable[[], Any]) -> Any:
    """What `yes` or `no` gives, by a flag of the layer: Python's where layers are listed, an array where scanned."""
    return (yes if flag else no)() if isinstance(flag, bool) else jax.lax.cond(flag, yes, no)


def reuse(block: Block, groups: Any, which: Sequence[int]) -> tuple[Block, Any]:
    """The block and the layers for `run` where layer i has the arrays of group `which[i]`; nothing is copied."""
    if isinstance(groups, list | tuple):
        return block, [groups[group] for group in which]

    def look_up(group: jax.Array, x: jax.Array, *each: Any) -> jax.Array:
        return block(jax.tree.map(lambda array: array[group], groups), x, *each)

    return look_up, jnp.array(which, jnp.int32)


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
