"""Zero-shot classification: which of the caller's labels fits a text, by a model that tells what follows from what.

The text is a premise and "This example is {label}." a hypothesis; the label whose hypothesis is entailed most surely
fits best (Yin et al. 2019, arXiv 1909.00161).
"""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ..config import Config
from ..tokenizers import Tokenizer
from . import text
from .task import Row, Task
from .text_classification import compute

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What users may say.

    candidate_labels: a list, or one string with commas between.
    hypothesis_template: a sentence with {} where the label belongs.
    multi_label: whether several labels may fit: each gets a probability of its own. multi_class: its older spelling.
    """

    candidate_labels: str | Sequence[str] | None = None
    hypothesis_template: str = "This example is {}."
    multi_label: bool = False
    multi_class: bool | None = None

    def __post_init__(self) -> None:
        if self.multi_class is not None:
            warnings.warn("multi_class is now called multi_label", FutureWarning, stacklevel=3)
            object.__setattr__(self, "multi_label", self.multi_class)
            object.__setattr__(self, "multi_class", None)
        if not _has_one_place(self.hypothesis_template):
            raise ValueError(
                f"hypothesis_template={self.hypothesis_template!r} has no place for the label: write {{}} into it, once"
            )
        if self.candidate_labels is not None and (
            not isinstance(self.candidate_labels, Collection)
            or not self.labels
            or not all(isinstance(label, str) for label in self.labels)
        ):
            raise ValueError(
                f"candidate_labels={self.candidate_labels!r}: at least one label, as a list of strings or in one "
                "string with commas between"
            )

    @property
    def labels(self) -> list[str]:
        """The labels one by one."""
        if isinstance(self.candidate_labels, str):
            return [label.strip() for label in self.candidate_labels.split(",") if label.strip()]
        listed = [] if self.candidate_labels is None else list(self.candidate_labels)
        return [str(label) if isinstance(label, str) else label for label in listed]  # a numpy.str_ is no JSON


def _has_one_place(template: Any) -> bool:
    """Whether a template takes a label, and nothing else."""
    try:
        return bool(template.format("x") != template.format("y"))
    except (AttributeError, LookupError, ValueError):  # no string, other places, braces that do not close
        return False


def read(given: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The texts; labels may come as the second argument."""
    for name, value in zip(("sequences", "candidate_labels"), given, strict=False):
        if name in options:
            raise TypeError(f"zero-shot-classification was given {name} twice: once by place and once by name")
        options = options | {name: value}
    if "sequences" not in options or len(given) > 2:
        raise ValueError("zero-shot-classification is called with (sequences, candidate_labels)")
    return options["sequences"], {name: value for name, value in options.items() if name != "sequences"}


def rows(items: Sequence[Any], tokenizer: Tokenizer, options: Options, longest: int) -> list[list[Row]]:
    """A row for each text and label; only the text is truncated."""
    labels = options.labels
    if not labels:
        raise ValueError("zero-shot-classification needs candidate_labels: a list, or a string with commas between")
    for item in items:
        if not isinstance(item, str) or not item:
            raise ValueError(f"zero-shot-classification takes texts that are not empty; found {item!r:.60}")
    premises = [str(item) for item in items for _ in labels]
    hypotheses = [options.hypothesis_template.format(label) for label in labels] * len(items)
    size = text.limit(tokenizer, longest)
    encoded = tokenizer(premises, hypotheses, truncation="only_first", max_length=size, verbose=False)
    flat = map(Row, text.fields(encoded))
    return [[next(flat) for _ in labels] for _ in items]


def answer(item: Any, results: Sequence[tuple[Row, np.ndarray]], options: Options, config: Config) -> Any:
    """`{sequence, labels, scores}`, best first."""
    logits = np.stack([scores for _, scores in results]).astype(np.float64)
    entails, contradicts = meanings(config)
    if options.multi_label or len(results) == 1:
        odds = np.exp(logits[:, [contradicts, entails]] - logits.max(-1, keepdims=True))
        scores = odds[:, 1] / odds.sum(-1)
    else:
        odds = np.exp(logits[:, entails] - logits[:, entails].max())
        scores = odds / odds.sum()
    order = np.argsort(-scores, kind="stable")
    return {
        "sequence": str(item),
        "labels": [options.labels[i] for i in order],
        "scores": [float(scores[i]) for i in order],
    }


def meanings(config: Config) -> tuple[int, int]:
    """Which of the model's scores say that the hypothesis follows, and that it cannot be true.

    By the names of its labels; where these say nothing the last, and the first or last other one.
    """
    names = {name.lower(): number for name, number in config.label2id.items()}
    entails = next((number for name, number in names.items() if name.startswith("entail")), None)
    if entails is None:
        logger.warning(
            "none of the labels %s starts with 'entail': the last is taken for it; set label2id in the config",
            list(config.label2id),
        )
        entails = config.num_labels - 1
    contradicts = next((number for name, number in names.items() if name.startswith("contra")), None)
    if contradicts is None:
        contradicts = config.num_labels - 1 if entails == 0 else 0
    return entails, contradicts


TASK = Task("zero-shot-classification", "SequenceClassification", Options, rows, compute, answer, read=read, packs=True)
