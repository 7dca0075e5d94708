"""The Trainer beside torch Transformers' own, and what it promises beyond."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import jaxformers
from jaxformers import Trainer, TrainingArguments, default_data_collator

from .cases import drawn
from .runs import RECORDED, RUNS, Run, accuracy


def started(run: Run, folder: Path) -> Any:
    """The model that a run begins with: by its Hub names the arrays of the recording."""
    cls = getattr(jaxformers, run.case.cls)
    cls(cls.config_class(**run.case.config)).save_pretrained(folder)
    file = folder / "model.safetensors"
    buffers = ("final_logits_bias",)
    save_file({n: x if n in buffers else drawn(n, x.shape) for n, x in load_file(file).items()}, file)
    return cls.from_pretrained(folder)


def trainer_of(run: Run, folder: Path, **more: Any) -> Trainer:
    arguments = run.arguments | {"train_sampling_strategy": "sequential"} | more
    return Trainer(
        started(run, folder / "start"),
        TrainingArguments(folder / "out", **arguments),
        default_data_collator,
        run.rows(),
        run.rows(held_out=True),
        compute_metrics=accuracy if run.evaluates else None,
    )


@pytest.mark.parametrize("name", RUNS)
def test_fifty_steps_are_torchs(name: str, tmp_path: Path) -> None:
    run, recorded = RUNS[name], np.load(RECORDED / f"{name}.npz")
    trainer = trainer_of(run, tmp_path)
    trainer.train()
    steps = [entry for entry in trainer.state.log_history if "loss" in entry]
    for field in ("loss", "grad_norm", "learning_rate"):
        np.testing.assert_allclose([entry[field] for entry in steps], recorded[field], rtol=2e-5, atol=2e-6)
    found = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    expected = json.loads(str(recorded["evaluations"]))
    assert [entry["step"] for entry in found] == [entry["step"] for entry in expected]
    for one, other in zip(found, expected, strict=True):
        assert one["eval_accuracy"] == other["eval_accuracy"]
        np.testing.assert_allclose(one["eval_loss"], other["eval_loss"], rtol=2e-5)
    best = json.loads(str(recorded["best"]))
    assert trainer.state.best_metric == (best if best is None else pytest.approx(best, rel=2e-5))
    trainer.save_model(tmp_path / "tuned")
    for key, array in load_file(tmp_path / "tuned" / "model.safetensors").items():
        other = recorded.get(f"weights.{key}")
        if other is not None and not key.endswith(("key.bias", "k_proj.bias", "k_lin.bias")):
            np.testing.assert_allclose(array, other, atol=1e-4 * np.abs(other).max(), err_msg=key)
