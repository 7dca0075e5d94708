"""Beam search: of each row the likeliest few continuations are followed, and the likeliest few ended ones are kept.

Sutskever et al. 2014, arXiv 1409.3215; which candidates there are, when one counts as ended, how scores are normalised
and when a row is given up are those of torch Transformers 4.57.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..layers import cache as caches
from ..runtime import note_shapes
from . import host, processors
from .model import LoadedModel
from .plan import SEGMENT, Plan
from .prefill import last_embeds
from .processors import Program, Values
from .rows import Column, Rows, StepOutputs, jaxformers_grow, logits_of
from .session import Completion, End, Request, Session

_NEVER = -1.0e9  # the score of what is not there


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Hypotheses:
    """Beams that have ended: the best N of each of B rows so far.

    ids: [B, N, S]. parents: [B, N, S] which beam each token came from, counted through all rows. scores: [B, N]
    normalised. ended: [B, N] whether there is one. length: [B, N].
    """

    ids: Column
    parents: Column
    scores: Column
    ended: Column
    length: Column


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Beams:
    """N beams of each of B rows.

    rows: the beams that go on, B · N rows; done, where their row is no longer searched. scores: [B, N] their sums of
    log-probabilities. parents: [B, N, S] as of `Hypotheses`. finished: those that are kept. open: [B] whether a row may
    get better.
    """

    rows: Rows
    scores: Column
    parents: Column
    finished: Hypotheses
    open: Column

    def each(self, column: Column) -> Column:
        """What a column of the beams [B · N, …] says of each row [B, …]."""
        return column[:: self.scores.shape[1]]


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=3)
def jaxformers_beam_search(
    program: Program,
    judged: bool,
    model: LoadedModel,
    beams: Beams,
    values: Values,
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

    def going(state: tuple[Any, ...]) -> jax.Array:
        step, beams, _ = state
        return (step < steps) & ~beams.rows.done.all()

    def search(state: tuple[Any, ...], embeds: jax.Array | None = None) -> tuple[Any, ...]:
        step, beams, kept = state
        logits, rows = logits_of(model, beams.rows, embeds)
        scores = processors.apply(program, values, rows.history, jax.nn.log_softmax(logits))
        kept = kept.put(step, scores=lambda: scores, logits=lambda: logits)
        beams = dataclasses.replace(beams, rows=rows)
        each, eos = scores.reshape(*beams.scores.shape, -1), beams.each(values.own["eos"])
        return step + 1, _searched(program, beams, each, eos, penalty, key, judge if judged else None), kept

    state: tuple[Any, ...] = (jnp.int32(0), beams, StepOutputs.of(program, model, beams.rows))
    done, beams, kept = jax.lax.while_loop(going, search, state if embeds is None else search(state, embeds))
    return beams, kept, done


def _searched(
    program: Program, beams: Beams, scores: jax.Array, eos: jax.Array, penalty: jax.Array, key: jax.Array, judge: Any
) -> Beams:
    """One token further, by the scores [B, N, V] of all continuations; eos: [B, E]."""
    rows, count, vocab = scores.shape
    length, prompt, limit = (beams.each(x) for x in (beams.rows.length, beams.rows.prompt, beams.rows.limit))
    sums = (scores + beams.scores[:, :, None]).reshape(rows, count * vocab)
    if program.filters is None:
        best, places = jax.lax.top_k(sums, program.candidates)
    else:
        best, places = _drawn(sums, program.candidates, key, beams.each(beams.rows.seed), length - prompt)
    parent, token = places // vocab, (places % vocab).astype(jnp.int32)
    pick = lambda array: jnp.take_along_axis(array, parent[..., None], axis=1)  # noqa: E731
    put = lambda array, at, new: jax.vmap(lambda a, i, x: a.at[:, i].set(x, mode="drop"))(array, at, new)  # noqa: E731
    ids = put(pick(beams.rows.ids.reshape(rows, count, -1)), length, token)
    numbers = (jnp.arange(rows)[:, None] * count + parent).astype(jnp.int32)
    parents = put(pick(beams.parents), length, numbers)
    length = length + 1
    hits = (token[..., None] == eos[:, None]).any(-1) | (length >= limit)[:, None]
    if judge is not None:
        hits |= host.ask(judge, hits.shape, ids, length)

    # What goes on: the best that have not ended.
    on, order = jax.lax.top_k(jnp.where(hits, best + _NEVER, best), count)
    follow = lambda array: jnp.take_along_axis(array, order[..., None], axis=1)  # noqa: E731
    kept_parent = jnp.take_along_axis(parent, order, axis=1)

    # What is kept: those that ended among the best.
    new = length - prompt
    ended = hits & (jnp.arange(program.candidates) < count)
    barred = ~beams.open
    if program.early_stopping is True:
        barred |= beams.finished.ended.all(1)
    normal = best / (new.astype(jnp.float32) ** penalty)[:, None]
    normal = normal + jnp.where(barred, _NEVER, 0.0)[:, None] + jnp.where(ended, 0.0, _NEVER)
    candidates = Hypotheses(ids, parents, normal, ended, jnp.broadcast_to(length[:, None], ended.shape))
    both = lambda a, b: jnp.concatenate([a, b], axis=1)  # noqa: E731
    order2 = jax.lax.top_k(both(beams.finished.scores, normal), count)[1]
    keep = lambda a, b: jnp.take_along_axis(both(a, b), order2.reshape(*order2.shape, *[1] * (a.ndim - 2)), axis=1)  # noqa: E731
    finished: Hypotheses = jax.tree.map(keep, beams.finished, candidates)

    # Whether it can get better.
    reach = new
    if program.early_stopping == "never":
        reach = jnp.where(penalty > 0, limit - prompt, new)
    hope = on[:, 0] / reach.astype(jnp.float32) ** penalty
    worst = jnp.where(finished.ended, finished.scores.min(1, keepdims=True), _NEVER)
    open_ = beams.open & (hope[:, None] > worst).any(1)
    going = open_ & ~hits.all(1)
    if program.early_stopping is True:
        going &= ~finished.ended.all(1)

    # A row that is no longer searched stays as it is, whatever the others do.
    was = ~beams.each(beams.rows.done)
    same = lambda old, now: jnp.where(was.reshape(-1, *[1] * (now.ndim - 1)), now, old)  # noqa: E731
    wide = lambda column: jnp.repeat(column, count, axis=0)  # noqa: E731
    source = (jnp.arange(rows)[:, None] * count + jnp.where(was[:, None], kept_parent, jnp.arange(count))).reshape(-1)
    after = dataclasses.replace(
        beams.rows,
        ids=jnp.where(wide(was)[:, None], follow(ids).reshape(beams.rows.ids.shape), beams.rows.ids),
        length=jnp.where(wide(was), wide(length), beams.rows.length),
        done=wide(~(was & going)),
        cache=caches.beams_of(beams.rows.cache, source),
    )
    old = (beams.scores, beams.parents, beams.finished, beams.open)
    return Beams(after, *jax.tree.map(same, old, (on, follow(parents), finished, open_)))


def _drawn(
    sums: jax.Array, count: int, key: jax.Array, seeds: jax.Array, new: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """`count` places of each row, drawn without replacement from the softmax of sums [B, N · V], and their sums: the
    largest sums with Gumbel noise on them (Vieira 2014; Kool et al. 2019, arXiv 1903.06059).

    seeds: [B] as of `Rows`. new: [B] how many tokens each row has got.
    """

    def noise(seed: jax.Array, new: jax.Array) -> jax.Array:
        return jax.random.gumbel(jax.random.fold_in(jax.random.fold_in(key, seed), new), sums.shape[1:])

    noisy = sums + jax.vmap(noise)(seeds, new)
    places = jax.lax.top_k(noisy, count)[1]
    return jnp.take_along_axis(sums, places, axis=1), places


# -- the host's side --------------------------------------------------------------------------------------------------


class BeamSession(Session):
    """A session that searches prompts in groups, each of as many as `width` rows have room for with all their beams."""

    searches = True

    def __init__(self, plan: Plan, model: LoadedModel, width: int, platform: str, **options: Any) -> None:
        super().__init__(plan, model, width, platform, **{**options, "keep": True})
        self.width = max(1, width // plan.program.beams)

    def _write(self) -> None:
        """Search some tokens further; there is no event before all of a group have ended."""
        requests = [request for _, request in self._live()]
        slots = self.rows.parents.shape[-1]
        going = np.asarray(self.rows.rows.length)[~np.asarray(self.rows.rows.done)]
        longest = int(going.max(initial=0)) + max(request.prompt.extra for request in requests)
        if longest >= slots:
            slots *= 2
            self.rows = _grown(self.rows, slots)
        steps = min(slots - longest, SEGMENT, *(request.stops.steps or SEGMENT for request in requests))
        said = self.plan.settings.length_penalty
        penalty = np.float32(1.0 if said is None else said)
        judge = _judging(self.running)
        self.rows, outputs, done = jaxformers_beam_search(
            self.plan.program,
            any(request.stops.texts or request.stops.rules for request in requests),
            self.model,
            self.rows,
            self._values(),
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
        if not np.asarray(self.rows.rows.done).all() and not any(request.stops.overdue() for request in requests):
            return
        best = _with_running(self.rows, float(penalty))
        for row, request in self._live():
            found = _best(best, row, request)
            self._events.append(End(request.id, found))
            self.running[row] = None
            request.tell(found[0].tokens, True)

    def _values(self) -> Values:
        """As of `Session`; each beam is a row."""
        shared, own = super()._values()
        return Values(shared, {name: column.repeat(self.plan.program.beams, axis=0) for name, column in own.items()})

    def _begin(self, coming: Sequence[Request]) -> int:
        """Beams of which the first goes on and the others are not there yet."""
        count = self.plan.program.beams
        rows = self._rows_of(coming, len(coming), self._room(coming), self.past)
        embeds = last_embeds([request.prompt for request in coming], len(coming))
        self._embeds = None if embeds is None else np.repeat(embeds, count, axis=0)
        self.rows, self.past, self.outputs = _started(rows, count), None, []
        return len(coming)

    def _halt(self, row: int) -> None:
        """A row is searched no further."""
        rows = self.rows.rows
        done = np.asarray(rows.done) | (np.arange(len(rows.done)) // self.plan.program.beams == row)
        self.rows = dataclasses.replace(self.rows, rows=dataclasses.replace(rows, done=done))


def _started(rows: Rows, count: int) -> Beams:
    """`count` beams of each row."""
    ids = np.repeat(np.asarray(rows.ids)[:, None], count, axis=1)
    nothing, scores = np.full_like(ids, -1), np.zeros(ids.shape[:2], np.float32)
    scores[:, 1:] = _NEVER
    lengths = np.repeat(np.asarray(rows.length)[:, None], count, axis=1)
    ended = Hypotheses(ids, nothing, np.full_like(scores, _NEVER), np.zeros(scores.shape, bool), lengths)
    order = np.repeat(np.arange(len(ids)), count)
    beams = rows.mapped(
        lambda column: np.asarray(column)[order], lambda cache: caches.beams_of(cache, jnp.array(order))
    )
    return Beams(beams, scores, nothing, ended, np.ones(len(ids), bool))


def _grown(beams: Beams, slots: int) -> Beams:
    """The beams with room for more tokens."""
    wide = lambda array: jnp.pad(array, ((0, 0), (0, 0), (0, slots - array.shape[-1])), constant_values=-1)  # noqa: E731
    finished = dataclasses.replace(beams.finished, ids=wide(beams.finished.ids), parents=wide(beams.finished.parents))
    rows = jaxformers_grow(beams.rows, slots)
    return dataclasses.replace(beams, rows=rows, parents=wide(beams.parents), finished=finished)


def _with_running(beams: Beams, penalty: float) -> Hypotheses:
    """Those that are kept. Where time ran out before enough ended, the beams that were going on stand in."""
    finished: Hypotheses = jax.tree.map(np.asarray, beams.finished)
    rows = beams.rows.mapped(np.asarray, lambda cache: cache)
    done, length, prompt = (beams.each(x)[:, None] for x in (rows.done, rows.length, rows.prompt))
    if finished.ended.all() or done.all():
        return finished
    scores = np.asarray(beams.scores) / np.maximum((length - prompt).astype(np.float32), 1) ** penalty
    running = Hypotheses(
        ids=rows.ids.reshape(finished.ids.shape),
        parents=np.asarray(beams.parents),
        scores=np.where(done, 3 * _NEVER, scores),
        ended=np.broadcast_to(~done, finished.ended.shape),
        length=np.broadcast_to(length, finished.length.shape),
    )
    finished = dataclasses.replace(finished, scores=np.where(finished.ended, finished.scores, 2 * _NEVER))
    order = np.argsort(-np.concatenate([finished.scores, running.scores], axis=1), axis=1, kind="stable")

    def merged(a: Any, b: Any) -> np.ndarray:
        best = order[:, : a.shape[1]].reshape(*a.shape[:2], *[1] * (a.ndim - 2))
        return np.take_along_axis(np.concatenate([a, b], axis=1), best, axis=1)

    return jax.tree.map(merged, finished, running)


def _best(found: Hypotheses, row: int, request: Request) -> list[Completion]:
    """The best of a row's ended beams, as many as are asked for."""
    ids, parents, scores, lengths = (np.asarray(x)[row] for x in (found.ids, found.parents, found.scores, found.length))
    parts = [slice(len(request.prompt.ids), end) for end in lengths[: request.settings.num_return_sequences]]
    return [Completion(ids[i, part], scores[i], parents[i, part]) for i, part in enumerate(parts)]


def _judging(running: Sequence[Request | None]) -> host.Asked:
    """Says of candidates ids [B, K, S] which end [B, K], by texts and the user's rules."""

    def judge(ids: np.ndarray, length: np.ndarray) -> np.ndarray:
        hits = np.zeros(ids.shape[:2], bool)
        for row, request in enumerate(running):
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
