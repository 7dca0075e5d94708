"""The Trainer of models that read one text and write another: evaluation lets them write."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..bundle import Model
from ..generation import GenerationConfig
from ..layers.losses import Sum
from . import evaluation
from .arguments import Seq2SeqTrainingArguments
from .evaluation import EvalPlan, PredictionOutput
from .trainer import Trainer


class Seq2SeqTrainer(Trainer):
    """`Trainer` whose predictions are what the model writes, where `predict_with_generate=True` says so.

    Settings of writing are, the first that says something: those of `evaluate` and `predict`, `generation_max_length`,
    `generation_num_beams` and `generation_config` of the arguments, and the model's own.
    """

    _writing: Mapping[str, Any] = {}

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: Sequence[str] | None = None,
        metric_key_prefix: str = "eval",
        **gen_kwargs: Any,
    ) -> dict[str, float]:
        """As of `Trainer`; gen_kwargs: settings of `generate`."""
        self._writing = gen_kwargs
        return super().evaluate(eval_dataset, ignore_keys, metric_key_prefix)

    def predict(
        self,
        test_dataset: Any,
        ignore_keys: Sequence[str] | None = None,
        metric_key_prefix: str = "test",
        **gen_kwargs: Any,
    ) -> PredictionOutput:
        """As of `Trainer`; predictions are ids, then those of padding. gen_kwargs: settings of `generate`."""
        self._writing = gen_kwargs
        return super().predict(test_dataset, ignore_keys, metric_key_prefix)

    def prediction_step(
        self, plan: EvalPlan, model: Model, batch: Mapping[str, jax.Array]
    ) -> tuple[dict[str, Any], Sequence[Sum]]:
        """What a model writes on a batch, and what its loss is the mean of."""
        if not (plan.predict and getattr(self.args, "predict_with_generate", False)):
            return super().prediction_step(plan, model, batch)
        _, sums = evaluation.forward(dataclasses.replace(plan, predict=False), model.params, batch)
        config = self._config(model)
        given = {name: batch[name] for name in ("input_ids", "attention_mask", "inputs_embeds") if name in batch}
        ids = np.asarray(model.generate(**given, generation_config=config))
        pad = config.pad_token_id if config.pad_token_id is not None else (model.config.pad_token_id or 0)
        longest = config.max_new_tokens + 1 if config.max_new_tokens is not None else config.max_length
        width = max(ids.shape[1], longest or 0)
        return {"sequences": np.pad(ids, ((0, 0), (0, width - ids.shape[1])), constant_values=pad)}, sums

    def _config(self, model: Model) -> GenerationConfig:
        """The settings of writing."""
        args, said = self.args, dict(self._writing)
        if isinstance(args, Seq2SeqTrainingArguments):
            given = args.generation_config
            base = given if isinstance(given, GenerationConfig) else model.generation_config
            if args.generation_max_length is not None and not said.keys() & {"max_length", "max_new_tokens"}:
                said["max_length"] = args.generation_max_length
            if args.generation_num_beams is not None:
                said.setdefault("num_beams", args.generation_num_beams)
        else:
            base = model.generation_config
        if "max_length" in said:
            said.setdefault("max_new_tokens", None)  # which the model's own settings may have, and which would win
        return base.replace(**said) if said else base
