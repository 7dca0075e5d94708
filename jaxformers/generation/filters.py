"""Sampling: which tokens stay in the draw, and the draw.

The vocabulary is never sorted. Most settings keep few tokens, so the filters work on the WIDEST highest scores of each
row and are told of the others only their sum; a row that keeps more has its thresholds found by halving brackets over
the whole vocabulary. Which of the two ways a row goes, and so what it draws, depends on nothing but that row.

All settings are data, one per row or one for all. The four usual ones (temperature, top_k, top_p, min_p) are always in
the program and cost next to nothing while neutral; `Shape` says which of the rare ones are.

Letters: R rows, V vocabulary, N the tokens that a filter looks at: V, or the candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

WIDEST = 64
"""So many of a row's best tokens are looked at before the whole vocabulary is."""

USUAL: Mapping[str, Any] = {
    "temperature": np.float32(1.0),
    "top_k": np.int32(0),
    "top_p": np.float32(1.0),
    "min_p": np.float32(0.0),
}
"""The settings that every program has, and the values at which they do nothing."""

RARE: Mapping[str, Any] = {
    "typical_p": np.float32(1.0),
    "epsilon_cutoff": np.float32(0.0),
    "eta_cutoff": np.float32(0.0),
}
"""The settings that are in a program only when they are asked for, and the values at which they do nothing."""

_BLOCK = 128  # tokens that the draw from a whole vocabulary adds up at a time


class Shape(NamedTuple):
    """What of the filters selects the program.

    rare: which of `RARE` are asked for.
    keep: how many tokens every filter leaves at least: one, and with beams one more than there are ends.
    """

    rare: tuple[str, ...] = ()
    keep: int = 1


Settings = Mapping[str, Any]
"""By name, among others, the values of `USUAL` and of the shape's rare filters: float32 (top_k: int32), [] or [R]."""


def noise(key: jax.Array, streams: jax.Array, counts: jax.Array) -> jax.Array:
    """What a draw needs of chance, the same for a row whatever stands beside it.

    Args:
        key: a key of `jax.random`.
        streams: [R] which row it is, in the user's order.
        counts: [R] how many tokens the row has drawn before.

    Returns:
        [R, 2] uniform numbers, float32, in [0, 1).
    """

    def row(stream: jax.Array, count: jax.Array) -> jax.Array:
        own = jax.random.fold_in(jax.random.fold_in(key, stream), count)
        return jax.random.uniform(own, (2,), jnp.float32)

    return jax.vmap(row)(streams, counts)


def draw(shape: Shape, settings: Settings, scores: jax.Array, chance: jax.Array) -> jax.Array:
    """One token for each row, from the softmax of what the filters leave.

    Args:
        shape: which filters there are.
        settings: their values.
        scores: [R, V] float32, as the processors before the filters left them.
        chance: [R, 2] from `noise`.

    Returns:
        [R] ids, int32.
    """
    few = _candidates(shape, settings, scores)
    place = _pick(_odds(few.scores), chance[:, 0])
    ids = jax.vmap(lambda ids, at: ids[at])(few.ids, place)

    def rest() -> jax.Array:
        return jnp.where(few.enough, ids, _draw_from_all(_all(shape, settings, scores), chance))

    return lax.cond(few.enough.all(), lambda: ids, rest)


def filtered(shape: Shape, settings: Settings, scores: jax.Array) -> jax.Array:
    """Scores with the temperature in them and −∞ where a filter drops a token.

    Args:
        shape: which filters there are.
        settings: their values.
        scores: [R, V] float32, as the processors before the filters left them.

    Returns:
        [R, V] float32.
    """
    few = _candidates(shape, settings, scores)
    fill = jax.vmap(lambda row, at, kept: row.at[at].set(kept))
    sparse = fill(jnp.full_like(scores, -jnp.inf), few.ids, few.scores)

    def rest() -> jax.Array:
        return jnp.where(few.enough[:, None], sparse, _all(shape, settings, scores))

    return lax.cond(few.enough.all(), lambda: sparse, rest)


# -- the two ways -----------------------------------------------------------------------------------------------------


class _Few(NamedTuple):
    """The best tokens of each row: their ids and filtered scores [R, N], and whether no other token is kept [R]."""

    ids: jax.Array
    scores: jax.Array
    enough: jax.Array


class _Others(NamedTuple):
    """What the filters know of the tokens that they do not look at, all of them below those that they do.

    alive: [R] whether any may still be kept.
    vague: [R] whether a filter has dropped some of them, so that nobody knows the sums of the others.
    mass: [R] the sum of exp(score − best) over all tokens, looked at or not, before any filter.
    slope: [R] the sum of exp(score − best)·(score − best) over all tokens.
    unsure: [R] whether a filter needed what nobody knows.
    """

    alive: jax.Array
    vague: jax.Array
    mass: jax.Array
    slope: jax.Array
    unsure: jax.Array


def _candidates(shape: Shape, settings: Settings, scores: jax.Array) -> _Few:
    """The filters on the best tokens; one more than may be kept is looked at, to see that it is dropped."""
    rows, vocab = scores.shape
    width = min(vocab, max(WIDEST, shape.keep) + 1)
    own = _own(shape, settings, rows, vocab)
    open_end = own["top_k"] == 0
    sums = (own["top_p"] < 1) | (own["min_p"] > 0) | _asked(own, shape.rare)
    whole = width == vocab  # the vocabulary is so small that there are no others
    useful = jnp.where(open_end, sums, own["top_k"] < width) | whole

    def look() -> _Few:
        # Barriers keep XLA from taking other slices of the sorted row, for which it would sort the vocabulary. There is
        # one for each, since XLA takes one for both to be around its own pair, and on a mesh dies of that.
        values, ids = map(lax.optimization_barrier, lax.top_k(scores, width))
        best = values[:, :1]
        values = values / own["temperature"][:, None]
        mass = slope = jnp.zeros((rows,), jnp.float32)
        if not whole:

            def total() -> tuple[jax.Array, jax.Array]:
                return _sums((scores - best) / own["temperature"][:, None], bool(shape.rare))

            mass, slope = lax.cond((open_end & sums).any(), total, lambda: (mass, slope))
        false = jnp.zeros((rows,), bool)
        others = _Others(jnp.full((rows,), not whole), false, mass, slope, false)
        values, others = _chain(shape, own, values, others, _edge_of_few)
        return _Few(ids, values, ~others.alive & ~others.unsure)

    def skip() -> _Few:
        shape = (rows, width)
        return _Few(jnp.zeros(shape, jnp.int32), jnp.zeros(shape, jnp.float32), jnp.zeros((rows,), bool))

    return lax.cond(useful.any(), look, skip)


def _all(shape: Shape, settings: Settings, scores: jax.Array) -> jax.Array:
    """The filters on the whole vocabulary: [R, V]."""
    rows, vocab = scores.shape
    own = _own(shape, settings, rows, vocab)
    none, false = jnp.zeros((rows,), jnp.float32), jnp.zeros((rows,), bool)
    others = _Others(false, false, none, none, false)
    return _chain(shape, own, scores / own["temperature"][:, None], others, _edge)[0]


def _chain(
    shape: Shape, own: Settings, x: jax.Array, others: _Others, edge: Callable[..., jax.Array]
) -> tuple[jax.Array, _Others]:
    """All filters in the reference's order on scores [R, N] that have their temperature; settings are [R].

    `edge(keys, weights, wanted)` is the largest number of each row at which the weights of the keys from there on add
    up to what is wanted.
    """

    def top_k(x: jax.Array, others: _Others) -> jax.Array:
        wanted = jnp.maximum(own["top_k"], shape.keep).astype(jnp.float32)
        return x >= edge(x, jnp.ones_like(x), wanted, least=jnp.ones_like)[:, None]

    def top_p(x: jax.Array, others: _Others) -> jax.Array:
        odds = _odds(x)
        mass = _mass(odds, others)
        # All that weigh less than this are together less than what may be dropped.
        floor = (1 - own["top_p"]) * mass / x.shape[-1]
        return odds >= edge(odds, odds, own["top_p"] * mass, floor=floor, least=lambda odds: odds)[:, None]

    def min_p(x: jax.Array, others: _Others) -> jax.Array:
        return _odds(x) >= own["min_p"][:, None]

    def typical_p(x: jax.Array, others: _Others) -> jax.Array:
        odds, mass, entropy = _entropy(x, others)
        surprise = jnp.log(mass)[:, None] - _below_best(x)
        away = jnp.where(jnp.isneginf(x), -jnp.inf, -jnp.abs(surprise - entropy[:, None]))
        floor = jnp.minimum(edge(away, odds, own["typical_p"] * mass), _best(away, shape.keep))
        return away >= floor[:, None]

    def epsilon_cutoff(x: jax.Array, others: _Others) -> jax.Array:
        odds = _odds(x)
        return odds >= (own["epsilon_cutoff"] * _mass(odds, others))[:, None]

    def eta_cutoff(x: jax.Array, others: _Others) -> jax.Array:
        odds, mass, entropy = _entropy(x, others)
        eta = own["eta_cutoff"]
        return odds >= (jnp.minimum(eta, jnp.sqrt(eta) * jnp.exp(-entropy)) * mass)[:, None]

    def use(
        name: str, keeps: Callable[[jax.Array, _Others], jax.Array], x: jax.Array, others: _Others
    ) -> tuple[jax.Array, _Others]:
        on = _asked(own, (name,))

        def do() -> tuple[jax.Array, _Others]:
            kept = keeps(x, others)
            if name != "typical_p":  # keeps its own least number: the nearest, not the best
                kept |= x >= _best(x, shape.keep)[:, None]
            kept |= ~on[:, None]
            # The last token looked at is the best witness for those below it; the typical are not the best, so that
            # filter has none.
            alive = others.alive & (kept[:, -1] | (name == "typical_p"))
            unsure = others.unsure | (on & others.alive & (name == "typical_p"))
            if name in ("top_p", "epsilon_cutoff", "eta_cutoff"):
                unsure |= on & others.alive & others.vague
            after = others._replace(alive=alive, vague=others.vague | (on & alive), unsure=unsure)
            return jnp.where(kept, x, -jnp.inf), after

        return lax.cond(on.any(), do, lambda: (x, others))

    x, others = use("top_k", top_k, x, others)
    x, others = use("top_p", top_p, x, others)
    x, others = use("min_p", min_p, x, others)
    for name, keeps in (("typical_p", typical_p), ("epsilon_cutoff", epsilon_cutoff), ("eta_cutoff", eta_cutoff)):
        if name in shape.rare:
            x, others = use(name, keeps, x, others)
    return x, others


def _own(shape: Shape, settings: Settings, rows: int, vocab: int) -> dict[str, jax.Array]:
    """The settings of each row; a top_k that keeps the whole vocabulary is none."""
    own = {name: jnp.broadcast_to(settings[name], (rows,)) for name in (*USUAL, *shape.rare)}
    return {**own, "top_k": jnp.where(own["top_k"] < vocab, own["top_k"], 0)}


def _asked(own: Settings, names: tuple[str, ...]) -> jax.Array:
    """Which rows have a value that does something for any of the names: [R]."""
    marks = [own[name] < 1 if name in ("top_p", "typical_p") else own[name] > 0 for name in names]
    return jnp.stack(marks).any(0) if marks else jnp.zeros(own["top_k"].shape, bool)


# -- sums -------------------------------------------------------------------------------------------------------------


def _below_best(x: jax.Array) -> jax.Array:
    """Scores less the best of their row."""
    return x - x.max(-1, keepdims=True)


def _odds(x: jax.Array) -> jax.Array:
    """Probabilities as multiples of the best one's."""
    return jnp.exp(_below_best(x))


def _mass(odds: jax.Array, others: _Others) -> jax.Array:
    """The sum of what is kept: [R]."""
    return jnp.where(others.alive, others.mass, odds.sum(-1))


def _entropy(x: jax.Array, others: _Others) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Odds [R, N], their sum and the entropy in nats [R]."""
    odds = _odds(x)
    mass = _mass(odds, others)
    slope = jnp.where(others.alive, others.slope, _slope(_below_best(x)).sum(-1))
    return odds, mass, jnp.log(mass) - slope / mass


def _slope(below: jax.Array) -> jax.Array:
    return jnp.where(jnp.isneginf(below), 0.0, jnp.exp(below) * below)


def _sums(below: jax.Array, slope: bool) -> tuple[jax.Array, jax.Array]:
    """The sums over a whole vocabulary, the second only where it is asked for."""
    mass = jnp.exp(below).sum(-1)
    return mass, _slope(below).sum(-1) if slope else jnp.zeros_like(mass)


# -- thresholds -------------------------------------------------------------------------------------------------------


def _best(x: jax.Array, count: int) -> jax.Array:
    """The `count`-th highest number of each row: [R]."""
    return x.max(-1) if count == 1 else lax.top_k(x, min(count, x.shape[-1]))[0][:, -1]


def _edge_of_few(keys: jax.Array, weights: jax.Array, wanted: jax.Array, **hints: Any) -> jax.Array:
    """`_edge` for few keys, by comparing all pairs; it needs no hints."""
    reached = jnp.where(keys[:, None, :] >= keys[:, :, None], weights[:, None, :], 0.0).sum(-1)
    return jnp.where(reached >= wanted[:, None], keys, -jnp.inf).max(-1)


def _edge(
    keys: jax.Array,
    weights: jax.Array,
    wanted: jax.Array,
    *,
    floor: float | jax.Array = -np.inf,
    least: Callable[[jax.Array], jax.Array] = jnp.zeros_like,
) -> jax.Array:
    """Where a row's highest keys weigh enough, by halving brackets: a pass over the keys for each halving.

    Args:
        keys: [R, V] float32.
        weights: [R, V] float32, none negative.
        wanted: [R] float32.
        floor: a threshold from which on the weights are known to be enough, [R] or for all.
        least: the least weight that a key has that is not below a threshold [R]: a bracket with less than two of them
            in it needs no more halving.

    Returns:
        [R] the largest threshold with the sum of weights[keys >= threshold] >= wanted, or `floor` where none is
        larger.
    """

    def unsettled(state: tuple[jax.Array, ...]) -> jax.Array:
        low, high, above, beyond = state
        return (high - low > 1) & (above - beyond >= 1.5 * least(_number(low))) & (above != wanted)

    def halve(state: tuple[jax.Array, ...]) -> tuple[jax.Array, ...]:
        low, high, above, beyond = state
        going = unsettled(state)
        middle = low + (high - low) // 2
        weight = jnp.where(keys >= _number(middle)[:, None], weights, 0.0).sum(-1)
        enough = weight >= wanted
        up, down = going & enough, going & ~enough  # a weight of NaN goes down too: every turn narrows the bracket
        return (
            jnp.where(up, middle, low),
            jnp.where(down, middle, high),
            jnp.where(up, weight, above),
            jnp.where(down, weight, beyond),
        )

    low = _place(jnp.broadcast_to(jnp.float32(floor), wanted.shape))
    high = jnp.full_like(low, _place(jnp.float32(np.inf)) + 1)
    start: tuple[jax.Array, ...] = (low, high, jnp.full_like(wanted, jnp.inf), jnp.zeros_like(wanted))
    return _number(lax.while_loop(lambda state: unsettled(state).any(), halve, start)[0])


_SIGN = np.uint32(1 << 31)


def _place(number: jax.Array) -> jax.Array:
    """Where a float32 stands among all, in order: uint32."""
    bits = lax.bitcast_convert_type(number, jnp.uint32)
    return jnp.where(bits < _SIGN, bits | _SIGN, ~bits)


def _number(place: jax.Array) -> jax.Array:
    """The float32 at a place."""
    return lax.bitcast_convert_type(jnp.where(place < _SIGN, ~place, place ^ _SIGN), jnp.float32)


# -- drawing ----------------------------------------------------------------------------------------------------------


def _pick(weights: jax.Array, chance: jax.Array) -> jax.Array:
    """The place at which the running sum of weights [R, N] passes its share `chance` [R] of the whole: [R]."""
    running = jnp.cumsum(weights, -1)
    passed = (running > (chance * running[:, -1])[:, None]) & (weights > 0)  # a weight of nothing is never drawn
    last = weights.shape[-1] - 1 - jnp.argmax(weights[:, ::-1] > 0, -1)
    return jnp.where(passed.any(-1), jnp.argmax(passed, -1), last).astype(jnp.int32)


def _draw_from_all(x: jax.Array, chance: jax.Array) -> jax.Array:
    """A token of each row [R, V]: first its block, by the blocks' sums, then its place in the block."""
    rows, vocab = x.shape
    x = jnp.pad(x, ((0, 0), (0, -vocab % _BLOCK)), constant_values=-jnp.inf).reshape(rows, -1, _BLOCK)
    best = x.max((1, 2))
    block = _pick(jnp.exp(x - best[:, None, None]).sum(-1), chance[:, 0])
    inside = jax.vmap(lambda blocks, at: blocks[at])(x, block)
    ids = block * _BLOCK + _pick(jnp.exp(inside - best[:, None]), chance[:, 1])
    return jnp.minimum(ids, vocab - 1)  # rows of NaN pick anything
