"""Record what torch Transformers' Trainer does with `runs.py`: what it logs of each step, evaluations, and weights.

python -m tests.training.record_trainer      (torch, transformers 4.57 and accelerate; writes recorded/trainer/*.npz)
"""

from __future__ import annotations

import json
import tempfile
from typing import Any

import numpy as np
import torch
import transformers

from .cases import drawn
from .runs import RECORDED, RUNS, Run, accuracy


class Told(transformers.Trainer):
    """The reference's Trainer, that reads its rows in their order and tells losses as they are."""

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def _maybe_log_save_evaluate(self, tr_loss: Any, grad_norm: Any, *args: Any, **kwargs: Any) -> Any:
        if len(rows) < self.state.global_step:  # it is called at the end of an epoch too
            rows.append((tr_loss.item(), float(grad_norm), kwargs["learning_rate"]))
        return super()._maybe_log_save_evaluate(tr_loss, grad_norm, *args, **kwargs)


rows: list[tuple[float, float, float]] = []


def collated(rows: list[Any], model: Any, run: Run) -> dict[str, torch.Tensor]:
    """Rows of one length; the reference needs a decoder's tokens where it smooths labels."""
    batch = {name: torch.tensor(np.stack([row[name] for row in rows])).long() for name in rows[0]}
    if run.arguments.get("label_smoothing_factor") and hasattr(model, "prepare_decoder_input_ids_from_labels"):
        batch["decoder_input_ids"] = model.prepare_decoder_input_ids_from_labels(batch["labels"])
    return batch


def record(run: Run) -> dict[str, np.ndarray]:
    """Loss, norm and rate of each step, evaluations, and the weights after all."""
    rows.clear()
    cls = getattr(transformers, run.case.cls)
    model = cls(cls.config_class(**run.case.config))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(torch.from_numpy(drawn(name, tuple(weight.shape))))
    train, test = run.rows(), run.rows(held_out=True)
    with tempfile.TemporaryDirectory() as folder:
        args = transformers.TrainingArguments(folder, report_to="none", use_cpu=True, **run.arguments)
        trainer = Told(
            model,
            args,
            data_collator=lambda rows: collated(rows, model, run),
            train_dataset=train,
            eval_dataset=test,
            compute_metrics=accuracy if run.evaluates else None,
        )
        trainer.train()
    loss, norm, rate = np.array(rows).T
    kept = [
        {name: v for name, v in entry.items() if name in ("eval_loss", "eval_accuracy", "step")}
        for entry in trainer.state.log_history
        if "eval_loss" in entry
    ]
    weights = {f"weights.{name}": weight.detach().numpy() for name, weight in trainer.model.named_parameters()}
    told = {"loss": loss, "grad_norm": norm, "learning_rate": rate, "evaluations": np.array(json.dumps(kept))}
    return told | {"best": np.array(json.dumps(trainer.state.best_metric))} | weights


if __name__ == "__main__":
    torch.set_num_threads(1)
    RECORDED.mkdir(exist_ok=True)
    for name, run in RUNS.items():
        found = record(run)
        np.savez_compressed(RECORDED / f"{name}.npz", **found)
        print(name, found["loss"][[0, -1]], found["grad_norm"][[0, -1]], found["evaluations"])
