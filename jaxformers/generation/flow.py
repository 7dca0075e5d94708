"""Many prompts through few rows: rows are written in segments, between which the host looks at them, gives ended ones
away, puts waiting prompts in their places, and widens or narrows what is left.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ..layers.cache import Cache
from . import host
from .processors import Program, Values
from .rows import (
    Ends,
    Kept,
    Prompt,
    Rows,
    Style,
    Voice,
    begun,
    jaxformers_grow,
    jaxformers_replace,
    jaxformers_take,
    jaxformers_write,
    last_vectors,
    padded_row,
    rows_for,
    slots_for,
)
from .stopping import Stops

_SEGMENT = 64  # steps between two looks, where nobody waits
_BUSY = 16  # where prompts wait for rows


class Task(NamedTuple):
    """What is done with rows: which scores are kept and what is made of them, what ends rows, and what they draw by.

    asked: the function of the host that the program asks, held here while it does.
    """

    program: Program
    values: Values
    ends: Ends
    key: jax.Array
    scores: bool = False
    logits: bool = False
    asked: host.Asked | None = None

    def check(self) -> None:
        """Raise what a function of the host that a program asked has raised."""
        if self.asked is not None:
            self.asked.check()


@dataclasses.dataclass
class Memory:
    """What remains of rows that keep their places: of each segment what it kept [N, R, V], and the last of the rows."""

    segments: list[Kept] = dataclasses.field(default_factory=list)
    rows: Rows | None = None

    def add(self, rows: Rows, kept: Kept, steps: int) -> None:
        """Rows after a segment of so many steps."""
        self.rows = rows
        self.segments.append(Kept(*(None if x is None else np.asarray(x)[:steps] for x in kept)))

    def steps(self, name: str) -> np.ndarray | None:
        """The scores or logits of all steps [N, R, V]; None where they were not kept."""
        parts = [getattr(segment, name) for segment in self.segments]
        return np.concatenate(parts) if parts and parts[0] is not None else None


class Watch(NamedTuple):
    """Who looks on. stops: what ends rows. on_token: told each new token of a single row. memory: what remains."""

    stops: Stops = Stops()
    on_token: Callable[[int], None] | None = None
    memory: Memory | None = None


def flow(
    voice: Voice,
    task: Task,
    prompts: Sequence[Prompt],
    *,
    width: int,
    platform: str,
    watch: Watch = Watch(),
    past: Cache | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Write on all prompts, at most `width` at a time: their numbers and new tokens, in the order in which they end.

    Prompts of about the same length should stand beside each other: rows have room for the longest. past: of the first
    tokens of all prompts, as `begun` takes it. Where there is one, or prompts are vectors, none has to wait.
    """
    waiting = deque(range(len(prompts)))
    seats: list[int | None] = [waiting.popleft() for _ in range(min(width, len(waiting)))]
    first = [prompts[i] for i in seats if i is not None]
    seats += [None] * (rows_for(len(seats)) - len(seats))
    rows = begun(voice, first, len(seats), _room(first), platform, past)
    looked, last = np.asarray(rows.prompt), last_vectors(first, len(seats))
    while any(seat is not None for seat in seats):
        longest = _longest(rows, seats, prompts)
        rows, last = _segment(voice, task, _grown(rows, longest), longest, bool(waiting), watch, last), None
        ids, length, done = (np.asarray(x) for x in (rows.ids, rows.length, rows.done))
        task.check()
        length, done = _stopped(seats, prompts, ids, length, done, looked, watch)
        if watch.on_token is not None:
            for token in ids[0, looked[0] : length[0]]:
                watch.on_token(int(token))
        looked = length.copy()
        for row, seat in enumerate(seats):
            if seat is not None and done[row]:
                yield seat, ids[row, len(prompts[seat].ids) : length[row]].copy()
                seats[row] = None
        rows = dataclasses.replace(rows, length=length, done=done)
        rows, looked = _refilled(voice, rows, seats, waiting, prompts, looked, platform)
        rows, looked = _narrowed(rows, seats, looked, keep=watch.memory is not None)


def _room(prompts: Sequence[Prompt]) -> int:
    """Slots for the longest prompt and what is first written on it."""
    return slots_for(max(len(p.ids) + p.extra + min(p.most, _SEGMENT) for p in prompts))


def _longest(rows: Rows, seats: Sequence[int | None], prompts: Sequence[Prompt]) -> int:
    """How many slots the rows that are written have filled at most."""
    lengths = np.asarray(rows.length)
    return max(int(lengths[row]) + prompts[seat].extra for row, seat in enumerate(seats) if seat is not None)


def _grown(rows: Rows, longest: int) -> Rows:
    """The rows with room for at least one token more."""
    slots = rows.ids.shape[1]
    return jaxformers_grow(rows, 2 * slots) if longest >= slots else rows


def _segment(
    voice: Voice, task: Task, rows: Rows, longest: int, busy: bool, watch: Watch, last: np.ndarray | None
) -> Rows:
    """A segment; last: as of `write`."""
    room = rows.ids.shape[1] - longest
    most = 1 if watch.on_token is not None else _BUSY if busy else _SEGMENT
    steps = min(room, watch.stops.steps or most, most)
    if rows.cache.recurrent and watch.memory is not None and watch.stops.texts:
        steps = 1  # what a text cuts off could not be taken back from the states that remain
    style = Style(task.program, _SEGMENT if task.scores or task.logits else 0, task.scores, task.logits)
    rows, kept, done = jaxformers_write(
        voice.cls, style, voice.params, voice.config, rows, task.values, task.ends, task.key, np.int32(steps), last
    )
    if watch.memory is not None:
        watch.memory.add(rows, kept, int(done))
    return rows


def _stopped(
    seats: Sequence[int | None],
    prompts: Sequence[Prompt],
    ids: np.ndarray,
    length: np.ndarray,
    done: np.ndarray,
    looked: np.ndarray,
    watch: Watch,
) -> tuple[np.ndarray, np.ndarray]:
    """Lengths [R] and which rows are done [R], by what beside tokens ends rows."""
    length, done = length.copy(), done.copy()
    overdue = watch.stops.overdue()
    for row, seat in enumerate(seats):
        if seat is None:
            continue
        end = watch.stops.end_of(ids[row, : length[row]].tolist(), int(looked[row]))
        if end is not None:
            length[row], done[row] = end, True
        if watch.stops.rules:
            done[row] |= bool(watch.stops.ruled(padded_row(prompts[seat], ids[row, : length[row]]))[0])
        done[row] |= overdue
    return length, done


def _refilled(
    voice: Voice,
    rows: Rows,
    seats: list[int | None],
    waiting: deque[int],
    prompts: Sequence[Prompt],
    looked: np.ndarray,
    platform: str,
) -> tuple[Rows, np.ndarray]:
    """Waiting prompts in the places of ended rows: some at a time, so that there is one program for it."""
    group = max(1, len(seats) // 4)
    free = [row for row, seat in enumerate(seats) if seat is None]
    while waiting and len(free) >= min(group, len(seats)):
        coming = [waiting.popleft() for _ in range(min(group, len(waiting)))]
        slots = max(rows.ids.shape[1], _room([prompts[i] for i in coming]))
        if slots > rows.ids.shape[1]:
            rows = jaxformers_grow(rows, slots)
        new = begun(voice, [prompts[i] for i in coming], group, slots, platform)
        places = np.full(group, len(seats), np.int32)
        looked = looked.copy()
        for i, number in enumerate(coming):
            places[i] = row = free.pop(0)
            seats[row] = number
            looked[row] = len(prompts[number].ids)
        rows = jaxformers_replace(rows, places, new)
    return rows, looked


def _narrowed(rows: Rows, seats: list[int | None], looked: np.ndarray, keep: bool) -> tuple[Rows, np.ndarray]:
    """Half as many rows where no more are left: then their steps cost half as much."""
    taken = [row for row, seat in enumerate(seats) if seat is not None]
    count = rows_for(max(1, len(taken)))
    if keep or not taken or 2 * count > len(seats):
        return rows, looked
    places = np.array([*taken, *[taken[0]] * (count - len(taken))], np.int32)
    narrow: Any = jaxformers_take(rows, places)
    done = np.asarray(narrow.done).copy()
    done[len(taken) :] = True
    seats[:] = [*(seats[row] for row in taken), *[None] * (count - len(taken))]
    return dataclasses.replace(narrow, done=done), looked[places]
