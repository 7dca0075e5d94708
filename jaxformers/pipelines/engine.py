"""From inputs to answers: read lazily, group rows by length, run batches of few shapes, answer in order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from ..batch import FIELDS
from ..bundle import Model
from ..config import Config
from ..layers.inputs import Inputs
from ..tokenizers import Tokenizer
from . import shapes, workers
from .shapes import Batch
from .task import Row, Task

_WINDOW = 1024  # inputs that are sorted together: more would pad no less, and hold more results


@partial(jax.jit, static_argnums=(0, 1))
def jaxformers_task(compute: Callable[..., Any], cls: type[Model], params: Any, config: Config, inputs: Inputs) -> Any:
    """The one compiled entry of all pipelines. Labels and options are in no key: fine-tunes share their programs."""
    return compute(partial(cls.forward, params, config), inputs)


@dataclasses.dataclass(frozen=True)
class Engine:
    """A task on a model.

    params: the model's, prepared for speed. most_rows: the caller's hint for rows a batch.
    """

    task: Task
    model: Model
    params: Any
    tokenizer: Tokenizer
    platform: str
    most_rows: int | None = None

    def one(self, item: Any, options: Any) -> Any:
        """The answer of one input, in this thread."""
        (rows,) = self._rows([item], options)
        batches = shapes.plan([len(row) for row in rows], self.steps, shapes.token_budget(self.platform))
        results: list[Any] = [None] * len(rows)
        for batch in batches:
            self._land(batch, np.asarray(self._launch(rows, batch)), rows, results)
        return self.task.answer(item, results, options, self.model.config)

    def stream(self, items: Iterator[Any], options: Any, *, sized: bool) -> Iterator[Any]:
        """The answers of many inputs, in their order. An error of one input is raised when its turn comes."""
        place = 0
        for window in shapes.windows(items, sized, _WINDOW):
            owned = self._rows_or_errors(window, options)
            rows = [row for own in owned if not isinstance(own, Exception) for row in own]
            results: list[Any] = [None] * len(rows)
            running = self._run(rows, results)
            try:
                start = 0
                for item, own in zip(window, owned, strict=True):
                    if isinstance(own, Exception):
                        raise type(own)(f"input {place}: {own}") from own
                    end = start + len(own)
                    while any(result is None for result in results[start:end]):
                        next(running)
                    yield self.task.answer(item, results[start:end], options, self.model.config)
                    results[start:end] = [None] * len(own)  # answered: a long list's arrays need not all be kept
                    start, place = end, place + 1
            finally:
                running.close()

    @property
    def longest(self) -> int:
        """The most tokens in a row that the model takes."""
        return int(getattr(self.model.config, "max_position_embeddings", 1 << 20))

    @property
    def steps(self) -> list[int]:
        """The lengths to which rows are padded."""
        return shapes.lengths(self.longest)

    def _rows(self, items: Sequence[Any], options: Any) -> list[list[Row]]:
        owned = self.task.rows(items, self.tokenizer, options)
        for row in (row for own in owned for row in own):
            if len(row) > self.longest:
                raise ValueError(f"{len(row)} tokens, the model takes {self.longest}: pass truncation=True")
            if len(row) == 0:
                raise ValueError("no tokens: the text is empty, and the tokenizer adds no special tokens")
        return owned

    def _rows_or_errors(self, items: Sequence[Any], options: Any) -> list[list[Row] | Exception]:
        """The rows of each input, or what is wrong with it."""
        try:
            return list(self._rows(items, options))
        except (ValueError, TypeError, KeyError) as error:
            if len(items) == 1:
                return [error]
        half = len(items) // 2  # few inputs are bad: halving finds them in few calls
        return self._rows_or_errors(items[:half], options) + self._rows_or_errors(items[half:], options)

    def _run(self, rows: Sequence[Row], results: list[Any]) -> Generator[None, None, None]:
        """Fill in results as batches finish."""
        batches = shapes.plan(
            [len(row) for row in rows], self.steps, shapes.token_budget(self.platform), self.most_rows
        )
        launched = workers.run(
            batches, partial(self._launch, rows), lambda batch: (batch.rows, batch.length), self.platform
        )
        for batch, arrays in launched:
            self._land(batch, arrays, rows, results)
            yield

    def _launch(self, rows: Sequence[Row], batch: Batch) -> Any:
        inputs = pack([rows[i] for i in batch.places], batch, self.tokenizer.pad_token_id or 0, self.model.accepts)
        return jaxformers_task(self.task.compute, type(self.model), self.params, self.model.config.bare(), inputs)

    @staticmethod
    def _land(batch: Batch, arrays: np.ndarray, rows: Sequence[Row], results: list[Any]) -> None:
        for j, place in enumerate(batch.places):
            results[place] = (rows[place], arrays[j])


def pack(rows: Sequence[Row], batch: Batch, pad: int, accepts: Sequence[str]) -> Inputs:
    """Rows of one batch, padded on the right to its shape; empty rows see one padding token."""
    arrays: dict[str, Any] = {}
    for name in rows[0].fields:
        if name in accepts:
            array = np.full((batch.rows, batch.length), pad if name == "input_ids" else 0, np.int32)
            for j, row in enumerate(rows):
                array[j, : len(row)] = row.fields[name]
            arrays[FIELDS[name]] = array
    mask = np.arange(batch.length) < np.array([len(row) for row in rows] + [1] * (batch.rows - len(rows)))[:, None]
    return Inputs(**arrays | {"mask": mask})
