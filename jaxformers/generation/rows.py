"""Rows that are being written: their state, and the compiled programs that read prompts and write on.

All of the state is an array with one entry a row, so rows begin, end and are replaced by others independently. A token
stands in the slot of its own position (`layers.cache`), so nothing here knows on which side a prompt was padded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from ..layers import cache as caches
from ..layers.cache import Cache
from ..runtime import note_shapes
from . import processors
from .processors import Program, Values
from .sight import Sight

Column = Any
"""An array, of the host or of a device: between segments the host may put its own in place of the device's."""


class Speaker(Protocol):
    """What the loops ask of a model's class; all are pure functions of params."""

    def nothing(self, params: Any, config: Any, rows: int, slots: int) -> Cache:
        """An empty cache."""
        ...

    def read(self, params: Any, config: Any, tokens: jax.Array, real: jax.Array, cache: Cache) -> Cache:
        """The cache with tokens in it, of which real [R, T] is true: ids [R, T] or vectors [R, T, D]."""
        ...

    def speak(
        self, params: Any, config: Any, tokens: jax.Array, cache: Cache, real: jax.Array | None = None
    ) -> tuple[jax.Array, Cache]:
        """Scores float32 [R, T, V] of what follows each of tokens, ids [R, T] or vectors [R, T, D], and the cache with
        those in it that are real.
        """
        ...


class Voice(NamedTuple):
    """A model as the loops take it: its class (a `Speaker`), its params (best `prepare`d), and its config without
    what is `rest`.
    """

    cls: Any
    params: Any
    config: Any


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A row to be written on.

    ids: [n] its real tokens, at least one. most: how many tokens it gets at most. stream: the number that its draws go
    by. number: of the row in the call. padding, pad: as of `Sight`. without: [m] what stands in the prompt's place
    where the model is asked without it. vectors: [e, D] what is read in the place of ids, of which there may be none
    then, or any number: they are what processors see.
    """

    ids: np.ndarray
    most: int
    stream: int = 0
    number: int = 0
    padding: int = 0
    pad: int = 0
    without: np.ndarray | None = None
    vectors: np.ndarray | None = None

    @property
    def read(self) -> np.ndarray:
        """What of it the model reads: ids [n] or vectors [e, D]."""
        return self.ids if self.vectors is None else self.vectors

    @property
    def ahead(self) -> int:
        """How many tokens more than ids have been read with the prompt; below 0 where it is fewer."""
        return len(self.read) - len(self.ids)

    @property
    def extra(self) -> int:
        """How many slots more than its ids it takes, in the cache or in that without the prompt."""
        return max(0, self.ahead, 0 if self.without is None else len(self.without) - len(self.ids))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Rows:
    """R rows with room for S tokens each.

    ids: [R, S]. length, prompt, padding, pad, limit: [R], as of `Sight`. ahead: [R] as of `Prompt`. stream: [R] of
    their draws. number: [R] in the call. done: [R] bool.
    cache: of all tokens but each row's last. without: the same rows without their prompts, where guidance asks.
    """

    ids: Column
    length: Column
    prompt: Column
    padding: Column
    pad: Column
    limit: Column
    ahead: Column
    stream: Column
    number: Column
    done: Column
    cache: Cache
    without: Without | None = None

    @property
    def sight(self) -> Sight:
        """What processors may see."""
        return Sight(
            ids=self.ids,
            length=self.length,
            prompt=self.prompt,
            padding=self.padding,
            pad=self.pad,
            limit=self.limit,
            number=jnp.where(self.done, -1, self.number),
        )

    @property
    def last(self) -> jax.Array:
        """The last token of each row [R, 1]."""
        return jnp.take_along_axis(self.ids, self.length[:, None] - 1, axis=1)


_COLUMNS = tuple(field.name for field in dataclasses.fields(Rows) if field.name not in ("cache", "without"))
"""What rows have one of each."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Without:
    """The rows without their prompts. last: [R, 1] the token that the cache does not have yet."""

    last: Column
    cache: Cache


class Kept(NamedTuple):
    """What a segment of N steps keeps for the caller: [N, R, V] each, None where not asked for."""

    scores: Column | None
    logits: Column | None


class Style(NamedTuple):
    """What selects the program of a segment. steps: how many it has at most. scores, logits: whether they are kept."""

    program: Program
    steps: int
    scores: bool = False
    logits: bool = False


# -- programs ---------------------------------------------------------------------------------------------------------


@partial(jax.jit, static_argnums=0, donate_argnums=5)
def jaxformers_read(cls: Any, params: Any, config: Any, tokens: jax.Array, real: jax.Array, cache: Cache) -> Cache:
    """One chunk of prompts."""
    note_shapes((tokens, cache))
    return cls.read(params, config, tokens, real, cache)


def write(
    cls: Any,
    style: Style,
    params: Any,
    config: Any,
    rows: Rows,
    values: Values,
    ends: Ends,
    key: jax.Array,
    steps: Any,
    last: jax.Array | None = None,
) -> tuple[Rows, Kept, jax.Array]:
    """Write up to `steps` tokens on each row that is not done; how many it were is the last result.

    last: [R, 1, D] what the first step, which there is then, reads in the place of the rows' last ids: the last
    vectors of prompts.
    """
    note_shapes(rows)
    count = rows.ids.shape[0]
    vocab = jax.eval_shape(lambda: cls.speak(params, config, rows.last, rows.cache)[0]).shape[-1]
    kept = Kept(*(jnp.zeros((style.steps, count, vocab)) if asked else None for asked in (style.scores, style.logits)))

    def going(state: tuple[Any, ...]) -> jax.Array:
        step, rows, _ = state
        return (step < steps) & ~rows.done.all()

    def step_on(state: tuple[Any, ...], last: jax.Array | None = None) -> tuple[Any, ...]:
        step, rows, kept = state
        logits, rows = _speak(cls, params, config, rows, last)
        unconditional = None
        if rows.without is not None:
            unconditional, rows = _speak_without(cls, params, config, rows)
        scores = processors.process(style.program, values, rows.sight, logits, unconditional=unconditional)
        if style.program.filters is None:
            chosen = jnp.argmax(scores, -1).astype(jnp.int32)
        else:
            chosen = processors.draw(style.program, values, scores, processors.noise(key, rows.stream, rows.sight.new))
        if kept.scores is not None:
            kept = kept._replace(scores=kept.scores.at[step].set(processors.finished(style.program, values, scores)))
        if kept.logits is not None:
            kept = kept._replace(logits=kept.logits.at[step].set(logits))
        return step + 1, _written(rows, chosen, ends), kept

    state: tuple[Any, ...] = (jnp.int32(0), rows, kept)
    done, rows, kept = jax.lax.while_loop(going, step_on, state if last is None else step_on(state, last))
    return rows, kept, done


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=4)
def jaxformers_write(
    cls: Any,
    style: Style,
    params: Any,
    config: Any,
    rows: Rows,
    values: Values,
    ends: Ends,
    key: jax.Array,
    steps: Any,
    last: jax.Array | None = None,
) -> tuple[Rows, Kept, jax.Array]:
    """`write` as a program of its own."""
    return write(cls, style, params, config, rows, values, ends, key, steps, last)


class Ends(NamedTuple):
    """What ends rows. ids: [E] tokens, −1 for none. fill: the token of rows that have ended."""

    ids: Column
    fill: Column


@partial(jax.jit, static_argnums=1)
def jaxformers_grow(rows: Any, slots: int) -> Any:
    """The rows with room for more tokens."""
    note_shapes(rows)
    more = slots - rows.ids.shape[-1]
    wide = lambda ids: jnp.pad(ids, [(0, 0)] * (ids.ndim - 1) + [(0, more)])  # noqa: E731
    grown = {"cache": caches.grown(rows.cache, slots), "ids": wide(rows.ids)}
    if getattr(rows, "without", None) is not None:
        grown["without"] = dataclasses.replace(rows.without, cache=caches.grown(rows.without.cache, slots))
    return dataclasses.replace(rows, **grown)


@partial(jax.jit, donate_argnums=0)
def jaxformers_replace(rows: Rows, places: jax.Array, new: Rows) -> Rows:
    """The rows with new ones in some places [K]; a place past the end takes none."""
    note_shapes((rows, new))
    put = lambda array, other: array.at[places].set(other, mode="drop")  # noqa: E731
    plain = {name: put(getattr(rows, name), getattr(new, name)) for name in _COLUMNS}
    without = None
    if rows.without is not None and new.without is not None:
        last = put(rows.without.last, new.without.last)
        without = Without(last, caches.replaced(rows.without.cache, places, new.without.cache))
    return Rows(**plain, cache=caches.replaced(rows.cache, places, new.cache), without=without)


@jax.jit
def jaxformers_take(rows: Rows, places: jax.Array) -> Rows:
    """Some of the rows [K]."""
    note_shapes(rows)
    plain = {name: getattr(rows, name)[places] for name in _COLUMNS}
    without = rows.without
    if without is not None:
        without = Without(without.last[places], caches.rows_of(without.cache, places))
    return Rows(**plain, cache=caches.rows_of(rows.cache, places), without=without)


@partial(jax.jit, static_argnums=2)
def jaxformers_seat(cache: Cache, rows: jax.Array, slots: int) -> Cache:
    """Some rows [K] of a cache, with room for `slots` tokens, for which it may have room already."""
    note_shapes((cache, rows))
    return caches.grown(caches.rows_of(cache, rows), slots)


def _speak(cls: Any, params: Any, config: Any, rows: Rows, last: jax.Array | None) -> tuple[jax.Array, Rows]:
    """Scores [R, V] of what follows each row, whose last token, or `last`, is thereby read."""
    cache = dataclasses.replace(rows.cache, length=rows.length - 1 + rows.ahead)
    logits, cache = cls.speak(params, config, rows.last if last is None else last, cache, _counted(rows))
    return logits[:, 0], dataclasses.replace(rows, cache=cache)


def _speak_without(cls: Any, params: Any, config: Any, rows: Rows) -> tuple[jax.Array, Rows]:
    """`_speak` for the rows without their prompts."""
    assert rows.without is not None
    logits, cache = cls.speak(params, config, rows.without.last, rows.without.cache, _counted(rows))
    return logits[:, 0], dataclasses.replace(rows, without=Without(rows.without.last, cache))


def _counted(rows: Rows) -> jax.Array | None:
    """Which rows' last tokens are read [R, 1]; None: all, for what is kept by position is read again without harm."""
    return ~rows.done[:, None] if rows.cache.recurrent else None


def _written(rows: Rows, chosen: jax.Array, ends: Ends) -> Rows:
    """The rows with a token more, those that are done as they were."""
    token = jnp.where(rows.done, ends.fill, chosen)
    ids = jax.vmap(lambda row, at, new: row.at[at].set(new, mode="drop"))(rows.ids, rows.length, token)
    length = jnp.where(rows.done, rows.length, rows.length + 1)
    ended = (token[:, None] == ends.ids).any(-1) | (length >= rows.limit)
    after = {"ids": ids, "length": length, "done": rows.done | ended}
    if rows.without is not None:
        after["without"] = dataclasses.replace(rows.without, last=token[:, None])
    return dataclasses.replace(rows, **after)


# -- the host's side --------------------------------------------------------------------------------------------------

_FEWEST, _COARSE = 64, 512  # slots


def slots_for(tokens: int) -> int:
    """Few numbers of slots: 64, 128, 256, 512, 768, 1024, 1536, …: each step looks at all, so many are spared."""
    slots = _FEWEST
    while slots < tokens:
        slots *= 2
    return slots * 3 // 4 if slots > _COARSE and slots * 3 // 4 >= tokens else slots


def chunk_of(slots: int, platform: str) -> int:
    """How many tokens of prompts are read at once into caches of a size, so that each size has one such program."""
    if platform == "cpu":
        parts = 3 if slots % 3 == 0 else 4  # so 768 slots take 512 tokens in two chunks
        return min(max(slots // parts, 32), 256)
    return min(max(slots // 4, 32), 2048)


def rows_for(count: int) -> int:
    """Few numbers of rows: 1, 2, 3, 4, 6, 8, 12, …"""
    power = 1
    while power < count:
        power *= 2
    return power * 3 // 4 if power > 2 and power * 3 // 4 >= count else power


def begun(
    voice: Voice, prompts: Sequence[Prompt], count: int, slots: int, platform: str, past: Cache | None = None
) -> Rows:
    """`count` rows with room for `slots` tokens or more, of which the first are the prompts, read but for their last
    tokens.

    past: of the prompts' first tokens, one row each, fewer than the prompts have.
    """
    if past is None:
        cache = voice.cls.nothing(voice.params, voice.config, count, slots)
    else:
        slots = slots_for(max(slots, past.slots))
        own = jax.eval_shape(lambda: voice.cls.nothing(voice.params, voice.config, count, slots))
        past = jax.tree.map(lambda array, own: array.astype(own.dtype), past, own)
        cache = jaxformers_seat(past, np.minimum(np.arange(count), len(prompts) - 1), slots)
    field = lambda name: _column([getattr(p, name) for p in prompts], count)  # noqa: E731
    length, read = (_column([len(getattr(p, name)) for p in prompts], count, 1) for name in ("ids", "read"))
    ids = np.zeros((count, slots), np.int32)
    for row, prompt in zip(ids, prompts, strict=False):
        row[: len(prompt.ids)] = prompt.ids
    without = None
    if prompts[0].without is not None:
        negative = [p.without for p in prompts if p.without is not None]
        others = np.zeros((count, slots), np.int32)
        for row, tokens in zip(others, negative, strict=False):
            row[: len(tokens)] = tokens
        lengths = _column([len(tokens) for tokens in negative], count, 1)
        last = np.take_along_axis(others, lengths[:, None] - 1, axis=1)
        nothing = voice.cls.nothing(voice.params, voice.config, count, slots)
        without = Without(last, _read(voice, others, lengths, nothing, platform))
    return Rows(
        ids=ids,
        length=length,
        prompt=length.copy(),
        padding=field("padding"),
        pad=field("pad"),
        limit=length + field("most"),
        ahead=field("ahead"),
        stream=field("stream"),
        number=field("number"),
        done=np.arange(count) >= len(prompts),
        cache=_read(voice, ids if prompts[0].vectors is None else _vectors(prompts, count), read, cache, platform),
        without=without,
    )


def last_vectors(prompts: Sequence[Prompt], count: int) -> np.ndarray | None:
    """Of `count` rows the last vectors [R, 1, D] of their prompts, which `begun` leaves to the first step; None where
    prompts are ids.
    """
    if prompts[0].vectors is None:
        return None
    lasts = [dataclasses.replace(prompt, vectors=prompt.read[-1:]) for prompt in prompts]
    return _vectors(lasts, count)


def _vectors(prompts: Sequence[Prompt], count: int) -> np.ndarray:
    """The vectors of prompts in `count` rows [R, T, D], filled with zeros."""
    each = [prompt.read for prompt in prompts]
    wide = np.zeros((count, max(map(len, each)), each[0].shape[1]), each[0].dtype)
    for row, vectors in zip(wide, each, strict=False):
        row[: len(vectors)] = vectors
    return wide


def _read(voice: Voice, tokens: np.ndarray, length: np.ndarray, cache: Cache, platform: str) -> Cache:
    """The cache with all but the last of each row's tokens, ids [R, T] or vectors [R, T, D], `length` [R] of them."""
    first = np.asarray(cache.length)[:, None]
    missing = int((length - 1 - first[:, 0]).max())
    cache = dataclasses.replace(cache, reach=jnp.asarray(length))
    size = chunk_of(cache.slots, platform)
    for start in range(0, missing, size):
        places = first + np.arange(start, start + size)
        part = tokens[np.arange(len(tokens))[:, None], np.minimum(places, tokens.shape[1] - 1)]
        real = places < length[:, None] - 1
        cache = jaxformers_read(voice.cls, voice.params, voice.config, part, real, cache)
    return cache


def padded_row(prompt: Prompt, ids: np.ndarray) -> np.ndarray:
    """A row's tokens behind its prompt's padding [1, T], as the user's rules see it."""
    return np.concatenate([np.full(prompt.padding, prompt.pad, np.int32), ids])[None]


def _column(values: Sequence[int], count: int, fill: int = 0) -> np.ndarray:
    return np.array([*values, *[fill] * (count - len(values))], np.int32)
