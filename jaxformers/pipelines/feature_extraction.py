"""Feature extraction: a vector for every token of a text."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..config import Config
from ..layers.inputs import Inputs
from ..tokenizers import Tokenizer
from . import text
from .task import Extra, Forward, Row, Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What users may say.

    truncation: for the tokenizer. tokenize_kwargs: further settings for it.
    return_tensors: give arrays [1, tokens, dim] instead of nested lists.
    """

    truncation: bool | str | None = None
    tokenize_kwargs: Mapping[str, Any] | None = None
    return_tensors: bool = False

    def __post_init__(self) -> None:
        if self.truncation is not None and "truncation" in text.settings(self.tokenize_kwargs, "tokenize_kwargs"):
            raise ValueError("truncation is given twice, by itself and in tokenize_kwargs: leave one out")

    @property
    def settings(self) -> dict[str, Any]:
        """What the tokenizer is called with."""
        return {"truncation": self.truncation, **text.settings(self.tokenize_kwargs, "tokenize_kwargs")}


def rows(items: Sequence[Any], tokenizer: Tokenizer, options: Options, longest: int) -> list[list[Row]]:
    """One row a text."""
    return text.rows(items, tokenizer, TASK.name, options.settings, longest)


def compute(forward: Forward, inputs: Inputs, extra: Extra) -> jax.Array:
    """Hidden states [N, T, D]; of a model with a head its first result."""
    return forward(inputs)[0].astype("float32")


def answer(item: Any, results: Sequence[tuple[Row, np.ndarray]], options: Options, config: Config) -> Any:
    """[1, tokens, dim]: the text's own tokens, without padding. Of a model that scores whole texts [1, labels]."""
    ((row, states),) = results
    own = states[None, : len(row)] if states.ndim == 2 else states[None]
    return own if options.return_tensors else own.tolist()


def shorter(options: Options, longest: int) -> str:
    """What to do about a text that is too long."""
    if text.cuts(options.settings):
        return f"lower max_length in tokenize_kwargs to {longest}"
    return "pass truncation=True" + (" in tokenize_kwargs" if "truncation" in (options.tokenize_kwargs or {}) else "")


def asked(options: Options) -> int | None:
    """The tokens of a text, where the caller says so."""
    return options.settings.get("max_length")


TASK = Task("feature-extraction", None, Options, rows, compute, answer, shorter=shorter, asked=asked, packs=True)
