"""Runs of the Trainer, the same on both sides."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .cases import CASES, IGNORED, Case

STEPS = 50
RECORDED = Path(__file__).with_name("recorded") / "trainer"

_CAUSAL = ("GPT2LMHeadModel", "LlamaForCausalLM")
USUAL = {
    "max_steps": STEPS,
    "per_device_train_batch_size": 6,
    "per_device_eval_batch_size": 6,
    "learning_rate": 1e-3,
    "logging_steps": 1,
    "save_strategy": "no",
    "disable_tqdm": True,
    "weight_decay": 0.1,
    "warmup_steps": 5,
}


@dataclasses.dataclass(frozen=True)
class Run:
    """A case, and what its arguments are beside the usual."""

    case: Case
    given: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        """Of `TrainingArguments`."""
        return USUAL | dict(self.given)

    @property
    def evaluates(self) -> bool:
        """Whether there are evaluations on the way."""
        return self.given.get("eval_strategy", "no") != "no"

    def rows(self, held_out: bool = False) -> list[dict[str, np.ndarray]]:
        """Examples, all of one length."""
        batches = [self.case.batch(step) for step in (range(100, 104) if held_out else range(12))]
        if self.case.cls in _CAUSAL:  # of others the reference's Trainer counts a label that nothing predicts
            for batch in batches:
                batch["labels"][:, 0] = IGNORED
        return [{name: batch[name][i] for name in batch} for batch in batches for i in range(6)]


def accuracy(prediction: Any) -> dict[str, float]:
    """The share of rows whose class is right."""
    logits = prediction.predictions[0] if isinstance(prediction.predictions, tuple) else prediction.predictions
    return {"accuracy": float((logits.argmax(-1) == prediction.label_ids).mean())}


BERT, GPT2, LLAMA, T5 = (CASES[name] for name in ("bert", "gpt2", "llama", "t5"))
_SMALL = {"vocab_size": 48, "max_position_embeddings": 16}
_DISTIL = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 24, "dropout": 0.0, "attention_dropout": 0.0}
TOKENS = Case("DistilBertForTokenClassification", _SMALL | _DISTIL | {"num_labels": 48}, "token")
MASKED = Case("BertForMaskedLM", {name: value for name, value in BERT.config.items() if name != "num_labels"}, "token")
_BART = {
    **{f"{side}_{name}": value for side in ("encoder", "decoder")
       for name, value in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 24))},
    "d_model": 16, "dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0,
    "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2,
}  # fmt: skip
BART = Case("BartForConditionalGeneration", _SMALL | _BART, "target")
_BEST = {"eval_strategy": "steps", "eval_steps": 10, "save_strategy": "steps", "save_steps": 10}
RUNS = {
    "bert": Run(BERT),
    "tokens": Run(TOKENS),
    "masked": Run(MASKED, {"lr_scheduler_type": "cosine"}),
    "llama": Run(LLAMA, {"lr_scheduler_type": "polynomial", "max_grad_norm": 0.1}),
    "gpt2": Run(GPT2, {"lr_scheduler_type": "inverse_sqrt"}),
    "t5": Run(T5, {"label_smoothing_factor": 0.1}),
    "bart": Run(BART, {"label_smoothing_factor": 0.1, "lr_scheduler_type": "constant_with_warmup"}),
    "accumulated": Run(BERT, {"gradient_accumulation_steps": 2, "per_device_train_batch_size": 3}),
    "best": Run(BERT, _BEST | {"load_best_model_at_end": True, "metric_for_best_model": "accuracy"}),
    "plateau": Run(BERT, {"lr_scheduler_type": "reduce_lr_on_plateau", "eval_strategy": "steps", "eval_steps": 5,
                          "lr_scheduler_kwargs": {"patience": 0, "factor": 0.5}}),
}  # fmt: skip
