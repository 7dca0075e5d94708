"""Few shapes for rows of any length: each shape is a compiled program, and padding is work for nothing."""

from __future__ import annotations

import bisect
import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence

ENDLESS = 1 << 30
"""Tokens: stands for the longest row of a model whose positions have no end."""

_CPU_TOKENS = 1024  # a batch's activations should stay in the cache of a core
_ACCELERATOR_TOKENS = 32_768
_STEP = 4  # between the row counts of short lists
_TEXTS = 4  # a row, on average, at most


@dataclasses.dataclass(frozen=True)
class Batch:
    """Texts that run together.

    places: which texts, by their numbers, are in each row. rows, length: the shape, with room for empty rows. packed:
    whether a row may hold several texts.
    """

    places: tuple[tuple[int, ...], ...]
    rows: int
    length: int
    packed: bool = False

    @property
    def texts(self) -> int:
        """How many texts there is room for; more than rows where it is packed."""
        return self.rows * _TEXTS if self.packed else self.rows

    def spots(self, sizes: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """Of each text its number, its row, and where in it the text starts, given all texts' token counts."""
        for row, places in enumerate(self.places):
            start = 0
            for place in places:
                yield place, row, start
                start += sizes[place]


def lengths(longest: int) -> list[int]:
    """8, 12, 16, 24, 32, 48, …: steps of 1.33 to 1.5, up to and including the model's longest row."""
    steps = [8, 12]
    while steps[-1] < longest:
        steps.append(2 * steps[-2])
    return [step for step in steps if step < longest] + [longest]


def token_budget(platform: str) -> int:
    """How many tokens a batch holds on a kind of device."""
    return _CPU_TOKENS if platform == "cpu" else _ACCELERATOR_TOKENS


def plan(
    sizes: Sequence[int],
    steps: Sequence[int],
    budget: int,
    most_rows: int | None = None,
    *,
    pack: bool = False,
    exact: bool = False,
) -> list[Batch]:
    """Batches for texts of the given token counts, the longest first.

    A batch has as many rows as the budget holds at its length, so each length has one shape. Only the last batch may
    hold fewer; it is filled with empty rows, to the full shape if that is in use anyway, else to a power of 4.

    Args:
        sizes: tokens of each text.
        steps: the lengths that rows may have.
        budget: tokens of a batch.
        most_rows: the caller's hint.
        pack: what a row has left is filled with shorter texts.
        exact: rows are as long as their texts, whatever the steps.
    """
    left = sorted(range(len(sizes)), key=lambda i: (sizes[i], -i))
    batches: list[Batch] = []
    while left:
        longest = sizes[left[-1]]
        length = longest if exact else next(step for step in steps if step >= longest)
        full = max(1, min(budget // length, most_rows or budget))
        rows: list[list[int]] = []
        while left and len(rows) < full and not (exact and sizes[left[-1]] < length):
            rows.append([left.pop()])
        if pack:
            _fill(rows, left, sizes, length)
        in_use = any(batch.length == length and batch.rows == full for batch in batches)
        room = full if in_use else min(rounded_up(len(rows), first=1, factor=_STEP), full)
        batches.append(Batch(tuple(map(tuple, rows)), room, length, pack))
    return batches


def _fill(rows: list[list[int]], left: list[int], sizes: Sequence[int], length: int) -> None:
    """Move into each row the longest texts that still fit; `left` has the shortest first."""
    extra = len(rows) * (_TEXTS - 1)
    for row in rows:
        gap = length - sizes[row[0]]
        while extra and (fits := bisect.bisect_right(left, gap, key=lambda i: sizes[i])):
            row.append(left.pop(fits - 1))
            gap -= sizes[row[-1]]
            extra -= 1


def rounded_up(count: int, *, first: int, factor: int) -> int:
    """The lowest of first, first · factor, first · factor², … that is not below the count."""
    size = first
    while size < count:
        size *= factor
    return size


def windows(items: Iterable[object], sized: bool, size: int) -> Iterator[list[object]]:
    """Groups of inputs that are sorted together.

    Of a collection that is there, `size` at a time. Of a stream the first input alone, so that its answer comes at
    once, then as many as come without a pause: whoever waits for an answer before giving the next input gets it. An
    error of the source is raised behind the last group.
    """
    window: list[object] = []
    broken: Exception | None = None
    limit, before = size if sized else 1, time.monotonic()
    try:
        for item in items:
            window.append(item)
            slow = not sized and time.monotonic() - before > _PAUSE
            if len(window) >= limit or slow:
                yield window
                window, limit = [], size
            before = time.monotonic()
    except Exception as error:  # of the source: what it gave before is answered first
        broken = error
    if window:
        yield window
    if broken is not None:
        raise broken


_PAUSE = 0.002  # seconds between two inputs of a stream, above which it is worked off at once
