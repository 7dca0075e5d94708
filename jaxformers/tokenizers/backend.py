"""The `tokenizers` library, used so that calls do not disturb each other and its errors are Python exceptions.

A `tokenizers.Tokenizer` keeps truncation and padding as settings of its own, which threads would overwrite for each
other. Here the one that is shared never has any: a call with settings works on a *view*, a new tokenizer that shares
the model (the vocabulary) and all other parts, and costs some microseconds.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import pre_tokenizers

LARGEST = 1 << 29  # bytes of a tokenizer.json


@dataclasses.dataclass(frozen=True)
class Truncation:
    """How rows are cut.

    Attributes:
        max_length: tokens that a row may have, special tokens included.
        strategy: "longest_first", "only_first" or "only_second".
        stride: tokens that one piece of a cut text shares with the next.
        direction: "right" or "left", the side on which tokens are dropped.
    """

    max_length: int
    strategy: str
    stride: int
    direction: str


@dataclasses.dataclass(frozen=True)
class Padding:
    """How rows are filled up.

    Attributes:
        length: tokens that a row shall have; None is as many as the longest row has.
        direction: "right" or "left", the side on which padding is put.
        pad_to_multiple_of: the length is rounded up to a multiple of this.
        pad_id, pad_type_id, pad_token: what is put there.
    """

    length: int | None
    direction: str
    pad_to_multiple_of: int | None
    pad_id: int
    pad_type_id: int
    pad_token: str


@contextlib.contextmanager
def as_value_error(what: str) -> Iterator[None]:
    """Turn what the library raises, panics of its Rust code included, into a ValueError that begins with `what`."""
    try:
        yield
    except (Exception, BaseException) as error:  # a panic is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ValueError(f"{what}: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """What an exception says, in one short line."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def read(path: Path) -> tokenizers.Tokenizer:
    """The tokenizer of a tokenizer.json.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is malformed.
    """
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: {path.stat().st_size} bytes are too large for a tokenizer")
    with as_value_error(f"{path}: not a usable tokenizer"):
        return tokenizers.Tokenizer.from_buffer(path.read_bytes())


def check_writable(backend: tokenizers.Tokenizer) -> None:
    """Refuse ids with such gaps that writing, which counts through them, would take minutes.

    Raises:
        ValueError: naming the token with the last id.
    """
    vocabulary = backend.get_vocab()
    last = max(vocabulary, key=vocabulary.__getitem__, default="")
    if vocabulary and vocabulary[last] > 1000 * len(vocabulary):
        raise ValueError(f"{last!r} has id {vocabulary[last]} among {len(vocabulary)} tokens: this cannot be written")


def check(backend: tokenizers.Tokenizer, where: str) -> None:
    """Refuse a tokenizer that would fail, or give ids that it does not have, once texts come.

    Raises:
        ValueError: naming `where` and the part of the tokenizer that is at fault.
    """
    unknown = getattr(backend.model, "unk_token", None)
    if isinstance(backend.model, tokenizers.models.WordPiece | tokenizers.models.WordLevel) and (
        unknown is None or backend.model.token_to_id(unknown) is None
    ):
        raise ValueError(f"{where}: the vocabulary lacks the unk_token {unknown!r}: unknown words would have no id")
    with as_value_error(f"{where}: post_processor cannot be used"):
        rows = backend.encode("").ids, backend.encode("", "").ids
    for index in {index for row in rows for index in row}:
        if backend.id_to_token(index) is None:
            raise ValueError(f"{where}: post_processor adds id {index}, which is no id of the vocabulary")


def implied_settings(backend: tokenizers.Tokenizer) -> dict[str, Any]:
    """The settings that a tokenizer.json implies by the truncation and padding that were saved in it."""
    found: dict[str, Any] = {}
    if backend.truncation is not None:
        found["truncation_side"] = backend.truncation["direction"]
    if backend.padding is not None:
        found |= {"padding_side": backend.padding["direction"], "pad_token": backend.padding["pad_token"]}
    return found


def set_prefix_space(backend: tokenizers.Tokenizer, wanted: bool, in_sequence: bool = False) -> None:
    """Make byte-level BPE put a space in front of texts, or not, whatever its tokenizer.json says.

    Args:
        backend: what is changed, if its pre-tokenizer is that of byte-level BPE.
        wanted: whether there is a space.
        in_sequence: change it in a sequence of pre-tokenizers, too.
    """
    pre_tokenizer = backend.pre_tokenizer
    if isinstance(pre_tokenizer, pre_tokenizers.ByteLevel):
        if pre_tokenizer.add_prefix_space != wanted:
            backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=wanted, use_regex=pre_tokenizer.use_regex)
    elif in_sequence and isinstance(pre_tokenizer, pre_tokenizers.Sequence):
        state = json.loads(pre_tokenizer.__getstate__())
        for part in state["pretokenizers"]:
            if part["type"] == "ByteLevel":
                part["add_prefix_space"] = wanted
        pre_tokenizer.__setstate__(json.dumps(state).encode())
        backend.pre_tokenizer = pre_tokenizer


def view(
    backend: tokenizers.Tokenizer,
    truncation: Truncation | None = None,
    padding: Padding | None = None,
    split_special_tokens: bool = False,
    custom: Callable[[tokenizers.Tokenizer], None] | None = None,
) -> tokenizers.Tokenizer:
    """A tokenizer with settings of its own that shares its parts with `backend`; `backend` itself if there are none.

    `custom` puts components into it that are written in Python, which the library could neither copy nor write.
    """
    if truncation is None and padding is None and not split_special_tokens and custom is None:
        return backend
    other = tokenizers.Tokenizer(backend.model)
    other.normalizer = backend.normalizer
    other.pre_tokenizer = backend.pre_tokenizer
    other.post_processor = backend.post_processor
    other.decoder = backend.decoder
    if custom is not None:
        custom(other)
    added = backend.get_added_tokens_decoder()
    other.add_tokens([added[index] for index in sorted(added)])
    other.encode_special_tokens = split_special_tokens
    if truncation is not None:
        other.enable_truncation(**vars(truncation))
    if padding is not None:
        other.enable_padding(**vars(padding))
    return other
