"""Record the learning rates of all schedules of transformers 4.57, and of torch's reduction on plateaus.

python -m tests.training.record_schedules      (torch and transformers 4.57; writes tests/training/schedules.json)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers

RATE, STEPS = 5e-3, 60
CASES: list[tuple[str, int, dict[str, Any]]] = [
    ("linear", 0, {}),
    ("linear", 7, {}),
    ("cosine", 7, {}),
    ("cosine", 0, {"num_cycles": 1.25}),
    ("cosine_with_restarts", 5, {}),
    ("cosine_with_restarts", 5, {"num_cycles": 3}),
    ("polynomial", 7, {}),
    ("polynomial", 0, {"lr_end": 1e-4, "power": 2.0}),
    ("constant", 7, {}),
    ("constant_with_warmup", 7, {}),
    ("inverse_sqrt", 7, {}),
    ("inverse_sqrt", 0, {}),
    ("cosine_with_min_lr", 7, {"min_lr": 1e-3}),
    ("cosine_with_min_lr", 7, {"min_lr_rate": 0.1, "num_cycles": 0.4}),
    ("cosine_warmup_with_min_lr", 7, {"min_lr_rate": 0.1}),
    ("cosine_warmup_with_min_lr", 7, {"min_lr": 1e-3, "warmup_lr_rate": 0.2}),
    ("warmup_stable_decay", 7, {"num_decay_steps": 20}),
    ("warmup_stable_decay", 7, {"num_decay_steps": 20, "num_stable_steps": 10, "min_lr_ratio": 0.1}),
    ("warmup_stable_decay", 7, {"num_decay_steps": 20, "warmup_type": "cosine", "decay_type": "linear"}),
    ("warmup_stable_decay", 7, {"num_decay_steps": 20, "warmup_type": "1-sqrt", "decay_type": "1-sqrt"}),
]
PLATEAUS: list[dict[str, Any]] = [
    {"patience": 2},
    {"patience": 1, "factor": 0.5, "cooldown": 3, "min_lr": 1e-3},
    {"patience": 1, "mode": "max", "threshold": 0.05, "threshold_mode": "abs"},
]
METRICS = [
    1.0,
    0.9,
    0.95,
    0.94,
    0.93,
    0.93,
    0.92,
    0.91,
    0.8999,
    0.7,
    0.71,
    0.72,
    0.73,
    0.74,
    0.75,
    0.9,
    1.1,
    1.2,
    1.2,
    1.2,
]


def optimizer() -> torch.optim.Optimizer:
    """One that has a rate."""
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)


def rates(name: str, warmup: int, options: dict[str, Any]) -> list[float]:
    """The rate of each step; five more than there are to be."""
    own = optimizer()
    schedule = transformers.get_scheduler(name, own, warmup, STEPS, options)
    found = []
    for _ in range(STEPS + 5):
        found.append(own.param_groups[0]["lr"])
        own.step()
        schedule.step()
    return found


def reductions(options: dict[str, Any]) -> list[float]:
    """The rate after each of `METRICS`."""
    own = optimizer()
    schedule = transformers.get_scheduler("reduce_lr_on_plateau", own, scheduler_specific_kwargs=options)
    found = []
    for metric in METRICS:
        schedule.step(metric)
        found.append(own.param_groups[0]["lr"])
    return found


if __name__ == "__main__":
    recorded = {
        "rate": RATE,
        "steps": STEPS,
        "schedules": [[*case, rates(*case)] for case in CASES],
        "metrics": METRICS,
        "plateaus": [[options, reductions(options)] for options in PLATEAUS],
    }
    Path(__file__).with_name("schedules.json").write_text(json.dumps(recorded) + "\n")
