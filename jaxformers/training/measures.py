"""`compute_metrics` of each task: functions that make one of what the task needs to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..layers.losses import IGNORED
from ..tokenizers.vocabulary import Vocabulary
from . import metrics, spans
from .examples import Example
from .metrics import EvalPrediction
from .spans import Question

Measure = Callable[[EvalPrediction], dict[str, Any]]


def of_classes(classes: int) -> Measure:
    """Accuracy and F1 of so many classes: of the second where there are two, else the mean over all."""

    def measure(prediction: EvalPrediction) -> dict[str, Any]:
        scores, labels = _first(prediction.predictions), prediction.label_ids
        average: metrics.Average = "binary" if classes == 2 else "macro"
        return {"accuracy": metrics.accuracy(scores, labels), "f1": metrics.f1(scores, labels, average)}

    return measure


def of_values(prediction: EvalPrediction) -> dict[str, Any]:
    """The mean squared error of values."""
    difference = np.asarray(_first(prediction.predictions)).reshape(-1) - np.asarray(prediction.label_ids).reshape(-1)
    return {"mse": float(np.mean(np.square(difference)))}


def of_tags(names: Sequence[str]) -> Measure:
    """Precision, recall and F1 of entities, and the accuracy of tags, whose names are in a scheme such as B-PER.

    Args:
        names: of the tags, by number.
    """

    def measure(prediction: EvalPrediction) -> dict[str, Any]:
        found, right = metrics.tags(_first(prediction.predictions), prediction.label_ids, names)
        every = metrics.entity_f1(found, right)
        return {name: every[f"overall_{name}"] for name in ("precision", "recall", "f1", "accuracy")}

    return measure


def of_spans(rows: Sequence[Example], questions: Sequence[Question]) -> Measure:
    """Exact match and F1 of answers.

    Args:
        rows: the windows that are evaluated, as `spans.windows` has made them.
        questions: what they were made of.
    """

    def measure(prediction: EvalPrediction) -> dict[str, Any]:
        starts, ends = prediction.predictions[:2]
        found, right = spans.answers(rows, starts, ends, questions), [question.answers for question in questions]
        return {"exact_match": metrics.exact_match(found, right), "f1": metrics.qa_f1(found, right)}

    return measure


def of_texts(tokenizer: Vocabulary, score: Callable[[list[str], list[str]], Mapping[str, float]]) -> Measure:
    """What a score says of texts that a model has written, beside the right ones: for `predict_with_generate`.

    Args:
        tokenizer: makes texts of ids.
        score: (texts, right ones) → figures by name.
    """

    def text(ids: Any) -> list[str]:
        special = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
        filler = next(one for one in special if one is not None)
        filled = np.where(np.asarray(ids) == IGNORED, filler, ids)
        return [one.strip() for one in tokenizer.batch_decode(filled, skip_special_tokens=True)]

    def measure(prediction: EvalPrediction) -> dict[str, Any]:
        return dict(score(text(_first(prediction.predictions)), text(prediction.label_ids)))

    return measure


def _first(predictions: Any) -> Any:
    """The scores, where a model says more beside them."""
    return predictions[0] if isinstance(predictions, tuple) else predictions
