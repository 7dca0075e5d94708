"""Labels of files: names or numbers of classes, or values."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..generation.config import nearest

_WHOLE = re.compile(r"\d+")
_REAL = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@dataclasses.dataclass(frozen=True)
class Labels:
    """What labels are.

    names: of the classes, by number; none: the labels are values.
    """

    names: tuple[str, ...]

    @classmethod
    def of(
        cls, found: Iterable[Any], told: Sequence[str] | None, count: int | None, of_checkpoint: Mapping[int, str]
    ) -> Labels:
        """What the labels of the training rows say.

        Names are those that were told; else those of the checkpoint, where it knows all that occur; else those that
        occur, in the order of the alphabet. Whole numbers from 0, also in text, are classes, of which there are as many
        as was told or the largest needs; other numbers are values.

        Args:
            found: the labels of the rows.
            told: names of the classes.
            count: how many classes there are.
            of_checkpoint: the names that the checkpoint has, by number.

        Raises:
            ValueError: labels that are no names or numbers, both, or others than was told.
        """
        labels = set(map(_checked, found))
        known = tuple(of_checkpoint[i] for i in sorted(of_checkpoint))
        texts = sorted(label for label in labels if isinstance(label, str))
        if not (told and set(texts) <= set(told)) and all(map(_REAL.fullmatch, texts)):
            labels = set(map(_number, labels))
        if all(isinstance(label, str) for label in labels):
            names = tuple(told or (known if labels <= set(known) and count in (None, len(known)) else texts))
        elif any(isinstance(label, str) for label in labels):
            raise ValueError(f"labels are names in some rows ({texts[0]!r}) and numbers in others: give one kind")
        elif all(isinstance(label, int) and label >= 0 for label in labels):
            size = len(told) if told else count or 1 + max(int(label) for label in labels)
            names = tuple(told or (known if len(known) == size else (f"LABEL_{i}" for i in range(size))))
        elif told is None and count in (None, 1):
            return cls(())
        else:
            raise ValueError("labels are values, and model.labels or num_labels name classes: leave that out")
        if count is not None and len(names) != count:
            raise ValueError(f"num_labels is {count}, and there are {len(names)} labels: {', '.join(names)}")
        made = cls(names)
        for label in labels:
            made.number(label)
        return made

    def number(self, label: Any) -> Any:
        """The number of a class, or a value.

        Raises:
            ValueError: there is no such class.
        """
        label = _checked(label)
        if label in self.names:
            return self.names.index(label)
        label = _number(label)
        if not self.names and not isinstance(label, str):
            return float(label)
        if isinstance(label, int) and 0 <= label < len(self.names):
            return label
        raise ValueError(f"there is no label {nearest([str(label)], self.names)}; there are {', '.join(self.names)}")

    @property
    def config(self) -> dict[str, Any]:
        """The fields of a config."""
        if not self.names:
            return {"num_labels": 1, "problem_type": "regression"}
        return {"id2label": dict(enumerate(self.names)), "label2id": {name: i for i, name in enumerate(self.names)}}


def _checked(label: Any) -> str | int | float:
    if not isinstance(label, str | int | float) or isinstance(label, bool):
        raise ValueError(f"a label is {label!r:.60}: expected a name or a number")
    return label


def _number(label: str | int | float) -> str | int | float:
    """A number in text as one."""
    if not isinstance(label, str) or not _REAL.fullmatch(label):
        return label
    return int(label) if _WHOLE.fullmatch(label) else float(label)
