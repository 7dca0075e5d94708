"""Examples to the arrays of one step on one process."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from ..layers.losses import IGNORED
from .buckets import Buckets
from .collators import Arrays
from .columns import kept
from .examples import mappings

_BEHIND_THE_ROW = ("start_positions", "end_positions")  # labels that do not count where they are no place of the row


@dataclasses.dataclass(frozen=True)
class Assembly:
    """How a step's rows become its arrays.

    collator: examples → arrays. columns: those that are kept; None: all. label_names: which arrays are labels, of which
    there must be one; empty: none is needed. accumulation: micro-batches of a step; more than one become an axis in
    front, [accumulation, rows, …].
    """

    collator: Callable[..., Any]
    columns: Collection[str] | None = None
    label_names: Sequence[str] = ("labels",)
    accumulation: int = 1

    def __call__(
        self, rows: Sequence[Any], places: Sequence[int], real: int, key: Sequence[int], buckets: Buckets | None
    ) -> Arrays:
        """The arrays of a step.

        Args:
            rows: examples; those from `real` on fill the shape, and their labels do not count.
            places: which rows of the dataset they are.
            real: how many count.
            key: what settles chance in collators that take one.
            buckets: lengths, for collators that take them.

        Raises:
            ValueError: rows of different fields, none of the labels, or rows that the collator cannot put together.
        """
        examples = mappings(rows, places)
        names = list(examples[0])
        if self.columns is not None:
            examples = [kept(example, self.columns) for example in examples]
        arrays = {name: np.asarray(array) for name, array in self._collated(examples, key, buckets).items()}
        labels = [name for name in self.label_names if name in arrays]
        if self.label_names and not labels:
            raise ValueError(
                f"the batch has no {' or '.join(self.label_names)}: the dataset's columns are {', '.join(names)}; "
                "rename the one that has the labels, or use the collator that makes them"
            )
        if real < len(examples):
            arrays = _short(arrays, labels, real, len(examples), self.accumulation)
        return arrays if self.accumulation == 1 else self._split(arrays, len(examples))

    def _collated(self, examples: Sequence[Any], key: Sequence[int], buckets: Buckets | None) -> dict[str, Any]:
        options = {name: value for name, value in (("key", key), ("buckets", buckets)) if name in self._takes}
        return {name: array for name, array in dict(self.collator(examples, **options)).items() if array is not None}

    @property
    def _takes(self) -> Collection[str]:
        """Which keywords the collator has a parameter for."""
        try:
            return inspect.signature(self.collator).parameters
        except ValueError:  # of some functions that are not Python
            return ()

    def _split(self, arrays: Arrays, rows: int) -> Arrays:
        """[A · B, …] as [A, B, …]."""
        for name, array in arrays.items():
            if array.shape[:1] != (rows,):
                raise ValueError(
                    f"{name} has shape {array.shape} for {rows} examples: accumulation={self.accumulation} takes as "
                    "many rows as examples, which a PackedDataset gives"
                )
        return {name: array.reshape(self.accumulation, -1, *array.shape[1:]) for name, array in arrays.items()}


def _short(arrays: Arrays, labels: Collection[str], real: int, rows: int, accumulation: int) -> Arrays:
    """Arrays in whose rows from `real` on no label counts; where labels cannot say so, without these rows."""
    if any(arrays[name].dtype.kind == "f" for name in labels) or any(a.shape[:1] != (rows,) for a in arrays.values()):
        if accumulation > 1 or not real:
            raise ValueError(
                f"the last step of an epoch has {real} of {rows} rows, and nothing can say of labels that are no whole "
                "numbers that they do not count: pass drop_last=True"
            )
        return {name: array[:real] if array.shape[:1] == (rows,) else array for name, array in arrays.items()}
    return arrays | {name: _uncounted(name, arrays, real) for name in labels}


def _uncounted(name: str, arrays: Arrays, real: int) -> np.ndarray:
    """A label array whose entries from `real` on do not count."""
    array = arrays[name].copy()
    array[real:] = arrays["input_ids"].shape[-1] if name in _BEHIND_THE_ROW and "input_ids" in arrays else IGNORED
    return array
