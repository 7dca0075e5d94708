"""Rows that are being written: their state, and the compiled programs that read prompts and write on.

All of the state is an array with one entry a row, so rows begin, end and are replaced by others independently. A token
stands in the slot of its own position (`layers.cache`), so nothing here knows on which side a prompt was padded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..layers import cache as caches
from ..layers.cache import Cache
from ..layers.inputs import Inputs
from ..runtime import note_shapes
from . import filters, processors
from .history import History, Source
from .model import LoadedModel
from .processors import Program, Values

Column = Any
"""An array, of the host or of a device: between segments the host may put its own in place of the device's."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Rows:
    """R rows with room for S tokens each.

    ids: [R, S]. length, prompt, padding, pad, limit, number: [R] as of `History`. offset, seed: [R] as of `Prompt`.
    done: [R] bool.
    cache: of all tokens but each row's last. negative: the same rows without their prompts, where guidance asks.
    source: as of `History`.
    """

    ids: Column
    length: Column
    prompt: Column
    padding: Column
    pad: Column
    limit: Column
    offset: Column
    seed: Column
    number: Column
    done: Column
    cache: Cache
    negative: Negative | None = None
    source: Source | None = None

    @property
    def history(self) -> History:
        """What processors may see."""
        return History(
            ids=self.ids,
            length=self.length,
            prompt=self.prompt,
            padding=self.padding,
            pad=self.pad,
            limit=self.limit,
            number=jnp.where(self.done, -1, self.number),
            source=self.source,
        )

    @property
    def last(self) -> jax.Array:
        """The last token of each row [R, 1]."""
        return jnp.take_along_axis(self.ids, self.length[:, None] - 1, axis=1)

    def mapped(self, column: Callable[..., Any], cache: Callable[..., Cache], *others: Rows) -> Rows:
        """The rows with what functions give for each array that has an entry a row, and for each cache."""

        def both(own: Any, *same: Any) -> Any:
            return cache(own, *same) if isinstance(own, Cache) else column(own, *same)

        return jax.tree.map(both, self, *others, is_leaf=lambda x: isinstance(x, Cache))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Negative:
    """The rows with another text in the prompt's place. last: [R, 1] the token that the cache does not have."""

    last: Column
    cache: Cache


class StepOutputs(NamedTuple):
    """What N steps keep for the caller: [N, R, V] each, None where not asked for."""

    scores: Column | None
    logits: Column | None

    @classmethod
    def of(cls, program: Program, model: LoadedModel, rows: Rows) -> StepOutputs:
        """Room for what a program keeps of rows."""
        logits = jax.eval_shape(lambda: logits_of(model, rows, None)[0])
        shape = (program.steps, *logits.shape)
        return cls(*(jnp.zeros(shape) if asked else None for asked in (program.scores, program.logits)))

    def put(self, step: Any, **kept: Any) -> StepOutputs:
        """With what one step gives, functions [] → [R, V] of what is kept."""
        new = {name: room.at[step].set(kept[name]()) for name, room in self._asdict().items() if room is not None}
        return self._replace(**new)

    def first(self, steps: int) -> StepOutputs:
        """Of the first steps, on the host."""
        return StepOutputs(*(None if kept is None else np.asarray(kept)[:steps] for kept in self))


# -- programs ---------------------------------------------------------------------------------------------------------


@partial(jax.jit, static_argnums=(2, 3))
def jaxformers_begin(model: LoadedModel, source: Inputs, rows: int, slots: int) -> Cache:
    """What an encoder makes of sources."""
    note_shapes(source)
    return model.begin(source, rows, slots)


@partial(jax.jit, donate_argnums=3)
def jaxformers_prefill(model: LoadedModel, tokens: jax.Array, real: jax.Array, cache: Cache) -> Cache:
    """One chunk of prompts."""
    note_shapes((tokens, cache))
    return model.prefill(tokens, real, cache)


def jaxformers_decode(
    program: Program,
    model: LoadedModel,
    rows: Rows,
    values: Values,
    key: jax.Array,
    steps: Any,
    embeds: jax.Array | None = None,
) -> tuple[Rows, StepOutputs, jax.Array]:
    """Write up to `steps` tokens on each row that is not done; how many it were is the last result.

    embeds: [R, 1, D] what the first step, which there is then, reads in the place of the rows' last ids: the last
    vectors of prompts.
    """
    note_shapes(rows)

    def going(state: tuple[Any, ...]) -> jax.Array:
        step, rows, _ = state
        return (step < steps) & ~rows.done.all()

    def step_on(state: tuple[Any, ...], embeds: jax.Array | None = None) -> tuple[Any, ...]:
        step, rows, kept = state
        logits, rows = logits_of(model, rows, embeds)
        unconditional = None
        if rows.negative is not None:
            unconditional, rows = _negative_logits(model, rows)
        scores = processors.process(program, values, rows.history, logits, unconditional=unconditional)
        if program.filters is None:
            chosen = jnp.argmax(scores, -1).astype(jnp.int32)
        else:
            noise = filters.noise(key, rows.seed, rows.history.new)
            chosen = filters.draw(program.filters, values.own, scores, noise)
        kept = kept.put(step, scores=lambda: processors.finished(program, values, scores), logits=lambda: logits)
        return step + 1, _appended(rows, chosen, values.own["eos"]), kept

    state: tuple[Any, ...] = (jnp.int32(0), rows, StepOutputs.of(program, model, rows))
    done, rows, kept = jax.lax.while_loop(going, step_on, state if embeds is None else step_on(state, embeds))
    return rows, kept, done


decode_segment = jax.jit(jaxformers_decode, static_argnums=0, donate_argnums=2)
"""`jaxformers_decode` as a program of its own."""


@partial(jax.jit, static_argnums=1)
def jaxformers_grow(rows: Any, slots: int) -> Any:
    """The rows with room for more tokens."""
    note_shapes(rows)
    more = slots - rows.ids.shape[-1]
    wide = jnp.pad(rows.ids, [(0, 0)] * (rows.ids.ndim - 1) + [(0, more)])
    grow = lambda x: caches.grown(x, slots) if isinstance(x, Cache) else x  # noqa: E731
    return dataclasses.replace(jax.tree.map(grow, rows, is_leaf=lambda x: isinstance(x, Cache)), ids=wide)


@partial(jax.jit, donate_argnums=0)
def jaxformers_replace_rows(rows: Rows, places: jax.Array, new: Rows) -> Rows:
    """The rows with new ones in some places [K]; a place past the end takes none."""
    note_shapes((rows, new))
    put = lambda array, other: array.at[places].set(other, mode="drop")  # noqa: E731
    return rows.mapped(put, lambda cache, other: caches.replaced(cache, places, other), new)


@jax.jit
def jaxformers_take_rows(rows: Rows, places: jax.Array) -> Rows:
    """Some of the rows [K]."""
    note_shapes(rows)
    return rows.mapped(lambda array: array[places], lambda cache: caches.rows_of(cache, places))


@partial(jax.jit, static_argnums=2)
def jaxformers_cache_rows(cache: Cache, rows: jax.Array, slots: int) -> Cache:
    """Some rows [K] of a cache, with room for `slots` tokens, for which it may have room already."""
    note_shapes((cache, rows))
    return caches.grown(caches.rows_of(cache, rows), slots)


def logits_of(model: LoadedModel, rows: Rows, embeds: jax.Array | None) -> tuple[jax.Array, Rows]:
    """Logits [R, V] of what follows each row, whose last token, or vector, is thereby read."""
    cache = dataclasses.replace(rows.cache, length=rows.length - 1 + rows.offset)
    logits, cache = model.decode_step(rows.last if embeds is None else embeds, cache, _counted(rows))
    return logits[:, 0], dataclasses.replace(rows, cache=cache)


def _negative_logits(model: LoadedModel, rows: Rows) -> tuple[jax.Array, Rows]:
    """`logits_of` for the rows without their prompts."""
    assert rows.negative is not None
    logits, cache = model.decode_step(rows.negative.last, rows.negative.cache, _counted(rows))
    return logits[:, 0], dataclasses.replace(rows, negative=Negative(rows.negative.last, cache))


def _counted(rows: Rows) -> jax.Array | None:
    """Which rows' last tokens are read [R, 1]; None: all, for what is kept by position is read again without harm."""
    return ~rows.done[:, None] if rows.cache.recurrent else None


def _appended(rows: Rows, token: jax.Array, eos: jax.Array) -> Rows:
    """The rows with a token more [R], those that are done as they were: what stands behind their end is nothing."""
    ids = jax.vmap(lambda row, at, new: row.at[at].set(new, mode="drop"))(rows.ids, rows.length, token)
    length = jnp.where(rows.done, rows.length, rows.length + 1)
    ended = (token[:, None] == eos).any(-1) | (length >= rows.limit)
    after = {"ids": ids, "length": length, "done": rows.done | ended}
    if rows.negative is not None:
        after["negative"] = dataclasses.replace(rows.negative, last=token[:, None])
    return dataclasses.replace(rows, **after)
