"""Beam search: of each row the likeliest few continuations are followed, and the likeliest few ended ones are kept.

Sutskever et al. 2014, arXiv 1409.3215; which candidates there are, when one counts as ended, how scores are normalised
and when a row is given up are those of torch Transformers 4.57.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..layers import cache as caches
from ..layers.cache import Cache
from ..runtime import note_shapes, report
from . import host, processors
from .config import GenerationConfig
from .flow import Task
from .processors import Program, Values
from .results import GenerateBeamDecoderOnlyOutput
from .rows import Column, Ends, Prompt, Voice, begun, jaxformers_grow, last_vectors, slots_for
from .sight import Sight
from .stopping import Stops

_NEVER = -1.0e9  # the score of what is not there
_SEGMENT = 64


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Beams:
    """B rows of N beams each, with room for S tokens.

    ids: [B, N, S] the beams that go on. scores: [B, N] their sums of log-probabilities. parents: [B, N, S] which beam
    each token came from, counted through all rows. length, prompt, padding, pad, limit, ahead, stream, number: [B] as
    of `Rows`. ended_ids, ended_parents: [B, N, S], ended_scores: [B, N] normalised, ended, ended_length: [B, N]: those
    that are kept. open: [B] whether a row may get better. going: [B] whether it is searched. cache: of B · N rows.
    """

    ids: Column
    scores: Column
    parents: Column
    length: Column
    prompt: Column
    padding: Column
    pad: Column
    limit: Column
    ahead: Column
    stream: Column
    number: Column
    ended_ids: Column
    ended_parents: Column
    ended_scores: Column
    ended: Column
    ended_length: Column
    open: Column
    going: Column
    cache: Cache


_OWN = ("length", "prompt", "padding", "pad", "limit", "ahead", "stream", "number")
"""What beams take over from `Rows`."""


class Rules(NamedTuple):
    """What selects the program. early: early_stopping. candidates: K. steps, scores, logits: as of `rows.Style`.
    judged: whether the host is asked which candidates end.
    """

    program: Program
    early: bool | str
    candidates: int
    steps: int = 0
    scores: bool = False
    logits: bool = False
    judged: bool = False


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=4)
def jaxformers_beams(
    cls: Any,
    rules: Rules,
    params: Any,
    config: Any,
    beams: Beams,
    values: Values,
    ends: Ends,
    penalty: jax.Array,
    key: jax.Array,
    steps: Any,
    judge: Any,
    last: jax.Array | None = None,
) -> tuple[Beams, Any, jax.Array]:
    """Search up to `steps` tokens further; judge: the number of what the host says of ends; last: [B · N, 1, D] as of
    `rows.write`.
    """
    note_shapes(beams)
    rows, count, _ = beams.ids.shape
    vocab = jax.eval_shape(lambda: _speak(cls, params, config, beams, None)[0]).shape[-1]
    kept = tuple(
        jnp.zeros((rules.steps, rows * count, vocab)) if asked else None for asked in (rules.scores, rules.logits)
    )

    def going(state: tuple[Any, ...]) -> jax.Array:
        step, beams, _ = state
        return (step < steps) & beams.going.any()

    def search(state: tuple[Any, ...], last: jax.Array | None = None) -> tuple[Any, ...]:
        step, beams, kept = state
        logits, beams = _speak(cls, params, config, beams, last)
        scores = processors.apply(rules.program, values, _sight(beams), jax.nn.log_softmax(logits))
        kept = tuple(
            None if have is None else have.at[step].set(now) for have, now in zip(kept, (scores, logits), strict=True)
        )
        return step + 1, _searched(rules, beams, scores.reshape(rows, count, vocab), ends, penalty, key, judge), kept

    state: tuple[Any, ...] = (jnp.int32(0), beams, kept)
    done, beams, kept = jax.lax.while_loop(going, search, state if last is None else search(state, last))
    return beams, kept, done


def _sight(beams: Beams) -> Sight:
    """What processors may see: each beam is a row."""
    count = beams.ids.shape[1]
    wide = lambda name: jnp.repeat(getattr(beams, name), count, axis=0)  # noqa: E731
    names = ("length", "prompt", "padding", "pad", "limit")
    number = jnp.repeat(jnp.where(beams.going, beams.number, -1), count, axis=0)
    return Sight(ids=beams.ids.reshape(-1, beams.ids.shape[-1]), number=number, **{name: wide(name) for name in names})


def _speak(cls: Any, params: Any, config: Any, beams: Beams, last: jax.Array | None) -> tuple[jax.Array, Beams]:
    """Scores [B · N, V] of what follows each beam, whose last token, or `last`, is thereby read."""
    rows, count, slots = beams.ids.shape
    length = jnp.repeat(beams.length, count)
    if last is None:
        last = jnp.take_along_axis(beams.ids.reshape(rows * count, slots), length[:, None] - 1, axis=1)
    cache = dataclasses.replace(beams.cache, length=length - 1 + jnp.repeat(beams.ahead, count))
    logits, cache = cls.speak(params, config, last, cache)
    return logits[:, 0], dataclasses.replace(beams, cache=cache)


def _searched(
    rules: Rules, beams: Beams, scores: jax.Array, ends: Ends, penalty: jax.Array, key: jax.Array, judge: Any
) -> Beams:
    """One token further, by the scores [B, N, V] of all continuations."""
    rows, count, vocab = scores.shape
    sums = (scores + beams.scores[:, :, None]).reshape(rows, count * vocab)
    if rules.program.filters is None:
        best, places = jax.lax.top_k(sums, rules.candidates)
    else:
        best, places = _drawn(sums, rules.candidates, key, beams)
    parent, token = places // vocab, (places % vocab).astype(jnp.int32)
    pick = lambda array: jnp.take_along_axis(array, parent[..., None], axis=1)  # noqa: E731
    put = lambda array, at, new: jax.vmap(lambda a, i, x: a.at[:, i].set(x, mode="drop"))(array, at, new)  # noqa: E731
    ids = put(pick(beams.ids), beams.length, token)
    numbers = (jnp.arange(rows)[:, None] * count + parent).astype(jnp.int32)
    parents = put(pick(beams.parents), beams.length, numbers)
    length = beams.length + 1
    hits = (token[..., None] == ends.ids).any(-1) | (length >= beams.limit)[:, None]
    if rules.judged:
        hits |= host.ask(judge, hits.shape, ids, length)

    # What goes on: the best that have not ended.
    on, order = jax.lax.top_k(jnp.where(hits, best + _NEVER, best), count)
    follow = lambda array: jnp.take_along_axis(array, order[..., None], axis=1)  # noqa: E731
    kept_parent = jnp.take_along_axis(parent, order, axis=1)

    # What is kept: those that ended among the best.
    new = length - beams.prompt
    ended = hits & (jnp.arange(rules.candidates) < count)
    barred = ~beams.open
    if rules.early is True:
        barred |= beams.ended.all(1)
    normal = best / (new.astype(jnp.float32) ** penalty)[:, None]
    normal = normal + jnp.where(barred, _NEVER, 0.0)[:, None] + jnp.where(ended, 0.0, _NEVER)
    both = lambda a, b: jnp.concatenate([a, b], axis=1)  # noqa: E731
    ended_scores, order2 = jax.lax.top_k(both(beams.ended_scores, normal), count)
    keep = lambda a, b: jnp.take_along_axis(both(a, b), order2.reshape(*order2.shape, *[1] * (a.ndim - 2)), axis=1)  # noqa: E731
    lengths = jnp.broadcast_to(length[:, None], ended.shape)
    after = {
        "ended_ids": keep(beams.ended_ids, ids),
        "ended_parents": keep(beams.ended_parents, parents),
        "ended_scores": ended_scores,
        "ended": keep(beams.ended, ended),
        "ended_length": keep(beams.ended_length, lengths),
    }

    # Whether it can get better.
    reach = new
    if rules.early == "never":
        reach = jnp.where(penalty > 0, beams.limit - beams.prompt, new)
    hope = on[:, 0] / reach.astype(jnp.float32) ** penalty
    worst = jnp.where(after["ended"], after["ended_scores"].min(1, keepdims=True), _NEVER)
    open_ = beams.open & (hope[:, None] > worst).any(1)
    going = open_ & ~hits.all(1)
    if rules.early is True:
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

    def noise(stream: jax.Array, new: jax.Array) -> jax.Array:
        return jax.random.gumbel(jax.random.fold_in(jax.random.fold_in(key, stream), new), sums.shape[1:])

    noisy = sums + jax.vmap(noise)(beams.stream, beams.length - beams.prompt)
    places = jax.lax.top_k(noisy, count)[1]
    return jnp.take_along_axis(sums, places, axis=1), places


# -- the host's side --------------------------------------------------------------------------------------------------


def generate(
    voice: Voice,
    task: Task,
    config: GenerationConfig,
    prompts: Sequence[Prompt],
    *,
    ids: np.ndarray,
    platform: str,
    stops: Stops,
    trace: Callable[[np.ndarray, int], dict[str, Any]] | None,
    past: Cache | None = None,
) -> Any:
    """The best `num_return_sequences` of each prompt, [B · n, T + new] or an output; arguments as of `generate`.

    trace: (new tokens [B · n, new], n) → hidden states and attentions, for outputs.
    """
    count, returned = config.num_beams, config.num_return_sequences
    ends_count = len(config.eos)
    beams = _started(voice, prompts, count, platform, past)
    last = last_vectors(prompts, len(prompts))
    last = None if last is None else np.repeat(last, count, axis=0)
    extra = max(prompt.extra for prompt in prompts)
    rules = Rules(
        task.program,
        config.early_stopping,
        max(2, 1 + ends_count) * count,
        _SEGMENT if task.scores or task.logits else 0,
        task.scores,
        task.logits,
        bool(stops.texts or stops.rules),
    )
    kept: list[Any] = []
    penalty = np.float32(1.0 if config.length_penalty is None else config.length_penalty)
    judge = _judging(stops, prompts)
    while np.asarray(beams.going).any():
        slots = beams.ids.shape[-1]
        longest = int(np.asarray(beams.length)[np.asarray(beams.going)].max()) + extra
        if longest >= slots:
            beams = _grown(beams, 2 * slots)
            slots *= 2
        steps = np.int32(min(slots - longest, stops.steps or _SEGMENT, _SEGMENT))
        beams, part, done = jaxformers_beams(
            voice.cls,
            rules,
            voice.params,
            voice.config,
            beams,
            task.values,
            task.ends,
            penalty,
            task.key,
            steps,
            judge.number,
            last,
        )
        last = None
        written = int(done)
        kept.append(tuple(None if x is None else np.asarray(x)[:written] for x in part))
        judge.check()
        task.check()
        if stops.overdue():
            break
    report()
    beams = _with_running(beams, float(penalty))
    new, parents = _rows(beams, prompts, returned, int(task.ends.fill))
    sequences = np.concatenate([np.repeat(ids, returned, axis=0), new], axis=1)
    if not config.return_dict_in_generate:
        return jnp.asarray(sequences)
    scores, logits = (
        tuple(jnp.asarray(step) for part in kept for step in part[i]) if kept and kept[0][i] is not None else None
        for i in (0, 1)
    )
    return GenerateBeamDecoderOnlyOutput(
        sequences=jnp.asarray(sequences),
        sequences_scores=jnp.asarray(np.asarray(beams.ended_scores)[:, :returned].reshape(-1)),
        scores=scores,
        logits=logits,
        beam_indices=jnp.asarray(parents),
        **({} if trace is None else trace(new, returned)),
    )


def _started(voice: Voice, prompts: Sequence[Prompt], count: int, platform: str, past: Cache | None) -> Beams:
    """Beams of which the first goes on and the others are not there yet."""
    slots = slots_for(max(len(p.ids) + p.extra + min(p.most, _SEGMENT) for p in prompts))
    rows = begun(voice, prompts, len(prompts), slots, platform, past)
    wide = np.repeat(np.asarray(rows.ids)[:, None], count, axis=1)
    scores = np.zeros((len(prompts), count), np.float32)
    scores[:, 1:] = _NEVER
    own = {name: np.asarray(getattr(rows, name)) for name in _OWN}
    none = np.zeros((len(prompts), count), bool)
    return Beams(
        ids=wide,
        scores=scores,
        parents=np.full_like(wide, -1),
        **own,
        ended_ids=wide.copy(),
        ended_parents=np.full_like(wide, -1),
        ended_scores=np.full_like(scores, _NEVER),
        ended=none,
        ended_length=np.repeat(own["length"][:, None], count, axis=1),
        open=np.ones(len(prompts), bool),
        going=np.ones(len(prompts), bool),
        cache=caches.beams_of(rows.cache, jnp.repeat(jnp.arange(len(prompts)), count)),
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


def _rows(beams: Beams, prompts: Sequence[Prompt], returned: int, pad: int) -> tuple[np.ndarray, np.ndarray]:
    """New tokens [B · n, longest], filled with `pad`, and the beams that they came from, filled with −1."""
    ids, parents, lengths = (np.asarray(x) for x in (beams.ended_ids, beams.ended_parents, beams.ended_length))
    found = []
    for row, prompt in enumerate(prompts):
        for beam in range(returned):
            part = slice(len(prompt.ids), int(lengths[row, beam]))
            found.append((ids[row, beam, part], parents[row, beam, part]))
    longest = max(len(tokens) for tokens, _ in found)
    new, came = np.full((len(found), longest), pad, np.int32), np.full((len(found), longest), -1, np.int32)
    for i, (tokens, beam_of) in enumerate(found):
        new[i, : len(tokens)], came[i, : len(tokens)] = tokens, beam_of
    return new, came


def _judging(stops: Stops, prompts: Sequence[Prompt]) -> host.Asked:
    """Says of candidates ids [B, K, S] which end [B, K], by texts and the user's rules."""

    def judge(ids: np.ndarray, length: np.ndarray) -> np.ndarray:
        hits = np.zeros(ids.shape[:2], bool)
        for row, prompt in enumerate(prompts):
            end = int(length[row])
            for candidate in range(ids.shape[1]):
                tokens = ids[row, candidate, :end]
                hits[row, candidate] = stops.end_of(tokens.tolist(), end - 1) is not None
            if stops.rules:
                padding = np.full((ids.shape[1], prompt.padding), prompt.pad, np.int32)
                hits[row] |= stops.ruled(np.concatenate([padding, ids[row, :, :end]], axis=1))
        return hits

    return host.Asked(judge)
