"""Logits processors: what is done to scores before a token is chosen, in the reference's order.

Each is a pure function `(values, sight, scores) -> scores`. Which of them are present selects the program; their
values are data, so that other values compile nothing. `chosen` makes both from a config, `apply` and `draw` use them
inside a compiled loop:

    program, values = chosen(config, vocab=config.vocab_size, eos=(2,), sampling=True)
    scores = process(program, values, sight, logits)
    ids = draw(program, values, scores, noise(key, streams, sight.new))

Letters: R rows, S columns of ids, V vocabulary, N sequences in a table, L their longest prefix. Scores are float32.
Semantics: torch Transformers 4.57, whose lengths and penalties count padding (`Sight`).
"""

from __future__ import annotations

import bisect
import dataclasses
import logging
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from . import filters, host
from .config import GenerationConfig
from .filters import noise
from .sight import Sight

__all__ = ["Program", "TokenTrie", "apply", "chosen", "draw", "noise", "process"]

logger = logging.getLogger(__name__)

Values = Mapping[str, Any]


class Program(NamedTuple):
    """What selects the compiled program: hashable, equal for equal structures.

    steps: the processors before the filters, in order: a name and what must be static of it.
    filters: which filters there are; None where nothing is drawn.
    renormalize: whether scores end as log-probabilities.
    """

    steps: tuple[tuple[Any, ...], ...]
    filters: filters.Shape | None
    renormalize: bool


def chosen(
    config: GenerationConfig,
    *,
    vocab: int,
    eos: Sequence[int] = (),
    sampling: bool = False,
    beams: int = 1,
    custom: Sequence[Callable[[Sight, jax.Array], jax.Array]] = (),
    prefix: host.Asked | TokenTrie | None = None,
) -> tuple[Program, Values]:
    """The processors that a config asks for.

    Args:
        config: the settings; those of the chosen mode have been checked (`GenerationConfig.validate`).
        vocab: V.
        eos: the ids that end a row.
        sampling: whether tokens are drawn: only then are there filters.
        beams: beams of a row of the user's. With more than one, filters leave a token more than there are ends.
        custom: the user's functions of a `Sight` and scores [R, V], run after all processors but the filters. A
            function that is a pytree, such as `jax.tree_util.Partial(f, array)`, brings its arrays as data; others
            are part of the program, so that a new function object compiles anew.
        prefix: what may come next: a host function as `allowing` makes it, to be held while the program runs; or a
            `TokenTrie`, which needs no host.

    Returns:
        The program and its values: numpy arrays, float32 or int32 of shape [] where a setting may differ by row
        (broadcast them to [R] and change them where it does).

    Raises:
        ValueError: an id is not in the vocabulary, or a setting needs an end of rows and there is none.
    """
    eos = tuple(i for i in eos if i >= 0)
    c = _Checked(config, vocab)
    ends = c.mask(eos)
    steps: list[tuple[Any, ...]] = []
    values: dict[str, Any] = {}

    def add(name: str, *fixed: Any, **given: Any) -> None:
        steps.append((name, *fixed))
        values[name] = given

    if config.guided:
        add("guidance", scale=np.float32(config.guidance_scale))
    if config.sequence_bias is not None:
        add("sequence_bias", **c.table("sequence_bias", config.sequence_bias))
    if config.encoder_repetition_penalty not in (None, 1):
        add("encoder_repetition", penalty=np.float32(1 / config.encoder_repetition_penalty))
    add("repetition", penalty=np.float32(config.repetition_penalty or 1.0))
    if config.no_repeat_ngram_size:
        add("no_repeat_ngram", config.no_repeat_ngram_size)
    if config.encoder_no_repeat_ngram_size:
        add("encoder_no_repeat_ngram", config.encoder_no_repeat_ngram_size)
    if bad := [(word, -np.inf) for word in config.bad_words_ids or () if not (len(word) == 1 and word[0] in eos)]:
        add("bad_words", **c.table("bad_words_ids", bad))
    if config.min_length and c.needs_end("min_length", eos):
        add("min_length", length=np.int32(config.min_length), eos=ends)
    if config.min_new_tokens and c.needs_end("min_new_tokens", eos):
        add("min_new_tokens", length=np.int32(config.min_new_tokens), eos=ends)
    if isinstance(prefix, TokenTrie):
        c.known("TokenTrie", (int(prefix.most),))
        if strange := prefix.ends - set(eos):
            raise ValueError(
                f"TokenTrie: its sequences end with {sorted(strange)[:8]}, rows with {list(eos)}: set eos_token_id"
            )
        add("token_trie", beams == 1, trie=prefix, eos=ends)
    elif prefix is not None:
        add("prefix_allowed", asked=prefix.number)
    if config.forced_bos_token_id is not None:
        add("forced_bos", ids=c.mask(c.known("forced_bos_token_id", _ids(config.forced_bos_token_id))))
    if config.forced_eos_token_id is not None:
        add("forced_eos", ids=c.mask(c.known("forced_eos_token_id", _ids(config.forced_eos_token_id))))
    if config.remove_invalid_values:
        add("remove_invalid")
    if config.exponential_decay_length_penalty is not None:
        start, factor = config.exponential_decay_length_penalty
        if c.needs_end("exponential_decay_length_penalty", eos):
            add("exponential_decay", start=np.int32(start), rate=np.float32(np.log(factor)), eos=ends)
    if config.suppress_tokens is not None:
        add("suppress", ids=c.mask(config.suppress_tokens))
    if config.begin_suppress_tokens is not None:
        add("begin_suppress", config.forced_bos_token_id is not None, ids=c.mask(config.begin_suppress_tokens))
    for i, function in enumerate(custom):
        plain = jax.tree_util.all_leaves([function])
        add("custom", i)
        values[f"custom {i}"] = jax.tree_util.Partial(function) if plain else function
    if not sampling:
        return Program(tuple(steps), None, bool(config.renormalize_logits)), values
    rare = tuple(name for name, off in filters.RARE.items() if getattr(config, name) not in (None, off))
    values["filters"] = {
        name: off if (value := getattr(config, name)) is None else np.asarray(value, off.dtype)
        for name, off in {**filters.USUAL, **{name: filters.RARE[name] for name in rare}}.items()
    }
    shape = filters.Shape(rare, keep=1 if beams == 1 else 1 + (len(eos) or 1))
    return Program(tuple(steps), shape, bool(config.renormalize_logits)), values


def process(
    program: Program,
    values: Values,
    sight: Sight,
    scores: jax.Array,
    *,
    unconditional: jax.Array | None = None,
    source: Sight | None = None,
) -> jax.Array:
    """Scores as all processors before the filters leave them: what greedy search and `draw` choose from.

    Args:
        program: from `chosen`.
        values: from `chosen`.
        sight: the rows so far.
        scores: [R, V] float32: logits, or with beams their log-softmax.
        unconditional: [R, V] the logits without the prompt, where there is guidance.
        source: the rows that the encoder read, as a `Sight` whose `length` counts all that the encoder saw; None: the
            prompts of `sight` (decoder-only models).

    Returns:
        [R, V] float32.
    """
    if source is None:
        source = dataclasses.replace(sight, length=sight.prompt)
    beside: dict[str, Values] = {
        "guidance": {"unconditional": unconditional},
        "encoder_repetition": {"source": source},
        "encoder_no_repeat_ngram": {"source": source},
    }
    for name, *fixed in program.steps:
        if name == "custom":
            scores = _customised(values[f"custom {fixed[0]}"], sight, scores)
        else:
            scores = _STEPS[name](*fixed, {**values[name], **beside.get(name, {})}, sight, scores)
    return scores


def apply(
    program: Program,
    values: Values,
    sight: Sight,
    scores: jax.Array,
    *,
    unconditional: jax.Array | None = None,
    source: Sight | None = None,
) -> jax.Array:
    """Scores as all processors and filters leave them, [R, V]: what `output_scores` shows, and what beams add up.

    Arguments as in `process`.
    """
    return finished(
        program, values, process(program, values, sight, scores, unconditional=unconditional, source=source)
    )


def _customised(function: Callable[..., Any], sight: Sight, scores: jax.Array) -> jax.Array:
    """What a function of the caller makes of scores.

    Raises:
        ValueError: that is not of their shape.
    """
    found = function(sight, scores)
    shape, kind = getattr(found, "shape", None), getattr(found, "dtype", None)
    if shape != scores.shape or kind is None or not jnp.issubdtype(kind, jnp.floating):
        what = type(found).__name__ if shape is None else f"{kind} {tuple(shape)}"
        raise ValueError(
            f"a logits processor gave {what}: expected a function of a Sight and scores, floats {tuple(scores.shape)}, "
            "that gives scores like them"
        )
    return found.astype(scores.dtype)


def finished(program: Program, values: Values, scores: jax.Array) -> jax.Array:
    """The rest of `apply` for scores [R, V] that `process` has made: filters and normalisation."""
    if program.filters is not None:
        scores = filters.filtered(program.filters, values["filters"], scores)
    return jax.nn.log_softmax(scores) if program.renormalize else scores


def draw(program: Program, values: Values, scores: jax.Array, chance: jax.Array) -> jax.Array:
    """One token for each row, drawn from what the filters leave of scores that `process` has made.

    Args:
        program: from `chosen`, with sampling.
        values: from `chosen`.
        scores: [R, V] float32.
        chance: [R, 2] from `noise`.

    Returns:
        [R] ids, int32.
    """
    assert program.filters is not None
    return filters.draw(program.filters, values["filters"], scores, chance)


# -- from settings to arrays ------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Checked:
    """Settings as arrays over a vocabulary."""

    config: GenerationConfig
    vocab: int

    def known(self, name: str, ids: Sequence[int]) -> Sequence[int]:
        """The ids, all of which must be in the vocabulary."""
        strange = [i for i in ids if not 0 <= i < self.vocab]
        if strange:
            raise ValueError(f"{name}: {strange[:8]} not in the vocabulary (0 to {self.vocab - 1})")
        return ids

    def mask(self, ids: Sequence[int]) -> np.ndarray:
        """[V] bool; ids beyond the vocabulary have no score to change."""
        mask = np.zeros(self.vocab, bool)
        mask[[i for i in ids if 0 <= i < self.vocab]] = True
        return mask

    def needs_end(self, name: str, eos: Sequence[int]) -> bool:
        """Whether rows can end; said where they cannot."""
        if not eos:
            logger.warning("%s=%s has no effect: there is no eos_token_id", name, getattr(self.config, name))
        return bool(eos)

    def table(self, name: str, pairs: Sequence[tuple[Sequence[int], float]]) -> dict[str, np.ndarray]:
        """Sequences and what is added to their last token: one token long [V], longer ones as a table.

        The table's sizes are rounded up, so that other words of about the same number share a program. Its prefixes
        [N, L] stand on the right, with −1 before them.
        """
        alone = np.zeros(self.vocab, np.float32)
        longer = {}
        for ids, bias in dict(pairs).items():
            self.known(name, ids)
            if len(ids) == 1:
                alone[ids[0]] = bias
            else:
                longer[ids] = bias
        if not longer:
            return {"alone": alone}
        count, width = _rounded(len(longer)), _rounded(max(map(len, longer)) - 1)
        prefixes, last = np.full((count, width), -1, np.int32), np.zeros(count, np.int32)
        lengths, biases = np.full(count, np.iinfo(np.int32).max), np.zeros(count, np.float32)
        for i, (ids, bias) in enumerate(longer.items()):
            prefixes[i, width - len(ids) + 1 :] = ids[:-1]
            last[i], lengths[i], biases[i] = ids[-1], len(ids), bias
        table = {"prefixes": prefixes, "last": last, "lengths": lengths.astype(np.int32), "biases": biases}
        return {"alone": alone, **table}


def _ids(value: int | Sequence[int]) -> Sequence[int]:
    return (value,) if isinstance(value, int) else value


def _rounded(count: int) -> int:
    return 1 << (count - 1).bit_length()


# -- the processors ---------------------------------------------------------------------------------------------------


def guidance(values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """Away from what the model says without the prompt (classifier-free guidance, arXiv:2306.17806).

    values: scale [] or [R]; unconditional [R, V] logits.
    """
    if values["unconditional"] is None:
        raise ValueError("guidance_scale: pass the unconditional logits")
    without = jax.nn.log_softmax(values["unconditional"])
    return _column(values["scale"]) * (jax.nn.log_softmax(scores) - without) + without


def sequences(values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """Adds to the last token of a sequence where the row ends with the rest of it: biases and, with −∞, bad words.

    values: alone [V]; where there are longer sequences also prefixes [N, L], last [N], lengths [N], biases [N].
    """
    bias = jnp.broadcast_to(values["alone"], scores.shape)
    if "prefixes" in values:
        prefixes, last = values["prefixes"], values["last"]
        tail = _tail(sight, prefixes.shape[1])
        match = ((prefixes < 0) | (prefixes == tail[:, None, :])).all(-1)
        match &= values["lengths"] <= sight.counted[:, None]  # the reference skips what is longer than the row
        added = jnp.where(match, values["biases"], 0.0)
        bias = jax.vmap(lambda row, added: row.at[last].add(added))(bias, added)
    return scores + bias


def repetition(values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """Scores of tokens that the row has are divided by the penalty, negative ones multiplied (arXiv:1909.05858).

    values: penalty [] or [R]; 1 does nothing and costs nothing.
    """
    penalty = _column(values["penalty"])

    def penalise() -> jax.Array:
        seen = _seen(sight, scores.shape[1])
        now = jax.vmap(lambda row, ids: row.at[ids].get(mode="fill", fill_value=0.0))(scores, seen)
        then = jnp.where(now < 0, now * penalty, now / penalty)
        return jax.vmap(lambda row, ids, then: row.at[ids].set(then, mode="drop"))(scores, seen, then)

    return lax.cond((penalty != 1).any(), penalise, lambda: scores)


def encoder_repetition(values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """As `repetition`, for the tokens that the encoder read; values: penalty (the user's inverted), source."""
    return repetition(values, values["source"], scores)


def no_repeat_ngram(size: int, values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """No n-gram that the row has already; n is static."""
    return encoder_no_repeat_ngram(size, {"source": sight}, sight, scores)


def encoder_no_repeat_ngram(size: int, values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """No n-gram that the encoder read; n is static. values: source."""
    source = values["source"]
    if size > source.ids.shape[1]:
        return scores  # no row has so many tokens
    context = _tail(sight, size - 1)
    # As many padding tokens as a window holds are enough: windows further left are all padding too.
    ids = jnp.concatenate([jnp.broadcast_to(source.pad[:, None], (len(source.pad), size)), source.ids], 1)
    count = ids.shape[1] - size + 1
    begin = jnp.arange(count) - size
    there = (begin >= -source.padding[:, None]) & (begin + size <= source.length[:, None])
    there &= sight.counted[:, None] >= size - 1
    for i in range(size - 1):
        there &= ids[:, i : i + count] == context[:, i, None]
    last = jnp.where(there, ids[:, size - 1 : size - 1 + count], scores.shape[1])

    def ban() -> jax.Array:
        return jax.vmap(lambda row, ids: row.at[ids].set(-jnp.inf, mode="drop"))(scores, last)

    return lax.cond(there.any(), ban, lambda: scores)


def min_length(values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """No end while the row, prompt and all, is shorter; values: length [] or [R], eos [V] bool."""
    return _banned(scores, values["eos"], sight.counted < values["length"])


def min_new_tokens(values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """No end while the row has fewer new tokens; values: length [] or [R], eos [V] bool."""
    return _banned(scores, values["eos"], sight.new < values["length"])


def prefix_allowed(values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """Only what a host function allows after a row's ids, padding included; rows that have ended are not asked about.

    values: asked [] the number of an `allowing`.
    """
    columns = (sight.ids, sight.length, sight.padding, sight.pad, sight.number)
    return jnp.where(host.ask(values["asked"], scores.shape, *columns), scores, -jnp.inf)


def allowing(function: Callable[[int, np.ndarray], Sequence[int]], vocab: int) -> host.Asked:
    """The user's prefix_allowed_tokens_fn as programs ask it.

    Raises:
        ValueError: it is no function; and, when it is asked, that it allows nothing, or what is no id.
    """
    if not callable(function):
        raise ValueError(f"prefix_allowed_tokens_fn={function!r:.60}: expected a function of a row's number and ids")

    def ask(ids: np.ndarray, length: np.ndarray, padding: np.ndarray, pad: np.ndarray, number: np.ndarray) -> Any:
        allowed = np.repeat(number[:, None] < 0, vocab, axis=1)
        for row in np.flatnonzero(number >= 0):
            whole = np.concatenate([np.full(padding[row], pad[row], ids.dtype), ids[row, : length[row]]])
            found = np.asarray(function(int(number[row]), whole)).reshape(-1)
            if found.size and (found.dtype.kind not in "iu" or found.min() < 0 or found.max() >= vocab):
                raise ValueError(
                    f"prefix_allowed_tokens_fn gave {found[:8].tolist()} for row {number[row]}: expected ids from 0 to "
                    f"{vocab - 1}"
                )
            if not found.size:
                raise ValueError(f"prefix_allowed_tokens_fn allows no token for row {number[row]}")
            allowed[row, found] = True
        return allowed

    return host.Asked(ask)


def token_trie(ending: bool, values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """Only what goes on in one of a trie's sequences after the row's new tokens. Where other processors have forbidden
    all of that, the row ends, if `ending`; a beam is no more.

    values: trie, eos [V] bool.
    """
    scores = values["trie"](sight, scores)
    stuck = jnp.isneginf(scores).all(-1, keepdims=True)
    return jnp.where(stuck & values["eos"], 0.0, scores) if ending else scores


def forced_bos(values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """The first token after a start token; values: ids [V] bool."""
    return _forced(scores, values["ids"], sight.counted == 1)


def forced_eos(values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """The last token that the row has room for; values: ids [V] bool."""
    return _forced(scores, values["ids"], sight.length == sight.limit - 1)


def remove_invalid(values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """NaN becomes 0, infinities the largest numbers."""
    return jnp.nan_to_num(scores)


def exponential_decay(values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """The end gets likelier with every token after the first few.

    values: start [] or [R] new tokens, rate [] or [R] the factor's logarithm, eos [V] bool. A forbidden end stays so.
    """
    late = jnp.maximum(sight.new - values["start"], 0)
    gain = jnp.expm1(late * values["rate"])[:, None]
    rewarded = values["eos"] & (late > 0)[:, None] & jnp.isfinite(scores)
    return jnp.where(rewarded, scores + jnp.abs(scores) * gain, scores)


def suppress(values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """Never these; values: ids [V] bool."""
    return jnp.where(values["ids"], -jnp.inf, scores)


def begin_suppress(forced: bool, values: Values, sight: Sight, scores: jax.Array) -> jax.Array:
    """Not these as the first token, or as the second where the first is forced; values: ids [V] bool."""
    lone = sight.prompt + sight.padding <= 1
    return _banned(scores, values["ids"], sight.new == (lone.astype(jnp.int32) if forced else 0))


_STEPS: Mapping[str, Callable[..., jax.Array]] = {
    "guidance": guidance,
    "sequence_bias": sequences,
    "encoder_repetition": encoder_repetition,
    "repetition": repetition,
    "no_repeat_ngram": no_repeat_ngram,
    "encoder_no_repeat_ngram": encoder_no_repeat_ngram,
    "bad_words": sequences,
    "min_length": min_length,
    "min_new_tokens": min_new_tokens,
    "prefix_allowed": prefix_allowed,
    "token_trie": token_trie,
    "forced_bos": forced_bos,
    "forced_eos": forced_eos,
    "remove_invalid": remove_invalid,
    "exponential_decay": exponential_decay,
    "suppress": suppress,
    "begin_suppress": begin_suppress,
}


def _column(value: Any) -> jax.Array:
    """A setting [] or [R] beside scores [R, V]."""
    return jnp.asarray(value)[..., None]


def _banned(scores: jax.Array, ids: jax.Array, rows: jax.Array) -> jax.Array:
    return jnp.where(ids & rows[:, None], -jnp.inf, scores)


def _forced(scores: jax.Array, ids: jax.Array, rows: jax.Array) -> jax.Array:
    return jnp.where(rows[:, None], jnp.where(ids, 0.0, -jnp.inf), scores)


def _tail(sight: Sight, count: int) -> jax.Array:
    """The last tokens of each row, padding where it has no others: [R, count]."""
    at = sight.length[:, None] + np.arange(-count, 0, dtype=np.int32)
    own = jax.vmap(lambda ids, at: ids.at[at].get(mode="clip"))(sight.ids, at)
    return jnp.where(at >= 0, own, sight.pad[:, None])


def _seen(sight: Sight, nothing: int) -> jax.Array:
    """The ids that a row has, padding included: [R, S + 1], `nothing` where there is none."""
    own = jnp.where(jnp.arange(sight.ids.shape[1]) < sight.length[:, None], sight.ids, nothing)
    return jnp.concatenate([own, jnp.where(sight.padding > 0, sight.pad, nothing)[:, None]], 1)


# -- allowed sequences, compiled --------------------------------------------------------------------------------------


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenTrie:
    """Allowed sequences of new tokens as arrays: what `prefix_allowed_tokens_fn` says, without a host function.

    Made by `of`. Children of a node stand together, in the order of their tokens; node 0 is the root.

    first: [nodes + 1] where a node's children begin.
    tokens: [edges + fan] the token that leads to child i, which is node i + 1; `nothing` behind the last.
    most: [] the largest token.
    fan: how many children a node has at most.
    """

    first: Any
    tokens: Any
    most: Any
    fan: int = dataclasses.field(metadata={"static": True})

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]], eos: int | Sequence[int]) -> TokenTrie:
        """Compile sequences of ids.

        Args:
            sequences: what a row may write.
            eos: the ids that may stand after a whole sequence.

        Raises:
            ValueError: no sequence, no end, or what is no id.
        """
        try:
            ends = tuple(map(operator.index, (eos,) if isinstance(eos, int) else eos))
            whole = sorted({(*map(operator.index, sequence), end) for sequence in sequences for end in ends})
        except TypeError:
            raise ValueError("TokenTrie: expected lists of ids, and an end or several; ids are whole numbers") from None
        if not whole:
            raise ValueError("TokenTrie: at least one sequence and one end are needed")
        if any(i < 0 for sequence in whole for i in sequence):
            raise ValueError("TokenTrie: ids are whole numbers from 0")
        # Breadth first: a node is the range of the sorted sequences that begin alike, and how many tokens those share.
        nodes = [(0, len(whole), 0)]
        first: list[int] = []
        tokens: list[int] = []
        for start, stop, depth in nodes:
            first.append(len(tokens))
            while start < stop:
                if len(whole[start]) == depth:  # it ends here
                    start += 1
                    continue
                token = whole[start][depth]
                after = bisect.bisect_left(whole, (*whole[start][:depth], token + 1), start, stop)
                nodes.append((start, after, depth + 1))
                tokens.append(token)
                start = after
        first.append(len(tokens))
        fan = _rounded(int(np.diff(first).max()))
        # Sizes are rounded up, so that other tries of about the same size share a program.
        size = _rounded(len(first))
        first += [len(tokens)] * (size - len(first))
        tokens += [-1] * (size + fan - len(tokens))
        return cls(
            first=np.asarray(first, np.int32),
            tokens=np.asarray(tokens, np.int32),
            most=np.int32(max(map(max, whole))),
            fan=fan,
        )

    @property
    def ends(self) -> set[int]:
        """The tokens that sequences end with."""
        first, tokens = np.asarray(self.first), np.asarray(self.tokens)
        edges = int((tokens >= 0).sum())
        leaves = np.flatnonzero(first[1 : edges + 1] == np.append(first, first[-1])[2 : edges + 2])
        return set(tokens[leaves].tolist())

    def __call__(self, sight: Sight, scores: jax.Array) -> jax.Array:
        """−∞ for [R, V] scores of what no sequence goes on with."""
        first, tokens = jnp.asarray(self.first), jnp.asarray(self.tokens)
        vocab = scores.shape[1]
        branches = jnp.arange(self.fan)

        def children(node: jax.Array) -> tuple[jax.Array, jax.Array]:
            """The tokens that follow a node, `vocab` where there are fewer than `fan`, and the child of the first."""
            begin = first[node]
            found = lax.dynamic_slice(tokens, (begin,), (self.fan,))
            return jnp.where(branches < first[node + 1] - begin, found, vocab), begin + 1

        def row(ids: jax.Array, start: jax.Array, stop: jax.Array, scores: jax.Array) -> jax.Array:
            def walk(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
                at, node = state
                found, child = children(node)
                match = found == ids[at]
                return at + 1, jnp.where(match.any(), child + jnp.argmax(match), -1).astype(jnp.int32)

            _, node = lax.while_loop(lambda s: (s[0] < stop) & (s[1] >= 0), walk, (start, jnp.int32(0)))
            found, _ = children(jnp.maximum(node, 0))
            allowed = jnp.zeros(vocab, bool).at[found].set(node >= 0, mode="drop")
            return jnp.where(allowed, scores, -jnp.inf)

        return jax.vmap(row)(sight.ids, sight.prompt, sight.length, scores)
