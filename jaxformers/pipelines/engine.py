"""From inputs to answers: read lazily, group rows by length, run batches of few shapes, answer in order."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from ..batch import FIELDS, bounds
from ..bundle import Model
from ..config import Config
from ..layers.inputs import Inputs
from ..parallel import explicit
from ..runtime import Surroundings, note_shapes, report
from ..tokenizers import Tokenizer
from . import shapes, workers
from .shapes import Batch
from .task import MissingKey, Row, Task

_WINDOW = 1024  # inputs of a list that are sorted together: more would pad no less, and hold more results


@partial(jax.jit, static_argnums=(0, 1, 2))
def jaxformers_task(
    compute: Callable[..., Any],
    static: tuple[int, ...],
    cls: type[Model],
    params: Any,
    config: Config,
    inputs: Inputs,
    extra: Mapping[str, jax.Array],
) -> Any:
    """The one compiled entry of all pipelines. Labels and options are in no key: fine-tunes share their programs."""
    note_shapes(inputs)
    return compute(partial(cls.forward, params, config), inputs.separated(), extra, *static)


class Answers(Iterator[Any]):
    """Answers in the order of the inputs. What is wrong with an input is raised at its turn, and the next goes on."""

    def __init__(self, each: Generator[Any, None, None]) -> None:
        self._each = each

    def __next__(self) -> Any:
        answer = next(self._each)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Read and compute no further."""
        self._each.close()


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
        results: list[Any] = [None] * len(rows)
        if self.task.drive is not None:
            deque(self._driven(rows, [0] * len(rows), options, results, Surroundings.here()), maxlen=0)
        else:
            for batch in self._plan(rows):
                _land(batch, jax.tree.map(np.asarray, self._launch(rows, options, batch)), rows, results)
        report()
        return self.task.answer(item, results, options, self.model.config)

    def stream(self, items: Iterable[Any], options: Any, *, sized: bool) -> Answers:
        """The answers of many inputs, in their order, computed with jax's settings as they are now and here."""
        return Answers(self._each(items, options, sized, Surroundings.here()))

    def _each(
        self, items: Iterable[Any], options: Any, sized: bool, surroundings: Surroundings
    ) -> Generator[Any, None, None]:
        """The answer of each input, or an error where it is bad."""
        place = 0
        for window in shapes.windows(items, sized, _WINDOW if sized else self.task.window):
            owned = self._rows_or_errors(window, options)
            rows = [row for own in owned if not isinstance(own, Exception) for row in own]
            results: list[Any] = [None] * len(rows)
            numbers = [place + i for i, own in enumerate(owned) if not isinstance(own, Exception) for _ in own]
            run = partial(self._run, rows) if self.task.drive is None else partial(self._driven, rows, numbers)
            running = run(options, results, surroundings)
            try:
                start = 0
                for item, own in zip(window, owned, strict=True):
                    if isinstance(own, Exception):
                        yield _placed(own, place)
                    else:
                        end = start + len(own)
                        while any(result is None for result in results[start:end]):
                            next(running)
                        yield self.task.answer(item, results[start:end], options, self.model.config)
                        results[start:end] = [None] * len(own)  # answered: a long list's arrays need not all be kept
                        start = end
                    place += 1
            finally:
                running.close()
            report()

    def longest(self, options: Any) -> int:
        """The most tokens in a row: as many as the model has positions; where these have no end, what is asked for, or
        the tokenizer says.
        """
        config = self.model.config
        if config.longest_row is not None:
            return config.longest_row
        if self.task.asked(options) is not None:
            return shapes.ENDLESS
        most = min(self.tokenizer.model_max_length, shapes.ENDLESS)
        return min(most, config.promised_row or most) if self.task.promised else most

    @property
    def steps(self) -> list[int]:
        """The lengths to which rows are padded."""
        return shapes.lengths(self.model.config.longest_row or shapes.ENDLESS)

    def _rows(self, items: Sequence[Any], options: Any) -> list[list[Row]]:
        owned = self.task.rows(items, self.tokenizer, options, self.longest(options))
        for own in owned:
            if fault := self._fault(own, options):
                raise fault
        return owned

    def _fault(self, own: Sequence[Row], options: Any) -> ValueError | None:
        """What is wrong with the rows of one input: what a call of the model would refuse."""
        longest = self.longest(options)
        for row in own:
            if len(row) > longest:
                advice = self.task.shorter(options, longest)
                return ValueError(f"{len(row)} tokens, the model takes {longest}: {advice}")
            self.model.config.warn_of_row(len(row))
            if len(row) == 0:
                return ValueError("no tokens: the text is empty, and the tokenizer adds no special tokens")
            for name, bound in bounds(type(self.model), self.model.config).items():
                numbers = row.fields.get(name) if name in self.model.accepts else None
                if numbers and bound is not None and not 0 <= min(numbers) <= max(numbers) < bound:
                    return _outside(name, numbers, bound)
            if row.asked and max(row.asked) >= self.model.config.vocab_size:
                return _outside("input_ids", row.asked, self.model.config.vocab_size)
        return None

    def _rows_or_errors(self, items: Sequence[Any], options: Any) -> list[list[Row] | Exception]:
        """The rows of each input, or what is wrong with it."""
        try:
            owned = self.task.rows(items, self.tokenizer, options, self.longest(options))
            return [self._fault(own, options) or own for own in owned]
        except (ValueError, TypeError, KeyError) as error:
            if len(items) == 1:
                return [error]
        half = len(items) // 2  # few inputs are bad: halving finds them in few calls
        return self._rows_or_errors(items[:half], options) + self._rows_or_errors(items[half:], options)

    def _run(
        self, rows: Sequence[Row], options: Any, results: list[Any], surroundings: Surroundings
    ) -> Generator[None, None, None]:
        """Fill in results as batches finish."""
        worth = sum(map(len, rows)) > shapes.token_budget(self.platform)  # what is one batch anyway gains nothing
        batches = self._plan(rows, pack=worth and self.task.packs and self.model.packs)
        launched = workers.run(
            batches,
            partial(self._launch, rows, options),
            lambda batch: (batch.rows, batch.length),
            self.platform,
            surroundings,
        )
        for batch, arrays in launched:
            _land(batch, arrays, rows, results)
            yield

    def _driven(
        self,
        rows: Sequence[Row],
        numbers: Sequence[int],
        options: Any,
        results: list[Any],
        surroundings: Surroundings,
    ) -> Generator[None, None, None]:
        """Fill in results as the task's own loop makes them."""
        assert self.task.drive is not None
        made = self.task.drive(self, rows, numbers, options)
        while True:
            with surroundings.entered(), explicit.automatic():
                place, result = next(made, (None, None))
            if place is None:
                return
            results[place] = (rows[place], result)
            yield

    def _plan(self, rows: Sequence[Row], *, pack: bool = False) -> list[Batch]:
        budget, exact = shapes.token_budget(self.platform), not self.model.neutral
        return shapes.plan([len(row) for row in rows], self.steps, budget, self.most_rows, pack=pack, exact=exact)

    def _launch(self, rows: Sequence[Row], options: Any, batch: Batch) -> Any:
        pad = max(self.model.config.pad_token_id or 0, 0)  # a tokenizer's own may be none of the model's words
        inputs = laid_out(rows, batch, pad, self.model.accepts)
        extra: dict[str, Any] = {**beside(rows, batch), **explicit.to_automatic(self.task.arrays)}
        static = self.task.static(options, [rows[place] for places in batch.places for place in places])
        config = self.model.config.bare()
        assert self.task.compute is not None
        with explicit.automatic():
            return jaxformers_task(self.task.compute, static, type(self.model), self.params, config, inputs, extra)


def _outside(name: str, numbers: Sequence[int], bound: int) -> ValueError:
    """The error for numbers of a row that are not 0 to bound - 1."""
    place, number = next((i, number) for i, number in enumerate(numbers) if not 0 <= number < bound)
    if name == "input_ids":
        return ValueError(
            f"token {number} is none of the model's {bound}: the tokenizer belongs to another model, or has got words "
            "for which model.resize_token_embeddings(len(tokenizer)) makes rows"
        )
    more = ": the model was not made for pairs of texts" if name == "token_type_ids" else ""
    return ValueError(f"{name}[{place}] is {number}, allowed are 0 to {bound - 1}{more}")


def _placed(error: Exception, place: int) -> Exception:
    """The error with the place of the input that it speaks of, and of the same type."""
    placed: Exception
    if isinstance(error, KeyError):
        placed = MissingKey(f"input {place}: {error.args[0]}")
    else:
        kind = ValueError if isinstance(error, UnicodeError) else type(error)  # the former is made from five parts
        placed = kind(f"input {place}: {error}")
    placed.__cause__ = error
    return placed


def laid_out(rows: Sequence[Row], batch: Batch, pad: int, accepts: Sequence[str]) -> Inputs:
    """The texts of one batch in its rows, padded on the right to its shape; empty rows see one padding token."""
    shape = (batch.rows, batch.length)
    names = [name for name in rows[batch.places[0][0]].fields if name in accepts and name in FIELDS]
    arrays: dict[str, Any] = {
        FIELDS[name]: np.full(shape, pad if name == "input_ids" else 0, np.int32) for name in names
    }
    texts = np.zeros(shape, np.int32)
    starts = np.zeros(batch.texts, np.int32)
    for number, (place, r, start) in enumerate(batch.spots(list(map(len, rows)))):
        part = slice(start, start + len(rows[place]))
        for name in names:
            arrays[FIELDS[name]][r, part] = rows[place].fields[name]
        texts[r, part] = batch.places[r].index(place) + 1
        starts[number] = r * batch.length + start
    texts[len(batch.places) :, 0] = 1
    return Inputs(**arrays | ({"texts": texts, "starts": starts} if batch.packed else {"mask": texts != 0}))


def beside(rows: Sequence[Row], batch: Batch) -> dict[str, np.ndarray]:
    """What the texts of one batch have beside tokens: [B, T], or [B] or of packed rows [N]; zeros where none is."""
    arrays = {}
    for name, first in rows[batch.places[0][0]].extra.items():
        array = np.zeros(batch.texts if isinstance(first, int) else (batch.rows, batch.length), np.int32)
        for number, (place, row, start) in enumerate(batch.spots(list(map(len, rows)))):
            value = rows[place].extra[name]
            array[number if isinstance(value, int) else (row, slice(start, start + len(value)))] = value
        arrays[name] = array
    return arrays


def _land(batch: Batch, arrays: Any, rows: Sequence[Row], results: list[Any]) -> None:
    """Hand each text what the batch says of it: of arrays with an entry a row or a text its entry, and of those with
    an entry a token, where rows are packed, those of its own tokens.
    """
    for number, (place, row, start) in enumerate(batch.spots(list(map(len, rows)))):
        own = slice(start, start + len(rows[place]))
        take = lambda array: array[number] if len(array) == batch.texts else array[row, own]  # noqa: B023, E731
        results[place] = (rows[place], jax.tree.map(take, arrays))
