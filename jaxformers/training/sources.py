"""Where examples come from: datasets that have a length and rows by number, and streams, which have neither."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .examples import mappings, token_count

LENGTH = "length"
"""The column that says how many tokens rows have, where there is one."""


@dataclasses.dataclass(frozen=True)
class Lengths:
    """Tokens of each row of a dataset [N], and of its labels where these are lists."""

    source: np.ndarray
    target: np.ndarray | None = None


def is_stream(dataset: Any) -> bool:
    """Whether a dataset gives its rows only one after another.

    Raises:
        ValueError: no dataset at all.
    """
    if isinstance(dataset, Mapping):
        raise ValueError(
            f"the dataset is a mapping with {', '.join(map(str, dataset))}: give one split of it, or of columns a list "
            "of examples, each a mapping"
        )
    if isinstance(dataset, str | bytes):
        raise ValueError("the dataset is a text: give a sequence of examples, or an iterable")
    if hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"):
        return False
    if callable(dataset) or isinstance(dataset, Iterable):
        return True
    raise ValueError(f"the dataset is {type(dataset).__name__}: give a sequence, an iterable, or a function")


def opened(stream: Any) -> Iterator[Any]:
    """A stream from its beginning: an iterable, or a function that returns one."""
    return iter(stream() if callable(stream) else stream)


def ends_for_good(stream: Any) -> bool:
    """Whether a stream can be read only once."""
    return not callable(stream) and iter(stream) is stream


def read(dataset: Any, numbers: Sequence[int] | np.ndarray) -> list[Any]:
    """Rows by their numbers, at once where the dataset can."""
    numbers = [int(i) for i in numbers]
    at_once: Callable[[list[int]], list[Any]] | None = getattr(dataset, "__getitems__", None)
    return [dataset[i] for i in numbers] if at_once is None else list(at_once(numbers))


def column_names(dataset: Any) -> list[str]:
    """The columns of a dataset: as it says, or those of its first row."""
    names = getattr(dataset, "column_names", None)
    return list(names) if names else list(mappings([dataset[0]])[0])


def measured(dataset: Any, column: str = LENGTH) -> Lengths:
    """How long all rows are: by the column that says so, or by counting input_ids, which reads each row once.

    Raises:
        ValueError: a row has neither.
    """
    names = getattr(dataset, "column_names", None) or ()
    by_column = column in names
    if "input_ids" in names or by_column:
        source = dataset[column] if by_column else map(_size, dataset["input_ids"])
        target = _sizes(dataset["labels"]) if "labels" in names else None
        return Lengths(np.fromiter(source, np.int64, len(dataset)), target)
    lengths, labels = [], []
    for place in range(len(dataset)):
        row = mappings([dataset[place]], [place])[0]
        lengths.append(int(row[column]) if column in row else token_count(row, place=place))
        labels.append(row.get("labels"))
    return Lengths(np.asarray(lengths, np.int64), _sizes(labels))


def _size(tokens: Any) -> int:
    return token_count({"input_ids": tokens})


def _sizes(labels: Iterable[Any]) -> np.ndarray | None:
    """How many labels each row has; None where they are no lists."""
    sizes = [len(label) if hasattr(label, "__len__") else -1 for label in labels]
    return None if min(sizes, default=-1) < 0 else np.asarray(sizes, np.int64)
