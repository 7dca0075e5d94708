"""Texts to the rows of ids and labels that a task is trained on: one function for each, a list of examples out.

Rows are neither padded nor turned into arrays, which collators do. `max_length` is the most tokens of a row, by default
the tokenizer's `model_max_length`; what is longer is cut off, or where a function says so goes on in a row of its own.
Spans of contexts have a file of their own (`spans.py`), and so have chats (`chats.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..layers.losses import IGNORED
from ..tokenizers.text_encoder import TextEncoder
from .examples import Example

_OVERFLOW = "overflow_to_sample_mapping"


def classified(
    tokenizer: TextEncoder,
    texts: Sequence[str],
    labels: Sequence[Any] | None = None,
    *,
    pairs: Sequence[str] | None = None,
    max_length: int | None = None,
) -> list[Example]:
    """A row for each text, or pair of texts, with its label: classes by number, a value, or several of either.

    Args:
        tokenizer: makes the ids.
        texts: [N].
        labels: [N], as `labels` in the rows; None: rows without.
        pairs: [N] the second text of each pair, which is cut where it is the longer one.
        max_length: tokens of a row.

    Raises:
        ValueError: labels or second texts that are more or fewer than texts.
    """
    _check_count("labels", labels, texts)
    _check_count("pairs", pairs, texts)
    encoded = tokenizer(list(texts), None if pairs is None else list(pairs), truncation=True, max_length=max_length)
    return _labelled(rows_of(encoded), labels)


def tagged(
    tokenizer: TextEncoder,
    words: Sequence[Sequence[str]],
    tags: Sequence[Sequence[int]] | None = None,
    *,
    inside: Mapping[int, int] | None = None,
    max_length: int | None = None,
) -> list[Example]:
    """A row for each list of words, whose first tokens have the words' tags; nothing else counts.

    Args:
        tokenizer: makes the ids.
        words: [N] lists.
        tags: [N] lists of a number for each word; None: rows without.
        inside: give the further tokens of a word a tag too: its own, or the one that stands here for it, such as that
            of "I-PER" for "B-PER"; an empty mapping leaves all as they are.
        max_length: tokens of a row.

    Raises:
        ValueError: tags that are more or fewer than words.
    """
    _check_count("tags", tags, words)
    encoded = tokenizer([list(row) for row in words], is_split_into_words=True, truncation=True, max_length=max_length)
    rows = rows_of(encoded)
    if tags is None:
        return rows
    for place, (own, row) in enumerate(zip(tags, words, strict=True)):
        if len(own) != len(row):
            raise ValueError(f"text {place} has {len(row)} words and {len(own)} tags: give each word one")
    labels = [_of_tokens(encoded.word_ids(i), own, inside) for i, own in enumerate(tags)]
    return _labelled(rows, labels)


def causal(tokenizer: TextEncoder, texts: Sequence[str], *, end: bool = True) -> list[Example]:
    """A row for each text, whole, for a model that reads in one direction; `PackedDataset` cuts and packs them.

    Args:
        tokenizer: makes the ids.
        texts: [N].
        end: put the end of a text behind each, where the tokenizer knows one and has not done so, so that a model
            learns to end.
    """
    rows = [{"input_ids": ids} for ids in tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]]
    last = tokenizer.eos_token_id
    if end and last is not None:
        for row in rows:
            row["input_ids"] += [last] * (row["input_ids"][-1:] != [last])
    return rows


def masked(
    tokenizer: TextEncoder, texts: Sequence[str], *, whole_words: bool = False, max_length: int | None = None
) -> list[Example]:
    """Rows for `DataCollatorForLanguageModeling`, which hides tokens. A long text goes on in rows of its own.

    Args:
        tokenizer: makes the ids.
        texts: [N].
        whole_words: with the offsets that the collator hides whole words by.
        max_length: tokens of a row.
    """
    encoded = tokenizer(
        list(texts),
        truncation=True,
        max_length=max_length,
        return_overflowing_tokens=True,
        return_special_tokens_mask=True,
        return_offsets_mapping=whole_words,
    )
    return rows_of(encoded)


def translated(
    tokenizer: TextEncoder,
    sources: Sequence[str],
    targets: Sequence[str] | None = None,
    *,
    prefix: str = "",
    max_length: int | None = None,
    max_target_length: int | None = None,
) -> list[Example]:
    """A row for each source, with the ids of its target as labels, for a model that reads one text and writes another.

    Args:
        tokenizer: makes the ids, of targets as it is set for them (`tgt_lang`).
        sources: [N].
        targets: [N]; None: rows without.
        prefix: stands in front of each source, such as "summarize: ".
        max_length: tokens of a source.
        max_target_length: tokens of a target; None: as many as of a source.

    Raises:
        ValueError: targets that are more or fewer than sources.
    """
    _check_count("targets", targets, sources)
    rows = rows_of(tokenizer([prefix + source for source in sources], truncation=True, max_length=max_length))
    if targets is None:
        return rows
    longest = max_length if max_target_length is None else max_target_length
    written = tokenizer(text_target=list(targets), truncation=True, max_length=longest)
    return _labelled(rows, written["input_ids"])


def rows_of(encoded: Mapping[str, Any]) -> list[Example]:
    """What a tokenizer has made of many texts, a mapping each row; of which text a row is, is left out."""
    names = [name for name in encoded if name != _OVERFLOW]
    return [dict(zip(names, row, strict=True)) for row in zip(*(encoded[name] for name in names), strict=True)]


def _of_tokens(words: Sequence[int | None], tags: Sequence[int], inside: Mapping[int, int] | None) -> list[int]:
    """The tag of each token, of which each says to which word it belongs; -100 where none counts."""
    labels, before = [], None
    for word in words:
        if word is None:
            labels.append(IGNORED)
        elif word != before:
            labels.append(tags[word])
        else:
            labels.append(IGNORED if inside is None else inside.get(tags[word], tags[word]))
        before = word
    return labels


def _labelled(rows: list[Example], labels: Sequence[Any] | None) -> list[Example]:
    if labels is None:
        return rows
    return [row | {"labels": label} for row, label in zip(rows, labels, strict=True)]


def _check_count(name: str, values: Sequence[Any] | None, texts: Sequence[Any]) -> None:
    if values is not None and len(values) != len(texts):
        raise ValueError(f"{len(texts)} texts and {len(values)} {name}: give as many")
