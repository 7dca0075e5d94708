"""Texts to rows of ids under a truncation and a padding, and from these to what a call returns."""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import Any

import numpy as np
import tokenizers
from tokenizers import Encoding

from . import limits
from .backend import Padding, Truncation, as_value_error
from .encoding import BatchEncoding
from .options import Options
from .texts import Texts

View = Callable[[Truncation | None, Padding | None], tokenizers.Tokenizer]
"""A truncation and a padding → the library's tokenizer with these settings."""


def encode(
    texts: Texts, view: View, truncation: Truncation | None, padding: Padding | None, add_special_tokens: bool
) -> list[Encoding]:
    """The rows as the tokenizers library encodes them.

    Raises:
        ValueError: naming the index of the row that cannot be encoded.
    """
    if not texts.rows:
        return []
    if truncation is not None:
        _check_truncation(texts, view, truncation, add_special_tokens)
    backend = view(truncation, padding)
    try:
        with as_value_error("tokenization failed"):
            if len(texts.rows) == 1:  # no thread pool for one
                first, second = texts.rows[0] if texts.is_pair(texts.rows[0]) else (texts.rows[0], None)
                return [backend.encode(first, second, texts.pretokenized, add_special_tokens)]
            return backend.encode_batch(texts.rows, texts.pretokenized, add_special_tokens)
    except ValueError:
        texts.check()
        if truncation is not None:
            _check_pairs(texts, view, truncation, add_special_tokens)
        for index, row in enumerate(texts.rows):
            alone = truncation is not None and truncation.strategy == "only_second" and not texts.is_pair(row)
            fault = "truncation='only_second', but it is no pair" if alone else "cannot be tokenized"
            with as_value_error(f"{texts.where(index)}: {fault}"):
                backend.encode_batch([row], texts.pretokenized, add_special_tokens)
        raise


def _check_truncation(texts: Texts, view: View, truncation: Truncation, add_special_tokens: bool) -> None:
    """Refuse a truncation that the library would carry out wrongly, or die of.

    Raises:
        ValueError: naming the numbers or the row.
    """
    try:
        pairs = {texts.is_pair(row) for row in texts.rows}
    except TypeError:  # a row without length is no text
        texts.check()
        raise
    special = max(map(view(None, None).num_special_tokens_to_add, pairs)) if add_special_tokens else 0
    limits.check_room(truncation, special)
    if truncation.stride and any(pairs):
        texts.check()
        _check_pairs(texts, view, truncation, add_special_tokens)


def _check_pairs(texts: Texts, view: View, truncation: Truncation, add_special_tokens: bool) -> None:
    """Refuse the first pair that cannot be cut as asked; this tokenizes both texts of each."""
    pairs = [(index, row) for index, row in enumerate(texts.rows) if texts.is_pair(row)]
    backend = view(None, None)
    with as_value_error("tokenization failed"):
        encoded = backend.encode_batch([side for _, row in pairs for side in row], texts.pretokenized, False)
    room = truncation.max_length - (backend.num_special_tokens_to_add(True) if add_special_tokens else 0)
    lengths = [len(row) for row in encoded]
    for (index, _), first, second in zip(pairs, lengths[::2], lengths[1::2], strict=True):
        limits.check_pair(truncation, room, (first, second), texts.where(index))


def batch(rows: list[Encoding], options: Options, model_input_names: Container[str], single: bool) -> BatchEncoding:
    """What a call returns of its rows.

    Args:
        rows: one for each text.
        options: of these `return_...`.
        model_input_names: say whether token types and an attention mask are returned where the options do not.
        single: one text was given, whose lists have no batch axis.

    Raises:
        ValueError: the rows make no arrays.
    """
    samples = None
    if options.return_overflowing_tokens:
        pieces = [[row, *row.overflowing] for row in rows]
        samples = [index for index, row in enumerate(pieces) for _ in row]
        rows = [piece for row in pieces for piece in row]
    types, mask = options.return_token_type_ids, options.return_attention_mask
    data: dict[str, Any] = {"input_ids": [row.ids for row in rows]}
    if "token_type_ids" in model_input_names if types is None else types:
        data["token_type_ids"] = [row.type_ids for row in rows]
    if "attention_mask" in model_input_names if mask is None else mask:
        data["attention_mask"] = [row.attention_mask for row in rows]
    if options.return_special_tokens_mask:
        data["special_tokens_mask"] = [row.special_tokens_mask for row in rows]
    if options.return_offsets_mapping:
        data["offset_mapping"] = [row.offsets for row in rows]
    if options.return_tensors is not None and not rows:
        data = {name: np.zeros((0, 0), np.int64) for name in data}
    if options.return_length:
        data["length"] = [len(row) for row in rows]
    if samples is not None:
        data["overflow_to_sample_mapping"] = samples
    elif single and options.return_tensors is None:
        data = {name: value[0] if isinstance(value[0], list) else value for name, value in data.items()}
    return BatchEncoding(data, rows, options.return_tensors)
