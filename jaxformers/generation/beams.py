"""Beam search: of each row the likeliest few continuations are followed, and the likeliest few ended ones are kept.

Sutskever et al. 2014, arXiv 1409.3215; which candidates there are, when one counts as ended, how scores are normalised
and when a row is given up are those of torch Transformers 4.57.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..layers import cache as caches
from ..layers.cache import Cache
from ..runtime import note_shapes
from . import host, processors
from .history import History
from .model import LoadedModel
from .plan import SEGMENT, Plan
from .prefill import last_embeds
from .processors import Program, Values
from .rows import Column, Rows, StepOutputs, jaxformers_grow
from .session import Completion, End, Request, Session, Tokens

_NEVER = -1.0e9  # the score of what is not there


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Beams:
    """B rows of N beams each, with room for S tokens.

    ids: [B, N, S] the beams that go on. scores: [B, N] their sums of log-probabilities. parents: [B, N, S] which beam
    each token came from, counted through all rows. length, prompt, padding, pad, limit, offset, seed, number, settings:
    [B] as of `Rows`. ended_ids, ended_parents: [B, N, S], ended_scores: [B, N] normalised, ended, ended_length: [B, N]:
    those that are kept. open: [B] whether a row may get better. going: [B] whether it is searched. cache: of B · N
    rows.
    """

    ids: Column
    scores: Column
    parents: Column
    length: Column
    prompt: Column
    padding: Column
    pad: Column
    limit: Column
    offset: Column
    seed: Column
    number: Column
    settings: Mapping[str, Column]
    ended_ids: Column
    ended_parents: Column
    ended_scores: Column
    ended: Column
    ended_length: Column
    open: Column
    going: Column
    cache: Cache


_OWN = ("length", "prompt", "padding", "pad", "limit", "offset", "seed", "number")
"""What beams take over from `Rows`, beside the settings."""


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=3)
def jaxformers_beam_search(
    program: Program,
    judged: bool,
    model: LoadedModel,
    beams: Beams,
    shared: Mapping[str, Any],
    penalty: jax.Array,
    key: jax.Array,
    steps: Any,
    judge: Any,
    embeds: jax.Array | None = None,
) -> tuple[Beams, StepOutputs, jax.Array]:
    """Search up to `steps` tokens further.

    penalty: [] the exponent of lengths. judge: the number of what the host says of ends, which is asked where `judged`.
    embeds: [B · N, 1, D] as of `jaxformers_decode`.
    """
    note_shapes(beams)
    rows, count, _ = beams.ids.shape
    vocab = jax.eval_shape(lambda: _logits(model, beams, None)[0]).shape[-1]
    values = Values(shared, {name: jnp.repeat(own, count, axis=0) for name, own in beams.settings.items()})

    def going(state: tuple[Any, ...]) -> jax.Array:
        step, beams, _ = state
        return (step < steps) & beams.going.any()

    def search(state: tuple[Any, ...], embeds: jax.Array | None = None) -> tuple[Any, ...]:
        step, beams, kept = state
        logits, beams = _logits(model, beams, embeds)
        scores = processors.apply(program, values, _history(beams), jax.nn.log_softmax(logits))
        kept = kept.put(step, scores=lambda: scores, logits=lambda: logits)
        beams = _searched(program, beams, scores.reshape(rows, count, vocab), penalty, key, judge if judged else None)
        return step + 1, beams, kept

    state: tuple[Any, ...] = (jnp.int32(0), beams, StepOutputs.of(program, rows * count, vocab))
    done, beams, kept = jax.lax.while_loop(going, search, state if embeds is None else search(state, embeds))
    return beams, kept, done


def _history(beams: Beams) -> History:
    """What processors may see: each beam is a row."""
    count = beams.ids.shape[1]
    wide = lambda name: jnp.repeat(getattr(beams, name), count, axis=0)  # noqa: E731
    names = ("length", "prompt", "padding", "pad", "limit")
    number = jnp.repeat(jnp.where(beams.going, beams.number, -1), count, axis=0)
    return History(
        ids=beams.ids.reshape(-1, beams.ids.shape[-1]), number=number, **{name: wide(name) for name in names}
    )


def _logits(model: LoadedModel, beams: Beams, embeds: jax.Array | None) -> tuple[jax.Array, Beams]:
    """Logits [B · N, V] of what follows each beam, whose last token, or vector, is thereby read."""
    rows, count, slots = beams.ids.shape
    length = jnp.repeat(beams.length, count)
    last = jnp.take_along_axis(beams.ids.reshape(rows * count, slots), length[:, None] - 1, axis=1)
    cache = dataclasses.replace(beams.cache, length=length - 1 + jnp.repeat(beams.offset, count))
    logits, cache = model.decode_step(last if embeds is None else embeds, cache)
    return logits[:, 0], dataclasses.replace(beams, cache=cache)


def _searched(
    program: Program, beams: Beams, scores: jax.Array, penalty: jax.Array, key: jax.Array, judge: Any
) -> Beams:
    """One token further, by the scores [B, N, V] of all continuations."""
    rows, count, vocab = scores.shape
    sums = (scores + beams.scores[:, :, None]).reshape(rows, count * vocab)
    if program.filters is None:
        best, places = jax.lax.top_k(sums, program.candidates)
    else:
        best, places = _drawn(sums, program.candidates, key, beams)
    parent, token = places // vocab, (places % vocab).astype(jnp.int32)
    pick = lambda array: jnp.take_along_axis(array, parent[..., None], axis=1)  # noqa: E731
    put = lambda array, at, new: jax.vmap(lambda a, i, x: a.at[:, i].set(x, mode="drop"))(array, at, new)  # noqa: E731
    ids = put(pick(beams.ids), beams.length, token)
    numbers = (jnp.arange(rows)[:, None] * count + parent).astype(jnp.int32)
    parents = put(pick(beams.parents), beams.length, numbers)
    length = beams.length + 1
    hits = (token[..., None] == beams.settings["eos"][:, None]).any(-1) | (length >= beams.limit)[:, None]
    if judge is not None:
        hits |= host.ask(judge, hits.shape, ids, length)

    # What goes on: the best that have not ended.
    on, order = jax.lax.top_k(jnp.where(hits, best + _NEVER, best), count)
    follow = lambda array: jnp.take_along_axis(array, order[..., None], axis=1)  # noqa: E731
    kept_parent = jnp.take_along_axis(parent, order, axis=1)

    # What is kept: those that ended among the best.
    new = length - beams.prompt
    ended = hits & (jnp.arange(program.candidates) < count)
    barred = ~beams.open
    if program.early_stopping is True:
        barred |= beams.ended.all(1)
    normal = best / (new.astype(jnp.float32) ** penalty)[:, None]
    normal = normal + jnp.where(barred, _NEVER, 0.0)[:, None] + jnp.where(ended, 0.0, _NEVER)
    both = lambda a, b: jnp.concatenate([a, b], axis=1)  # noqa: E731
    ended_scores, order2 = jax.lax.top_k(both(beams.ended_scores, normal), count)
    keep = lambda a, b: jnp.take_along_axis(both(a, b), order2.reshape(*order2.shape, *[1] * (a.ndim - 2)), axis=1)  # noqa: E731
    lengths = jnp.broadcast_to(length[:, None], ended.shape)
    after: dict[str, Any] = {
        "ended_ids": keep(beams.ended_ids, ids),
        "ended_parents": keep(beams.ended_parents, parents),
        "ended_scores": ended_scores,
        "ended": keep(beams.ended, ended),
        "ended_length": keep(beams.ended_length, lengths),
    }

    # Whether it can get better.
    reach = new
    if program.early_stopping == "never":
        reach = jnp.where(penalty > 0, beams.limit - beams.prompt, new)
    hope = on[:, 0] / reach.astype(jnp.float32) ** penalty
    worst = jnp.where(after["ended"], after["ended_scores"].min(1, keepdims=True), _NEVER)
    open_ = beams.open & (hope[:, None] > worst).any(1)
    going = open_ & ~hits.all(1)
    if program.early_stopping is True:
        going &= ~after["ended"].all(1)
    after |= {"ids": follow(ids), "scores": on, "parents": follow(parents), "length": length, "open": open_}

    # A row that is no longer searched stays as it is, whatever the others do.
    was = beams.going
    same = lambda old, now: jnp.where(was.reshape(-1, *[1] * (now.ndim - 1)), now, old)  # noqa: E731
    after = {name: same(getattr(beams, name), now) for name, now in after.items()}
    source = (jnp.arange(rows)[:, None] * count + jnp.where(was[:, None], kept_parent, jnp.arange(count))).reshape(-1)
    return dataclasses.replace(beams, **after, going=was & going, cache=caches.beams_of(beams.cache, source))


def _drawn(sums: jax.Array, count: int, key: jax.Array, beams: Beams) -> tuple[jax.Array, jax.Array]:
    """`count` places of each row, drawn without replacement from the softmax of sums [B, N · V], and their sums: the
    largest sums with Gumbel noise on them (Vieira 2014; Kool et al. 2019, arXiv 1903.06059).
    """

    def noise(seed: jax.Array, new: jax.Array) -> jax.Array:
        return jax.random.gumbel(jax.random.fold_in(jax.random.fold_in(key, seed), new), sums.shape[1:])

    noisy = sums + jax.vmap(noise)(beams.seed, beams.length - beams.prompt)
    places = jax.lax.top_k(noisy, count)[1]
    return jnp.take_along_axis(sums, places, axis=1), places


# -- the host's side --------------------------------------------------------------------------------------------------


class BeamSession(Session):
    """A session that searches prompts in groups, each of as many as `width` rows have room for with all their beams."""

    def __init__(self, plan: Plan, model: LoadedModel, width: int, platform: str, **options: Any) -> None:
        super().__init__(plan, model, max(1, width // plan.program.beams), platform, **{**options, "keep": True})

    def step(self) -> list[Tokens | End]:
        """Search some tokens further; there is no event before all of a group have ended."""
        self._admit()
        if not self._live():
            return []
        requests = [request for _, request in self._live()]
        slots = self.rows.ids.shape[-1]
        going = np.asarray(self.rows.length)[np.asarray(self.rows.going)]
        longest = int(going.max(initial=0)) + max(request.prompt.extra for request in requests)
        if longest >= slots:
            slots *= 2
            self.rows = _grown(self.rows, slots)
        steps = min(slots - longest, SEGMENT, *(request.stops.steps or SEGMENT for request in requests))
        said = self.plan.settings.length_penalty
        penalty = np.float32(1.0 if said is None else said)
        judge = _judging(self.seats)
        self.rows, outputs, done = jaxformers_beam_search(
            self.plan.program,
            any(request.stops.texts or request.stops.rules for request in requests),
            self.model,
            self.rows,
            self.plan.shared,
            penalty,
            self.key,
            np.int32(steps),
            judge.number,
            self._embeds,
        )
        self._embeds = None
        self.outputs.append(outputs.first(int(done)))
        for asked in filter(None, (judge, self.plan.asked)):
            asked.check()
        if np.asarray(self.rows.going).any() and not any(request.stops.overdue() for request in requests):
            return []
        beams = _with_running(self.rows, float(penalty))
        ended = [End(request.id, _best(beams, row, request)) for row, request in self._live()]
        self.seats = [None] * len(self.seats)
        return list(ended)

    def _begin(self, coming: Sequence[Request]) -> None:
        """Beams of which the first goes on and the others are not there yet."""
        count = self.plan.program.beams
        rows = self._rows_of(coming, len(coming), self._room(coming), self.past)
        embeds = last_embeds([request.prompt for request in coming], len(coming))
        self._embeds = None if embeds is None else np.repeat(embeds, count, axis=0)
        self.rows, self.seats, self.past, self.outputs = _started(rows, count), list(coming), None, []

    def _halt(self, row: int) -> None:
        """A row is searched no further."""
        going = np.asarray(self.rows.going) & (np.arange(len(self.seats)) != row)
        self.rows = dataclasses.replace(self.rows, going=going)


def _started(rows: Rows, count: int) -> Beams:
    """`count` beams of each row."""
    wide = np.repeat(np.asarray(rows.ids)[:, None], count, axis=1)
    scores = np.zeros(wide.shape[:2], np.float32)
    scores[:, 1:] = _NEVER
    own: dict[str, Any] = {name: np.asarray(getattr(rows, name)) for name in _OWN}
    return Beams(
        ids=wide,
        scores=scores,
        parents=np.full_like(wide, -1),
        **own,
        settings=rows.settings,
        ended_ids=wide.copy(),
        ended_parents=np.full_like(wide, -1),
        ended_scores=np.full_like(scores, _NEVER),
        ended=np.zeros(scores.shape, bool),
        ended_length=np.repeat(own["length"][:, None], count, axis=1),
        open=np.ones(len(wide), bool),
        going=np.ones(len(wide), bool),
        cache=caches.beams_of(rows.cache, jnp.repeat(jnp.arange(len(wide)), count)),
    )


def _grown(beams: Beams, slots: int) -> Beams:
    """The beams with room for more tokens."""
    more = slots - beams.ids.shape[-1]
    grown = jaxformers_grow(beams, slots)
    wide = {
        name: jnp.pad(getattr(beams, name), ((0, 0), (0, 0), (0, more)), constant_values=fill)
        for name, fill in (("parents", -1), ("ended_ids", 0), ("ended_parents", -1))
    }
    return dataclasses.replace(grown, **wide)


def _with_running(beams: Beams, penalty: float) -> Beams:
    """Where time ran out before enough ended: the beams that were going on stand in."""
    ended, going = np.asarray(beams.ended), np.asarray(beams.going)[:, None]
    if ended.all() or not going.any():
        return beams
    new = np.asarray(beams.length - beams.prompt)[:, None].astype(np.float32)
    running = np.where(going, np.asarray(beams.scores) / np.maximum(new, 1) ** penalty, 3 * _NEVER)
    scores = np.concatenate([np.where(ended, beams.ended_scores, 2 * _NEVER), running], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, : ended.shape[1]]
    lengths = np.broadcast_to(np.asarray(beams.length)[:, None], ended.shape)

    def merged(a: Any, b: Any) -> np.ndarray:
        both = np.concatenate([np.asarray(a), np.asarray(b)], axis=1)
        return np.take_along_axis(both, order.reshape(*order.shape, *[1] * (both.ndim - 2)), axis=1)

    return dataclasses.replace(
        beams,
        ended_ids=merged(beams.ended_ids, beams.ids),
        ended_parents=merged(beams.ended_parents, beams.parents),
        ended_length=merged(beams.ended_length, lengths),
        ended_scores=np.take_along_axis(scores, order, axis=1),
    )


def _best(beams: Beams, row: int, request: Request) -> list[Completion]:
    """The best of a row's ended beams, as many as are asked for."""
    parts = [slice(len(request.prompt.ids), int(end)) for end in beams.ended_length[row]]
    ids, parents, scores = (np.asarray(x)[row] for x in (beams.ended_ids, beams.ended_parents, beams.ended_scores))
    return [
        Completion(ids[beam, parts[beam]], scores[beam], parents[beam, parts[beam]])
        for beam in range(request.settings.num_return_sequences)
    ]


def _judging(seats: Sequence[Request | None]) -> host.Asked:
    """Says of candidates ids [B, K, S] which end [B, K], by texts and the user's rules."""

    def judge(ids: np.ndarray, length: np.ndarray) -> np.ndarray:
        hits = np.zeros(ids.shape[:2], bool)
        for row, request in enumerate(seats):
            if request is None:
                continue
            end, prompt = int(length[row]), request.prompt
            for candidate in range(ids.shape[1]):
                tokens = ids[row, candidate, :end]
                hits[row, candidate] = request.stops.end_of(tokens.tolist(), end - 1) is not None
            if request.stops.rules:
                hits[row] |= request.stops.ruled(np.stack([prompt.padded(own) for own in ids[row, :, :end]]))
        return hits

    return host.Asked(judge)
