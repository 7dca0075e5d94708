"""A run without a model: what happens at which step, under settings. The same walk records torch's and tests ours."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

STEPS_PER_EPOCH = 10
LOSSES = (1.0, 0.8, 0.9, 0.79, 0.795, 0.85, 0.6, 0.7, 0.71, 0.72, 0.73, 0.74)

CASES: dict[str, dict[str, Any]] = {
    "defaults": {},
    "logs": {"logging_steps": 7, "max_steps": 25},
    "first log": {"logging_steps": 7, "logging_first_step": True, "max_steps": 25},
    "first log, none else": {"logging_strategy": "no", "logging_first_step": True, "max_steps": 25},
    "logs by epoch": {"logging_strategy": "epoch"},
    "nothing": {"logging_strategy": "no", "save_strategy": "no"},
    "shares": {"logging_steps": 0.1, "eval_strategy": "steps", "eval_steps": 0.21, "save_steps": 0.34},
    "shares of max_steps": {"logging_steps": 0.03, "save_steps": 0.5, "max_steps": 17},
    "evaluation as logs": {"logging_steps": 6, "eval_strategy": "steps"},
    "evaluation by epoch": {"eval_strategy": "epoch", "save_strategy": "epoch"},
    "delayed by steps": {"eval_strategy": "steps", "eval_steps": 4, "eval_delay": 13},
    "delayed by epochs": {"eval_strategy": "epoch", "eval_delay": 2},
    "delayed by a part of an epoch": {"eval_strategy": "epoch", "eval_delay": 1.5},
    "saves": {"save_steps": 8, "max_steps": 20},
    "last save": {"save_steps": 8, "max_steps": 19},
    "saves by epoch, cut": {"save_strategy": "epoch", "max_steps": 15},
    "the best": {"eval_strategy": "steps", "eval_steps": 3, "save_strategy": "best", "metric_for_best_model": "loss"},
    "a part of an epoch": {"num_train_epochs": 1.25, "logging_steps": 4},
    "one step": {"max_steps": 1},
    "best at the end": {"eval_strategy": "steps", "eval_steps": 5, "save_steps": 10, "load_best_model_at_end": True},
    "stops early": {
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_steps": 2,
        "load_best_model_at_end": True,
        "patience": 2,
    },
    "stops early, by a margin": {
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_steps": 4,
        "load_best_model_at_end": True,
        "patience": 3,
        "threshold": 0.05,
    },
    "stops early, greater": {
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "metric_for_best_model": "accuracy",
        "num_train_epochs": 8,
        "load_best_model_at_end": True,
        "patience": 1,
    },
}


def walk(args: Any, state: Any, control: Any, call: Callable[..., Any]) -> list[Any]:
    """Go through a run and tell what happened: [[what, step], ...], at the end the best metric.

    Args:
        args: training arguments, ours or torch's.
        state: of the same library.
        control: likewise.
        call: (event, control, **kwargs) → control.
    """
    total = args.max_steps if args.max_steps > 0 else math.ceil(args.num_train_epochs * STEPS_PER_EPOCH)
    state.max_steps = total
    state.compute_steps(args, total)
    told: list[Any] = []
    losses = iter(LOSSES)
    control = call("on_train_begin", control)
    for epoch in range(math.ceil(total / STEPS_PER_EPOCH)):
        control = call("on_epoch_begin", control)
        for i in range(STEPS_PER_EPOCH):
            control = call("on_step_begin", control)
            state.global_step += 1
            state.epoch = epoch + (i + 1) / STEPS_PER_EPOCH
            control = call("on_step_end", control)
            control = _act(args, state, control, call, losses, told)
            if control.should_epoch_stop or control.should_training_stop:
                break
        control = call("on_epoch_end", control)
        control = _act(args, state, control, call, losses, told)
        if control.should_training_stop:
            break
    call("on_train_end", control)
    return [*told, ["best", state.best_metric]]


def _act(args: Any, state: Any, control: Any, call: Callable[..., Any], losses: Any, told: list[Any]) -> Any:
    if control.should_log:
        told.append(["log", state.global_step])
        control = call("on_log", control, logs={"loss": 1.0})
    if control.should_evaluate:
        told.append(["evaluate", state.global_step])
        value = next(losses, 0.5)
        control = call("on_evaluate", control, metrics={"eval_loss": value, "eval_accuracy": 1 - value})
        is_new = _is_best(args, state, value)
        if args.save_strategy == "best":
            control.should_save = is_new
    if control.should_save:
        told.append(["save", state.global_step])
        control = call("on_save", control)
    return control


def _is_best(args: Any, state: Any, loss: float) -> bool:
    if args.metric_for_best_model is None:
        return False
    value = 1 - loss if args.greater_is_better else loss
    before = state.best_metric
    if before is not None and not (value > before if args.greater_is_better else value < before):
        return False
    state.best_metric = value
    return True


def arguments_of(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that are arguments."""
    return {name: value for name, value in settings.items() if name not in ("patience", "threshold")}


def stopping(settings: dict[str, Any]) -> Sequence[Any]:
    """What an EarlyStoppingCallback is made with; empty: there is none."""
    return (settings["patience"], settings.get("threshold", 0.0)) if "patience" in settings else ()
