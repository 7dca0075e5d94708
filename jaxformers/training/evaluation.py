"""What a model says of a dataset, and its loss there: one compiled program for each shape, results on the host."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from .. import runtime
from ..bundle import Model
from ..config import Config
from ..declare import Tree
from ..layers.inputs import Ask, Inputs
from ..layers.losses import IGNORED, Loss, Sum
from ..layers.sites import PLAIN
from ..parallel import explicit
from . import parts
from .step import LossFunction, own_loss, read_batch

NOT_PREDICTED = ("loss", "past_key_values")
"""Fields of outputs that are no predictions."""


class EvalLoopOutput(NamedTuple):
    """What evaluation has found, with the fields of torch Transformers.

    predictions: an array, or a tuple of arrays, with an axis of rows; None: not asked for. label_ids: likewise.
    metrics: by name. num_samples: rows.
    """

    predictions: Any
    label_ids: Any
    metrics: dict[str, float] | None
    num_samples: int | None


class PredictionOutput(NamedTuple):
    """What `predict` returns, with the fields of torch Transformers."""

    predictions: Any
    label_ids: Any
    metrics: dict[str, float] | None


@dataclasses.dataclass(frozen=True)
class Rows:
    """What is known of some rows of a dataset, on the host.

    numbers: of the rows [N]. predictions, labels, inputs: by field, arrays [N, ...]. sums: totals and counts of the
    terms of the loss.
    """

    numbers: np.ndarray
    predictions: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray]
    inputs: Mapping[str, np.ndarray]
    sums: Sequence[Sum]


@dataclasses.dataclass(frozen=True)
class EvalPlan:
    """What selects the program of evaluation. cls, config: of the model. compute_dtype, loss: as of `TrainPlan`.

    predict: whether fields of the output come back, rather than the loss alone.
    """

    cls: type[Model]
    config: Config
    compute_dtype: str | None = None
    loss: LossFunction | None = None
    predict: bool = True


def forward(plan: EvalPlan, params: Tree, batch: Mapping[str, Any]) -> tuple[dict[str, jax.Array], tuple[Sum, ...]]:
    """What a model says of a batch, and what its loss is the mean of, without dropout.

    Args:
        plan: selects the program.
        params: of the model.
        batch: as in a call of the model; without labels there is no loss.

    Raises:
        TypeError, ValueError: as in a call.
    """
    inputs, labels = read_batch(plan.cls, plan.config, batch)
    with explicit.automatic():
        params, inputs, labels = explicit.to_automatic((params, inputs, labels))
        return _eval_step(plan, params, inputs, labels)


def jaxformers_eval_step(
    plan: EvalPlan, params: Tree, inputs: Inputs, labels: Mapping[str, jax.Array]
) -> tuple[dict[str, jax.Array], tuple[Sum, ...]]:
    """`forward` of a checked batch."""
    runtime.note_shapes((inputs, labels))
    if plan.compute_dtype is not None:
        params = parts.narrow(plan.cls.declaration(plan.config), params, plan.compute_dtype)
    output, _ = plan.cls.scored(params, plan.config, inputs.separated(), labels, Ask(), PLAIN)
    found = output.get("loss")
    if plan.loss is not None and (labels or not plan.cls.labels):
        found = own_loss(plan.loss, output, inputs, labels)
    sums = found.sums() if isinstance(found, Loss) else () if found is None else (found,)
    fields = [name for name in output if name not in NOT_PREDICTED] if plan.predict else []
    return {name: output[name] for name in fields}, sums


_eval_step = jax.jit(jaxformers_eval_step, static_argnums=0)


def joined(rows: Iterable[Rows]) -> Rows:
    """All rows as one, in the order of the dataset: other axes are as long as the longest, filled up with -100."""
    parts = list(rows)
    numbers = np.concatenate([part.numbers for part in parts])
    places = np.argsort(numbers, kind="stable")

    def together(field: str) -> dict[str, np.ndarray]:
        each = [getattr(part, field) for part in parts]
        return {name: _stacked([one[name] for one in each])[places] for name in each[0]}

    sums = [
        Sum(
            jax.tree.reduce(np.add, [one.total for one in terms]), jax.tree.reduce(np.add, [one.count for one in terms])
        )
        for terms in zip(*(part.sums for part in parts), strict=True)
    ]
    return Rows(numbers[places], together("predictions"), together("labels"), together("inputs"), sums)


def loss(sums: Sequence[Sum]) -> float | None:
    """The loss of all rows: of each term the mean over all labels that count; None where there are no labels."""
    return sum(float(one.total) / max(int(one.count), 1) for one in sums) if sums else None


def _stacked(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays [N, ...] behind one another."""
    if len({array.shape[1:] for array in arrays}) == 1:
        return np.concatenate(arrays)
    longest = tuple(max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True))
    rows = sum(len(array) for array in arrays)
    whole, start = np.full((rows, *longest), IGNORED, arrays[0].dtype), 0
    for array in arrays:
        whole[(slice(start, start + len(array)), *map(slice, array.shape[1:]))] = array
        start += len(array)
    return whole


def plain(fields: Mapping[str, Any]) -> Any:
    """One array as it is, several as a tuple, none as None."""
    values = tuple(fields.values())
    return values[0] if len(values) == 1 else values or None


def on_host(tree: Any) -> Any:
    """Arrays as those of numpy, whole also where other processes have a part; half types as float32."""

    def copied(x: jax.Array) -> np.ndarray:
        if isinstance(x, jax.Array) and not x.is_fully_addressable:
            x = multihost_utils.process_allgather(x, tiled=True)
        array = np.asarray(x)
        return array.astype(np.float32) if array.dtype.itemsize == 2 and array.dtype.kind not in "iu" else array

    return jax.tree.map(copied, tree)


def prefixed(metrics: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """Metrics as plain numbers, under names that begin with the prefix."""
    return {
        name if name.startswith(f"{prefix}_") else f"{prefix}_{name}": value.item() if hasattr(value, "item") else value
        for name, value in metrics.items()
    }
