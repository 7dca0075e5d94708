"""What a model says of a dataset, and how good it is: the half of the Trainer that changes no weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from .. import runtime
from ..bundle import Model
from ..layers.losses import Sum
from . import columns, evaluation, sources, speed
from .arguments import TrainingArguments
from .batches import Batch, Batches, StreamBatches, batches
from .callbacks import CallbackHandler
from .collators import DataCollatorWithPadding, default_data_collator
from .evaluation import EvalLoopOutput, EvalPlan, PredictionOutput, Rows
from .metrics import EvalPrediction
from .placement import Placement
from .run_state import TrainerControl, TrainerState
from .step import LossFunction


class Evaluator:
    """Evaluates and predicts, tells callbacks, and keeps the log.

    Attributes:
        args, state, control: what callbacks are given.
        placement: where weights and batches lie.
    """

    args: TrainingArguments
    state: TrainerState
    control: TrainerControl
    placement: Placement
    callback_handler: CallbackHandler
    processing_class: Any
    data_collator: Callable[..., Any]
    eval_dataset: Any
    compute_metrics: Callable[[EvalPrediction], dict[str, Any]] | None
    preprocess_logits_for_metrics: Callable[[Any, Any], Any] | None
    _model: Model
    _loss: LossFunction | None

    @property
    def model(self) -> Model:
        """The model as it is now."""
        return self._model

    # -- the log ------------------------------------------------------------------------------------------------

    def log(self, logs: Mapping[str, float], start_time: float | None = None) -> None:
        """Add figures to `state.log_history`, and tell all callbacks that report."""
        del start_time  # of torch's signature: what is logged says already how long it took
        state = self.state
        logs = dict(logs) if state.epoch is None else {**logs, "epoch": state.epoch}
        if self.args.include_num_input_tokens_seen != "no":
            logs["num_input_tokens_seen"] = state.num_input_tokens_seen
        state.log_history.append({**logs, "step": state.global_step})
        self._tell("on_log", logs=logs)

    def add_callback(self, callback: Any) -> None:
        """Add a callback, or a class of which one is made."""
        self.callback_handler.add_callback(callback)

    def pop_callback(self, callback: Any) -> Any:
        """Take out a callback, or the first of a class, and return it."""
        return self.callback_handler.pop_callback(callback)

    def remove_callback(self, callback: Any) -> None:
        """Take out a callback, or the first of a class."""
        self.callback_handler.remove_callback(callback)

    def is_world_process_zero(self) -> bool:
        """Whether this process is the one that writes."""
        return jax.process_index() == 0

    def _tell(self, event: str, **more: Any) -> None:
        given = {"model": self.model} | more
        self.control = self.callback_handler.call_event(event, self.args, self.state, self.control, **given)

    # -- what is read -------------------------------------------------------------------------------------------

    def get_eval_batches(self, dataset: Any, labelled: bool = True) -> Batches | StreamBatches:
        """The batches in which a dataset is evaluated; labelled: whether there must be labels."""
        stream = sources.is_stream(dataset)
        if not stream and not len(dataset):
            raise ValueError("the dataset is empty: there is nothing to evaluate")
        size = self.placement.rows(self.args.per_device_eval_batch_size)
        grouped = not stream and "input_ids" in sources.column_names(dataset)
        return batches(
            dataset,
            self.data_collator,
            size if stream else self.placement.fitting(min(size, len(dataset))),
            sampling="group_by_length" if grouped else "sequential",
            fill=columns.skips_labels(self._model, self._model.config),
            labelled=labelled and bool(self._model.labels),
            **self._reading(),
        )

    def _reading(self) -> dict[str, Any]:
        """What all batches have in common."""
        model = self._model
        return {
            "columns": columns.accepted(model, self.data_collator) if self.args.remove_unused_columns else None,
            "label_names": self._label_names,
            "longest": model.config.longest_row,
            "process_index": jax.process_index(),
            "process_count": jax.process_count(),
        }

    @property
    def _label_names(self) -> tuple[str, ...]:
        return tuple(self.args.label_names or self._model.labels or ("labels",))

    def _collator(self) -> Callable[..., Any]:
        pads = getattr(self.processing_class, "pad_token", None) is not None
        return DataCollatorWithPadding(self.processing_class) if pads else default_data_collator

    # -- evaluation ---------------------------------------------------------------------------------------------

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Sequence[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """The loss and the metrics of a dataset, which are logged.

        Args:
            eval_dataset: in place of the trainer's own; a name of one of these; or a mapping, whose names stand in
                front of their metrics.
            ignore_keys: fields of the output that are no predictions.
            metric_key_prefix: what names begin with.

        Raises:
            ValueError: there is no dataset, or it is empty.
        """
        dataset = self.eval_dataset if eval_dataset is None else eval_dataset
        if isinstance(dataset, str):
            dataset = self.eval_dataset[dataset]
        if dataset is None:
            raise ValueError("Trainer: evaluation needs an eval_dataset=")
        if isinstance(dataset, Mapping):
            found: dict[str, float] = {}
            for name, one in dataset.items():
                found |= self.evaluate(one, ignore_keys, f"{metric_key_prefix}_{name}")
            return found
        output = self.evaluation_loop(dataset, ignore_keys, metric_key_prefix, predict=self.compute_metrics is not None)
        assert output.metrics is not None
        if self.state.epoch is not None:
            output.metrics["epoch"] = self.state.epoch
        self.log(output.metrics)
        self._tell("on_evaluate", metrics=output.metrics)
        return output.metrics

    def predict(
        self, test_dataset: Any, ignore_keys: Sequence[str] | None = None, metric_key_prefix: str = "test"
    ) -> PredictionOutput:
        """What the model says of a dataset, row by row, and where it has labels the loss and the metrics.

        Rows come in the dataset's order; arrays of several lengths are filled up with -100.
        """
        output = self.evaluation_loop(test_dataset, ignore_keys, metric_key_prefix, predict=True, labelled=False)
        self._tell("on_predict", metrics=output.metrics)
        return PredictionOutput(output.predictions, output.label_ids, output.metrics)

    def evaluation_loop(
        self,
        dataset: Any,
        ignore_keys: Sequence[str] | None = None,
        metric_key_prefix: str = "eval",
        *,
        predict: bool = True,
        labelled: bool = True,
    ) -> EvalLoopOutput:
        """`predict` and `evaluate` without a log."""
        runtime.enable_cache()
        began, args = time.time(), self.args
        reading = self.get_eval_batches(dataset, labelled)
        narrow = "bfloat16" if args.bf16 or args.bf16_full_eval else None
        predict = predict and not args.prediction_loss_only
        plan = EvalPlan(type(self._model), self._model.config.bare(), narrow, self._loss, predict)
        self.callback_handler.eval_dataloader = reading
        each = list(self._evaluated(reading, plan, tuple(ignore_keys or ())))
        whole = evaluation.joined(each)
        predictions, labels = evaluation.plain(whole.predictions), evaluation.plain(whole.labels)
        metrics: dict[str, Any] = {}
        if self.compute_metrics is not None and predictions is not None and labels is not None:
            inputs = evaluation.plain(whole.inputs) if "inputs" in args.include_for_metrics else None
            metrics |= self.compute_metrics(EvalPrediction(predictions, labels, inputs))
        found = evaluation.loss(whole.sums)
        if found is not None:
            metrics[f"{metric_key_prefix}_loss"] = found
        rows = len(whole.numbers)
        metrics |= speed.speed_metrics(metric_key_prefix, began, num_samples=rows, num_steps=len(each))
        return EvalLoopOutput(predictions, labels, evaluation.prefixed(metrics, metric_key_prefix), rows)

    def _evaluated(self, reading: Batches | StreamBatches, plan: EvalPlan, hidden: Sequence[str]) -> Iterator[Rows]:
        """What is known of each batch, which is fetched while the next is computed."""
        model = self.placement.model(self.model)
        waiting: tuple[Batch, Any, Any] | None = None
        for batch in reading.iterate(epochs=1):
            found = self.prediction_step(plan, model, self.placement.put(batch.arrays))
            self._tell("on_prediction_step")
            if waiting is not None:
                yield self._rows(*waiting, hidden)
            waiting = (batch, *found)
        if waiting is not None:
            yield self._rows(*waiting, hidden)

    def prediction_step(
        self, plan: EvalPlan, model: Model, batch: Mapping[str, jax.Array]
    ) -> tuple[dict[str, Any], Sequence[Sum]]:
        """Predictions of a batch by field, and what its loss is the mean of; see `evaluation.forward`."""
        fields, sums = evaluation.forward(plan, model.params, batch)
        if not fields or self.preprocess_logits_for_metrics is None:
            return fields, sums
        given = {name: batch[name] for name in self._label_names if name in batch}
        kept = self.preprocess_logits_for_metrics(evaluation.plain(fields), evaluation.plain(given))
        named = {f"logits_{i}": one for i, one in enumerate(kept)} if isinstance(kept, tuple) else {"logits": kept}
        return named, sums

    def _rows(self, batch: Batch, fields: Mapping[str, Any], sums: Sequence[Sum], hidden: Sequence[str]) -> Rows:
        """What a batch has come to, on the host, of the rows that count."""
        arrays = batch.arrays
        if jax.process_count() > 1:
            arrays = multihost_utils.process_allgather(arrays, tiled=True)
        real = batch.numbers >= 0

        def counted(given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            sizes = (len(real), np.count_nonzero(real))  # of a batch that is filled up, and of one that is shorter
            return {name: x[real[: len(x)]] for name, x in given.items() if len(x) in sizes and name not in hidden}

        return Rows(
            batch.numbers[real],
            counted(evaluation.on_host(dict(fields))),
            counted({name: arrays[name] for name in self._label_names if name in arrays}),
            counted({name: x for name, x in arrays.items() if name not in self._label_names}),
            evaluation.on_host(list(sums)),
        )
