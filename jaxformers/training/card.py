"""The README of a tuned model: what was trained, how, and the figures of the log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import __version__
from ..bundle import Model
from .arguments import TrainingArguments
from .callbacks import TrainerState

_SETTINGS = (
    "learning_rate",
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "gradient_accumulation_steps",
    "seed",
    "optim",
    "lr_scheduler_type",
    "warmup_steps",
    "warmup_ratio",
    "num_train_epochs",
    "max_steps",
    "weight_decay",
    "label_smoothing_factor",
    "bf16",
)


def written(
    title: str,
    model: Model,
    args: TrainingArguments,
    state: TrainerState,
    *,
    language: str | Sequence[str] | None = None,
    license: str | None = None,
    tags: str | Sequence[str] | None = None,
    dataset: str | Sequence[str] | None = None,
    finetuned_from: str | None = None,
) -> str:
    """A card in the Hub's form: a head that it reads, and text with tables.

    Args:
        title: of the card.
        model: what was trained.
        args: how.
        state: of the run, with its log.
        language: codes, for the head.
        license: likewise.
        tags: likewise, beside those of the library.
        dataset: names, for the head and the text.
        finetuned_from: the model that training began with, where it has a name.
    """
    datasets = _many(dataset)
    head = {
        "library_name": "jaxformers",
        "language": _many(language),
        "license": license,
        "base_model": finetuned_from,
        "tags": ["generated_from_trainer", *_many(tags)],
        "datasets": datasets,
    }
    began = f"a fine-tuned version of {finetuned_from}" if finetuned_from else "trained with jaxformers"
    on = f" on {', '.join(datasets)}" if datasets else ""
    settings = "\n".join(f"- {name}: {getattr(args, name)}" for name in _SETTINGS if _told(args, name))
    parts = [
        f"# {title}",
        f"This {type(model).__name__} is {began}{on}. Its uses, its limits and its data are not described yet.",
        "## Training",
        settings,
        _table(state.log_history),
        f"jaxformers {__version__}",
    ]
    return f"---\n{_yaml(head)}---\n\n" + "\n\n".join(part for part in parts if part) + "\n"


def _told(args: TrainingArguments, name: str) -> bool:
    """Whether a setting says anything: not the epochs where steps are given, nor what is off."""
    value = getattr(args, name)
    if name in ("num_train_epochs", "max_steps"):
        return (args.max_steps > 0) == (name == "max_steps")
    return value not in (0, 0.0, False, None) or name == "seed"


def _table(history: Sequence[Mapping[str, Any]]) -> str:
    """The log's evaluations, each with the training loss that was logged last before it."""
    rows, loss = [], "-"
    for entry in history:
        loss = f"{entry['loss']:.4f}" if "loss" in entry else loss
        found = {name.removeprefix("eval_"): value for name, value in entry.items() if name.startswith("eval_")}
        found = {name: value for name, value in found.items() if not name.endswith(("per_second", "runtime"))}
        if found:
            epoch = f"{entry.get('epoch', 0):.2f}"
            rows.append({"training loss": loss, "epoch": epoch, "step": str(entry["step"])} | _short(found))
    if not rows:
        return ""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names), *([row.get(name, "-") for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _short(metrics: Mapping[str, float]) -> dict[str, str]:
    return {name: f"{value:.4f}" for name, value in metrics.items()}


def _yaml(head: Mapping[str, Any]) -> str:
    lines = []
    for name, value in head.items():
        if isinstance(value, list):
            lines += [f"{name}:", *(f"- {one}" for one in value)] if value else []
        elif value is not None:
            lines.append(f"{name}: {value}")
    return "".join(f"{line}\n" for line in lines)


def _many(value: str | Sequence[str] | None) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)
