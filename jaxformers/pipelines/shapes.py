"""Few shapes for rows of any length: each shape is a compiled program, and padding is work for nothing."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator, Sequence

_CPU_TOKENS = 1024  # a batch's activations should stay in the cache of a core
_ACCELERATOR_TOKENS = 32_768
_STEP = 4  # between the row counts of short lists


@dataclasses.dataclass(frozen=True)
class Batch:
    """Rows that run together.

    places: which rows, by their numbers. rows, length: the shape, with room for empty rows.
    """

    places: tuple[int, ...]
    rows: int
    length: int


def lengths(longest: int) -> list[int]:
    """8, 12, 16, 24, 32, 48, …: steps of 1.33 to 1.5, up to and including the model's longest row."""
    steps = [8, 12]
    while steps[-1] < longest:
        steps.append(2 * steps[-2])
    return [step for step in steps if step < longest] + [longest]


def token_budget(platform: str) -> int:
    """How many tokens a batch holds on a kind of device."""
    return _CPU_TOKENS if platform == "cpu" else _ACCELERATOR_TOKENS


def plan(sizes: Sequence[int], steps: Sequence[int], budget: int, most_rows: int | None = None) -> list[Batch]:
    """Batches for rows of the given token counts, the longest rows first.

    A batch has as many rows as the budget holds at its length, so each length has one shape. Only the last batch may
    hold fewer; it is filled with empty rows, to the full shape if that is in use anyway, else to a power of 4.
    """
    order = sorted(range(len(sizes)), key=lambda i: -sizes[i])
    batches: list[Batch] = []
    start = 0
    while start < len(order):
        length = next(step for step in steps if step >= sizes[order[start]])
        full = max(1, min(budget // length, most_rows or budget))
        places = tuple(order[start : start + full])
        start += len(places)
        in_use = any(batch.length == length and batch.rows == full for batch in batches)
        batches.append(Batch(places, full if in_use else _room(len(places), full), length))
    return batches


def _room(count: int, full: int) -> int:
    room = 1
    while room < count:
        room *= _STEP
    return min(room, full)


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
