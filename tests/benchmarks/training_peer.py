"""A side of the benchmark of training, in a process of its own: JSON commands in, seconds out, one a line.

training_peer.py ours|torch|plain CLASS CONFIG DTYPE
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

Side = tuple[Callable[..., float], Callable[[], dict[str, Any]]]
"""(rows, batch size, steps, sampling) to the seconds of these steps; and what there is to tell afterwards."""

THREADS = os.cpu_count() or 1
USUAL = {"logging_steps": 1000, "save_strategy": "no", "disable_tqdm": True, "learning_rate": 1e-5, "report_to": "none"}


def timed(base: type) -> Any:
    """A callback that keeps when training begins and ends."""

    class Clock(base):  # type: ignore[misc, valid-type]
        seconds = 0.0

        def on_train_begin(self, *args: Any, **kwargs: Any) -> None:
            self.seconds = -time.perf_counter()

        def on_train_end(self, *args: Any, **kwargs: Any) -> None:
            self.seconds += time.perf_counter()

    return Clock()


def padded(rows: list[dict[str, Any]], fillers: dict[str, int]) -> dict[str, list[list[int]]]:
    """Rows of one batch, as long as the longest."""

    def column(name: str) -> list[Any]:
        values = [row[name] for row in rows]
        if not isinstance(values[0], list):
            return values
        longest = max(map(len, values))
        return [value + [fillers.get(name, 0)] * (longest - len(value)) for value in values]

    return {name: column(name) for name in rows[0]}


def ours(name: str, config: str, dtype: str) -> Side:
    """This library."""
    import numpy as np

    import jaxformers
    from jaxformers import Trainer, TrainerCallback, TrainingArguments, compilations

    cls = getattr(jaxformers, name)
    model = cls(cls.config_class(**json.loads(config)))

    def collate(rows: list[dict[str, Any]], *, buckets: Any = None) -> dict[str, Any]:
        batch = padded(rows, {"labels": -100})
        arrays = {key: np.asarray(value) for key, value in batch.items()}
        wide = {"input_ids": buckets.fit, "attention_mask": buckets.fit, "labels": buckets.fit_target}
        if arrays["labels"].shape == arrays["input_ids"].shape:  # of a causal model
            wide["labels"] = buckets.fit
        for key, fit in wide.items():
            if arrays[key].ndim == 2:
                more = fit(arrays[key].shape[1]) - arrays[key].shape[1]
                arrays[key] = np.pad(arrays[key], ((0, 0), (0, more)), constant_values=-100 if key == "labels" else 0)
        return arrays

    def train(rows: Any, batch: int, steps: int, sampling: str) -> float:
        clock = timed(TrainerCallback)
        with tempfile.TemporaryDirectory() as folder:
            args = TrainingArguments(
                folder, max_steps=steps, per_device_train_batch_size=batch, bf16=dtype == "bfloat16",
                train_sampling_strategy=sampling, **USUAL,
            )  # fmt: skip
            Trainer(model, args, collate, rows, callbacks=[clock]).train()
        return clock.seconds

    return train, lambda: {"programs": compilations().get("jaxformers_train_step", 0)}


def torch(name: str, config: str, dtype: str) -> Side:
    """The Trainer of torch Transformers."""
    import torch
    import transformers

    torch.set_num_threads(THREADS)
    cls = getattr(transformers, name)
    model = cls(cls.config_class(**json.loads(config)))

    def collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {key: torch.tensor(value) for key, value in padded(rows, {"labels": -100}).items()}

    def train(rows: Any, batch: int, steps: int, sampling: str) -> float:
        clock = timed(transformers.TrainerCallback)
        with tempfile.TemporaryDirectory() as folder:
            args = transformers.TrainingArguments(
                folder, max_steps=steps, per_device_train_batch_size=batch, bf16=dtype == "bfloat16", use_cpu=True,
                group_by_length=sampling == "group_by_length", **USUAL,
            )  # fmt: skip
            transformers.Trainer(model, args, collate, rows, callbacks=[clock]).train()
        return float(clock.seconds)

    return train, dict


def plain(name: str, config: str, dtype: str) -> Side:
    """A loop of torch's alone, with what the Trainer does in a step and nothing else; rows in their order."""
    import torch
    import transformers

    torch.set_num_threads(THREADS)
    cls = getattr(transformers, name)
    model = cls(cls.config_class(**json.loads(config))).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)

    def train(rows: Any, batch: int, steps: int, sampling: str) -> float:
        start = time.perf_counter()
        for step in range(steps):
            own = [rows[(step * batch + i) % len(rows)] for i in range(batch)]
            given = {key: torch.tensor(value) for key, value in padded(own, {"labels": -100}).items()}
            with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
                loss = model(**given).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            loss.item()
        return time.perf_counter() - start

    return train, dict


def main() -> None:
    """Answer commands until the input ends."""
    side, *rest = sys.argv[1:]
    train, told = {side.__name__: side for side in (ours, torch, plain)}[side](*rest)
    answers, sys.stdout = sys.stdout, sys.stderr  # the Trainers print their logs
    print(json.dumps({}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        start = time.perf_counter()
        seconds = train(asked["texts"], asked["batch"], asked["steps"], asked["sampling"])
        whole = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "whole": whole, **told()}), file=answers, flush=True)


if __name__ == "__main__":
    main()
