"""A dataset as batches: in which order, how many rows in each, how long, and which of them for this process.

What a batch holds follows from the dataset, the seed, the epoch and the position alone, so a run that goes on from
there reads what it would have read. Nothing is kept but that.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import columns as columns_of
from . import sources
from .assembly import Assembly
from .buckets import Buckets, fitted, spaced
from .collators import Arrays
from .examples import mappings, token_count
from .sampling import SAMPLINGS, Sampling, order
from .sources import Lengths

PROGRAMS = 12
"""Different lengths of rows at most, where these are chosen by those of the dataset."""

_EPOCHS, _UNIT = (
    3,
    8,
)  # epochs in which targets are looked at beside their sources, and what their lengths are multiples of


class Place(NamedTuple):
    """Where a run stands: how many epochs are done, and how many batches of the next."""

    epoch: int = 0
    position: int = 0


class Batch(NamedTuple):
    """What a step reads.

    place: where it stands. arrays: of this process. rows: how many of its rows count. numbers: of all rows of the step,
    on all processes, which rows of the dataset they are, -1 for those that fill it up.
    """

    place: Place
    arrays: Arrays
    rows: int
    numbers: np.ndarray


@dataclasses.dataclass(frozen=True)
class Rows:
    """How many rows make a step, and which are this process's.

    batch: rows of a micro-batch on one process. accumulation: micro-batches of a step. index, count: of the processes.
    """

    batch: int
    accumulation: int = 1
    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        for name, value in (("batch_size", self.batch), ("accumulation", self.accumulation), ("processes", self.count)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number from 1, found {value!r}")
        if not 0 <= self.index < self.count:
            raise ValueError(f"process_index {self.index} of {self.count} processes: they count from 0")

    @property
    def own(self) -> int:
        """Rows of a step on this process."""
        return self.batch * self.accumulation

    @property
    def step(self) -> int:
        """Rows of a step on all processes."""
        return self.own * self.count

    def share(self, rows: Sequence[Any]) -> tuple[list[Any], int]:
        """This process's part of a step's rows, filled up with the step's first, and how many of them count."""
        mine = list(rows[self.own * self.index :][: self.own])
        return mine + [rows[0]] * (self.own - len(mine)), len(mine)

    def filled(self, numbers: Sequence[int] | np.ndarray) -> np.ndarray:
        """The numbers of a step's rows, -1 for those that fill it up: [step]."""
        whole = np.full(self.step, -1)
        whole[: len(numbers)] = numbers
        return whole


@dataclasses.dataclass(frozen=True)
class Batches:
    """Batches of a dataset whose rows have numbers; `batches` makes it.

    Attributes:
        dataset: with a length and rows by number.
        assembly: rows → arrays.
        rows: how many rows in a step, and whose.
        sampling: the order of an epoch.
        seed: what the order and the collator's chance follow from.
        drop_last: leave out the rows that are less than a step.
        lengths: tokens of each row, where they are known.
        buckets: lengths that rows are padded to; None: as the collator does by itself.
    """

    dataset: Any
    assembly: Assembly
    rows: Rows
    sampling: Sampling
    seed: int
    drop_last: bool
    lengths: Lengths | None
    buckets: Buckets | None

    def __len__(self) -> int:
        """Steps of an epoch."""
        count = len(self.dataset)
        return count // self.rows.step if self.drop_last else -(-count // self.rows.step)

    def order(self, epoch: int) -> np.ndarray:
        """The numbers of an epoch's rows, as it reads them."""
        source = None if self.lengths is None else self.lengths.source
        return order(len(self.dataset), self.sampling, self.rows.step, source, self.seed, epoch)

    def iterate(self, place: Place = Place(), epochs: int | None = None) -> Iterator[Batch]:
        """Batches from a place on: of so many epochs in all, or without end.

        Raises:
            ValueError: see `Assembly`.
        """
        epoch, position = self.after(place, 0)
        while epochs is None or epoch < epochs:
            numbers = self.order(epoch)
            for i in range(position, len(self)):
                yield self._batch(numbers[i * self.rows.step :][: self.rows.step], Place(epoch, i))
            epoch, position = epoch + 1, 0

    def after(self, place: Place, count: int) -> Place:
        """The place so many batches later."""
        epochs, position = divmod(place.position + count, len(self))
        return Place(place.epoch + epochs, position)

    def shapes(self, epoch: int = 0) -> dict[int, int]:
        """How many batches of an epoch have which length, where lengths and buckets are known; else none."""
        if self.lengths is None or self.buckets is None:
            return {}
        found = [self.buckets.fit(int(longest)) for longest in _longest(self, self.lengths.source, epoch)]
        return {int(length): found.count(length) for length in sorted(set(found))}

    def padding(self, epoch: int = 0) -> float:
        """The share of an epoch's places that hold no token, where lengths and buckets are known; else nan."""
        places = sum(length * count * self.rows.step for length, count in self.shapes(epoch).items())
        if not places or self.lengths is None:
            return float("nan")
        return 1 - self.lengths.source[self.order(epoch)[: len(self) * self.rows.step]].sum() / places

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What must be equal in two runs that read the same batches."""
        return {"rows": len(self.dataset), "sampling": self.sampling, "drop_last": self.drop_last} | _run_of(self)

    def _batch(self, numbers: np.ndarray, place: Place) -> Batch:
        mine, real = self.rows.share(numbers.tolist())
        key = (self.seed, *place, self.rows.index)
        rows = sources.read(self.dataset, mine)
        arrays = self.assembly(rows, mine, real, key, self._buckets(numbers))
        return Batch(place, arrays, real, self.rows.filled(numbers))

    def _buckets(self, numbers: np.ndarray) -> Buckets | None:
        """The lengths that a batch may have; of several processes, and of pairs of lengths, those that it has."""
        if self.buckets is None or self.lengths is None or not (self.rows.count > 1 or self.buckets.beside):
            return self.buckets
        target = self.lengths.target
        return self.buckets.only(
            int(self.lengths.source[numbers].max()), 1 if target is None else int(target[numbers].max())
        )


@dataclasses.dataclass(frozen=True)
class StreamBatches:
    """Batches of a stream, in its order; `batches` makes it. Attributes are those of `Batches`.

    On several processes each reads all rows, and keeps its own. To go on from a place, the rows before are read again.
    """

    stream: Any
    assembly: Assembly
    rows: Rows
    seed: int
    drop_last: bool
    buckets: Buckets | None

    def iterate(self, place: Place = Place(), epochs: int | None = None) -> Iterator[Batch]:
        """Batches from a place on: of so many epochs in all, or without end.

        Raises:
            ValueError: see `Assembly`; the stream has no rows, or is at its end and cannot begin again.
        """
        epoch, skipped = place
        while epochs is None or epoch < epochs:
            count = 0
            for first, rows in self._steps():
                if count >= skipped:
                    yield self._batch(rows, first, Place(epoch, count))
                count += 1
            if not count:
                raise ValueError(self._nothing(epoch))
            epoch, skipped = epoch + 1, max(skipped - count, 0)

    def after(self, place: Place, count: int) -> Place:
        """The place so many batches later; where it is past the end of an epoch, reading finds that."""
        return Place(place.epoch, place.position + count)

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What must be equal in two runs that read the same batches."""
        return {"drop_last": self.drop_last} | _run_of(self)

    def _steps(self) -> Iterator[tuple[int, list[Any]]]:
        """The rows of each step, and the number of the first."""
        stream = sources.opened(self.stream)
        for first in itertools.count(0, self.rows.step):
            rows = list(itertools.islice(stream, self.rows.step))
            if not rows or (self.drop_last and len(rows) < self.rows.step):
                return
            yield first, rows

    def _batch(self, rows: list[Any], first: int, place: Place) -> Batch:
        mine, real = self.rows.share(rows)
        places, _ = self.rows.share(range(first, first + len(rows)))
        key = (self.seed, *place, self.rows.index)
        arrays = self.assembly(mine, places, real, key, self._buckets(rows, first))
        return Batch(place, arrays, real, self.rows.filled(range(first, first + len(rows))))

    def _buckets(self, rows: list[Any], first: int) -> Buckets | None:
        """See `Batches._buckets`."""
        if self.buckets is None or self.rows.count == 1:
            return self.buckets
        examples = mappings(rows, range(first, first + len(rows)))
        targets = [len(row["labels"]) for row in examples if hasattr(row.get("labels"), "__len__")]
        return self.buckets.only(max(map(token_count, examples)), max(targets, default=1))

    def _nothing(self, epoch: int) -> str:
        """Why there is no batch."""
        if epoch and sources.ends_for_good(self.stream):
            return "the dataset is an iterator, which gives its rows once: pass a function that returns one"
        fewer = f" of {self.rows.step} rows, which a step takes" if self.drop_last else ""
        return f"the dataset is empty: it gives no row{fewer}"


def batches(
    dataset: Any,
    collator: Callable[..., Any],
    batch_size: int = 8,
    *,
    sampling: Sampling = "random",
    seed: int = 42,
    accumulation: int = 1,
    drop_last: bool = False,
    fill: bool = False,
    columns: Collection[str] | None = None,
    label_names: Sequence[str] = ("labels",),
    labelled: bool = True,
    length_column: str = sources.LENGTH,
    buckets: Buckets | Sequence[int] | None = None,
    longest: int | None = None,
    process_index: int = 0,
    process_count: int = 1,
) -> Batches | StreamBatches:
    """What training or evaluation reads of a dataset.

    Args:
        dataset: a sequence of examples, a `datasets` object, an iterable, or a function that returns one. What has no
            length and no rows by number is read in its order.
        collator: examples → arrays.
        batch_size: rows of a micro-batch on one process.
        sampling: "random", "sequential", or "group_by_length", which puts rows of about the same length together.
        seed: of the order, and of the collator's chance.
        accumulation: micro-batches of a step, all of which are in one array: [accumulation · batch_size, …].
        drop_last: leave out the last rows of an epoch that are less than a step.
        fill: else fill them up with rows whose labels are -100, so that the shape is that of other steps; for losses in
            which these do not count, see `columns.skips_labels`.
        columns: those that are kept, see `columns.accepted`; None: all.
        label_names: which arrays are labels; empty where there are none.
        labelled: whether each batch must have one of them.
        length_column: the one that says how many tokens rows have.
        buckets: lengths that rows are padded to. None: where lengths are known (the column is there, rows are grouped,
            or there are several processes), up to 12 under which there is little padding, else four to each doubling.
        longest: tokens that a row may have at most, of the model.
        process_index: which process this is.
        process_count: how many there are, each of which reads rows of its own.

    Raises:
        ValueError: no dataset or an empty one, fewer rows than a batch, an unknown sampling, no column that is kept,
            or a row without what its length is counted by.
    """
    if sampling not in SAMPLINGS:
        raise ValueError(f"sampling {sampling!r}: one of {', '.join(SAMPLINGS)}")
    rows = Rows(batch_size, accumulation, process_index, process_count)
    assembly = Assembly(collator, columns, tuple(label_names), labelled, fill, whole=rows.step > rows.batch)
    given = buckets if buckets is None or isinstance(buckets, Buckets) else Buckets(tuple(buckets))
    if sources.is_stream(dataset):
        if sampling == "group_by_length":
            raise ValueError("sampling 'group_by_length' needs a dataset with a length: a stream is read in its order")
        return StreamBatches(dataset, assembly, rows, seed, drop_last, given or Buckets(spaced(longest)))
    _check_size(len(dataset), rows, drop_last)
    names = sources.column_names(dataset)
    if columns is not None:
        columns_of.check(names, columns)
    needed = sampling == "group_by_length" or process_count > 1  # which must agree on each batch's length
    lengths = sources.measured(dataset, length_column) if needed or length_column in names else None
    if lengths is not None and longest is not None and lengths.source.max() > longest:
        row = int(np.argmax(lengths.source > longest))
        raise ValueError(
            f"row {row} has {lengths.source[row]} tokens, the longest that is allowed is {longest}: truncate the texts"
        )
    made = Batches(dataset, assembly, rows, sampling, seed, drop_last, lengths, given or Buckets(spaced(longest)))
    return made if given is not None or lengths is None else _fitted(made, lengths, longest)


def _check_size(count: int, rows: Rows, drop_last: bool) -> None:
    if not count:
        raise ValueError("the dataset is empty: there is nothing to read")
    if count < rows.batch * rows.count:
        of_all = f" on each of {rows.count} processes" if rows.count > 1 else ""
        raise ValueError(f"batch_size {rows.batch}{of_all} is more than the dataset's {count} rows: pass a smaller one")
    if drop_last and count < rows.step:
        raise ValueError(
            f"a step takes {rows.step} rows (batch_size {rows.batch}, accumulation {rows.accumulation}), the "
            f"dataset has {count}, and drop_last=True leaves them out"
        )


def _fitted(batches: Batches, lengths: Lengths, longest: int | None) -> Batches:
    """Batches whose lengths are those under which the first epoch has least padding."""
    source = _least_padded(batches, lengths.source, longest)
    if lengths.target is None:
        return dataclasses.replace(batches, buckets=Buckets(source))
    beside = _of_targets(batches, Buckets(source), lengths.source, lengths.target)
    return dataclasses.replace(batches, buckets=Buckets(source, (int(lengths.target.max()),), beside))


def _of_targets(batches: Batches, buckets: Buckets, source: np.ndarray, target: np.ndarray) -> tuple[int, ...]:
    """Of each length of sources the longest target beside it in the first epochs, rounded up."""
    most = dict.fromkeys(buckets.source, 1)
    for epoch in range(_EPOCHS):
        pairs = zip(_longest(batches, source, epoch), _longest(batches, target, epoch), strict=True)
        for length, tokens in ((buckets.fit(int(length)), int(tokens)) for length, tokens in pairs):
            most[length] = max(most[length], tokens)
    return tuple(min(-(-tokens // _UNIT) * _UNIT, int(target.max())) for tokens in most.values())


def _least_padded(batches: Batches, lengths: np.ndarray, longest: int | None) -> tuple[int, ...]:
    """Lengths of rows, up to that of the longest, which only another epoch may read."""
    found = fitted(_longest(batches, lengths, 0), PROGRAMS, longest)
    most = int(lengths.max())
    return found if found[-1] >= most else (*found, most)


def _longest(batches: Batches, lengths: np.ndarray, epoch: int) -> np.ndarray:
    """Of each batch of an epoch its longest row: [steps]."""
    ordered = lengths[batches.order(epoch)]
    return np.maximum.reduceat(ordered, np.arange(0, len(ordered), batches.rows.step))[: len(batches)]


def _run_of(batches: Batches | StreamBatches) -> dict[str, Any]:
    rows = batches.rows
    sizes = {"batch_size": rows.batch, "accumulation": rows.accumulation, "process_count": rows.count}
    return {"seed": batches.seed} | sizes
