"""Batches made ahead by a thread and put on the device, with a place that can be saved and gone back to."""

from __future__ import annotations

import collections
import queue
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import jax

from ..runtime import Surroundings
from .batches import Batch, Batches, Place, StreamBatches
from .collators import Arrays

_TICK = 0.1  # seconds after which a waiting thread looks whether it is still wanted
_PATIENCE = 5.0  # seconds for a thread to end: one that waits for the user's dataset cannot be interrupted

Made = tuple[Batch, Any]
"""A batch on the host and what it is on the device."""


class Loader:
    """An iterator over batches on the device; a context that ends its thread.

    Its state is that of the last batch that it gave, however many have been made ahead: a loader that gets what
    `state_dict` was after a step goes on with the next step's batch.

    Args:
        batches: what is read.
        epochs: how many in all; None: without end.
        depth: how many batches are made ahead.
        place: puts a batch where it is computed on, in the thread, with jax's settings as they are here; an error that
            it raises is the batch's. None: on the default device.

    Attributes:
        rows: how many rows of the last batch count on this process; others fill its shape, and are its last ones.
        shapes: how many batches of each shape there were, so how many programs a step has.
    """

    def __init__(
        self,
        batches: Batches | StreamBatches,
        epochs: int | None = None,
        *,
        depth: int = 2,
        place: Callable[[Arrays], Any] | None = None,
    ) -> None:
        if depth < 1:
            raise ValueError(f"depth must be 1 or more batches, found {depth}")
        self._batches, self._epochs, self._depth = batches, epochs, depth
        self._place = place or jax.device_put
        self._surroundings = Surroundings.here()
        self._next = Place()
        self._worker: _Worker | None = None
        self._ended = False
        self.rows = 0
        self.shapes: collections.Counter[tuple[int, ...]] = collections.Counter()

    def __iter__(self) -> Iterator[Any]:
        """Itself."""
        return self

    def __next__(self) -> Any:
        """The next batch.

        Raises:
            StopIteration: all epochs are read.
            ValueError: and whatever else reading has raised, at the batch that it concerns; the thread has ended then.
        """
        if self._ended:
            raise StopIteration
        if self._worker is None:
            self._worker = _Worker(self._made(), self._surroundings, self._depth)
        try:
            batch, placed = self._worker.get()
        except BaseException as error:
            self._ended = isinstance(error, StopIteration)
            self.close()
            raise
        self._next, self.rows = self._batches.after(batch.place, 1), batch.rows
        self.shapes[_shape(batch.arrays)] += 1
        return placed

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()

    @property
    def place(self) -> Place:
        """Where the next batch stands."""
        return self._next

    def state_dict(self) -> dict[str, Any]:
        """What the next batch follows from, as plain numbers and texts."""
        return {"epoch": self._next.epoch, "position": self._next.position, "batches": dict(self._batches.fingerprint)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to where a loader stood.

        Raises:
            ValueError: the state is none, or that of other batches.
        """
        if missing := [name for name in ("epoch", "position", "batches") if name not in state]:
            raise ValueError(f"the state has no {missing[0]}: give what state_dict() has returned")
        own = self._batches.fingerprint
        for name in sorted(own.keys() | state["batches"].keys()):
            if own.get(name) != state["batches"].get(name):
                before = state["batches"].get(name)
                raise ValueError(
                    f"the state is of batches with {name} {before!r}, these have {own.get(name)!r}: which rows were "
                    "read cannot be told"
                )
        self._go(Place(int(state["epoch"]), int(state["position"])))

    def skip(self, count: int) -> None:
        """Leave so many batches out."""
        self._go(self._batches.after(self._next, count))

    def close(self) -> None:
        """End the thread. The place stays, and a further batch begins another."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def _made(self) -> Iterator[Made]:
        """Batches from the place on."""
        put = self._place  # so that the thread holds no loader
        return ((batch, put(batch.arrays)) for batch in self._batches.iterate(self._next, self._epochs))

    def _go(self, place: Place) -> None:
        self.close()
        self._next, self._ended = place, False


class _Worker:
    """A thread that makes batches ahead. It holds no loader, so that one that is forgotten ends it."""

    def __init__(self, source: Iterator[Made], surroundings: Surroundings, depth: int) -> None:
        self._made: queue.Queue[Any] = queue.Queue(depth)
        self._unwanted = threading.Event()
        arguments = (source, surroundings, self._made, self._unwanted)
        self._thread = threading.Thread(target=_make, args=arguments, name="jaxformers-batches", daemon=True)
        self._thread.start()
        self.close = weakref.finalize(self, _end, self._thread, self._unwanted)

    def get(self) -> Made:
        """The next batch, its place and its shape.

        Raises:
            StopIteration: there is none.
            Exception: what reading has raised.
        """
        made = self._made.get()
        if isinstance(made, BaseException):
            raise made
        return made


def _make(
    source: Iterator[Made],
    surroundings: Surroundings,
    made: queue.Queue[Any],
    unwanted: threading.Event,
) -> None:
    """Put batches into the queue while they are wanted, and at the end what ended them."""
    end: BaseException = StopIteration()
    try:
        with surroundings.entered():
            for item in source:
                if not _put(made, item, unwanted):
                    return
    except BaseException as error:  # raised where the batch is asked for
        end = error
    _put(made, end, unwanted)


def _put(made: queue.Queue[Any], item: Any, unwanted: threading.Event) -> bool:
    """Whether an item was taken, rather than no longer wanted."""
    while not unwanted.is_set():
        try:
            made.put(item, timeout=_TICK)
        except queue.Full:
            continue
        return True
    return False


def _end(thread: threading.Thread, unwanted: threading.Event) -> None:
    unwanted.set()
    thread.join(_PATIENCE)


def _shape(arrays: Arrays) -> tuple[int, ...]:
    """The shape of what a model reads, and behind it the length of a decoder's labels where it is another."""
    read = arrays["input_ids"] if "input_ids" in arrays else next(iter(arrays.values()))
    labels = arrays.get("labels")
    other = labels is not None and labels.ndim == read.ndim and labels.shape != read.shape
    return (*read.shape, labels.shape[-1]) if other and labels is not None else read.shape
