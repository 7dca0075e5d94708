"""What predictions are worth: pure functions of numpy arrays, lists of tags and texts."""

from __future__ import annotations

import collections
import dataclasses
import math
import re
import string
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from ..layers.losses import IGNORED

Average = Literal["binary", "macro", "micro", "weighted"]

_OUTSIDE = "O"
_PREFIXES = "BIES"


@dataclasses.dataclass(frozen=True)
class EvalPrediction:
    """What `compute_metrics` gets: what a model has said of a dataset, and what is right.

    predictions: an array, or a tuple of arrays, with an axis of rows. label_ids: likewise. inputs, losses: where they
    were asked for. It unpacks and counts as the tuple of those that are there.
    """

    predictions: Any
    label_ids: Any
    inputs: Any = None
    losses: Any = None

    def __iter__(self) -> Iterator[Any]:
        """Predictions, labels, and what else there is."""
        return iter(self._parts)

    def __getitem__(self, index: int) -> Any:
        """By number.

        Raises:
            IndexError: there are fewer.
        """
        return self._parts[index]

    @property
    def _parts(self) -> tuple[Any, ...]:
        given = tuple(part for part in (self.inputs, self.losses) if part is not None)
        return self.predictions, self.label_ids, *given


def accuracy(predictions: Any, labels: Any) -> float:
    """The share of labels that are predicted; nan where no label counts.

    Args:
        predictions: classes [...], or scores [..., C].
        labels: [...] whole numbers; -100 does not count.

    Raises:
        ValueError: other shapes.
    """
    chosen, labels = _counted(predictions, labels)
    return float(np.mean(chosen == labels)) if labels.size else math.nan


def f1(predictions: Any, labels: Any, average: Average = "binary", positive: int = 1) -> float:
    """The harmonic mean of precision and recall; 0 where there is nothing to find and nothing was found.

    Args:
        predictions: classes [...], or scores [..., C].
        labels: [...] whole numbers; -100 does not count.
        average: "binary": of the class `positive`; "macro": the mean over all classes that occur; "weighted": the same
            by how often each is right; "micro": over all predictions at once.
        positive: the class that "binary" is about.

    Raises:
        ValueError: other shapes, an unknown average, or "binary" with more than two classes.
    """
    chosen, labels = _counted(predictions, labels)
    classes = np.unique(np.concatenate([chosen, labels]))
    if average == "binary":
        if len(classes) > 2:
            raise ValueError(f"average='binary' takes two classes, found {len(classes)}: say 'macro' or another")
        return _Counts.of(chosen == positive, labels == positive).f1
    counts = [_Counts.of(chosen == name, labels == name) for name in classes]
    if average == "micro":
        return _Counts(*map(sum, zip(*counts, strict=True))).f1 if counts else 0.0
    scores = [count.f1 for count in counts]
    if average == "macro":
        return float(np.mean(scores)) if scores else 0.0
    if average == "weighted":
        weights = [count.right for count in counts]
        return float(np.average(scores, weights=weights)) if sum(weights) else 0.0
    raise ValueError(f"average {average!r}: one of binary, macro, micro, weighted")


def tags(predictions: Any, labels: Any, names: Sequence[str]) -> tuple[list[list[str]], list[list[str]]]:
    """The tags of tokens whose labels count, predicted and right ones, a list each row: what `entity_f1` takes.

    Args:
        predictions: [B, T] labels, or scores [B, T, L].
        labels: [B, T], -100 where none counts.
        names: of the labels, by number.

    Raises:
        ValueError: other shapes, or a label without a name.
    """
    chosen, labels = _classes(predictions, labels)
    for array in (chosen, labels[labels != IGNORED]):
        if array.size and not 0 <= array.min() <= array.max() < len(names):
            raise ValueError(f"labels run from {array.min()} to {array.max()}, there are {len(names)} names")
    rows = [(own[right != IGNORED], right[right != IGNORED]) for own, right in zip(chosen, labels, strict=True)]
    named = [([names[i] for i in own], [names[i] for i in right]) for own, right in rows]
    return [own for own, _ in named], [right for _, right in named]


class Entity(NamedTuple):
    """What tags mark: its kind, and the numbers of its first and last token."""

    kind: str
    first: int
    last: int


def entities(row: Sequence[str]) -> list[Entity]:
    """The entities of one row of tags, in the schemes IOB1, IOB2 and IOBES, read leniently, as seqeval does by default.

    A tag goes on with the entity before it if it is I or E, of the same kind, and that one has not been ended by E or
    S; else it begins one, whatever it is.

    Args:
        row: "O", or "B", "I", "E" or "S", with the kind behind a "-" where there are kinds.

    Raises:
        ValueError: another tag.
    """
    found: list[Entity] = []
    before, kind_before = _OUTSIDE, ""
    for place, tag in enumerate(row):
        mark, kind = _parts(tag)
        if mark in "IE" and before in "BI" and kind == kind_before:
            found[-1] = found[-1]._replace(last=place)
        elif mark != _OUTSIDE:
            found.append(Entity(kind, place, place))
        before, kind_before = mark, kind
    return found


def entity_f1(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Precision, recall and F1 of whole entities, over all (micro) and for each kind, and the accuracy of tags.

    Args:
        predictions: tags, a list each row.
        references: the right ones.

    Returns:
        overall_precision, overall_recall, overall_f1, overall_accuracy, and for each kind a mapping of precision,
        recall, f1 and number (how many there are).

    Raises:
        ValueError: rows of different lengths, or tags of no scheme.
    """
    _check_rows(predictions, references)
    found = {(row, *entity) for row, tags in enumerate(predictions) for entity in entities(tags)}
    right = {(row, *entity) for row, tags in enumerate(references) for entity in entities(tags)}
    result: dict[str, Any] = {}
    for kind in sorted({entity[1] for entity in found | right}):
        own, true = ({entity for entity in group if entity[1] == kind} for group in (found, right))
        count = _Counts(len(own & true), len(own), len(true))
        result[kind] = {"precision": count.precision, "recall": count.recall, "f1": count.f1, "number": count.right}
    count = _Counts(len(found & right), len(found), len(right))
    same = [a == b for own, true in zip(predictions, references, strict=True) for a, b in zip(own, true, strict=True)]
    return result | {
        "overall_precision": count.precision,
        "overall_recall": count.recall,
        "overall_f1": count.f1,
        "overall_accuracy": float(np.mean(same)) if same else math.nan,
    }


def normalized(text: str) -> str:
    """An answer as SQuAD compares it: in small letters, without punctuation, articles and further spaces."""
    text = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())


def exact_match(predictions: Sequence[str], references: Sequence[str | Sequence[str]]) -> float:
    """The share of answers that are one of the right ones, as SQuAD compares them.

    Args:
        predictions: an answer for each question.
        references: the right one, or several; none, or "", where there is no answer.

    Raises:
        ValueError: no answers, or more or fewer than questions.
    """
    return _best(predictions, references, lambda own, right: float(own == right))


def qa_f1(predictions: Sequence[str], references: Sequence[str | Sequence[str]]) -> float:
    """The mean F1 of answers' words beside the right answer that fits best, as SQuAD counts it.

    Arguments and errors are those of `exact_match`.
    """
    return _best(predictions, references, _word_f1)


def perplexity(loss: float) -> float:
    """How many words a model wavers between, of its mean loss in nats; infinite where no float holds it."""
    try:
        return math.exp(loss)
    except OverflowError:
        return math.inf


class _Counts(NamedTuple):
    """Of one class or kind how many are found and right, found, and right."""

    both: int
    found: int
    right: int

    @classmethod
    def of(cls, found: np.ndarray, right: np.ndarray) -> _Counts:
        return cls(int((found & right).sum()), int(found.sum()), int(right.sum()))

    @property
    def precision(self) -> float:
        return self.both / self.found if self.found else 0.0

    @property
    def recall(self) -> float:
        return self.both / self.right if self.right else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.both / (self.found + self.right) if self.found + self.right else 0.0


def _classes(predictions: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Predicted classes, of scores the best, and labels of the same shape."""
    predictions, labels = np.asarray(predictions), np.asarray(labels)
    if predictions.ndim == labels.ndim + 1:
        predictions = predictions.argmax(-1)
    if predictions.shape != labels.shape:
        raise ValueError(f"predictions {predictions.shape} are neither classes nor scores for labels {labels.shape}")
    return predictions, labels


def _counted(predictions: Any, labels: Any) -> tuple[np.ndarray, np.ndarray]:
    """Predicted classes and labels [N], without those that do not count."""
    predictions, labels = _classes(predictions, labels)
    counted = labels != IGNORED
    return predictions[counted], labels[counted]


def _parts(tag: str) -> tuple[str, str]:
    """A tag's letter and kind."""
    mark, dash, kind = tag.partition("-")
    if tag != _OUTSIDE and not (len(mark) == 1 and mark in _PREFIXES and (kind or not dash)):
        raise ValueError(f"tag {tag!r}: expected O, or B, I, E or S with a kind behind it, such as B-PER")
    return mark, kind or "_"


def _check_rows(predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]]) -> None:
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} rows of predictions, {len(references)} of references: give as many")
    for row, (own, right) in enumerate(zip(predictions, references, strict=True)):
        if len(own) != len(right):
            raise ValueError(f"row {row}: {len(own)} tags are predicted, {len(right)} are right: give as many")


def _best(
    predictions: Sequence[str], references: Sequence[str | Sequence[str]], score: Callable[[str, str], float]
) -> float:
    """The mean over questions of the best score among the right answers."""
    if len(predictions) != len(references):
        raise ValueError(f"{len(predictions)} answers, {len(references)} questions: give as many")
    if not len(predictions):
        raise ValueError("there are no answers")
    rights = [[right] if isinstance(right, str) else list(right) or [""] for right in references]
    pairs = zip(map(normalized, predictions), rights, strict=True)
    return float(np.mean([max(score(own, normalized(right)) for right in group) for own, group in pairs]))


def _word_f1(own: str, right: str) -> float:
    """F1 of the words of two normalized answers; where one has none, whether both have."""
    words, true = own.split(), right.split()
    if not words or not true:
        return float(words == true)
    both = sum((collections.Counter(words) & collections.Counter(true)).values())
    return _Counts(both, len(words), len(true)).f1
