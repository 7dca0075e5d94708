"""Assisted decoding: tokens that something faster proposes are judged by the model all at once.

What comes out is what the model alone would have written: the same tokens in greedy search, the same distribution in
sampling (Leviathan et al. 2023, arXiv 2211.17192). A proposal comes from a smaller model, or is what followed the last
words where they stood before (Saxena 2023, prompt lookup).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..layers import cache as caches
from ..layers.cache import Cache
from ..layers.rotation import steady
from ..runtime import note_shapes
from . import processors
from .config import GenerationConfig
from .flow import Task
from .processors import Program, Values
from .rows import (
    Ends,
    Prompt,
    Rows,
    Style,
    Voice,
    begun,
    jaxformers_grow,
    jaxformers_read,
    jaxformers_write,
    last_vectors,
    padded_row,
    slots_for,
)
from .sight import Sight
from .stopping import Stops

_DRAFT, _JUDGE, _CHOOSE = 1, 2, 3  # folded into the key: draws of different kinds are independent


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=4)
def jaxformers_judge(
    cls: Any,
    program: Program,
    params: Any,
    config: Any,
    rows: Rows,
    draft: jax.Array,
    count: jax.Array,
    odds: jax.Array | None,
    values: Values,
    ends: Ends,
    key: jax.Array,
) -> Rows:
    """One row with those of the proposed tokens that the model agrees with, and one token of its own behind them.

    draft [K]: the proposal, of which the first `count` [] are meant. odds [K, V]: the log-probabilities that it was
    drawn with; None: it was not drawn.
    """
    note_shapes((rows, draft))
    size = len(draft)
    length = rows.length[0]
    places = length + jnp.arange(size)
    ids = rows.ids.at[0, places].set(draft, mode="drop")
    tokens = jnp.concatenate([rows.last[0], draft])[None]
    before = dataclasses.replace(rows.cache, length=rows.length - 1 + rows.ahead)
    meant = jnp.arange(size) < count
    real = jnp.concatenate([jnp.ones(1, bool), meant])[None]  # what is not meant may stand past the last position
    logits, cache = cls.speak(params, config, tokens, before, real)
    wide = lambda name: jnp.broadcast_to(getattr(rows, name), (size + 1,))  # noqa: E731
    sight = Sight(
        ids=jnp.broadcast_to(ids, (size + 1, ids.shape[1])),
        length=length + jnp.arange(size + 1),
        **{name: wide(name) for name in ("prompt", "padding", "pad", "limit", "number")},
    )
    scores = processors.process(program, values, sight, logits[0])
    if program.filters is None:
        own = jnp.argmax(scores, -1).astype(jnp.int32)
        agreed = jnp.cumprod(meant & (own[:-1] == draft)).sum()
        last = own[agreed]
    else:
        p = jax.nn.softmax(processors.finished(program, values, scores))
        drawn = jax.nn.one_hot(draft, p.shape[1]) if odds is None else jnp.exp(odds)
        here = jax.random.fold_in(jax.random.fold_in(key, rows.stream[0]), length)
        chance = jax.random.uniform(jax.random.fold_in(here, _JUDGE), (size,))
        at = lambda table: jnp.take_along_axis(table, draft[:, None], axis=1)[:, 0]  # noqa: E731
        agreed = jnp.cumprod(meant & (chance * at(drawn) < at(p[:-1]))).sum()
        taken = jnp.where(agreed < count, jnp.concatenate([drawn, jnp.zeros_like(drawn[:1])])[agreed], 0.0)
        left = jnp.log(jnp.maximum(p[agreed] - taken, 0.0))
        last = jax.random.categorical(jax.random.fold_in(here, _CHOOSE), left).astype(jnp.int32)
    if cache.recurrent:  # states hold refused tokens too, and are made again without
        taken = (jnp.arange(size + 1) <= agreed)[None]
        cache = caches.restored(cache, cls.read(params, config, tokens, taken, before))
    ids = ids.at[0, length + agreed].set(last, mode="drop")
    new = length + 1 + jnp.arange(size + 1)  # the row's length with each of the new tokens
    token = ids[0, jnp.minimum(new - 1, ids.shape[1] - 1)]
    over = ((token[:, None] == ends.ids).any(-1) | (new >= rows.limit[0])) & (new <= length + agreed + 1)
    done = over.any()
    after = jnp.where(done, length + 1 + jnp.argmax(over), length + agreed + 1)
    return dataclasses.replace(rows, ids=ids, length=after[None].astype(jnp.int32), done=done[None], cache=cache)


def assisted(
    voice: Voice,
    task: Task,
    config: GenerationConfig,
    prompts: Sequence[Prompt],
    assistant: Voice | None,
    platform: str,
    stops: Stops,
    on_token: Callable[[int], None] | None,
    past: Cache | None = None,
) -> np.ndarray:
    """The new tokens of one prompt, proposed by `assistant` or, without one, by looking back.

    Raises:
        ValueError: several prompts, or settings that assisted decoding does not go with.
    """
    if len(prompts) != 1:
        raise ValueError("assisted decoding writes one row: pass one prompt, and leave num_return_sequences out")
    if prompts[0].without is not None:
        raise ValueError("guidance_scale does not go with assisted decoding: leave one out")
    if task.scores or task.logits:
        raise ValueError("output_scores and output_logits do not go with assisted decoding: leave one out")
    (prompt,) = prompts
    whole = len(prompt.ids) + prompt.most
    if assistant is not None and (places := assistant.config.longest_row) is not None and whole > places:
        raise ValueError(f"the assistant has {places} positions, too few for a row of {whole} tokens: leave it out")
    size = config.num_assistant_tokens if assistant is not None else config.prompt_lookup_num_tokens
    assert size is not None
    slots = slots_for(len(prompt.ids) + prompt.extra + min(prompt.most, 64) + size + 1)
    rows, last = begun(voice, prompts, 1, slots, platform, past), last_vectors(prompts, 1)
    propose = _looking_back(config, size) if assistant is None else _drafting(assistant, task, config, prompt, platform)

    def ask(rows: Rows, last: np.ndarray | None) -> Rows:
        """The row with what the model says next: of a proposal, or behind vectors, which proposals cannot follow."""
        model, rest = (voice.params, voice.config, rows), (task.values, task.ends, task.key)
        if last is not None:
            return jaxformers_write(voice.cls, Style(task.program, 1), *model, *rest, np.int32(1), last)[0]
        length = int(rows.length[0])
        room = int(rows.limit[0]) - length - 1  # one token is the model's own
        room = min(
            room, steady(voice.config, length + prompt.ahead)
        )  # each is judged as the row up to it would be read
        draft, odds = propose(np.asarray(rows.ids)[0], length, min(size, room))
        padded = np.zeros(size, np.int32)
        padded[: len(draft)] = draft
        return jaxformers_judge(voice.cls, task.program, *model, padded, np.int32(len(draft)), odds, *rest)

    looked = int(rows.length[0])
    start = looked
    while not bool(np.asarray(rows.done)[0]):
        if int(rows.length[0]) + prompt.extra + size + 1 >= rows.ids.shape[1]:
            rows = jaxformers_grow(rows, 2 * rows.ids.shape[1])
        rows, last = ask(rows, last), None
        ids, length = np.asarray(rows.ids)[0], int(rows.length[0])
        task.check()
        end = stops.end_of(ids[:length].tolist(), looked)
        if stops.rules:
            for at in range(looked + 1, (end or length) + 1):
                if stops.ruled(padded_row(prompt, ids[:at]))[0]:
                    end = at
                    break
        if end is not None:
            length = end
            rows = dataclasses.replace(rows, length=np.array([end], np.int32), done=np.array([True]))
        if on_token is not None:
            for token in ids[looked:length]:
                on_token(int(token))
        looked = length
        if stops.overdue():
            break
    return np.asarray(rows.ids)[0, start:looked].copy()


Proposal = tuple[np.ndarray, jax.Array | None]


def _looking_back(config: GenerationConfig, size: int) -> Callable[[np.ndarray, int, int], Proposal]:
    """What followed the last words where they stood last before."""
    longest = config.max_matching_ngram_size or 2

    def propose(ids: np.ndarray, length: int, most: int) -> Proposal:
        row = ids[:length]
        for n in range(min(longest, length - 1), 0, -1):
            windows = np.lib.stride_tricks.sliding_window_view(row[:-1], n)
            found = np.flatnonzero((windows == row[-n:]).all(1))
            if len(found):
                start = int(found[-1]) + n
                return row[start : start + min(most, size)], None
        return row[:0], None

    return propose


def _drafting(
    assistant: Voice, task: Task, config: GenerationConfig, prompt: Prompt, platform: str
) -> Callable[[np.ndarray, int, int], Proposal]:
    """What a smaller model writes, until it is unsure."""
    size = config.num_assistant_tokens
    slots = slots_for(len(prompt.ids) + min(prompt.most, 64) + size + 1)
    state = [begun(assistant, [dataclasses.replace(prompt, vectors=None)], 1, slots, platform)]
    have = [max(0, len(prompt.ids) - 1)]  # tokens in the assistant's cache
    style = Style(task.program, size, scores=True)
    key = jax.random.fold_in(task.key, _DRAFT)
    nothing = Ends(np.full_like(task.ends.ids, -1), task.ends.fill)

    def propose(ids: np.ndarray, length: int, most: int) -> Proposal:
        rows = state[0]
        while length + size + 1 >= rows.ids.shape[1]:
            rows = jaxformers_grow(rows, 2 * rows.ids.shape[1])
        own = np.zeros((1, rows.ids.shape[1]), np.int32)
        own[0, :length] = ids[:length]
        cache = rows.cache
        while have[0] < length - 1:  # what the model accepted or added since
            part = np.zeros((1, size + 1), np.int32)
            missing = own[0, have[0] : min(length - 1, have[0] + size + 1)]
            part[0, : len(missing)] = missing
            real = np.arange(size + 1)[None] < len(missing)
            cache = dataclasses.replace(cache, length=jnp.array([have[0]], jnp.int32))
            cache = jaxformers_read(assistant.cls, assistant.params, assistant.config, part, real, cache)
            have[0] += len(missing)
        before = caches.saved(cache)
        rows = dataclasses.replace(
            rows, ids=own, length=np.array([length], np.int32), done=np.array([False]), cache=cache
        )
        rows, kept, _ = jaxformers_write(
            assistant.cls,
            style,
            assistant.params,
            assistant.config,
            rows,
            task.values,
            nothing,
            key,
            np.int32(max(0, most)),
        )
        state[0] = dataclasses.replace(rows, cache=caches.restored(rows.cache, before))
        have[0] = length - 1 if before.recurrent else length  # its own tokens behind that may be refused
        drafted = np.asarray(rows.ids)[0, length : int(rows.length[0])]
        assert kept.scores is not None
        odds = jax.nn.log_softmax(kept.scores[:, 0])
        sure = config.assistant_confidence_threshold
        if sure and len(drafted):
            said = np.exp(np.asarray(odds)[np.arange(len(drafted)), drafted])
            unsure = np.flatnonzero(said < sure)
            drafted = drafted[: int(unsure[0]) + 1] if len(unsure) else drafted
        return drafted, None if task.program.filters is None else odds

    return propose
