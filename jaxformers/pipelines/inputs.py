"""What users hand to a pipeline: one input, a finished collection, or something to read as it comes."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np


class Kind(enum.Enum):
    """How an argument is read, and how its answers come back."""

    ONE = "one input, one answer"
    LIST = "a collection of known length, a list of answers"
    STREAM = "an iterator or a dataset, an iterator of answers"


def kind(inputs: Any) -> Kind:
    """The kind of an argument.

    Raises:
        TypeError: nothing that could be read.
    """
    if isinstance(inputs, str | Mapping):
        return Kind.ONE
    if isinstance(inputs, list | tuple | set | frozenset):
        return Kind.LIST
    if isinstance(inputs, np.ndarray):
        return Kind.ONE if inputs.ndim == 0 else Kind.LIST
    if isinstance(inputs, bytes | bytearray):
        raise TypeError("inputs are bytes: decode them to a string")
    if isinstance(inputs, Iterable) or (hasattr(inputs, "__getitem__") and hasattr(inputs, "__len__")):
        return Kind.STREAM
    raise TypeError(f"cannot read inputs from {type(inputs).__name__}: pass a string, a list, an iterable or a dataset")


def each(inputs: Any) -> Iterator[Any]:
    """The inputs one by one, read as they are needed."""
    if isinstance(inputs, Iterable):
        yield from (item.item() if isinstance(item, np.str_) else item for item in inputs)
    else:
        for i in range(len(inputs)):
            yield inputs[i]


class KeyDataset:
    """One column of a dataset of dicts, for a pipeline: `pipe(KeyDataset(dataset, "text"))`."""

    def __init__(self, dataset: Any, key: str) -> None:
        self.dataset, self.key = dataset, key

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> Any:
        return self.dataset[i][self.key]


class KeyPairDataset:
    """Two columns of a dataset of dicts, as text and pair."""

    def __init__(self, dataset: Any, key1: str, key2: str) -> None:
        self.dataset, self.key1, self.key2 = dataset, key1, key2

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return {"text": self.dataset[i][self.key1], "text_pair": self.dataset[i][self.key2]}
