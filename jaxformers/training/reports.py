"""Where the figures of a run go: a file of lines of JSON always, and what `report_to` names."""

from __future__ import annotations

import abc
import importlib
import importlib.util
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import durable
from .arguments import TrainingArguments
from .callbacks import TrainerCallback
from .run_state import TrainerState

LOG_FILE = "log.jsonl"


def reporters(names: Sequence[str]) -> list[TrainerCallback]:
    """The callbacks of `args.report_to`; "all" are those whose packages are there.

    Raises:
        ImportError: the package of one that was named is missing; the message says what to install.
    """
    if tuple(names) == ("all",):
        return [made() for made in _MADE.values() if importlib.util.find_spec(made.package) is not None]
    return [_MADE[name]() for name in names]


class JsonLines(TrainerCallback):
    """Writes what is logged to log.jsonl in the output folder, a line each, with the step first.

    A run that goes on from a checkpoint drops the lines of later steps, which it logs again; a new run drops all.
    """

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Drop what is logged again."""
        path = Path(args.output_dir) / LOG_FILE
        if not state.is_world_process_zero or not path.exists():
            return
        kept = [line for line in path.read_text().splitlines() if 0 <= _step(line) <= state.global_step]
        with durable.Replacement(path.parent) as files:
            files.write(LOG_FILE, "".join(f"{line}\n" for line in kept if state.global_step).encode())

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: Any, logs: Any = None, **kwargs: Any
    ) -> None:
        """Write a line."""
        if not state.is_world_process_zero:
            return
        os.makedirs(args.output_dir, exist_ok=True)
        entry = {"step": state.global_step} | {name: _plain(value) for name, value in (logs or {}).items()}
        with open(Path(args.output_dir) / LOG_FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


class Reporter(TrainerCallback, abc.ABC):
    """What all that `report_to` names have in common: they begin with the run, or with the first log without one.

    Class attributes:
        package: what is imported. install: what pip is told.
    """

    package: str
    install: str

    def __init__(self) -> None:
        try:
            self.module: Any = importlib.import_module(self.package)
        except ImportError as error:
            said = f"report_to names {self.package}, which cannot be imported ({error}): pip install {self.install}"
            raise ImportError(said) from error
        self._begun = False

    @abc.abstractmethod
    def begin(self, args: TrainingArguments, settings: Mapping[str, Any]) -> None:
        """Open a run with these settings."""

    @abc.abstractmethod
    def write(self, figures: Mapping[str, float], step: int) -> None:
        """Report figures by their tags."""

    @abc.abstractmethod
    def end(self) -> None:
        """Close the run."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: Any, model: Any = None, **kwargs: Any
    ) -> None:
        """Begin."""
        if state.is_world_process_zero and not self._begun:
            self.begin(args, _settings(args, model))
            self._begun = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: Any,
        model: Any = None,
        logs: Any = None,
        **kwargs: Any,
    ) -> None:
        """Write what is a number, under a tag of training, evaluation or test."""
        if not state.is_world_process_zero:
            return
        self.on_train_begin(args, state, control, model)
        plain = {tag(name): _plain(value) for name, value in (logs or {}).items()}
        self.write({name: v for name, v in plain.items() if isinstance(v, int | float)}, state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End; a later log opens the run again."""
        if self._begun:
            self.end()
            self._begun = False


class TensorBoardCallback(Reporter):
    """Event files in `args.logging_dir`, by tensorboardX."""

    package, install = "tensorboardX", "'jaxformers[logging]'"

    def begin(self, args: TrainingArguments, settings: Mapping[str, Any]) -> None:
        """Open a file of events."""
        self._writer = self.module.SummaryWriter(args.logging_dir)
        self._writer.add_text("args", json.dumps(settings, indent=2))

    def write(self, figures: Mapping[str, float], step: int) -> None:
        """Add them to the file, where they are seen at once."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def end(self) -> None:
        """Close the file."""
        self._writer.close()


class WandbCallback(Reporter):
    """Weights & Biases, through its package. A run that is open already is used, and stays open at the end."""

    package, install = "wandb", "wandb"

    def begin(self, args: TrainingArguments, settings: Mapping[str, Any]) -> None:
        """Open a run, where there is none; WANDB_PROJECT goes before `args.project`."""
        if self.module.run is None:
            project = os.environ.get("WANDB_PROJECT", args.project)
            self.module.init(project=project, name=args.run_name, config=dict(settings))

    def write(self, figures: Mapping[str, float], step: int) -> None:
        """Log them; the step is a figure too, so that figures of an evaluation may come later."""
        self.module.log({**figures, "train/global_step": step})

    def end(self) -> None:
        """The package closes the run with the process."""


class TrackioCallback(Reporter):
    """Trackio, through its package: on this machine, unless `args.trackio_space_id` names a Space."""

    package, install = "trackio", "trackio"

    def begin(self, args: TrainingArguments, settings: Mapping[str, Any]) -> None:
        """Open a run."""
        where = {} if args.trackio_space_id is None else {"space_id": args.trackio_space_id}
        self.module.init(project=args.project, name=args.run_name, config=dict(settings), **where)

    def write(self, figures: Mapping[str, float], step: int) -> None:
        """Log them, with the step as a figure."""
        self.module.log({**figures, "train/global_step": step})

    def end(self) -> None:
        """Hand over what is left."""
        self.module.finish()


_MADE: Mapping[str, type[Reporter]] = {
    "tensorboard": TensorBoardCallback,
    "wandb": WandbCallback,
    "trackio": TrackioCallback,
}


def tag(name: str) -> str:
    """A figure's name as boards group them: "eval_loss" → "eval/loss", "loss" → "train/loss"."""
    for split in ("eval", "test"):
        if name.startswith(f"{split}_"):
            return f"{split}/{name.removeprefix(f'{split}_')}"
    return f"train/{name}"


def _settings(args: TrainingArguments, model: Any) -> dict[str, Any]:
    """What a run was made from: the model's config, and over it the arguments."""
    of_model = getattr(getattr(model, "config", None), "to_dict", dict)
    return {**of_model(), **args.to_dict()}


def _plain(value: Any) -> Any:
    """A number of numpy or jax as Python's."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


def _step(line: str) -> int:
    """The step of a line; -1 of one that was cut off by a kill."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return -1
