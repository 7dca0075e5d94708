"""Which columns of a dataset a model takes: the others are dropped by name, and one line of the log tells."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np

from ..layers import losses
from .collators import LABELS

logger = logging.getLogger(__name__)

_OF_ROWS = ("segment_ids",)  # what a step reads of packed rows, whatever the model


def accepted(model: Any, collator: Any = None) -> frozenset[str] | None:
    """The columns that a model, or its class, and a collator read; None: all, as the collator's `reads` says."""
    reads = getattr(collator, "reads", ())
    if reads is None:
        return None
    labels = LABELS if model.labels else ()
    return frozenset((*model.accepts, *model.labels, *labels, *_OF_ROWS, *reads))


def skips_labels(model: Any, config: Any) -> bool:
    """Whether labels of -100 do not count in the loss of a model, or its class: not where labels are values."""
    kind = losses.problem(config.problem_type, config.num_labels, np.int32)
    return model.task != "SequenceClassification" or kind == "single_label_classification"


def check(names: Iterable[str], columns: Collection[str]) -> None:
    """Log which of a dataset's columns are dropped.

    Raises:
        ValueError: all of them.
    """
    names = sorted(names)
    dropped = [name for name in names if name not in columns]
    if len(dropped) == len(names):
        raise ValueError(
            f"the model takes none of the dataset's columns: {', '.join(names)}; it takes "
            f"{', '.join(sorted(columns))}. Tokenize the texts first"
        )
    if dropped:
        logger.info("columns that the model does not take are left out: %s", ", ".join(dropped))


def kept(example: Mapping[str, Any], columns: Collection[str]) -> dict[str, Any]:
    """An example without the other columns."""
    return {name: value for name, value in example.items() if name in columns}
