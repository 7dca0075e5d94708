"""Speeds under torch's names, and operations of a step beside those that XLA counts."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers import BertForSequenceClassification, GPT2LMHeadModel, T5ForConditionalGeneration, declare
from jaxformers.training import parts, speed

ROWS, LENGTH, TARGET = 4, 64, 48
# Whose products are most of what is computed.
MODELS: dict[Any, dict[str, Any]] = {
    BertForSequenceClassification: {
        "hidden_size": 256,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "intermediate_size": 1024,
        "vocab_size": 500,
    },
    GPT2LMHeadModel: {"n_embd": 256, "n_head": 4, "n_layer": 2, "vocab_size": 1000},
    T5ForConditionalGeneration: {
        "d_model": 256,
        "d_kv": 64,
        "num_heads": 4,
        "num_layers": 2,
        "num_decoder_layers": 3,
        "d_ff": 1024,
        "vocab_size": 1000,
    },
}


@pytest.mark.parametrize("cls", MODELS)
def test_operations_of_a_step_are_those_that_xla_counts(cls: Any) -> None:
    model = cls(cls.config_class(**MODELS[cls]), key=jax.random.key(0))
    ids = np.ones((ROWS, LENGTH), np.int32)
    two_sided = cls is T5ForConditionalGeneration
    labels = np.ones(
        ROWS if cls is BertForSequenceClassification else (ROWS, TARGET if two_sided else LENGTH), np.int32
    )
    labels = labels if labels.ndim > 1 else labels * 0

    def loss(params: Any) -> jax.Array:
        return model.apply(params, input_ids=jnp.asarray(ids), labels=jnp.asarray(labels)).loss

    counted = jax.jit(jax.grad(loss)).lower(model.params).cost_analysis()["flops"]
    targets = (ROWS * TARGET, TARGET) if two_sided else ()
    found = speed.step_flops(model.laid_out, ROWS * LENGTH, LENGTH, *targets)
    assert 0.85 < found / counted < 1.1
    stacked = declare.stacked(model.laid_out)
    assert speed.step_flops(stacked, ROWS * LENGTH, LENGTH, *targets) == found


def test_what_is_frozen_needs_no_gradient_of_its_own() -> None:
    cls = BertForSequenceClassification
    tree = cls.declaration(cls.config_class(**MODELS[cls]))
    whole = speed.step_flops(tree, 100, 10)
    assert speed.step_flops(tree, 100, 10, trained=parts.trained(tree)) == whole
    assert 0.6 < speed.step_flops(tree, 100, 10, trained=parts.trained(tree, only=["head"])) / whole < 0.7
    assert speed.step_flops(tree, 200, 10) == 2 * whole
    assert speed.step_flops(tree, 100, 20) > whole


@pytest.mark.parametrize(
    ("kind", "peak"),
    [
        ("TPU v4", 275e12),
        ("TPU v5 lite", 197e12),
        ("TPU v5p", 459e12),
        ("TPU v6 lite", 918e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA B200", 2250e12),
        ("cpu", None),
        ("NVIDIA GeForce RTX 3060", None),
    ],
)
def test_peaks_are_known_by_the_devices_name(kind: str, peak: float | None) -> None:
    assert speed.peak_flops(SimpleNamespace(device_kind=kind)) == peak


def test_rates_are_shares_of_all_devices() -> None:
    assert speed.peak_flops() is None  # of a CPU
    assert speed.rates(1000, 1e12, 2.0) == {"tokens_per_second": 500.0}
    assert speed.rates(1000, 1e12, 2.0, devices=2, peak=1e12) == {
        "tokens_per_second": 500.0,
        "model_flops_utilization": 0.25,
    }
    assert speed.rates(1000, 1e12, 0.0) == {}


def test_speed_has_torchs_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 102.0)
    assert speed.speed_metrics("train", 100.0, 100, 20, 1000) == {
        "train_runtime": 2.0,
        "train_samples_per_second": 50.0,
        "train_steps_per_second": 10.0,
        "train_tokens_per_second": 500.0,
    }
    assert speed.speed_metrics("eval", 100.0) == {"eval_runtime": 2.0}
    assert speed.speed_metrics("eval", 102.0, 5) == {"eval_runtime": 0.0}
