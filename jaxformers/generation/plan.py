"""What settings ask of the programs: which there are, what all rows share, and the numbers that are each row's own."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from . import conflicts, filters
from .buckets import rounded, rows_for
from .config import SETTINGS, GenerationConfig
from .host import Asked
from .merging import MACHINERY
from .processors import Program
from .trie import TokenTrie

logger = logging.getLogger(__name__)

SEGMENT = 64
"""Steps between two looks of the host at the rows, where nobody waits."""

_NUMBERS: Mapping[str, Any] = {
    "guidance_scale": np.float32(1.0),
    "encoder_repetition_penalty": np.float32(1.0),
    "repetition_penalty": np.float32(1.0),
    "min_length": np.int32(0),
    "min_new_tokens": np.int32(0),
    **filters.USUAL,
    **filters.RARE,
}
"""Settings that a row has of its own, with the values at which they do nothing."""

_OF_ENDS = ("min_length", "min_new_tokens", "exponential_decay_length_penalty")
"""Settings that do something to the ends of rows, of which there must be one."""

_OFF: Mapping[str, Any] = {**_NUMBERS, "no_repeat_ngram_size": 0, "encoder_no_repeat_ngram_size": 0}
"""Values beside None at which settings do nothing."""

_UNREAD = MACHINERY | {
    *("max_length", "max_new_tokens", "max_time", "stop_strings", "num_return_sequences"),
    *("pad_token_id", "bos_token_id", "decoder_start_token_id"),  # of batches; a session's prompts are whole
}
"""Settings of a row that programs do not read."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the rows of a session have in common.

    settings: of rows that bring none of their own. program: what is static. shared: the arrays of processors, by name.
    asked: the function of the host that the programs ask, held here while they do.
    """

    settings: GenerationConfig
    program: Program
    shared: Mapping[str, Any]
    asked: Asked | None = None

    @classmethod
    def of(
        cls,
        settings: GenerationConfig,
        vocab: int,
        logits_processor: Sequence[Callable[..., jax.Array]] | None = None,
        prefix_allowed_tokens_fn: Any = None,
    ) -> Plan:
        """The plan that settings ask for.

        Args:
            settings: merged and checked.
            vocab: V.
            logits_processor: functions of a `History` and scores [R, V], run after all processors but the filters. One
                that is a pytree, such as `jax.tree_util.Partial(f, array)`, brings its arrays as data; others are part
                of the program, so that a new function object compiles anew.
            prefix_allowed_tokens_fn: (row, ids) → allowed ids, or a `TokenTrie`, which needs no host.

        Raises:
            ValueError: an id is not in the vocabulary, or there is no function where one is expected.
        """
        allowed, asked = prefix_allowed_tokens_fn, None
        if allowed is not None and not isinstance(allowed, TokenTrie):
            allowed = asked = allowing(allowed, vocab)
        steps, shared = _processors(settings, vocab, logits_processor or (), allowed)
        beams, ends, shape = settings.num_beams, len(settings.eos), None
        if settings.do_sample:
            rare = tuple(name for name, off in filters.RARE.items() if getattr(settings, name) not in (None, off))
            shape = filters.Shape(rare, keep=1 if beams == 1 else 1 + max(1, ends))
        scores, logits = (
            bool(settings.return_dict_in_generate and asked_for)
            for asked_for in (settings.output_scores, settings.output_logits)
        )
        program = Program(
            processors=steps,
            filters=shape,
            renormalize=bool(settings.renormalize_logits),
            scores=scores,
            logits=logits,
            steps=SEGMENT if scores or logits else 0,
            beams=beams,
            candidates=0 if beams == 1 else max(2, 1 + ends) * beams,
            early_stopping=beams > 1 and settings.early_stopping,
        )
        return cls(settings, program, shared, asked)

    @property
    def ends(self) -> int:
        """How many end tokens a row may have."""
        return rows_for(max(1, len(self.settings.eos)))

    def columns(self, rows: Sequence[GenerationConfig]) -> dict[str, np.ndarray]:
        """The settings that are each row's own, by name: [R], and "eos" [R, E]."""
        eos = [[*row.eos, *[-1] * (self.ends - len(row.eos))] for row in rows]
        own = {"eos": np.array(eos, np.int32)}
        for name in self._numbers:
            if name == "exponential_decay_length_penalty":
                pairs = [getattr(row, name) or (0, 1.0) for row in rows]
                own["decay_start"] = np.array([start for start, _ in pairs], np.int32)
                own["decay_rate"] = np.array([np.log(factor) for _, factor in pairs], np.float32)
            else:
                off = _NUMBERS[name]
                said = [getattr(row, name) for row in rows]
                own[name] = np.array([off if value is None else value for value in said], off.dtype)
        return own

    def check_row(self, row: GenerationConfig) -> None:
        """Refuse settings of a row for which the session has no program.

        Numbers of processors and filters that the session has, the ends of rows and their lengths may differ; what is
        off is a number too (a penalty of 1). What a session never reads, such as pad_token_id, is not compared.

        Raises:
            ValueError: it names the setting, and what the plan of a session for it must have.
        """
        own = {*self._numbers, *_UNREAD}
        if self.program.beams == 1 and not {"bad_words_ids", "token_trie"} & {*self._names}:  # made for the ends
            own.add("eos_token_id")
        if not row.guided:  # a scale of 1 is no number beside others: it computes no less
            own.discard("guidance_scale")
        for name in SETTINGS:
            ours, theirs = getattr(self.settings, name), getattr(row, name)
            if name not in own and _effective(name, ours) != _effective(name, theirs):
                raise ValueError(
                    f"{name}={theirs!r}: rows of this session have {ours!r}; open another session, {self._needed(name)}"
                )
        if len(row.eos) > self.ends:
            raise ValueError(
                f"eos_token_id={row.eos!r}: rows of this session have {self.ends} at most; open another session, whose "
                "plan has as many"
            )
        for name in _OF_ENDS if row.eos else ():
            value = _effective(name, getattr(row, name))
            if value is not None and name not in self._names:
                raise ValueError(
                    f"{name}={value!r} beside eos_token_id={row.eos!r}: the plan of this session has no end for it; "
                    "open another session, whose plan has both"
                )
        conflicts.check_values(row)

    def _needed(self, name: str) -> str:
        """What a plan must have for a row with another value of a setting that this one has no numbers for."""
        if name in filters.USUAL or (name in filters.RARE and self.program.filters is None):
            return "whose plan has do_sample=True"
        if name in _NUMBERS or name in _OF_ENDS:
            return f"whose plan has a {name} that does something: each row may then have its own"
        return "whose plan has it"

    @property
    def _names(self) -> list[str]:
        return [name for name, *_ in self.program.processors]

    @property
    def _numbers(self) -> list[str]:
        """The settings with numbers that the programs read."""
        drawn = () if self.program.filters is None else (*filters.USUAL, *self.program.filters.rare)
        counted = (*_NUMBERS, "exponential_decay_length_penalty")
        return [*(name for name in self._names if name in counted), *drawn]


def _processors(
    s: GenerationConfig, vocab: int, custom: Sequence[Callable[..., jax.Array]], allowed: Asked | TokenTrie | None
) -> tuple[tuple[tuple[Any, ...], ...], dict[str, Any]]:
    """The processors that settings ask for, in the reference's order, and what rows share of their values."""
    steps: list[tuple[Any, ...]] = []
    shared: dict[str, Any] = {}

    def add(name: str, *fixed: Any, **values: Any) -> None:
        steps.append((name, *fixed))
        if values:
            shared[name] = values

    def add_ending(name: str) -> None:
        """One that does something to ends; said where there are none."""
        if s.eos:
            add(name)
        else:
            logger.warning("%s=%s has no effect: there is no eos_token_id", name, getattr(s, name))

    if s.guided:
        add("guidance_scale")
    if s.sequence_bias is not None:
        add("sequence_bias", **_table("sequence_bias", s.sequence_bias, vocab))
    if s.encoder_repetition_penalty not in (None, 1):
        add("encoder_repetition_penalty")
    add("repetition_penalty")
    for name in ("no_repeat_ngram_size", "encoder_no_repeat_ngram_size"):
        if size := getattr(s, name):
            add(name, size)
    if bad := [(word, -np.inf) for word in s.bad_words_ids or () if not (len(word) == 1 and word[0] in s.eos)]:
        add("bad_words_ids", **_table("bad_words_ids", bad, vocab))
    for name in ("min_length", "min_new_tokens"):
        if getattr(s, name):
            add_ending(name)
    if isinstance(allowed, TokenTrie):
        _known("TokenTrie", (int(allowed.most),), vocab)
        if strange := allowed.ends - set(s.eos):
            raise ValueError(
                f"TokenTrie: its sequences end with {sorted(strange)[:8]}, rows with {list(s.eos)}: set eos_token_id"
            )
        add("token_trie", s.num_beams == 1, trie=allowed)
    elif allowed is not None:
        add("prefix_allowed_tokens_fn", asked=allowed.number)
    for name in ("forced_bos_token_id", "forced_eos_token_id"):
        if (ids := getattr(s, name)) is not None:
            add(name, ids=_mask(_known(name, (ids,) if isinstance(ids, int) else ids, vocab), vocab))
    if s.remove_invalid_values:
        add("remove_invalid_values")
    if s.exponential_decay_length_penalty is not None:
        add_ending("exponential_decay_length_penalty")
    if s.suppress_tokens is not None:
        add("suppress_tokens", ids=_mask(s.suppress_tokens, vocab))
    if s.begin_suppress_tokens is not None:
        add("begin_suppress_tokens", s.forced_bos_token_id is not None, ids=_mask(s.begin_suppress_tokens, vocab))
    steps += [("logits_processor", i) for i in range(len(custom))]
    if custom:
        plain = jax.tree_util.Partial
        shared["logits_processor"] = [plain(f) if jax.tree_util.all_leaves([f]) else f for f in custom]
    return tuple(steps), shared


def _effective(name: str, value: Any) -> Any:
    """A setting's value; None where it does nothing."""
    return None if name in _OFF and value == _OFF[name] else value


def _known(name: str, ids: Sequence[int], vocab: int) -> Sequence[int]:
    """The ids, all of which must be in the vocabulary."""
    strange = [i for i in ids if not 0 <= i < vocab]
    if strange:
        raise ValueError(f"{name}: {strange[:8]} not in the vocabulary (0 to {vocab - 1})")
    return ids


def _mask(ids: Sequence[int], vocab: int) -> np.ndarray:
    """[V] bool; ids beyond the vocabulary have no score to change."""
    mask = np.zeros(vocab, bool)
    mask[[i for i in ids if 0 <= i < vocab]] = True
    return mask


def _table(name: str, pairs: Sequence[tuple[Sequence[int], float]], vocab: int) -> dict[str, np.ndarray]:
    """Sequences and what is added to their last token: one token long [V], longer ones as a table.

    The table's sizes are rounded up, so that other words of about the same number share a program. Its prefixes [N, L]
    stand on the right, with −1 before them.
    """
    alone = np.zeros(vocab, np.float32)
    longer = {}
    for ids, bias in dict(pairs).items():
        _known(name, ids, vocab)
        if len(ids) == 1:
            alone[ids[0]] = bias
        else:
            longer[ids] = bias
    if not longer:
        return {"alone": alone}
    count, width = rounded(len(longer)), rounded(max(map(len, longer)) - 1)
    prefixes, last = np.full((count, width), -1, np.int32), np.zeros(count, np.int32)
    lengths, biases = np.full(count, np.iinfo(np.int32).max, np.int32), np.zeros(count, np.float32)
    for i, (ids, bias) in enumerate(longer.items()):
        prefixes[i, width - len(ids) + 1 :] = ids[:-1]
        last[i], lengths[i], biases[i] = ids[-1], len(ids), bias
    return {"alone": alone, "prefixes": prefixes, "last": last, "lengths": lengths, "biases": biases}


def allowing(function: Callable[[int, np.ndarray], Sequence[int]], vocab: int) -> Asked:
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

    return Asked(ask)
