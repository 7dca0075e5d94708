"""Record what torch's optimizers make of given gradients, with the settings that `Trainer` gives them.

python -m tests.training.record_optimizers   (torch, transformers 4.57, schedulefree; writes optimizers.json)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from .cases import DECAY, SHAPES, array

STEPS, RATE, WARMUP = 12, 1e-2, 3


def run(make: Callable[[Any], torch.optim.Optimizer], schedule: str = "linear") -> dict[str, list[Any]]:
    """The arrays after the last step. The bias is not decayed."""
    arrays = {name: torch.nn.Parameter(torch.from_numpy(array(name, -1))) for name in SHAPES}
    decayed = [arrays[name] for name in SHAPES if name != "bias"]
    own = make([{"params": decayed, "weight_decay": DECAY}, {"params": [arrays["bias"]], "weight_decay": 0.0}])
    rates = transformers.get_scheduler(schedule, own, WARMUP, STEPS)
    if hasattr(own, "train"):
        own.train()
    for step in range(STEPS):
        for name, parameter in arrays.items():
            parameter.grad = torch.from_numpy(array(name, step))
        own.step()
        rates.step()
    if hasattr(own, "eval"):
        own.eval()
    return {name: parameter.detach().tolist() for name, parameter in arrays.items()}


if __name__ == "__main__":
    import schedulefree

    plain = torch.optim
    adafactor = lambda groups: transformers.Adafactor(  # noqa: E731
        groups, lr=RATE, scale_parameter=False, relative_step=False
    )
    found = [
        ["adamw_torch", {}, "linear", run(lambda p: plain.AdamW(p, lr=RATE))],
        ["adafactor", {}, "linear", run(adafactor)],
        ["sgd", {}, "linear", run(lambda p: plain.SGD(p, lr=RATE))],
        ["sgd", {"momentum": 0.9}, "linear", run(lambda p: plain.SGD(p, lr=RATE, momentum=0.9))],
        [
            "sgd",
            {"momentum": 0.9, "nesterov": True},
            "linear",
            run(lambda p: plain.SGD(p, lr=RATE, momentum=0.9, nesterov=True)),
        ],
        ["adagrad", {}, "linear", run(lambda p: plain.Adagrad(p, lr=RATE))],
        ["rmsprop", {}, "linear", run(lambda p: plain.RMSprop(p, lr=RATE))],
        ["rmsprop", {"momentum": 0.9}, "linear", run(lambda p: plain.RMSprop(p, lr=RATE, momentum=0.9))],
        [
            "schedule_free_adamw",
            {},
            "constant",
            run(lambda p: schedulefree.AdamWScheduleFree(p, lr=RATE), "constant"),
        ],
        ["schedule_free_sgd", {}, "constant", run(lambda p: schedulefree.SGDScheduleFree(p, lr=RATE), "constant")],
    ]
    facts = {"steps": STEPS, "rate": RATE, "warmup": WARMUP, "cases": found}
    Path(__file__).with_name("optimizers.json").write_text(json.dumps(facts) + "\n")
