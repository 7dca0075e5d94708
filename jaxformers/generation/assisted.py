"""Assisted decoding: tokens that something faster drafts are verified by the model all at once.

What comes out is what the model alone would have written: the same tokens in greedy search, the same distribution in
sampling (Leviathan et al. 2023, arXiv 2211.17192). A draft comes from a smaller model, or is what followed the last
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
from .buckets import slots_for
from .config import GenerationConfig
from .history import History
from .model import LoadedModel
from .plan import Plan
from .prefill import begin_rows
from .processors import Program, Values
from .prompts import Prompt
from .rows import Rows, decode_segment, jaxformers_grow, jaxformers_prefill
from .session import Request, Session

_DRAFT, _VERIFY, _CHOOSE = 1, 2, 3  # folded into the key: draws of different kinds are independent


@partial(jax.jit, static_argnums=0, donate_argnums=2)
def jaxformers_verify(
    program: Program,
    model: LoadedModel,
    rows: Rows,
    draft: jax.Array,
    count: jax.Array,
    odds: jax.Array | None,
    values: Values,
    key: jax.Array,
) -> Rows:
    """One row with those of the drafted tokens that the model agrees with, and one token of its own behind them.

    draft [K]: the tokens, of which the first `count` [] are meant. odds [K, V]: the log-probabilities that it was
    drawn with; None: it was not drawn.
    """
    note_shapes((rows, draft))
    size = len(draft)
    length = rows.length[0]
    places = length + jnp.arange(size)
    ids = rows.ids.at[0, places].set(draft, mode="drop")
    tokens = jnp.concatenate([rows.last[0], draft])[None]
    before = dataclasses.replace(rows.cache, length=rows.length - 1 + rows.offset)
    meant = jnp.arange(size) < count
    real = jnp.concatenate([jnp.ones(1, bool), meant])[None]  # what is not meant may stand past the last position
    logits, cache = model.decode_step(tokens, before, real)
    wide = lambda x: jnp.broadcast_to(x, (size + 1, *x.shape[1:]))  # noqa: E731
    history = History(
        ids=jnp.broadcast_to(ids, (size + 1, ids.shape[1])),
        length=length + jnp.arange(size + 1),
        prompt=wide(rows.prompt),
        padding=wide(rows.padding),
        pad=wide(rows.pad),
        limit=wide(rows.limit),
        number=wide(rows.number),
        source=jax.tree.map(wide, rows.source),
    )
    scores = processors.process(program, values, history, logits[0])
    if program.filters is None:
        own = jnp.argmax(scores, -1).astype(jnp.int32)
        agreed = jnp.cumprod(meant & (own[:-1] == draft)).sum()
        last = own[agreed]
    else:
        p = jax.nn.softmax(processors.finished(program, values, scores))
        drawn = jax.nn.one_hot(draft, p.shape[1]) if odds is None else jnp.exp(odds)
        here = jax.random.fold_in(jax.random.fold_in(key, rows.seed[0]), length)
        chance = jax.random.uniform(jax.random.fold_in(here, _VERIFY), (size,))
        at = lambda table: jnp.take_along_axis(table, draft[:, None], axis=1)[:, 0]  # noqa: E731
        agreed = jnp.cumprod(meant & (chance * at(drawn) < at(p[:-1]))).sum()
        taken = jnp.where(agreed < count, jnp.concatenate([drawn, jnp.zeros_like(drawn[:1])])[agreed], 0.0)
        left = jnp.log(jnp.maximum(p[agreed] - taken, 0.0))
        last = jax.random.categorical(jax.random.fold_in(here, _CHOOSE), left).astype(jnp.int32)
    if cache.recurrent:  # states hold refused tokens too, and are made again without
        taken = (jnp.arange(size + 1) <= agreed)[None]
        cache = caches.restored(cache, model.prefill(tokens, taken, before))
    ids = ids.at[0, length + agreed].set(last, mode="drop")
    new = length + 1 + jnp.arange(size + 1)  # the row's length with each of the new tokens
    token = ids[0, jnp.minimum(new - 1, ids.shape[1] - 1)]
    over = ((token[:, None] == values.own["eos"]).any(-1) | (new >= rows.limit[0])) & (new <= length + agreed + 1)
    done = over.any()
    after = jnp.where(done, length + 1 + jnp.argmax(over), length + agreed + 1)
    return dataclasses.replace(rows, ids=ids, length=after[None].astype(jnp.int32), done=done[None], cache=cache)


Draft = tuple[np.ndarray, jax.Array | None]
"""Tokens [n], and of a model that draws the log-probabilities [K, V] that it drew them with."""


class AssistedSession(Session):
    """A session that writes one prompt after another, on which tokens are drafted and verified.

    assistant: drafts; None: what followed the last words where they stood before.

    Raises:
        ValueError: settings that assisted decoding does not go with.
    """

    drafts = True

    def __init__(
        self, plan: Plan, model: LoadedModel, platform: str, *, assistant: LoadedModel | None, **options: Any
    ) -> None:
        super().__init__(plan, model, 1, platform, **options)
        settings = plan.settings
        if settings.guided:
            raise ValueError("guidance_scale does not go with assisted decoding: leave one out")
        if plan.program.scores or plan.program.logits:
            raise ValueError("output_scores and output_logits do not go with assisted decoding: leave one out")
        if not isinstance(assistant, LoadedModel | None):
            raise ValueError(f"assistant={type(assistant).__name__}(...): expected a LoadedModel: pass model.loaded()")
        size = settings.num_assistant_tokens if assistant is not None else settings.prompt_lookup_num_tokens
        if size is None:
            raise ValueError("nothing drafts: pass an assistant, or a plan with prompt_lookup_num_tokens")
        self.assistant, self.size, self.slack = assistant, size, size + 1
        self._draft: Callable[[np.ndarray, int, int], Draft]

    def _check(self, prompt: Prompt) -> None:
        super()._check(prompt)
        whole = len(prompt.ids) + prompt.max_new_tokens
        places = None if self.assistant is None else self.assistant.config.longest_row
        if places is not None and whole > places:
            raise ValueError(f"the assistant has {places} positions, too few for a row of {whole} tokens: leave it out")

    def _begin(self, coming: Sequence[Request]) -> int:
        count = super()._begin(coming)
        if self.assistant is None:
            self._draft = _looking_back(self.plan.settings, self.size, coming[0].prompt.source)
        else:
            self._draft = self._drafting(self.assistant, coming[0])
        return count

    def _advance(self, room: int) -> Rows:
        """The row with what the model says next: of a draft, or behind vectors, which drafts cannot follow."""
        rows, program, values = self.rows, self.plan.program, self._values()
        if self._embeds is not None:
            return decode_segment(program, self.model, rows, values, self.key, np.int32(1), self._embeds)[0]
        ((_, request),) = self._live()
        length = int(rows.length[0])
        most = int(rows.limit[0]) - length - 1  # one token is the model's own
        most = min(most, steady(self.model.config, length + request.prompt.offset))  # each as the row up to it is read
        draft, odds = self._draft(np.asarray(rows.ids)[0], length, min(self.size, most))
        padded = np.zeros(self.size, np.int32)
        padded[: len(draft)] = draft
        return jaxformers_verify(program, self.model, rows, padded, np.int32(len(draft)), odds, values, self.key)

    def _drafting(self, model: LoadedModel, request: Request) -> Callable[[np.ndarray, int, int], Draft]:
        """What a smaller model writes, until it is unsure."""
        plan, size, prompt = self.plan, self.size, dataclasses.replace(request.prompt, embeds=None)
        slots = slots_for(len(prompt.ids) + min(prompt.max_new_tokens, 64) + size + 1)
        own = plan.columns([request.settings])
        own["eos"] = np.full_like(own["eos"], -1)  # it goes on behind an end, which the model may refuse
        values = Values(plan.shared, own)
        state = [begin_rows(model, [prompt], 1, slots, self.platform)]
        have = [max(0, len(prompt.ids) - 1)]  # tokens in the assistant's cache
        program = plan.program._replace(steps=size, scores=True)
        key = jax.random.fold_in(self.key, _DRAFT)

        def read(cache: Cache, own: np.ndarray, length: int) -> Cache:
            """The cache with what the model accepted or added since."""
            while have[0] < length - 1:
                part = np.zeros((1, size + 1), np.int32)
                missing = own[0, have[0] : min(length - 1, have[0] + size + 1)]
                part[0, : len(missing)] = missing
                real = np.arange(size + 1)[None] < len(missing)
                cache = dataclasses.replace(cache, length=jnp.array([have[0]], jnp.int32))
                cache = jaxformers_prefill(model, part, real, cache)
                have[0] += len(missing)
            return cache

        def draft(ids: np.ndarray, length: int, most: int) -> Draft:
            rows = state[0]
            while length + size + 1 >= rows.ids.shape[1]:
                rows = jaxformers_grow(rows, 2 * rows.ids.shape[1])
            own = np.zeros((1, rows.ids.shape[1]), np.int32)
            own[0, :length] = ids[:length]
            cache = read(rows.cache, own, length)
            before = caches.saved(cache)
            rows = dataclasses.replace(
                rows, ids=own, length=np.array([length], np.int32), done=np.array([False]), cache=cache
            )
            rows, kept, _ = decode_segment(program, model, rows, values, key, np.int32(max(0, most)))
            state[0] = dataclasses.replace(rows, cache=caches.restored(rows.cache, before))
            have[0] = length - 1 if before.recurrent else length  # its own tokens behind that may be refused
            drafted = np.asarray(rows.ids)[0, length : int(rows.length[0])]
            assert kept.scores is not None
            odds = jax.nn.log_softmax(kept.scores[:, 0])
            sure = request.settings.assistant_confidence_threshold
            if sure and len(drafted):
                said = np.exp(np.asarray(odds)[np.arange(len(drafted)), drafted])
                unsure = np.flatnonzero(said < sure)
                drafted = drafted[: int(unsure[0]) + 1] if len(unsure) else drafted
            return drafted, None if program.filters is None else odds

        return draft


def _looking_back(
    settings: GenerationConfig, size: int, source: np.ndarray | None
) -> Callable[[np.ndarray, int, int], Draft]:
    """What followed the last words where they stood last before, in the row or else in the source of ids."""
    longest = settings.max_matching_ngram_size or 2
    before = np.zeros(0, np.int32) if source is None or source.ndim > 1 else source

    def draft(ids: np.ndarray, length: int, most: int) -> Draft:
        row = np.concatenate([before, ids[:length]])
        for n in range(min(longest, len(row) - 1), 0, -1):
            windows = np.lib.stride_tricks.sliding_window_view(row[:-1], n)
            found = np.flatnonzero((windows == row[-n:]).all(1))
            if len(found):
                start = int(found[-1]) + n
                return row[start : start + min(most, size)], None
        return row[:0], None

    return draft
