"""Logits processors: what is done to scores before a token is chosen, in the reference's order.

Each is a pure function `(values, history, scores) -> scores`, named as the setting that asks for it. Which of them
there are is static (`Program`), their values are data: numbers of each row's own, and arrays that rows share
(`Values`). `plan.py` makes both from settings.

Letters: R rows, S columns of ids, V vocabulary, N sequences in a table, L their longest prefix, E end tokens. Scores
are float32. Semantics: torch Transformers 4.57, whose lengths and penalties count padding (`History`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from . import filters, host
from .history import History


class Program(NamedTuple):
    """What selects the compiled programs of a session: hashable, equal for equal structures.

    processors: those before the filters, in order: a name and what must be static of it.
    filters: which filters there are; None where nothing is drawn.
    renormalize: whether scores end as log-probabilities.
    scores, logits: whether they are kept of each step. steps: of how many steps at most.
    beams: of each row. candidates: how many continuations of a row's beams are looked at. early_stopping: the setting.
    """

    processors: tuple[tuple[Any, ...], ...]
    filters: filters.Shape | None
    renormalize: bool
    scores: bool = False
    logits: bool = False
    steps: int = 0
    beams: int = 1
    candidates: int = 0
    early_stopping: bool | str = False


class Values(NamedTuple):
    """What processors and filters read.

    shared: arrays by the processor's name, the same for all rows. own: settings by name, [R] numbers, or [] where all
    rows have the same; "eos" is [R, E] or [E], the ids that end a row, −1 for none.
    """

    shared: Mapping[str, Any]
    own: Mapping[str, Any]


def process(
    program: Program,
    values: Values,
    history: History,
    scores: jax.Array,
    *,
    unconditional: jax.Array | None = None,
    source: History | None = None,
) -> jax.Array:
    """Scores as all processors before the filters leave them: what greedy search and sampling choose from.

    Args:
        program: which processors there are.
        values: theirs.
        history: the rows so far.
        scores: [R, V] float32: logits, or with beams their log-softmax.
        unconditional: [R, V] the logits without the prompt, where there is guidance.
        source: the rows that the encoder read, as a `History` whose `length` counts all that the encoder saw; None:
            that of `history`, or its prompts where there is no encoder.

    Returns:
        [R, V] float32.
    """
    if source is None:
        source = _read_rows(history)
    beside = {"unconditional": unconditional, "source": source, **values.own}
    for name, *fixed in program.processors:
        if name == "logits_processor":
            scores = _customised(values.shared[name][fixed[0]], history, scores)
        else:
            scores = _PROCESSORS[name](*fixed, {**beside, **values.shared.get(name, {})}, history, scores)
    return scores


def _read_rows(history: History) -> History:
    """The rows that processors of an encoder's text go by."""
    if history.source is None:
        return dataclasses.replace(history, length=history.prompt)
    none = jnp.zeros_like(history.padding)
    return dataclasses.replace(history, ids=history.source.ids, length=history.source.length, padding=none)


def apply(
    program: Program,
    values: Values,
    history: History,
    scores: jax.Array,
    *,
    unconditional: jax.Array | None = None,
    source: History | None = None,
) -> jax.Array:
    """Scores as all processors and filters leave them, [R, V]: what `output_scores` shows, and what beams add up.

    Arguments as in `process`.
    """
    scores = process(program, values, history, scores, unconditional=unconditional, source=source)
    return finished(program, values, scores)


def finished(program: Program, values: Values, scores: jax.Array) -> jax.Array:
    """The rest of `apply` for scores [R, V] that `process` has made: filters and normalisation."""
    if program.filters is not None:
        scores = filters.filtered(program.filters, values.own, scores)
    return jax.nn.log_softmax(scores) if program.renormalize else scores


def _customised(function: Callable[..., Any], history: History, scores: jax.Array) -> jax.Array:
    """What a function of the caller makes of scores.

    Raises:
        ValueError: that is not of their shape.
    """
    found = function(history, scores)
    shape, kind = getattr(found, "shape", None), getattr(found, "dtype", None)
    if shape != scores.shape or kind is None or not jnp.issubdtype(kind, jnp.floating):
        what = type(found).__name__ if shape is None else f"{kind} {tuple(shape)}"
        raise ValueError(
            f"a logits processor gave {what}: expected a function of a History and scores, floats "
            f"{tuple(scores.shape)}, that gives scores like them"
        )
    return found.astype(scores.dtype)


# -- the processors ---------------------------------------------------------------------------------------------------

Given = Mapping[str, Any]
"""What a processor reads, by name; eos: [E] or [R, E] the ids that end a row, −1 for none."""


def guidance(values: Given, history: History, scores: jax.Array) -> jax.Array:
    """Away from what the model says without the prompt (classifier-free guidance, arXiv:2306.17806).

    values: guidance_scale [] or [R]; unconditional [R, V] logits.
    """
    if values["unconditional"] is None:
        raise ValueError("guidance_scale: pass the unconditional logits")
    without = jax.nn.log_softmax(values["unconditional"])
    return _column(values["guidance_scale"]) * (jax.nn.log_softmax(scores) - without) + without


def sequences(values: Given, history: History, scores: jax.Array) -> jax.Array:
    """Adds to the last token of a sequence where the row ends with the rest of it: biases and, with −∞, bad words.

    values: alone [V]; where there are longer sequences also prefixes [N, L], last [N], lengths [N], biases [N].
    """
    bias = jnp.broadcast_to(values["alone"], scores.shape)
    if "prefixes" in values:
        prefixes, last = values["prefixes"], values["last"]
        tail = _tail(history, prefixes.shape[1])
        match = ((prefixes < 0) | (prefixes == tail[:, None, :])).all(-1)
        match &= values["lengths"] <= history.counted[:, None]  # the reference skips what is longer than the row
        added = jnp.where(match, values["biases"], 0.0)
        bias = jax.vmap(lambda row, added: row.at[last].add(added))(bias, added)
    return scores + bias


def repetition(values: Given, history: History, scores: jax.Array) -> jax.Array:
    """Scores of tokens that the row has are divided by the penalty, negative ones multiplied (arXiv:1909.05858).

    values: repetition_penalty [] or [R]; 1 does nothing and costs nothing.
    """
    return _penalised(_column(values["repetition_penalty"]), history, scores)


def encoder_repetition(values: Given, history: History, scores: jax.Array) -> jax.Array:
    """The reverse for the tokens that the encoder read; values: encoder_repetition_penalty [] or [R], source."""
    return _penalised(1 / _column(values["encoder_repetition_penalty"]), values["source"], scores)


def _penalised(penalty: jax.Array, history: History, scores: jax.Array) -> jax.Array:

    def penalise() -> jax.Array:
        seen = _seen(history, scores.shape[1])
        now = jax.vmap(lambda row, ids: row.at[ids].get(mode="fill", fill_value=0.0))(scores, seen)
        then = jnp.where(now < 0, now * penalty, now / penalty)
        return jax.vmap(lambda row, ids, then: row.at[ids].set(then, mode="drop"))(scores, seen, then)

    return lax.cond((penalty != 1).any(), penalise, lambda: scores)


def no_repeat_ngram(size: int, values: Given, history: History, scores: jax.Array) -> jax.Array:
    """No n-gram that the row has already; n is static."""
    return encoder_no_repeat_ngram(size, {"source": history}, history, scores)


def encoder_no_repeat_ngram(size: int, values: Given, history: History, scores: jax.Array) -> jax.Array:
    """No n-gram that the encoder read; n is static. values: source."""
    source = values["source"]
    if size > source.ids.shape[1]:
        return scores  # no row has so many tokens
    context = _tail(history, size - 1)
    # As many padding tokens as a window holds are enough: windows further left are all padding too.
    ids = jnp.concatenate([jnp.broadcast_to(source.pad[:, None], (len(source.pad), size)), source.ids], 1)
    count = ids.shape[1] - size + 1
    begin = jnp.arange(count) - size
    there = (begin >= -source.padding[:, None]) & (begin + size <= source.length[:, None])
    there &= history.counted[:, None] >= size - 1
    for i in range(size - 1):
        there &= ids[:, i : i + count] == context[:, i, None]
    last = jnp.where(there, ids[:, size - 1 : size - 1 + count], scores.shape[1])

    def ban() -> jax.Array:
        return jax.vmap(lambda row, ids: row.at[ids].set(-jnp.inf, mode="drop"))(scores, last)

    return lax.cond(there.any(), ban, lambda: scores)


def min_length(values: Given, history: History, scores: jax.Array) -> jax.Array:
    """No end while the row, prompt and all, is shorter; values: min_length [] or [R], eos."""
    return _banned(scores, _ends(values, scores), history.counted < values["min_length"])


def min_new_tokens(values: Given, history: History, scores: jax.Array) -> jax.Array:
    """No end while the row has fewer new tokens; values: min_new_tokens [] or [R], eos."""
    return _banned(scores, _ends(values, scores), history.new < values["min_new_tokens"])


def prefix_allowed(values: Given, history: History, scores: jax.Array) -> jax.Array:
    """Only what a host function allows after a row's ids, padding included; rows that have ended are not asked about.

    values: asked [] the number of a `host.Asked`.
    """
    columns = (history.ids, history.length, history.padding, history.pad, history.number)
    return jnp.where(host.ask(values["asked"], scores.shape, *columns), scores, -jnp.inf)


def token_trie(ending: bool, values: Given, history: History, scores: jax.Array) -> jax.Array:
    """Only what goes on in one of a trie's sequences after the row's new tokens. Where other processors have forbidden
    all of that, the row ends, if `ending`; a beam is no more.

    values: trie, eos.
    """
    scores = values["trie"](history, scores)
    stuck = jnp.isneginf(scores).all(-1, keepdims=True)
    return jnp.where(stuck & _ends(values, scores), 0.0, scores) if ending else scores


def forced_bos(values: Given, history: History, scores: jax.Array) -> jax.Array:
    """The first token after a start token; values: ids [V] bool."""
    return _forced(scores, values["ids"], history.counted == 1)


def forced_eos(values: Given, history: History, scores: jax.Array) -> jax.Array:
    """The last token that the row has room for; values: ids [V] bool."""
    return _forced(scores, values["ids"], history.length == history.limit - 1)


def remove_invalid(values: Given, history: History, scores: jax.Array) -> jax.Array:
    """NaN becomes 0, infinities the largest numbers."""
    return jnp.nan_to_num(scores)


def exponential_decay(values: Given, history: History, scores: jax.Array) -> jax.Array:
    """The end gets likelier with every token after the first few.

    values: decay_start [] or [R] new tokens, decay_rate [] or [R] the factor's logarithm, eos. A forbidden end stays
    so.
    """
    late = jnp.maximum(history.new - values["decay_start"], 0)
    gain = jnp.expm1(late * values["decay_rate"])[:, None]
    rewarded = _ends(values, scores) & (late > 0)[:, None] & jnp.isfinite(scores)
    return jnp.where(rewarded, scores + jnp.abs(scores) * gain, scores)


def suppress(values: Given, history: History, scores: jax.Array) -> jax.Array:
    """Never these; values: ids [V] bool."""
    return jnp.where(values["ids"], -jnp.inf, scores)


def begin_suppress(forced: bool, values: Given, history: History, scores: jax.Array) -> jax.Array:
    """Not these as the first token, or as the second where the first is forced; values: ids [V] bool."""
    lone = history.prompt + history.padding <= 1
    return _banned(scores, values["ids"], history.new == (lone.astype(jnp.int32) if forced else 0))


_PROCESSORS: Mapping[str, Callable[..., jax.Array]] = {
    "guidance_scale": guidance,
    "sequence_bias": sequences,
    "encoder_repetition_penalty": encoder_repetition,
    "repetition_penalty": repetition,
    "no_repeat_ngram_size": no_repeat_ngram,
    "encoder_no_repeat_ngram_size": encoder_no_repeat_ngram,
    "bad_words_ids": sequences,
    "min_length": min_length,
    "min_new_tokens": min_new_tokens,
    "prefix_allowed_tokens_fn": prefix_allowed,
    "token_trie": token_trie,
    "forced_bos_token_id": forced_bos,
    "forced_eos_token_id": forced_eos,
    "remove_invalid_values": remove_invalid,
    "exponential_decay_length_penalty": exponential_decay,
    "suppress_tokens": suppress,
    "begin_suppress_tokens": begin_suppress,
}


def _ends(values: Given, scores: jax.Array) -> jax.Array:
    """Which tokens of scores [R, V] end a row: [R or 1, V]."""
    vocab = scores.shape[1]
    eos = jnp.atleast_2d(values["eos"])
    mark = lambda ids: jnp.zeros(vocab, bool).at[ids].set(True, mode="drop")  # noqa: E731
    return jax.vmap(mark)(jnp.where(eos < 0, vocab, eos))


def _column(value: Any) -> jax.Array:
    """A setting [] or [R] beside scores [R, V]."""
    return jnp.asarray(value)[..., None]


def _banned(scores: jax.Array, ids: jax.Array, rows: jax.Array) -> jax.Array:
    return jnp.where(ids & rows[:, None], -jnp.inf, scores)


def _forced(scores: jax.Array, ids: jax.Array, rows: jax.Array) -> jax.Array:
    return jnp.where(rows[:, None], jnp.where(ids, 0.0, -jnp.inf), scores)


def _tail(history: History, count: int) -> jax.Array:
    """The last tokens of each row, padding where it has no others: [R, count]."""
    at = history.length[:, None] + np.arange(-count, 0, dtype=np.int32)
    own = jax.vmap(lambda ids, at: ids.at[at].get(mode="clip"))(history.ids, at)
    return jnp.where(at >= 0, own, history.pad[:, None])


def _seen(history: History, nothing: int) -> jax.Array:
    """The ids that a row has, padding included: [R, S + 1], `nothing` where there is none."""
    own = jnp.where(jnp.arange(history.ids.shape[1]) < history.length[:, None], history.ids, nothing)
    return jnp.concatenate([own, jnp.where(history.padding > 0, history.pad, nothing)[:, None]], 1)
