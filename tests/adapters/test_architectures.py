"""Additions to all dense layers of every architecture: they are computed, and what is merged gives the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxformers import LoraConfig, get_peft_model
from tests.models import golden
from tests.models.registry import each, load, shown

EACH = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=kind.marks, id=name) for kind in each() for name in shown(str(kind.id))[-1:]]
)


def adapted(name: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    """A model of a class with additions to all its dense layers, and a batch for it."""
    case = golden.cases()[name]
    model, _ = load(case, case.write(folder))
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    return get_peft_model(model, config), dict(next(iter(case.calls.values())).inputs)


@EACH
def test_merged_weights_are_the_weights_and_their_additions(name: str, tmp_path: Path) -> None:
    model, batch = adapted(name, tmp_path)
    with jax.default_matmul_precision("highest"):
        found, merged, plain = (one(**batch) for one in (model, model.merge_and_unload(), model.unload()))
    changed = 0.0
    for a, b, c in zip(*map(jax.tree.leaves, (found, merged, plain)), strict=True):
        a, b, c = (np.where(np.abs(x) < 1e30, np.asarray(x, np.float64), 0) for x in (a, b, c))  # not of masked ones
        assert np.abs(a - b).max() <= 1e-4 * np.abs(b).max()
        changed = max(changed, np.abs(a - c).max())
    assert changed > 1e-3
