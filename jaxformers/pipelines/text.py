"""Text inputs of a task: one text, or a text and its pair, to one row of tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..tokenizers import Tokenizer
from .task import Row


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


def rows(items: Sequence[Any], tokenizer: Tokenizer, task: str, settings: Mapping[str, Any]) -> list[list[Row]]:
    """One row for each item, tokenized in one call without padding.

    Raises:
        ValueError: an item is no text, or the tokenizer refuses it.
    """
    pairs = [split(item, task) for item in items]
    texts, seconds = [text for text, _ in pairs], [second for _, second in pairs]
    if None not in seconds:
        encoded = tokenizer(texts, seconds, verbose=False, **settings)
    elif all(second is None for second in seconds):
        encoded = tokenizer(texts, verbose=False, **settings)
    else:  # a mixture: in runs of one kind, so that each is one call
        return [row for item in items for row in rows([item], tokenizer, task, settings)]
    fields = {name: encoded[name] for name in encoded if name not in ("attention_mask", "length")}
    return [[Row({name: values[i] for name, values in fields.items()})] for i in range(len(items))]
