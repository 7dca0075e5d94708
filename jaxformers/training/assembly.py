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
    there must be one unless `labelled` is false. fill: whether a step of fewer rows is filled up with rows whose labels
    are -100. whole: whether it is refused otherwise, since micro-batches or other processes need as many rows.
    """

    collator: Callable[..., Any]
    columns: Collection[str] | None = None
    label_names: Sequence[str] = ("labels",)
    labelled: bool = True
    fill: bool = False
    whole: bool = False

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
        short = real < len(examples)
        arrays = self._collated(
            self._shorter(examples, real) if short and not self.fill else examples, places, key, buckets
        )
        labels = [name for name in self.label_names if name in arrays]
        if self.labelled and self.label_names and not labels:
            raise ValueError(
                f"the batch has no {' or '.join(self.label_names)}: the dataset's columns are {', '.join(names)}; "
                "rename the one that has the labels, or use the collator that makes them"
            )
        if not (short and self.fill):
            return arrays
        if (labels or not self.labelled) and _can_be_filled(arrays, labels, len(examples)):
            return arrays | {name: _uncounted(name, arrays, real) for name in labels}
        return self._collated(self._shorter(examples, real), places, key, buckets)

    def _shorter(self, examples: Sequence[Any], real: int) -> Sequence[Any]:
        """The examples that count alone, where a step may have fewer."""
        if self.whole or not real:
            raise ValueError(
                f"the last step of an epoch has {real} of {len(examples)} rows, and micro-batches and processes take "
                "as many: pass drop_last=True, or fill=True where labels are whole numbers of which -100 does not count"
            )
        return examples[:real]

    def _collated(
        self, examples: Sequence[Any], places: Sequence[int], key: Sequence[int], buckets: Buckets | None
    ) -> Arrays:
        options = {name: value for name, value in (("key", key), ("buckets", buckets)) if name in self._takes}
        try:
            batch = dict(self.collator(examples, **options))
        except ValueError as error:
            numbers = ", ".join(map(str, places[: len(examples)]))
            raise ValueError(f"{error} (in the batch of the dataset's rows {numbers})") from error
        return {name: np.asarray(array) for name, array in batch.items() if array is not None}

    @property
    def _takes(self) -> Collection[str]:
        """Which keywords the collator has a parameter for."""
        try:
            return inspect.signature(self.collator).parameters
        except ValueError:  # of some functions that are not Python
            return ()


def _can_be_filled(arrays: Arrays, labels: Collection[str], rows: int) -> bool:
    """Whether labels can say of rows that they do not count."""
    whole = all(arrays[name].dtype.kind in "iu" for name in labels)
    return whole and all(array.shape[:1] == (rows,) for array in arrays.values())


def _uncounted(name: str, arrays: Arrays, real: int) -> np.ndarray:
    """A label array whose entries from `real` on do not count."""
    array = arrays[name].copy()
    array[real:] = arrays["input_ids"].shape[-1] if name in _BEHIND_THE_ROW and "input_ids" in arrays else IGNORED
    return array
