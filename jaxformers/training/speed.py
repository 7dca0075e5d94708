"""How fast a run is: samples, steps and tokens per second, and the share of the device's peak that models use."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Mapping
from typing import Any

import jax

from .. import declare
from ..declare import Tree

PEAKS: Mapping[str, float] = {
    "TPU v4": 275e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5p": 459e12,
    "TPU v5": 459e12,
    "TPU v6 lite": 918e12,
    "TPU v6e": 918e12,
    "A100": 312e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "B200": 2250e12,
}
"""Operations per second of bfloat16 products without sparsity, as the makers give them, by a part of the device's name;
the first that fits counts."""

_FACTORS = ("matrix", "projection", "unembedding", "kernel", "router")
"""Roles of arrays by which each token is multiplied; tables are looked up in."""


def speed_metrics(
    split: str,
    start_time: float,
    num_samples: int | None = None,
    num_steps: int | None = None,
    num_tokens: int | None = None,
) -> dict[str, float]:
    """Seconds since `start_time` (of `time.time()`), and what was done in each, under torch's names.

    speed_metrics("train", began, 100, 20) → {"train_runtime": …, "train_samples_per_second": …, …}
    """
    runtime = time.time() - start_time
    metrics = {f"{split}_runtime": round(runtime, 4)}
    counts = {"samples": num_samples, "steps": num_steps, "tokens": num_tokens}
    if runtime > 0:
        found = {f"{split}_{name}_per_second": round(n / runtime, 3) for name, n in counts.items() if n is not None}
        metrics |= found
    return metrics


def step_flops(
    declaration: Tree,
    tokens: int,
    length: int,
    target_tokens: int = 0,
    target_length: int = 0,
    trained: Collection[str] | None = None,
) -> float:
    """Operations that a step of training needs, whatever else is computed (padding counts, rematerialisation does not).

    For each token two for each weight of a dense layer in the forward pass, two for the gradient of what the layer
    reads, and two for that of the weight where it is trained; and for attention in each layer of width d
    12·length·d, as if all saw all (Chowdhery et al. 2022, arXiv 2204.02311, appendix B). Of experts all are counted.

    Args:
        declaration: of the params (`model.laid_out`).
        tokens: of all rows of the step.
        length: of each row.
        target_tokens: of encoder-decoders, what the decoder reads.
        target_length: likewise.
        trained: paths of what is trained (`TrainPlan.trained`); None: all.
    """
    records = list(declare.walk(declaration))
    two_sided = any(path.startswith("decoder.") for path, _ in records) and target_tokens > 0
    attentions = {path.rpartition(f".{name}.")[0] for path, _ in records for name in ("query", "qkv")} - {""}
    total = 0.0
    for path, param in records:
        on_target = two_sided and not path.startswith("encoder.")
        read = target_tokens if on_target else tokens
        if param.role in _FACTORS:
            total += (6 if trained is None or path in trained else 4) * math.prod(param.shape) * read
        block = path.removesuffix(".out.weight")
        if block != path and block in attentions:
            seen = target_length if on_target and not block.endswith(".cross") else length
            total += 12 * seen * (math.prod(param.shape) // param.shape[-2]) * read  # [(layers,) out, heads · width]
    return total


def peak_flops(device: Any = None) -> float | None:
    """Operations per second that a device can do in bfloat16; None: not known.

    Args:
        device: of `jax.devices()`; None: the first.
    """
    kind = (device or jax.devices()[0]).device_kind
    return next((peak for name, peak in PEAKS.items() if name.lower() in kind.lower()), None)


def rates(tokens: int, flops: float, seconds: float, devices: int = 1, peak: float | None = None) -> dict[str, float]:
    """What a log says of the steps since the one before.

    Args:
        tokens: that they have read.
        flops: that they needed (`step_flops`).
        seconds: that they took.
        devices: on which they ran.
        peak: of one device (`peak_flops`).

    Returns:
        `tokens_per_second`, and where the peak is known `model_flops_utilization`, a share of 1.
    """
    if seconds <= 0:
        return {}
    found = {"tokens_per_second": round(tokens / seconds, 1)}
    if peak is not None:
        found["model_flops_utilization"] = round(flops / (seconds * peak * devices), 4)
    return found
