"""Long texts in parts that a model takes, cut between sentences where there are any."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

_SENTENCE = re.compile(r"(?<=[.!?…])[\"'”’»)\]]*\s+|(?<=[。！？])|\n+")
"""What stands between sentences: white space behind their marks, of which those of Chinese have none, or a new line."""
_WORD = re.compile(r"\s+")


def windows(text: str, count: Callable[[str], int], most: int) -> list[str]:
    """The text in parts of about one length, each of `most` tokens at most, which begin with sentences where these are
    short enough, else with words, else anywhere.

    count: how many tokens a part has, with all that stands around it.

    Raises:
        ValueError: a single character has more tokens, or what stands around a part leaves no room.
    """
    if count(text) <= most:
        return [text]
    pieces = _pieces(text, count, most)
    costs = [count(piece) for piece in pieces]
    around = count("")
    if around >= most:
        raise ValueError(f"the model takes {most} tokens, and what stands around each part has {around}")
    own = [max(0, cost - around) for cost in costs]
    share = sum(own) / max(1, -(-sum(own) // (most - around)))  # so that the last part is no short rest
    parts = [""]
    filled = 0
    for piece, cost in zip(pieces, own, strict=True):
        if parts[-1] and (filled >= share or count(parts[-1] + piece) > most):
            parts.append("")
            filled = 0
        parts[-1] += piece
        filled += cost
    return [part for part in map(str.strip, parts) if part] or [""]


def _pieces(text: str, count: Callable[[str], int], most: int) -> list[str]:
    """The text in sentences; those that are too long in words, and such words in halves."""
    found = []
    for sentence in _split(text, _SENTENCE):
        if count(sentence) <= most:
            found.append(sentence)
            continue
        for word in _split(sentence, _WORD):
            found += _halves(word, count, most)
    return found


def _split(text: str, between: re.Pattern[str]) -> Sequence[str]:
    """The text in pieces that end behind each match; together they are the text."""
    ends = [match.end() for match in between.finditer(text) if match.end() < len(text)]
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True) if end > start]


def _halves(text: str, count: Callable[[str], int], most: int) -> list[str]:
    """A word in parts that are short enough."""
    if count(text) <= most:
        return [text]
    if len(text) == 1:
        raise ValueError(f"the model takes {most} tokens, and {text!r} alone has {count(text)}")
    middle = len(text) // 2
    return _halves(text[:middle], count, most) + _halves(text[middle:], count, most)
