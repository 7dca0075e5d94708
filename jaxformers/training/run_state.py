"""What a run has come to, and what it is to do next: values of the host, which callbacks may change.

`TrainerState` is a file of a checkpoint, in the form that torch Transformers reads and writes.
"""

from __future__ import annotations

import abc
import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from .. import durable
from .arguments import TrainingArguments

STATE_FILE = "trainer_state.json"


class ExportableState(abc.ABC):
    """A callback, or anything else, whose state is saved with that of the run."""

    @abc.abstractmethod
    def state(self) -> dict[str, Any]:
        """{"args": what it is made from, "attributes": what has changed since}, as JSON has them."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """One that goes on where another stood."""
        made = cls(**state["args"])
        for name, value in state["attributes"].items():
            setattr(made, name, value)
        return made


@dataclasses.dataclass
class TrainerState:
    """What a run has come to; a checkpoint has it as trainer_state.json, which torch Transformers reads too.

    epoch: epochs begun, with the share of the last. global_step: updates made. max_steps: how many there will be.
    logging_steps, eval_steps, save_steps: how often. log_history: what was logged, in its order. best_metric,
    best_global_step, best_model_checkpoint: of the best evaluation. stateful_callbacks: states by name of the class.
    """

    epoch: float | None = None
    global_step: int = 0
    max_steps: int = 0
    logging_steps: int = 500
    eval_steps: int = 500
    save_steps: int = 500
    train_batch_size: int | None = None
    num_train_epochs: int = 0
    num_input_tokens_seen: int = 0
    total_flos: float = 0
    log_history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    best_metric: float | None = None
    best_global_step: int | None = None
    best_model_checkpoint: str | None = None
    is_local_process_zero: bool = True
    is_world_process_zero: bool = True
    is_hyper_param_search: bool = False
    trial_name: str | None = None
    trial_params: dict[str, Any] | None = None
    stateful_callbacks: Any = None

    def __post_init__(self) -> None:
        self.log_history = [] if self.log_history is None else self.log_history
        given = self.stateful_callbacks or {}
        self.stateful_callbacks = dict(given) if isinstance(given, Mapping) else states_of(given)

    def compute_steps(self, args: TrainingArguments, max_steps: int) -> None:
        """Take over from arguments how often there are logs, evaluations and saves in a run of so many steps."""
        for name in ("logging_steps", "eval_steps", "save_steps"):
            if getattr(args, name) is not None:
                setattr(self, name, args.steps_of(name, max_steps))

    def save_to_json(self, json_path: str | os.PathLike[str]) -> None:
        """Write the file; a process that is killed meanwhile leaves the one that was there.

        Raises:
            OSError: it cannot be written.
        """
        text = json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True, default=_number) + "\n"
        path = Path(json_path)
        with durable.Replacement(path.parent) as files:
            files.write(path.name, text.encode())

    @classmethod
    def load_from_json(cls, json_path: str | os.PathLike[str]) -> Self:
        """Read a file of ours or of torch Transformers; fields that are not known are left out.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it is no such file.
        """
        path = Path(json_path)
        found = durable.resolve(path.parent, path.name)
        if found is None:
            raise FileNotFoundError(f"{path}: there is no such file; a checkpoint folder has one")
        known = {field.name for field in dataclasses.fields(cls)}
        try:
            read = json.loads(found.read_text())
            return cls(**{name: value for name, value in read.items() if name in known})
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{path} is no state of a run ({error}): resume from an earlier checkpoint") from None


@dataclasses.dataclass
class TrainerControl(ExportableState):
    """What the run is to do next. The run lowers what it has done."""

    should_training_stop: bool = False
    should_epoch_stop: bool = False
    should_save: bool = False
    should_evaluate: bool = False
    should_log: bool = False

    def state(self) -> dict[str, Any]:
        """As of `ExportableState`."""
        return {"args": dataclasses.asdict(self), "attributes": {}}


def states_of(callbacks: Iterable[Any]) -> dict[str, Any]:
    """States of those that have one, by the name of the class; of several of a class a list."""
    found: dict[str, list[Any]] = {}
    for callback in callbacks:
        if hasattr(callback, "state") and hasattr(callback, "from_state"):
            found.setdefault(type(callback).__name__, []).append(callback.state())
    return {name: states[0] if len(states) == 1 else states for name, states in found.items()}


def _number(value: Any) -> Any:
    """A number of numpy or jax as Python's."""
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return value.item()
    raise TypeError(f"trainer_state.json cannot hold {value!r:.60}: log plain numbers and texts")
