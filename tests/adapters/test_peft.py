"""Adapters against PEFT's, recorded by `record.py`: files both ways, what models with them give, and ten steps."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file

from jaxformers import training
from jaxformers.adapters import LoraConfig, PeftModel, get_peft_model

from .cases import CASES, DECAY, PREFIX, RATE, RECORDED, STEPS, TRAINED

COPIES = re.compile(r".*\.(original_module|modules_to_save)\..*|.*\.base_layer\.weight")
"""What PEFT writes, and reads nowhere: modules before they were trained, and tables that are the base model's."""


def arrays_of(name: str, part: str) -> dict[str, np.ndarray]:
    found = np.load(RECORDED / f"{name}.npz")
    arrays = {key.removeprefix(f"{part}."): found[key] for key in found.files if key.startswith(f"{part}.")}
    return {key: array for key, array in arrays.items() if not COPIES.fullmatch(key)}


@pytest.mark.parametrize("name", CASES)
def test_files_of_peft_are_read_and_written(
    name: str, base: Callable[..., Any], theirs: Callable[[str], Path], tmp_path: Path
) -> None:
    case, expected = CASES[name], np.load(RECORDED / f"{name}.npz")
    plain, batch = base(case.model), case.toy.batch(0)
    model = PeftModel.from_pretrained(plain, theirs(name))
    logits = model(**batch).logits
    real = batch["attention_mask"] == 1 if case.toy.labels == "token" else ...  # padding is nobody's
    np.testing.assert_allclose(logits[real], expected["logits"][real], atol=2e-5)
    merged = model.merge_and_unload()
    assert isinstance(model, PeftModel)
    assert not isinstance(merged, PeftModel)
    np.testing.assert_allclose(merged(**batch).logits[real], logits[real], atol=1e-5)

    model.save_pretrained(tmp_path / "ours")
    stored, recorded = load_file(tmp_path / "ours/adapter_model.safetensors"), arrays_of(name, "file")
    assert stored.keys() == recorded.keys()
    for key, array in recorded.items():
        np.testing.assert_array_equal(stored[key], array, err_msg=key)
    said, was = json.loads((tmp_path / "ours/adapter_config.json").read_text()), json.loads(str(expected["config"]))
    assert said.items() >= {"peft_type": "LORA", "inference_mode": True}.items()
    for field in said.keys() & was.keys():
        both = [sorted(one) if isinstance(one, list) else one for one in (said[field], was[field])]
        assert both[0] == both[1], field


@pytest.mark.parametrize("name", CASES)
def test_a_new_adapter_is_of_the_same_arrays_and_changes_nothing(
    name: str, base: Callable[..., Any], tmp_path: Path
) -> None:
    case = CASES[name]
    plain = base(case.model)
    model = get_peft_model(plain, case.config(LoraConfig))
    assert model.get_nb_trainable_parameters()[0] == np.load(RECORDED / f"{name}.npz")["trainable"]
    model.save_pretrained(tmp_path)
    stored, recorded = load_file(tmp_path / "adapter_model.safetensors"), arrays_of(name, "file")
    assert {key: array.shape for key, array in stored.items()} == {key: array.shape for key, array in recorded.items()}
    for key, array in stored.items():
        assert "lora_B" not in key or not array.any()
        assert "lora_A" not in key or 0 < np.abs(array).max() <= array.shape[1] ** -0.5
    jax.tree.map(np.testing.assert_array_equal, model.unload().params, plain.params)


@pytest.mark.parametrize("name", TRAINED)
def test_ten_steps_are_pefts(
    name: str, base: Callable[..., Any], theirs: Callable[[str], Path], tmp_path: Path
) -> None:
    case, expected = CASES[name], np.load(RECORDED / f"{name}.npz")
    model = PeftModel.from_pretrained(base(case.model), theirs(name), is_trainable=True)
    before = {key: np.asarray(leaf) for key, leaf in leaves(model.params).items()}
    own = training.optimizer("adamw_torch", RATE, model.laid_out, weight_decay=DECAY)
    plan = training.TrainPlan.of(model, own)
    state, losses = training.init(plan, model.params, key=None), []
    trained, _ = model.get_nb_trainable_parameters()
    assert sum(leaf.size for leaf in jax.tree.leaves(state.opt_state)) <= 2 * trained + 8
    for step in range(STEPS):
        state, metrics = training.train_step(plan, state, case.toy.batch(step))
        losses.append(float(metrics["loss"]))
    np.testing.assert_allclose(losses, expected["losses"], rtol=2e-5)
    model.replace(params=state.params).save_pretrained(tmp_path / "after")
    stored = load_file(tmp_path / "after/adapter_model.safetensors")
    for key, array in arrays_of(name, "after").items():
        if not key.endswith(("key.bias", "c_attn.bias")):  # keys' have no gradient but rounding's
            np.testing.assert_allclose(stored[key], array, atol=1e-4 * np.abs(array).max(), err_msg=key)
    for key, leaf in leaves(state.params).items():
        if key not in plan.trained:
            np.testing.assert_array_equal(leaf, before[key], err_msg=key)


def leaves(params: Any) -> dict[str, Any]:
    named = jax.tree_util.tree_leaves_with_path(params)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in named}


def test_names_begin_as_pefts_do() -> None:
    assert all(key.startswith(PREFIX) for name in CASES for key in arrays_of(name, "file"))
