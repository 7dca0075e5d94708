"""The object that `pipeline()` gives: a task, a model and a tokenizer, called with texts."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import jax

from .. import durable, runtime
from ..bundle import Model
from ..tokenizers import Tokenizer
from . import inputs as reading
from . import task as tasks
from .engine import Engine

_WORTH_A_BAR = 100  # inputs


class Pipeline:
    """Texts in, answers out; made by `pipeline()`. One object may be called from several threads.

    A string (or dict) gives one answer, a list gives a list in its order, and anything else that can be iterated gives
    an iterator that reads and answers as it goes.
    """

    def __init__(
        self, task: tasks.Task, model: Model, tokenizer: Tokenizer, options: Any, batch_size: int | None = None
    ) -> None:
        self.task = task.name
        self.model = model
        self.tokenizer = tokenizer
        self._task = task
        self._options = task.settle(options, model, tokenizer)
        self._batch_size = _checked(batch_size)

    def __getstate__(self) -> dict[str, Any]:
        """What it was made of, for `pickle` and `copy`: a process that gets it prepares the weights for itself."""
        return {name: value for name, value in vars(self).items() if name != "_engine"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """A pipeline in another process, or a copy, with the compilation cache that one made here has."""
        runtime.enable_cache()
        vars(self).update(state)

    def __repr__(self) -> str:
        return f"Pipeline({self.task!r}, {self.model!r})"

    @property
    def device(self) -> jax.Device:
        """The first device that the model's weights lie on."""
        return min(jax.tree.leaves(self.model.params)[0].devices(), key=lambda device: device.id)

    def __call__(
        self, *inputs: Any, batch_size: int | None = None, num_workers: int | None = None, **options: Any
    ) -> Any:
        """Answer one input, a list of them, or an iterator of them.

        Args:
            *inputs: see the class; several are as if they stood in one list, unless the task reads them otherwise.
            batch_size: the most rows of a batch; without it as the pipeline was made, or as many as is fast.
            num_workers: accepted, without effect.
            **options: the task's, in place of those of the pipeline.

        Raises:
            ValueError: an input is bad or too long, or an option has an impossible value.
            TypeError: an unknown option, or inputs of a kind that cannot be read.
        """
        given, options = self._task.read(inputs, options)
        return self._answered(self._task, given, options, batch_size)

    predict = __call__
    transform = __call__

    def save_pretrained(self, folder: str | Path, **options: Any) -> None:
        """Write the model, the tokenizer and what else the task reads into a folder that `pipeline` and torch load.

        All of it replaces what was there, or, where the save fails or is killed, none of it. Options that the pipeline
        was made with are not written.
        """
        model, tokenizer = self.model.writer(**options), self.tokenizer.writer()
        with durable.Replacement(folder) as files:
            model(files)
            tokenizer(files)
            tidy = self._write_beside(files)
        tidy()

    def _write_beside(self, files: durable.Replacement) -> Callable[[], None]:
        """Add to a save what stands beside model and tokenizer; returns what to do when it is done."""
        return _nothing

    def _answered(
        self,
        task: tasks.Task,
        given: Any,
        options: Mapping[str, Any],
        batch_size: int | None = None,
        bar: bool | None = None,
    ) -> Any:
        """What a task answers to what `inputs` calls one, a list or a stream.

        options: those that differ from the pipeline's. bar: whether to show progress through a list; None: where
        someone watches and it takes a while.
        """
        chosen = tasks.changed(self._options, task, options)
        task.check(chosen)
        most_rows = _checked(self._batch_size if batch_size is None else batch_size)
        engine = dataclasses.replace(self._engine, task=task, most_rows=most_rows)
        kind = reading.kind(given)
        if kind is reading.Kind.ONE:
            return task.single(engine.one(given, chosen), given, chosen)
        answers = engine.stream(reading.each(given), chosen, sized=kind is reading.Kind.LIST)
        if kind is reading.Kind.STREAM:
            return answers
        try:
            return list(_with_bar(answers, len(given), bar))
        finally:
            answers.close()

    @cached_property
    def _engine(self) -> Engine:
        params = self._task.params(self.model, self.tokenizer)
        return Engine(self._task, self.model, params, self.tokenizer, self.device.platform)


def _nothing() -> None:
    """Nothing is left to do."""


def _checked(batch_size: int | None) -> int | None:
    if batch_size is None or (isinstance(batch_size, int) and batch_size >= 1):
        return batch_size
    raise ValueError(f"batch_size={batch_size!r}: how many rows, 1 or more")


def device_named(asked: str | int | jax.Device) -> jax.Device:
    """The device that a caller means: "cpu", "gpu:1", a number (-1 is the CPU) or itself.

    Raises:
        ValueError: it is not here; the message lists those that are.
    """
    if isinstance(asked, jax.Device):
        return asked
    try:
        if isinstance(asked, int):
            return jax.devices("cpu")[0] if asked < 0 else jax.devices()[asked]
        platform, _, number = str(asked).partition(":")
        return jax.devices("gpu" if platform == "cuda" else platform)[int(number or 0)]
    except (RuntimeError, IndexError, ValueError):
        have = ", ".join(f"{device.platform}:{device.id}" for device in jax.devices())
        raise ValueError(f"device={asked!r} is not here; there are {have}") from None


def _with_bar(answers: Iterator[Any], count: int, asked: bool | None) -> Iterator[Any]:
    """The answers, with a progress bar if asked, or where someone watches and it takes a while."""
    if not (count >= _WORTH_A_BAR and sys.stderr.isatty() if asked is None else asked):
        return answers
    from tqdm.auto import tqdm

    return iter(tqdm(answers, total=count, unit=" texts"))
