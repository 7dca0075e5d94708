"""Text classification: which of the model's labels a text, or a pair of texts, has, and how surely."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Literal

import jax
import numpy as np

from ..config import Config
from ..layers.inputs import Inputs
from ..tokenizers import Tokenizer
from . import text
from .task import Extra, Forward, Row, Task

_FUNCTIONS = ("softmax", "sigmoid", "none", "default")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What users may say.

    top_k: how many labels, best first; None: all. "best": the best alone, and not in a list of its own.
    return_all_scores: the older way to ask for all labels, in the model's order.
    function_to_apply: "softmax", "sigmoid" or "none"; None or "default": by the config (problem_type, num_labels).
    truncation, max_length, padding, add_special_tokens: for the tokenizer.
    """

    top_k: int | Literal["best"] | None = "best"
    return_all_scores: bool | None = None
    function_to_apply: str | None = None
    truncation: bool | str | None = None
    max_length: int | None = None
    padding: bool | str | None = None
    add_special_tokens: bool = True

    def __post_init__(self) -> None:
        if self.top_k not in ("best", None) and (not isinstance(self.top_k, int) or self.top_k < 1):
            raise ValueError(f"top_k={self.top_k!r}: how many labels, 1 or more, or None for all")
        if self.function_to_apply is not None and str(self.function_to_apply).lower() not in _FUNCTIONS:
            raise ValueError(f"function_to_apply={self.function_to_apply!r}: one of {', '.join(_FUNCTIONS)}")

    @property
    def nested(self) -> bool:
        """Whether each text's answer is a list."""
        return self.top_k != "best" or bool(self.return_all_scores)


def rows(items: Sequence[Any], tokenizer: Tokenizer, options: Options, longest: int) -> list[list[Row]]:
    """One row a text, or a pair of texts."""
    settings = {
        "truncation": options.truncation,
        "max_length": options.max_length,
        "add_special_tokens": options.add_special_tokens,
    }
    return text.rows([_unwrapped(item) for item in items], tokenizer, TASK.name, settings, longest)


def _unwrapped(item: Any) -> Any:
    """The pair of the older spelling [[text, pair]] as a dict; anything else as it is."""
    match item:
        case [[str(first), str(second)]]:
            return {"text": first, "text_pair": second}
    return item


def compute(forward: Forward, inputs: Inputs, extra: Extra) -> jax.Array:
    """Scores [N, num_labels] before any function."""
    return forward(inputs)["logits"].astype("float32")


def answer(item: Any, results: Sequence[tuple[Row, np.ndarray]], options: Options, config: Config) -> Any:
    """`{label, score}` of the best label, or a list of them."""
    ((_, logits),) = results
    scores = _apply(function(options, config), logits.astype(np.float64))
    if options.return_all_scores and options.top_k == "best":
        order = np.arange(len(scores))
    else:
        best = 1 if options.top_k == "best" else options.top_k
        order = np.argsort(-scores, kind="stable")[:best]
    names = config.id2label
    labels = [{"label": names[int(i)], "score": float(scores[i])} for i in order]
    return labels if options.nested else labels[0]


def single(answer: Any, item: Any, options: Options) -> Any:
    """One string gives a list; one dict gives what it would give within a list."""
    if isinstance(item, Mapping) or (options.nested and not options.return_all_scores):
        return answer
    return [answer]


def function(options: Options, config: Config) -> str:
    """The function that turns the model's scores into the user's."""
    asked = str(options.function_to_apply or "default").lower()
    if asked != "default":
        return asked
    if config.problem_type == "regression":
        return "none"
    if config.problem_type == "multi_label_classification" or config.num_labels == 1:
        return "sigmoid"
    if config.problem_type == "single_label_classification" or config.num_labels > 1:
        return "softmax"
    return getattr(config, "function_to_apply", None) or "none"


def shorter(options: Options, longest: int) -> str:
    """What to do about a text that is too long."""
    return f"lower max_length to {longest}" if text.cuts({"truncation": options.truncation}) else "pass truncation=True"


def _apply(name: str, logits: np.ndarray) -> np.ndarray:
    if name == "softmax":
        odds = np.exp(logits - logits.max())
        return odds / odds.sum()
    if name == "sigmoid":
        return np.exp(-np.logaddexp(0.0, -logits))
    return logits


TASK = Task(
    "text-classification",
    "SequenceClassification",
    Options,
    rows,
    compute,
    answer,
    single,
    shorter=shorter,
    asked=attrgetter("max_length"),
    packs=True,
)
