"""A session: prompts are submitted, written on together in few rows, and end one by one.

Rows are written in segments, between which the host looks at them, hands out what is new, gives ended ones away, puts
waiting prompts in their places, and widens or narrows what is left. What a row gets depends on nothing but its prompt,
its settings and its seed: neither on the rows beside it nor on when it was submitted.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ..layers.cache import Cache
from . import checks
from .buckets import rows_for, slots_for
from .config import GenerationConfig
from .keys import key_of
from .model import LoadedModel
from .plan import SEGMENT, Plan
from .prefill import begin_rows, last_embeds, source_slots
from .processors import Values
from .prompts import Prompt, checked
from .rows import (
    Rows,
    StepOutputs,
    decode_segment,
    jaxformers_grow,
    jaxformers_replace_rows,
    jaxformers_take_rows,
)
from .stopping import Rule, Stops
from .streamers import BaseStreamer

_BUSY = 16  # steps between two looks where prompts wait for rows


class Listeners(NamedTuple):
    """Who of the host follows a row. streamer: told each token. tokenizer: reads stop texts. stopping_criteria: asked
    whether the row ends.
    """

    streamer: BaseStreamer | None = None
    tokenizer: Any = None
    stopping_criteria: Sequence[Rule] | None = None


class Completion(NamedTuple):
    """What was written on a prompt. tokens: [m] with the one that ended them. Of beams also the score, and parents: [m]
    the beam that each token came from, counted through all rows.
    """

    tokens: np.ndarray
    score: float | None = None
    parents: np.ndarray | None = None


class Tokens(NamedTuple):
    """An event: tokens [n] that a prompt has got in a step."""

    id: int
    tokens: np.ndarray


class End(NamedTuple):
    """An event: a prompt has ended. completions: what was written on it, of beams the best first."""

    id: int
    completions: Sequence[Completion]


@dataclasses.dataclass
class Request:
    """A prompt that was submitted, and how many tokens of its row have been handed out."""

    id: int
    prompt: Prompt
    settings: GenerationConfig
    listeners: Listeners
    stops: Stops
    length: int
    begun: bool = False

    def begin(self) -> None:
        """It is written from now on: the clock begins, and the streamer gets the prompt. Later calls do nothing."""
        if self.begun:
            return
        self.begun = True
        self.stops = Stops.of(self.settings, self.listeners.tokenizer, self.listeners.stopping_criteria)
        if self.listeners.streamer is not None:
            self.listeners.streamer.put(self.prompt.padded(self.prompt.ids))

    def ended(self, ids: np.ndarray, length: int, done: bool) -> tuple[int, bool]:
        """The length of its row ids [S], and whether it ends there, by what ends it beside tokens."""
        end = self.stops.end_of(ids[:length].tolist(), self.length)
        if self.stops.rules:
            for at in range(self.length + 1, (end or length) + 1):
                if self.stops.ruled(self.prompt.padded(ids[:at])[None])[0]:
                    end = at
                    break
        return (length, done or self.stops.overdue()) if end is None else (end, True)

    def tell(self, tokens: np.ndarray, done: bool) -> None:
        """New tokens, and whether they are the last, to the streamer."""
        if self.listeners.streamer is not None:
            for token in tokens:
                self.listeners.streamer.put(np.array([token]))
            if done:
                self.listeners.streamer.end()


class Session:
    """Greedy search or sampling of many prompts through few rows.

    Prompts of about the same length should wait beside each other: rows have room for the longest. They are of one
    kind: with vectors in the place of ids or without, with a source or without. Those with vectors begin where no row
    is in use, and so do those with a source that is longer than the rows in use have room for.

    plan: what all prompts have in common. model: what writes. width: how many rows there are at most. platform: of the
    model's device. key: what draws go by, with each prompt's seed; it may be a seed itself, and None is 0. past: of the
    first tokens of the prompts that begin first. keep: whether rows keep their places, so that `outputs` and `rows`
    tell of them after their end: prompts that come later wait until all have ended.

    Raises:
        ValueError: a plan that another kind of session is for, or what cannot be.
    """

    slack = 0
    """How many tokens more than are meant a step may put behind a row."""

    searches, drafts = False, False
    """Whether it is for plans with beams, and for those with drafts."""

    def __init__(
        self,
        plan: Plan,
        model: LoadedModel,
        width: int,
        platform: str,
        *,
        key: jax.Array | int | None = None,
        past: Cache | None = None,
        keep: bool = False,
    ) -> None:
        _check_plan(plan, self.searches, self.drafts)
        _check_place(model, width, platform)
        self.plan, self.model, self.width, self.platform = plan, model, width, platform
        self.past = past
        self.keep = keep
        self.key = jax.random.key(0) if (given := key_of(key)) is None else given
        self.waiting: deque[Request] = deque()
        self.running: list[Request | None] = []
        self.rows: Any = None
        self.outputs: list[StepOutputs] = []
        self._embeds: np.ndarray | None = None
        self._source = 0
        self._submitted = 0
        self._events: list[Tokens | End] = []

    def submit(
        self, prompt: Prompt, settings: GenerationConfig | None = None, listeners: Listeners = Listeners()
    ) -> int:
        """A prompt to be written on; its number in events is returned.

        Args:
            prompt: what is written on, and how many tokens it gets at most, whatever settings say of that. Where it
                says no seed it has its number, so that equal prompts are not answered alike.
            settings: its own, merged and checked; None: the plan's. Numbers may differ from the plan's (temperature,
                top_k, penalties, …), and so may what ends rows; see `Plan.check_row`.
            listeners: its own.

        Raises:
            ValueError: settings that the plan has no program for, stop texts that cannot be read, listeners that
                cannot listen, or a prompt of another kind, without room, or of ids that are no words of the model.
        """
        if settings is None:
            settings = self.plan.settings
        elif not isinstance(settings, GenerationConfig):
            raise ValueError(f"settings={settings!r:.60}: expected a GenerationConfig: plan.settings.replace(...)")
        elif settings is not self.plan.settings:
            self.plan.check_row(settings)
        if settings.num_return_sequences > 1 and not self.searches:
            raise ValueError(
                f"num_return_sequences={settings.num_return_sequences}: a prompt gets one row: submit it so many "
                "times, and leave this out"
            )
        if not isinstance(listeners, Listeners):
            raise ValueError(f"listeners={listeners!r:.60}: expected Listeners(streamer=..., tokenizer=..., ...)")
        checks.streamer(listeners.streamer)
        checks.functions("stopping_criteria", listeners.stopping_criteria)
        prompt = checked(prompt, self.model, self._submitted)
        self._check(prompt)
        stops = Stops.of(settings, listeners.tokenizer, listeners.stopping_criteria)
        self.waiting.append(Request(self._submitted, prompt, settings, listeners, stops, len(prompt.ids)))
        self._submitted += 1
        return self.waiting[-1].id

    def cancel(self, id: int) -> None:
        """No more is written on a prompt, whose streamer ends; there is no event. One that has ended is left alone.

        Raises:
            ValueError: no prompt had this number.
        """
        if isinstance(id, bool) or not isinstance(id, int) or not 0 <= id < self._submitted:
            raise ValueError(f"id={id!r:.60}: no prompt of this session has it; submit() gives a prompt's")
        for request in [*self.waiting, *(request for _, request in self._live())]:
            if request.id != id:
                continue
            if request in self.waiting:
                self.waiting.remove(request)
            else:
                row = self.running.index(request)
                self.running[row] = None
                self._halt(row)
            request.tell(request.prompt.ids[:0], True)

    def run(self) -> list[End]:
        """Write all that was submitted: the ends, in their order.

        Raises:
            Exception: as `step`; ends so far are those of the next call.
        """
        ends: list[End] = []
        try:
            while self.busy:
                ends += (event for event in self.step() if isinstance(event, End))
        except BaseException:
            self._events[:0] = ends
            raise
        return ends

    @property
    def busy(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.waiting or self._events) or any(request is not None for request in self.running)

    def step(self) -> list[Tokens | End]:
        """Write some tokens on each row: the events.

        Raises:
            Exception: what a function of the caller raises. Events that it came between are those of the next step.
        """
        self._admit()
        if self._live():
            self._write()
        events, self._events = self._events, []
        return events

    def _write(self) -> None:
        """Some tokens on each row, of which there is one at least."""
        slots = self.rows.ids.shape[-1]
        longest = max(request.length + request.prompt.extra for _, request in self._live()) + self.slack
        if longest >= slots:
            slots *= 2
            self.rows = jaxformers_grow(self.rows, slots)
        self.rows = rows = self._advance(slots - longest)
        self._embeds = None
        ids, length, done = (np.asarray(x) for x in (rows.ids, rows.length, rows.done))
        if self.plan.asked is not None:
            self.plan.asked.check()
        length, done = length.copy(), done.copy()
        for row, request in self._live():
            length[row], done[row] = request.ended(ids[row], int(length[row]), bool(done[row]))
        self.rows = dataclasses.replace(rows, length=length, done=done)
        for row, request in self._live():
            if self.running[row] is None:  # the streamer of another has cancelled it
                continue
            new = ids[row, request.length : length[row]].copy()
            request.length = int(length[row])
            self._events.append(Tokens(request.id, new))
            if done[row]:
                written = ids[row, len(request.prompt.ids) : length[row]].copy()
                self._events.append(End(request.id, [Completion(written)]))
                self.running[row] = None
            request.tell(new, bool(done[row]))

    def kept(self, name: str) -> np.ndarray | None:
        """What all steps have kept of scores or logits [N, R, V]; None where they have not."""
        parts = [own for part in self.outputs if (own := getattr(part, name)) is not None]
        return np.concatenate(parts) if parts else None

    def _check(self, prompt: Prompt) -> None:
        """Refuse a prompt that the session cannot write on."""
        if self.plan.settings.guided != (prompt.negative is not None):
            raise ValueError("guidance_scale goes with a prompt that has `negative`: pass both, or neither")
        other = next((request.prompt for request in [*self.waiting, *self.running] if request is not None), prompt)
        if other.encoded != prompt.encoded:
            raise ValueError("encoded: the sources of all prompts of a session are, or none: open another session")
        for name in ("embeds", "source"):
            ours, theirs = getattr(other, name), getattr(prompt, name)
            if (ours is None) != (theirs is None):
                raise ValueError(f"{name}: all prompts of a session have them, or none: open another session")
            if ours is not None and ours.shape[1:] != theirs.shape[1:]:
                raise ValueError(
                    f"{name}: {list(theirs.shape)} beside {list(ours.shape)}: all prompts of a session have ids, or "
                    "vectors of one width: open another session"
                )

    # -- rows and who is in them --------------------------------------------------------------------------------------

    def _live(self) -> list[tuple[int, Request]]:
        """The rows in use."""
        return [(row, request) for row, request in enumerate(self.running) if request is not None]

    def _halt(self, row: int) -> None:
        """No more is written on a row."""
        self.rows = dataclasses.replace(
            self.rows, done=np.asarray(self.rows.done) | (np.arange(len(self.running)) == row)
        )

    def _advance(self, room: int) -> Rows:
        """The rows with up to `room` tokens more."""
        live = [request for _, request in self._live()]
        most = 1 if any(r.listeners.streamer is not None for r in live) else _BUSY if self.waiting else SEGMENT
        steps = min(room, most, *(r.stops.steps or most for r in live))
        if self.rows.cache.recurrent and self.keep and any(r.stops.texts for r in live):
            steps = 1  # what a text cuts off could not be taken back from the states that remain
        rows, outputs, done = decode_segment(
            self.plan.program, self.model, self.rows, self._values(), self.key, np.int32(steps), self._embeds
        )
        if self.keep:
            self.outputs.append(outputs.first(int(done)))
        return rows

    def _values(self) -> Values:
        """What processors read: of each row the settings of who is in it; of rows without anybody the first one's."""
        first = self._live()[0][1]
        own = self.plan.columns([(request or first).settings for request in self.running])
        return Values(self.plan.shared, own)

    def _admit(self) -> None:
        """Waiting prompts get rows."""
        if not self._live():
            if coming := list(itertools.islice(self.waiting, self.width)):
                self.running = [None] * self._begin(coming)
                self._seat(coming, range(len(coming)))
            return
        if self.keep or (self.waiting and not self._fits(self.waiting[0])):
            return
        wanted = rows_for(min(self.width, len(self._live()) + len(self.waiting)))
        if wanted > len(self.running):
            self._resize(wanted)
        group = max(1, len(self.running) // 4)  # some at a time, so that there is one program for it
        while self.waiting and self.running.count(None) >= min(group, len(self.waiting)):
            coming = list(itertools.takewhile(self._fits, itertools.islice(self.waiting, group)))
            if not coming:
                break
            self._refill(coming, group)
        few = rows_for(len(self._live()))
        if 2 * few <= len(self.running):  # then steps cost half as much
            self._resize(few)

    def _fits(self, request: Request) -> bool:
        """Whether a prompt may begin beside rows in use: its source has room, and it is no vectors."""
        source = request.prompt.source
        return request.prompt.embeds is None and (source is None or len(source) <= self._source)

    def _seat(self, coming: Sequence[Request], places: Iterable[int]) -> None:
        """Requests that have rows now no longer wait: whatever fails before this leaves them where they can be told
        from others, and cancelled.
        """
        for request, row in zip(coming, places, strict=True):
            if request in self.waiting:
                self.waiting.remove(request)
                self.running[row] = request
            else:  # its own streamer has cancelled it
                self._halt(row)

    def _begin(self, coming: Sequence[Request]) -> int:
        """Rows anew, for the first prompts or where all before have ended: how many."""
        count = rows_for(len(coming))
        self._source = source_slots([request.prompt for request in coming], self.model.config.longest_row)
        self.rows = self._rows_of(coming, count, self._room(coming), self.past)
        self._embeds = last_embeds([request.prompt for request in coming], count)
        self.past, self.outputs = None, []
        return count

    def _refill(self, coming: Sequence[Request], group: int) -> None:
        """Prompts in the places of ended rows."""
        slots = max(self.rows.ids.shape[1], self._room(coming))
        if slots > self.rows.ids.shape[1]:
            self.rows = jaxformers_grow(self.rows, slots)
        new = self._rows_of(coming, group, slots)
        free = [row for row, request in enumerate(self.running) if request is None][: len(coming)]
        places = np.array([*free, *[len(self.running)] * (group - len(free))], np.int32)
        self.rows = jaxformers_replace_rows(self.rows, places, new)
        self._seat(coming, free)

    def _rows_of(self, coming: Sequence[Request], count: int, slots: int, past: Cache | None = None) -> Rows:
        """`count` rows, of which the first are of requests."""
        for request in coming:
            request.begin()
        return begin_rows(self.model, [r.prompt for r in coming], count, slots, self.platform, past, self._source)

    def _room(self, coming: Sequence[Request]) -> int:
        """Slots for the longest prompt and what is first written on it."""
        prompts = [request.prompt for request in coming]
        most = max(len(p.ids) + p.extra + min(p.max_new_tokens, SEGMENT) for p in prompts)
        return slots_for(most + self.slack)

    def _resize(self, count: int) -> None:
        """Those in use among `count` rows."""
        taken = self._live()
        order = [row for row, _ in taken]
        spare = count - len(order)
        rows: Any = jaxformers_take_rows(self.rows, np.array([*order, *order[:1] * spare], np.int32))
        done = np.asarray(rows.done) | (np.arange(count) >= len(order))
        self.rows = dataclasses.replace(rows, done=done)
        self.running = [*(request for _, request in taken), *[None] * spare]


# -- what a session is opened with ------------------------------------------------------------------------------------


def _check_plan(plan: Plan, searches: bool, drafts: bool) -> None:
    """Refuse a plan that another kind of session is for."""
    if not isinstance(plan, Plan):
        raise ValueError(f"plan={plan!r:.60}: expected Plan.of(settings, vocab_size)")
    settings, choose = plan.settings, "or let Arguments().session(...) choose"
    if (settings.num_beams > 1) != searches:
        kind = "Session" if searches else "BeamSession"
        raise ValueError(f"num_beams={settings.num_beams}: such a plan is for a {kind}: open one, {choose}")
    if settings.prompt_lookup_num_tokens is not None and not drafts:
        raise ValueError(
            f"prompt_lookup_num_tokens={settings.prompt_lookup_num_tokens}: such a plan is for an AssistedSession: "
            f"open one, {choose}"
        )


def _check_place(model: LoadedModel, width: int, platform: str) -> None:
    """Refuse what cannot write."""
    if not isinstance(model, LoadedModel):
        raise ValueError(f"model={type(model).__name__}(...): expected a LoadedModel: pass model.loaded()")
    if isinstance(width, bool) or not isinstance(width, int | np.integer) or width < 1:
        raise ValueError(f"width={width!r:.60}: expected how many rows there are at most, a whole number from 1")
    try:
        if not isinstance(platform, str):
            raise RuntimeError
        jax.devices(platform)
    except RuntimeError:
        known = jax.default_backend()
        raise ValueError(f"platform={platform!r:.60}: expected that of a device here, such as {known!r}") from None
