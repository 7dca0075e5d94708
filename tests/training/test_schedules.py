"""Learning rates against torch's, recorded by `record_schedules.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxformers.training.schedules import Level, Plateau, schedule

RECORDED = json.loads(Path(__file__).with_name("schedules.json").read_text())
RATE, STEPS = RECORDED["rate"], RECORDED["steps"]
ENDS = {"linear", "cosine", "polynomial", "cosine_with_min_lr"}


@pytest.mark.parametrize(("name", "warmup", "options", "expected"), RECORDED["schedules"])
def test_rates_are_torchs(name: str, warmup: int, options: dict[str, Any], expected: list[float]) -> None:
    own = schedule(name, RATE, steps=STEPS, warmup_steps=warmup, **options)
    found = jax.vmap(own)(np.arange(len(expected)))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=1e-7 * RATE)


@pytest.mark.parametrize(("options", "expected"), RECORDED["plateaus"])
def test_reductions_on_plateaus_are_torchs(options: dict[str, Any], expected: list[float]) -> None:
    level, found = Level(RATE), []
    for metric in RECORDED["metrics"]:
        level = Plateau(**options).after(level, metric)
        found.append(level.rate)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert len(set(expected)) > 1


def test_a_warm_up_may_be_a_share_of_all_steps() -> None:
    exact = schedule("linear", 1.0, steps=61, warmup_steps=7)
    for words in ({"warmup_ratio": 0.1}, {"warmup_steps": 0.1}):
        assert schedule("linear", 1.0, steps=61, **words)(3) == exact(3)


@pytest.mark.parametrize(
    ("name", "words", "error", "says"),
    [
        ("liner", {}, ValueError, "cosine_with_restarts"),
        ("linear", {}, ValueError, "steps="),
        ("linear", {"steps": 0}, ValueError, "1 step or more"),
        ("linear", {"steps": 9, "power": 2}, TypeError, "no options"),
        ("cosine", {"steps": 9, "power": 2}, TypeError, "num_cycles"),
        ("cosine_with_min_lr", {"steps": 9}, ValueError, "min_lr_rate"),
        ("warmup_stable_decay", {"steps": 9}, ValueError, "num_decay_steps"),
        ("warmup_stable_decay", {"steps": 9, "num_decay_steps": 2, "decay_type": "step"}, ValueError, "1-sqrt"),
        ("constant_with_warmup", {"warmup_ratio": 0.1}, ValueError, "steps="),
        ("polynomial", {"steps": 9, "lr_end": 2.0}, ValueError, "lr_end"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_step(
    name: str, words: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        schedule(name, 1.0, **words)
