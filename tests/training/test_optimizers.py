"""Optimizers against torch's, recorded by `record_optimizers.py`, and which arrays they touch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxformers import BertConfig, BertForSequenceClassification, declare, training
from jaxformers.training import parts

from .cases import DECAY, SHAPES, array

RECORDED = json.loads(Path(__file__).with_name("optimizers.json").read_text())
DECLARATION = {
    name: declare.Param(shape, (None,) * len(shape), name, {"weight": "matrix"}.get(name, name))
    for name, shape in SHAPES.items()
}


def run(own: optax.GradientTransformation) -> Any:
    """The arrays after the last step, as they are evaluated."""
    params = {name: jnp.asarray(array(name, -1)) for name in DECLARATION}
    state, update = own.init(params), jax.jit(own.update)
    for step in range(RECORDED["steps"]):
        updates, state = update({name: jnp.asarray(array(name, step)) for name in DECLARATION}, state, params)
        params = optax.apply_updates(params, updates)
    return training.evaluation_params(state, params)


@pytest.mark.parametrize(("name", "options", "schedule", "expected"), RECORDED["cases"])
def test_steps_are_torchs(name: str, options: dict[str, Any], schedule: str, expected: dict[str, Any]) -> None:
    rate = training.schedule(schedule, RECORDED["rate"], steps=RECORDED["steps"], warmup_steps=RECORDED["warmup"])
    found = run(training.optimizer(name, rate, DECLARATION, weight_decay=DECAY, **options))
    for path in DECLARATION:
        np.testing.assert_allclose(found[path], expected[path], rtol=2e-5, atol=2e-6, err_msg=path)


def test_muon_turns_the_weights_of_layers_and_leaves_the_rest_to_adam() -> None:
    settings = {"weight_decay": 0.0}
    muon = run(training.optimizer("muon", 1e-2, DECLARATION, **settings))
    adam = run(training.optimizer("adamw", 1e-2, DECLARATION, **settings))
    np.testing.assert_array_equal(muon["bias"], adam["bias"])
    np.testing.assert_array_equal(muon["table"], adam["table"])
    one = training.optimizer("muon", 1.0, DECLARATION, **settings)
    params = {name: jnp.asarray(array(name, -1)) for name in SHAPES}
    updates, _ = one.update(params, one.init(params), params)
    lengths = np.linalg.svd(updates["weight"], compute_uv=False) / (0.2 * 5**0.5)
    assert lengths.min() > 0.6  # all directions get about as much, whatever the gradient's are
    assert lengths.max() < 1.3


def test_lion_takes_the_sign() -> None:
    one = training.optimizer("lion", 0.5, DECLARATION, weight_decay=0.1)
    params = {name: jnp.asarray(array(name, -1)) for name in SHAPES}
    updates, _ = one.update({name: jnp.asarray(array(name, 0)) for name in SHAPES}, one.init(params), params)
    np.testing.assert_allclose(updates["bias"], -0.5 * np.sign(array("bias", 0)), rtol=1e-6)
    expected = -0.5 * (np.sign(array("table", 0)) + 0.1 * array("table", -1))
    np.testing.assert_allclose(updates["table"], expected, rtol=1e-5)


def test_the_rate_can_be_lowered_between_steps() -> None:
    own = training.optimizer("sgd", 0.5, DECLARATION)
    params = {name: jnp.ones(shape) for name, shape in SHAPES.items()}
    state = training.with_rate_factor(own.init(params), 0.1)
    updates, state = own.update(params, state, params)
    np.testing.assert_allclose(updates["bias"], -0.05, rtol=1e-6)
    np.testing.assert_allclose(optax.tree.get(state, "learning_rate"), 0.05, rtol=1e-6)


def test_unknown_names_and_options_are_refused() -> None:
    with pytest.raises(ValueError, match="schedule_free_adamw"):
        training.optimizer("adamw_bnb_8bit", 1.0, DECLARATION)
    with pytest.raises(TypeError, match="nesterov"):
        training.optimizer("sgd", 1.0, DECLARATION, dampening=0.1)


SMALL = {"vocab_size": 16, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}


def test_what_is_decayed_and_what_is_trained_follows_from_roles_and_paths() -> None:
    tree = BertForSequenceClassification.declaration(BertConfig(**SMALL))
    decayed = parts.decayed(tree)
    assert {"word.table", "position.table", "layers.0.query.weight"} <= decayed
    assert not {path for path in decayed if path.endswith("bias") or "norm" in path}
    every = parts.trained(tree)
    assert parts.trained(tree, only=("head",)) == {path for path in every if path.startswith("head.")}
    frozen = parts.trained(tree, frozen=("word", "layers.*.attention_norm", "layers.1"))
    gone = every - frozen
    assert {path.split(".")[0] for path in gone} == {"word", "layers"}
    assert {path.split(".")[2] for path in gone if path.startswith("layers.0")} == {"attention_norm"}
    assert not [path for path in frozen if path.startswith("layers.1.")]
    assert parts.trained(tree, frozen_roles=("table", "norm")) == every - {
        path for path, param in declare.walk(tree) if param.role in ("table", "norm")
    }
    stacked = declare.stacked(tree)
    assert "layers.query.weight" in parts.decayed(stacked) & parts.trained(stacked)
    for words, says in (
        ({"frozen": ("wrd",)}, "paths begin with .*word"),
        ({"frozen_roles": ("tables",)}, "no array has the role"),
        ({"frozen": ("*",)}, "nothing is left"),
    ):
        with pytest.raises(ValueError, match=says):
            parts.trained(tree, **words)
