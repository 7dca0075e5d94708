"""The lengths of rows: a call's options for padding and truncation, with the tokenizer's defaults, checked."""

from __future__ import annotations

from collections.abc import Callable
from operator import index as integer
from typing import Any, Protocol

from .backend import Padding, Truncation
from .options import Options
from .settings import LARGE

LONGEST_PADDING = 1 << 24
"""Tokens that a row may be padded to: more is a mistake, and would take all memory."""

_PADDING = {
    False: None,
    None: None,
    "do_not_pad": None,
    True: "longest",
    "longest": "longest",
    "max_length": "max_length",
}
_TRUNCATION = {False: None, None: None, "do_not_truncate": None, True: "longest_first"} | {
    name: name for name in ("longest_first", "only_first", "only_second")
}


class Defaults(Protocol):
    """What a tokenizer says of lengths where a call says nothing."""

    padding_side: str
    truncation_side: str
    model_max_length: int
    pad_token_type_id: int

    @property
    def pad_token(self) -> str | None:
        """What rows are filled up with."""

    @property
    def pad_token_id(self) -> int | None:
        """The id of `pad_token`."""


def resolve(
    tokenizer: Defaults, options: Options, warn: Callable[[str, str], None]
) -> tuple[Padding | None, Truncation | None]:
    """What the options of a call ask for.

    Args:
        tokenizer: gives the defaults.
        options: of these `padding`, `truncation`, `max_length`, `stride`, `pad_to_multiple_of` and `padding_side`.
        warn: called with a key and a warning that the user should see once.

    Raises:
        ValueError: an unknown word, impossible numbers, or padding without a padding token.
    """
    max_length = _number(options.max_length, "max_length")
    multiple = _number(options.pad_to_multiple_of, "pad_to_multiple_of", least=1)
    stride = _number(options.stride, "stride") or 0
    side = tokenizer.padding_side if options.padding_side is None else options.padding_side
    check_side(side, "padding_side")
    check_side(tokenizer.truncation_side, "truncation_side")
    pad = _choice(options.padding, _PADDING, "padding")
    cut = _choice(options.truncation, _TRUNCATION, "truncation")
    if max_length is not None and options.truncation is None and options.padding is False:
        warn("cut", f"max_length={max_length} without truncation: cutting with 'longest_first'; pass truncation=True")
        cut = "longest_first"
    elif max_length is not None and pad == "longest" and cut is None:
        warn(
            "ignored",
            "max_length is ignored: padding=True pads to the longest row; pass truncation=True to cut, or "
            "padding='max_length' to pad to max_length",
        )
    if max_length is None and (pad == "max_length" or cut):
        if tokenizer.model_max_length <= LARGE:
            max_length = tokenizer.model_max_length
        else:
            warn(
                "unlimited",
                "neither max_length nor the tokenizer's model_max_length is set: rows are not "
                f"{'cut' if cut else 'padded'}",
            )
            pad, cut = None if pad == "max_length" else pad, None
    if pad and cut and multiple and max_length is not None and max_length % multiple:
        raise ValueError(f"max_length={max_length} is no multiple of pad_to_multiple_of={multiple}: pass one that is")
    return (
        _padding(tokenizer, max_length if pad == "max_length" else None, side, multiple) if pad else None,
        Truncation(min(max_length or 0, 2**31), cut, stride, tokenizer.truncation_side) if cut else None,
    )


def check_room(truncation: Truncation, taken: int) -> None:
    """Refuse a truncation that cannot be carried out whatever the texts are.

    Args:
        truncation: what was asked for.
        taken: special tokens of a row.

    Raises:
        ValueError: naming the numbers.
    """
    room = truncation.max_length - taken
    if room < 0:
        raise ValueError(f"max_length={truncation.max_length} is less than the {taken} special tokens of a row")
    if truncation.stride and truncation.stride >= room:
        raise ValueError(
            f"stride={truncation.stride} leaves nothing new for the next piece: max_length={truncation.max_length} has "
            f"room for {room} tokens beside the special ones"
        )


def check_pair(truncation: Truncation, room: int, lengths: tuple[int, int], where: str) -> None:
    """Refuse a pair that the truncation cannot bring to length, or whose pieces would not advance.

    Args:
        truncation: what was asked for.
        room: tokens of both texts together that fit.
        lengths: tokens of either text.
        where: the row, for the error.

    Raises:
        ValueError: naming the row.
    """
    excess = sum(lengths) - room
    if excess <= 0 or room == 0:  # without room both texts are left out
        return
    if truncation.strategy == "longest_first":
        shorter = min(min(lengths), room // 2)
        cut = [kept for length, kept in zip(sorted(lengths), (shorter, room - shorter), strict=True) if kept < length]
    else:
        of = 0 if truncation.strategy == "only_first" else 1
        cut = [lengths[of] - excess]
        if cut[0] <= 0:
            raise ValueError(
                f"{where}: truncation={truncation.strategy!r} cannot bring {lengths[0]} + {lengths[1]} tokens to "
                f"max_length={truncation.max_length}: the other text alone is too long; use truncation=True"
            )
    if truncation.stride and min(cut) <= truncation.stride:
        raise ValueError(
            f"{where}: stride={truncation.stride} leaves nothing new for the next piece: the {lengths[0]} + "
            f"{lengths[1]} tokens of this pair leave room for {min(cut)}; use a smaller stride or a larger max_length"
        )


def check_side(side: Any, name: str) -> str:
    """`side` if it is "left" or "right".

    Raises:
        ValueError: anything else.
    """
    if side not in ("left", "right"):
        raise ValueError(f"{name} must be 'left' or 'right', not {side!r:.40}")
    return side


def _padding(tokenizer: Defaults, length: int | None, side: str, multiple: int | None) -> Padding:
    token, index = tokenizer.pad_token, tokenizer.pad_token_id
    if token is None or index is None:
        raise ValueError(
            "padding needs a padding token and this tokenizer has none: set one, as in tokenizer.pad_token = "
            "tokenizer.eos_token, or add one: tokenizer.add_special_tokens({'pad_token': '[PAD]'})"
        )
    for name, value in (("max_length", length), ("pad_to_multiple_of", multiple)):
        if value is not None and value > LONGEST_PADDING:
            raise ValueError(f"{name}={value} is no length to pad to, at most {LONGEST_PADDING} tokens are")
    return Padding(length, side, multiple, index, tokenizer.pad_token_type_id, token)


def _choice(value: Any, choices: dict[Any, str | None], name: str) -> str | None:
    value = getattr(value, "value", value)  # enumerations of other libraries say the same words
    if not isinstance(value, str | bool | None) or value not in choices:
        words = ", ".join(repr(choice) for choice in choices if choice is not None)
        raise ValueError(f"{name}={value!r:.40} is not known, use one of {words}")
    return choices[value]


def _number(value: Any, name: str, least: int = 0) -> int | None:
    if value is None:
        return None
    try:
        number = integer(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number, not {value!r:.40}") from None
    if isinstance(value, bool) or number < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, not {value!r:.40}")
    return number
