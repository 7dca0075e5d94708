"""What is called while a run goes on, and may steer it: callbacks with torch's events.

Callbacks are the host's: they read and change `TrainerState` and `TrainerControl`, never what is compiled.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import tqdm

from .arguments import TrainingArguments
from .run_state import ExportableState, TrainerControl, TrainerState

logger = logging.getLogger(__name__)


# -- callbacks --------------------------------------------------------------------------------------------------------


class TrainerCallback:
    """What is called at the events of a run: derive from it, and override those that are wanted.

    Each gets `args, state, control` and by keyword what there is of: model, processing_class, optimizer, lr_scheduler,
    train_dataloader, eval_dataloader; metrics of `on_evaluate` and `on_predict`, logs of `on_log`. A `TrainerControl`
    that is returned takes the place of the one that was given.

    A step is one compiled program, with the parts of a batch inside (`gradient_accumulation_steps`): `on_substep_end`
    is not called, and `on_pre_optimizer_step` and `on_optimizer_step` are just before and after the whole step.
    """

    def on_init_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """The Trainer is made."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Training begins."""

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Training is at its end."""

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """An epoch begins."""

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """An epoch is at its end."""

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """A step begins."""

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """The compiled step is about to be called."""

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """The compiled step was called; `state.global_step` is still that of before."""

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Never called: see above."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """A step is made."""

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """An evaluation is made, `metrics`."""

    def on_predict(self, args: Any, state: Any, control: Any, metrics: Any, **kwargs: Any) -> Any:
        """A prediction is made, `metrics`."""

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """A checkpoint is saved."""

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Something is logged, `logs`."""

    def on_prediction_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """A batch of evaluation or prediction is computed."""

    def on_push_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """Files are about to go to the Hub."""


EVENTS = frozenset(name for name in vars(TrainerCallback) if name.startswith("on_"))


class CallbackHandler:
    """The callbacks of a run, in their order.

    Args:
        callbacks: instances, or classes, of which one is made without arguments.
        model: what callbacks get by this name, as of the others.
        processing_class: likewise.
        optimizer: likewise.
        lr_scheduler: likewise.

    Attributes:
        train_dataloader, eval_dataloader: likewise, set when there are some.
    """

    _LOWERED: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "on_train_begin": ("should_training_stop",),
        "on_epoch_begin": ("should_epoch_stop",),
        "on_step_begin": ("should_log", "should_evaluate", "should_save"),
        "on_evaluate": ("should_evaluate",),
        "on_save": ("should_save",),
        "on_log": ("should_log",),
    }

    def __init__(
        self,
        callbacks: Sequence[Any],
        model: Any = None,
        processing_class: Any = None,
        optimizer: Any = None,
        lr_scheduler: Any = None,
    ) -> None:
        self.model, self.processing_class = model, processing_class
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.train_dataloader: Any = None
        self.eval_dataloader: Any = None
        self.callbacks: list[Any] = []
        for callback in callbacks:
            self.add_callback(callback)

    def add_callback(self, callback: Any) -> None:
        """Add one at the end.

        Raises:
            TypeError: it is no callback.
        """
        made = callback() if inspect.isclass(callback) else callback
        if not callable(getattr(made, "on_step_end", None)):
            raise TypeError(f"{made!r:.80} is no callback: derive its class from TrainerCallback")
        if type(made) in map(type, self.callbacks):
            logger.warning("a second %s is called as well as the first: %s", type(made).__name__, self.callback_list)
        self.callbacks.append(made)

    def pop_callback(self, callback: Any) -> Any:
        """Take out one, or the first of a class, and return it; None where there is none."""
        is_it = isinstance if inspect.isclass(callback) else lambda own, given: own is given
        found = next((own for own in self.callbacks if is_it(own, callback)), None)
        self.callbacks = [own for own in self.callbacks if own is not found]
        return found

    def remove_callback(self, callback: Any) -> None:
        """Take out one, or the first of a class, where there is one."""
        self.pop_callback(callback)

    @property
    def callback_list(self) -> str:
        """Names of the classes, a line each."""
        return "\n".join(type(callback).__name__ for callback in self.callbacks)

    def call_event(
        self, event: str, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """Call all at an event ("on_log").

        What the event is the answer to is lowered before: `should_log` of "on_log", all three at "on_step_begin".

        Raises:
            ValueError: there is no such event.
            TypeError: a callback returned something else than a control.
        """
        if event not in EVENTS:
            raise ValueError(f"no event is called {event!r}: there are {', '.join(sorted(EVENTS))}")
        for flag in self._LOWERED.get(event, ()):
            setattr(control, flag, False)
        given = {name: own for name, own in vars(self).items() if name != "callbacks"} | kwargs
        for callback in self.callbacks:
            returned = getattr(callback, event)(args, state, control, **given)
            if returned is None:
                continue
            if not hasattr(returned, "should_training_stop"):
                raise TypeError(f"{type(callback).__name__}.{event} returned {returned!r:.60}: return control, or None")
            control = returned
        return control

    def restore(self, states: Mapping[str, Any]) -> None:
        """Put callbacks where a run stood whose `stateful_callbacks` these are; those without a state stay."""
        left = {name: list(saved) if isinstance(saved, list) else [saved] for name, saved in states.items()}
        for i, callback in enumerate(self.callbacks):
            if hasattr(callback, "from_state") and left.get(type(callback).__name__):
                self.callbacks[i] = type(callback).from_state(left[type(callback).__name__].pop(0))


class DefaultFlowCallback(TrainerCallback):
    """When there are logs, evaluations and saves, by the arguments, and when a run has made all steps."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """By the number of the step."""
        step = state.global_step
        if (step == 1 and args.logging_first_step) or _is_due(args.logging_strategy, step, state.logging_steps):
            control.should_log = True
        if _is_due(args.eval_strategy, step, state.eval_steps) and step >= args.eval_delay:
            control.should_evaluate = True
        if _is_due(args.save_strategy, step, state.save_steps):
            control.should_save = True
        if step >= state.max_steps:
            control.should_training_stop = True
            if args.save_strategy == "steps":
                control.should_save = True
        return control

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """What is wanted once an epoch."""
        if args.logging_strategy == "epoch":
            control.should_log = True
        if args.eval_strategy == "epoch" and (state.epoch or 0) >= args.eval_delay:
            control.should_evaluate = True
        if args.save_strategy == "epoch":
            control.should_save = True
        return control


def _is_due(strategy: str, step: int, every: int) -> bool:
    return strategy == "steps" and every > 0 and step % every == 0


class EarlyStoppingCallback(TrainerCallback, ExportableState):
    """Stops a run after so many evaluations in a row that are not better than the best before.

    Args:
        early_stopping_patience: how many.
        early_stopping_threshold: by how much a metric must be better to count.

    Raises:
        ValueError: the patience is below 1, or the threshold below 0.
    """

    def __init__(self, early_stopping_patience: int = 1, early_stopping_threshold: float | None = 0.0) -> None:
        threshold = early_stopping_threshold or 0.0
        if early_stopping_patience < 1 or threshold < 0:
            raise ValueError(
                f"early_stopping_patience={early_stopping_patience}, early_stopping_threshold={threshold}: expected 1 "
                "evaluation or more, and a number of 0 or more"
            )
        self.early_stopping_patience, self.early_stopping_threshold = early_stopping_patience, threshold
        self.early_stopping_patience_counter = 0

    def on_train_begin(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        """Whether it can know.

        Raises:
            ValueError: there is no evaluation, or no metric is named.
        """
        if args.eval_strategy == "no" or args.metric_for_best_model is None:
            raise ValueError(
                "EarlyStoppingCallback goes by evaluations: set eval_strategy to 'steps' or 'epoch', and "
                "metric_for_best_model"
            )
        if not args.load_best_model_at_end:
            logger.warning("early stopping without load_best_model_at_end=True: the run ends with the last model")

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Count. `state.best_metric` is that of the evaluations before this one."""
        name = metric_name(args)
        value = (metrics or {}).get(name)
        if value is None:
            logger.warning("early stopping goes by %s, which this evaluation has not: %s", name, list(metrics or {}))
            return
        is_better = better(args, value, state.best_metric, self.early_stopping_threshold)
        self.early_stopping_patience_counter = 0 if is_better else self.early_stopping_patience_counter + 1
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True

    def state(self) -> dict[str, Any]:
        """As of `ExportableState`."""
        return {
            "args": {
                "early_stopping_patience": self.early_stopping_patience,
                "early_stopping_threshold": self.early_stopping_threshold,
            },
            "attributes": {"early_stopping_patience_counter": self.early_stopping_patience_counter},
        }


def metric_name(args: TrainingArguments) -> str:
    """What metrics call the one that says which model is the best."""
    name = args.metric_for_best_model or "loss"
    return name if name.startswith("eval_") else f"eval_{name}"


def better(args: TrainingArguments, value: float, best: float | None, margin: float = 0.0) -> bool:
    """Whether a value of the metric is better than the best before, by more than a margin."""
    if best is None:
        return True
    gain = value - best if args.greater_is_better else best - value
    return gain > margin


# -- on the screen ----------------------------------------------------------------------------------------------------


class ProgressCallback(TrainerCallback):
    """Bars of the steps and of the batches of an evaluation, and what is logged, on the first process.

    Args:
        max_str_len: characters of a value that is written.
    """

    _BESIDE: ClassVar[Mapping[str, str]] = {
        "loss": "loss",
        "learning_rate": "rate",
        "tokens_per_second": "tokens/s",
        "model_flops_utilization": "utilization",
    }

    def __init__(self, max_str_len: int = 100) -> None:
        self.max_str_len = max_str_len
        self.training_bar: Any = None
        self.prediction_bar: Any = None

    def on_train_begin(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """Begin, at the step from which a run goes on."""
        if state.is_world_process_zero:
            self.training_bar = tqdm.tqdm(total=state.max_steps, initial=state.global_step, dynamic_ncols=True)

    def on_step_end(self, args: Any, state: TrainerState, control: Any, **kwargs: Any) -> None:
        """A step more."""
        if self.training_bar is not None:
            self.training_bar.update(state.global_step - self.training_bar.n)

    def on_prediction_step(
        self, args: Any, state: TrainerState, control: Any, eval_dataloader: Any = None, **kwargs: Any
    ) -> None:
        """A batch more."""
        if not state.is_world_process_zero:
            return
        if self.prediction_bar is None:
            total = len(eval_dataloader) if hasattr(eval_dataloader, "__len__") else None
            self.prediction_bar = tqdm.tqdm(total=total, leave=self.training_bar is None, dynamic_ncols=True)
        self.prediction_bar.update(1)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the bar of batches."""
        if self.prediction_bar is not None:
            self.prediction_bar.close()
            self.prediction_bar = None

    def on_predict(self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any) -> None:
        """End the bar of batches."""
        self.on_evaluate(args, state, control)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Write it above the bar, and beside the bar what says how well it goes."""
        if self.training_bar is None:
            return
        self.training_bar.write(str({name: self._short(value) for name, value in _written(logs).items()}))
        beside = {said: logs[name] for name, said in self._BESIDE.items() if name in (logs or {})}
        if beside:
            self.training_bar.set_postfix(beside)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End the bar of steps."""
        if self.training_bar is not None:
            self.training_bar.close()
            self.training_bar = None

    def _short(self, value: Any) -> Any:
        return f"[{len(value)} characters]" if isinstance(value, str) and len(value) > self.max_str_len else value


class PrinterCallback(TrainerCallback):
    """Prints what is logged, where there is no bar."""

    def on_log(self, args: Any, state: TrainerState, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Print it."""
        if state.is_local_process_zero:
            print(_written(logs))


def _written(logs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Logs without the sum of operations, which says little to readers."""
    return {name: value for name, value in (logs or {}).items() if name != "total_flos"}
