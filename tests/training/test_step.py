"""Steps of training against torch's, recorded by `record_steps.py`, and what a step promises beyond."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import jaxformers
from jaxformers import declare, runtime, training

from .cases import CASES, DECAY, MOST, RATE, RECORDED, STEPS, WARMUP, Case, drawn


def model_of(case: Case, folder: Path) -> Any:
    """The model of a case, from a checkpoint with its drawn weights."""
    cls = getattr(jaxformers, case.cls)
    config = cls.config_class.from_dict(dict(case.config))
    arrays = {}
    for _, param in declare.walk(cls.declaration(config)):
        shape = param.shape[::-1] if param.layout == "transposed" else param.shape
        arrays[param.name] = drawn(param.name, shape)
    folder.mkdir()
    save_file(arrays, folder / "model.safetensors")
    config.save_pretrained(folder)
    return cls.from_pretrained(folder)


def plan_of(case: Case, model: Any, **words: Any) -> training.TrainPlan:
    rate = training.schedule("linear", RATE, steps=STEPS, warmup_steps=WARMUP)
    own = training.optimizer("adamw_torch", rate, model.laid_out, weight_decay=DECAY)
    words = {"max_grad_norm": MOST, "label_smoothing": case.smoothing} | words
    return training.TrainPlan.of(model, own, **words)


@pytest.mark.parametrize("name", CASES)
def test_twenty_steps_are_torchs(name: str, tmp_path: Path) -> None:
    case, expected = CASES[name], np.load(RECORDED / f"{name}.npz")
    model = model_of(case, tmp_path / "start")
    plan = plan_of(case, model)
    state, found = training.init(plan, model.params), []
    runtime.compilations()
    for step in range(STEPS):
        before = jax.tree.leaves(state.params)[0]
        state, metrics = training.train_step(plan, state, case.batch(step))
        assert before.is_deleted()
        found.append({name: float(value) for name, value in metrics.items()})
        if step == 0:
            programs = runtime.compilations().get("jaxformers_train_step", 0)
    assert runtime.compilations().get("jaxformers_train_step", 0) == programs
    for metric in ("loss", "grad_norm", "learning_rate"):
        np.testing.assert_allclose([one[metric] for one in found], expected[metric], rtol=2e-5, atol=2e-8, err_msg=metric)
    assert all(one["finite"] for one in found)
    model.replace(params=state.params).save_pretrained(tmp_path / "end")
    weights = load_file(tmp_path / "end" / "model.safetensors")
    for key in expected.files:
        if key.startswith("weights."):
            compare(key.removeprefix("weights."), weights, expected[key])


def compare(name: str, weights: dict[str, np.ndarray], expected: np.ndarray) -> None:
    """An array within 1e-4 of its greatest number. Biases of keys have no gradient but rounding's."""
    found = weights[name]
    if name.endswith("key.bias"):
        return
    if name.endswith("c_attn.bias"):
        found, expected = (np.delete(x, np.s_[len(x) // 3 : 2 * len(x) // 3]) for x in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max(), err_msg=name)
