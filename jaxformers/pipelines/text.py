"""Texts of a task to rows of tokens: one text, or a text and its pair."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from ..tokenizers import BatchEncoding, Tokenizer
from .task import Row

_BESIDE = ("attention_mask", "length", "special_tokens_mask", "offset_mapping", "overflow_to_sample_mapping")
_ENGINES = ("padding", "return_tensors")  # rows are padded, and made arrays, by the engine
_TEXTS = ("text", "text_pair", "text_target", "text_pair_target")


def split(item: Any, task: str) -> tuple[str, str | None]:
    """The text, and its pair or None, of a string or a dict with `text` and perhaps `text_pair`.

    Raises:
        ValueError: the input is neither; the message says what it is.
    """
    if isinstance(item, str):
        return str(item), None
    if isinstance(item, Mapping):
        unknown = item.keys() - {"text", "text_pair"}
        if isinstance(item.get("text"), str) and isinstance(item.get("text_pair", ""), str | None) and not unknown:
            return item["text"], item.get("text_pair")
        raise ValueError(
            f"{task} takes dicts with 'text' and, for pairs, 'text_pair', both strings; found {sorted(map(str, item))}"
        )
    raise ValueError(
        f"{task} takes a string, or {{'text': ..., 'text_pair': ...}} for a pair; found {type(item).__name__}"
    )


def fields(encoded: BatchEncoding) -> list[dict[str, Sequence[int]]]:
    """What a model may read of each row that a tokenizer gives, by name: all but masks, counts and places."""
    names = [name for name in encoded if name not in _BESIDE]
    return [dict(zip(names, row, strict=True)) for row in zip(*(encoded[name] for name in names), strict=True)]


def limit(tokenizer: Tokenizer, longest: int, asked: int | None = None) -> int:
    """The most tokens of a row: what was asked for, or the tokenizer says, but never more than the model takes."""
    return min(tokenizer.model_max_length if asked is None else asked, longest)


def settings(given: Any, name: str) -> dict[str, Any]:
    """A caller's keywords for the tokenizer, without those that are the engine's. `name`: what the caller calls them.

    Raises:
        ValueError: they are no mapping, or would give a text no row or several.
        TypeError: the tokenizer has no such keyword.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ValueError(f"{name}={given!r:.60}: expected keywords for the tokenizer, as {{'truncation': True}}")
    known = [word for word in inspect.signature(Tokenizer.__call__).parameters if word not in ("self", *_TEXTS)]
    for word in given:
        if word not in known:
            near = difflib.get_close_matches(str(word), known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"{name}: the tokenizer takes no {word!r} here{hint}")
    for word in ("return_overflowing_tokens", "is_split_into_words"):
        if given.get(word):
            raise ValueError(f"{name}: {word}=True would not give one row a text, and each has one answer here")
    return {word: value for word, value in given.items() if word not in _ENGINES}


def cuts(settings: Mapping[str, Any]) -> bool:
    """Whether keywords for a tokenizer ask it to cut texts that are too long."""
    return settings.get("truncation") not in (None, False, "do_not_truncate")


def rows(
    items: Sequence[Any], tokenizer: Tokenizer, task: str, settings: Mapping[str, Any], longest: int
) -> list[list[Row]]:
    """One row for each item, tokenized in one call without padding. Cut rows fit the model, unless max_length is given.

    Raises:
        ValueError: an item is no text, or the tokenizer refuses it.
    """
    pairs = [split(item, task) for item in items]
    texts, seconds = [text for text, _ in pairs], [second for _, second in pairs]
    given = {"verbose": False, **settings}
    if cuts(settings) and settings.get("max_length") is None:
        given["max_length"] = limit(tokenizer, longest)
    if None not in seconds:
        encoded = tokenizer(texts, seconds, **given)
    elif all(second is None for second in seconds):
        encoded = tokenizer(texts, **given)
    else:  # a mixture: in runs of one kind, so that each is one call
        return [row for item in items for row in rows([item], tokenizer, task, settings, longest)]
    return [[Row(row)] for row in fields(encoded)]
