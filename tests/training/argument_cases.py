"""Settings whose consequences are recorded of torch and compared with ours."""

from __future__ import annotations

from typing import Any

FOLLOWING = (
    "do_eval",
    "eval_steps",
    "logging_steps",
    "save_steps",
    "metric_for_best_model",
    "greater_is_better",
    "optim",
    "lr_scheduler_type",
    "lr_scheduler_kwargs",
    "include_for_metrics",
    "include_num_input_tokens_seen",
    "disable_tqdm",
    "run_name",
)
"""What follows from settings, or could."""

_BEST: dict[str, Any] = {"load_best_model_at_end": True, "eval_strategy": "steps"}

CASES: list[dict[str, Any]] = [
    {},
    {"eval_strategy": "steps"},
    {"eval_strategy": "steps", "logging_steps": 7},
    {"eval_strategy": "steps", "eval_steps": 0},
    {"eval_strategy": "steps", "logging_steps": 0.1},
    {"eval_strategy": "steps", "logging_strategy": "no"},
    {"eval_strategy": "epoch"},
    {"eval_strategy": "sometimes"},
    {"logging_steps": 0},
    {"logging_steps": 1.5},
    {"logging_steps": 3.0},
    {"logging_steps": 0, "logging_strategy": "epoch"},
    {"save_steps": 2.0},
    {"save_steps": 0.5},
    {"eval_strategy": "steps", "eval_steps": 0, "logging_steps": 0, "logging_strategy": "no"},
    {"eval_strategy": "steps", "eval_steps": 2.5},
    {"load_best_model_at_end": True},
    {**_BEST},
    {**_BEST, "eval_steps": 5, "save_steps": 7},
    {**_BEST, "eval_steps": 5, "save_steps": 10},
    {**_BEST, "eval_steps": 0.1, "save_steps": 0.2},
    {**_BEST, "eval_steps": 0.1, "save_steps": 0.3},
    {**_BEST, "eval_steps": 0.1, "save_steps": 0.25},
    {**_BEST, "eval_steps": 5, "save_steps": 0.2},
    {**_BEST, "eval_steps": 0.2, "save_steps": 5},
    {**_BEST, "save_strategy": "epoch"},
    {**_BEST, "save_strategy": "best"},
    {"load_best_model_at_end": True, "eval_strategy": "epoch", "save_strategy": "epoch"},
    {**_BEST, "metric_for_best_model": "accuracy"},
    {**_BEST, "metric_for_best_model": "eval_loss"},
    {**_BEST, "metric_for_best_model": "perplexity", "greater_is_better": False},
    {"metric_for_best_model": "f1"},
    {"lr_scheduler_type": "reduce_lr_on_plateau"},
    {"lr_scheduler_type": "reduce_lr_on_plateau", "eval_strategy": "epoch"},
    {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": '{"min_lr": 1e-6}'},
    {"lr_scheduler_type": "staircase"},
    {"optim": "steepest"},
    {"warmup_steps": 3},
    {"warmup_steps": -1},
    {"include_for_metrics": ["inputs", "loss"]},
    {"include_num_input_tokens_seen": True},
    {"include_num_input_tokens_seen": False},
    {"include_num_input_tokens_seen": "non_padding"},
    {"hub_strategy": "never"},
    {"debug": "underflow"},
    {"dataloader_prefetch_factor": 2},
    {"dataloader_prefetch_factor": 2, "dataloader_num_workers": 2},
    {"bf16": True, "fp16": True},
    {"learning_rat": 0.1},
    # 4.57 alone.
    {"warmup_ratio": 0.1},
    {"warmup_ratio": 0.1, "warmup_steps": 3},
    {"warmup_ratio": 2.0},
    {"adafactor": True},
    {"include_inputs_for_metrics": True},
    # 5.x alone.
    {"warmup_steps": 0.1},
]
