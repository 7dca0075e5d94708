"""Lengths that rows are padded to: few, since each shape of a batch is a compiled program."""

from __future__ import annotations

import bisect
import dataclasses
from typing import Self

import numpy as np

ENDLESS = 1 << 20
"""Tokens: stands for the longest row of a model whose positions have no end."""

_UNIT = 4  # lengths are multiples of it
_GAIN = 0.01  # of all places, that a further length must spare
_FINEST = 256  # different lengths among which the best are sought


@dataclasses.dataclass(frozen=True)
class Buckets:
    """The lengths that rows may have, in ascending order.

    source: of what is read. target: of what a decoder beside an encoder is to write; empty: the same. beside: of each
    of source the length that targets have where they fit into it, so that not every pair of lengths is a program.

    Raises:
        ValueError: none, or they do not ascend from 1.
    """

    source: tuple[int, ...]
    target: tuple[int, ...] = ()
    beside: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.source:
            raise ValueError("buckets are empty: name one length at least")
        for lengths in (self.source, self.target):
            if any(a >= b for a, b in zip((0, *lengths), lengths, strict=False)):
                raise ValueError(f"buckets must ascend from 1, found {lengths}")

    def fit(self, tokens: int) -> int:
        """The first length that so many tokens fit into.

        Raises:
            ValueError: there is none.
        """
        return _first(self.source, tokens)

    def fit_target(self, tokens: int) -> int:
        """`fit` of targets."""
        return _first(self.target or self.source, tokens)

    def only(self, tokens: int, target_tokens: int) -> Self:
        """The one length for rows of so many tokens, and the one for their targets."""
        source = self.fit(tokens)
        usual = self.beside[self.source.index(source)] if self.beside else 0
        return type(self)((source,), (usual if target_tokens <= usual else self.fit_target(target_tokens),))


def spaced(longest: int | None = None) -> tuple[int, ...]:
    """8, 16, …, 64, 80, 96, 112, 128, 160, …: four to each doubling, up to and including the longest."""
    longest = ENDLESS if longest is None else longest
    lengths = [8]
    while lengths[-1] < longest:
        lengths.append(lengths[-1] + max(8, 1 << (lengths[-1].bit_length() - 3)))
    return (*(length for length in lengths if length < longest), longest)


def fitted(tokens: np.ndarray, count: int, longest: int | None = None) -> tuple[int, ...]:
    """The `count` lengths under which batches of the given token counts have the least padding.

    Fewer, where a further one would spare less than a hundredth.

    Args:
        tokens: [N] of each batch the tokens of its longest row.
        count: of lengths, and so of programs.
        longest: tokens that no row may exceed; None: as they are.
    """
    top = int(tokens.max()) if longest is None else longest
    unit = _UNIT * -(-top // (_UNIT * _FINEST))
    sizes, weights = np.unique(np.minimum(-(-tokens // unit) * unit, max(top, 1)), return_counts=True)
    return tuple(int(sizes[i]) for i in _cuts(sizes, weights, min(count, len(sizes))))


def _cuts(sizes: np.ndarray, weights: np.ndarray, count: int) -> list[int]:
    """Which of ascending sizes [M] to keep so that each item, rounded up to a kept one, is longest least.

    `least[j]` is the cost of the items up to size j where j is kept, for a growing number of kept ones.
    """
    below = np.concatenate([[0], np.cumsum(weights)])
    cost = np.where(np.tri(len(sizes), k=-1, dtype=bool), (below[1:] * sizes)[:, None] - sizes[:, None] * below[1:], 0)
    least, choices = below[1:] * sizes, []
    for _ in range(count - 1):
        through = np.where(np.tri(len(sizes), k=-1, dtype=bool), least[None] + cost, np.iinfo(np.int64).max)
        through[np.arange(len(sizes)), np.arange(len(sizes))] = least  # no further one is needed
        choices.append(through.argmin(1))
        before, least = least, through.min(1)
        if before[-1] - least[-1] < _GAIN * least[-1]:
            choices.pop()
            break
    kept = [len(sizes) - 1]
    for choice in reversed(choices):
        if choice[kept[-1]] != kept[-1]:
            kept.append(int(choice[kept[-1]]))
    return kept[::-1]


def _first(lengths: tuple[int, ...], tokens: int) -> int:
    place = bisect.bisect_left(lengths, tokens)
    if place == len(lengths):
        raise ValueError(f"a row has {tokens} tokens, the longest that is allowed is {lengths[-1]}: truncate the texts")
    return lengths[place]
