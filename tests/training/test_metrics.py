"""Metrics are what scikit-learn, seqeval and SQuAD's script say."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxformers.training import metrics

GOLDEN = json.loads(Path(__file__).with_name("golden_metrics.json").read_text())


@pytest.mark.parametrize("case", GOLDEN["classes"])
def test_accuracy_and_f1_are_scikit_learns(case: dict[str, Any]) -> None:
    own, right = case["own"], case["right"]
    assert metrics.accuracy(own, right) == pytest.approx(case["accuracy"])
    for average, value in case["f1"].items():
        assert metrics.f1(own, right, average) == pytest.approx(value), average
    scores = np.eye(8)[np.asarray(own)]
    uncounted = metrics.accuracy(np.r_[scores, scores[:1]], np.r_[right, -100])
    assert uncounted == pytest.approx(case["accuracy"])


@pytest.mark.parametrize("case", GOLDEN["tags"])
def test_entities_are_seqevals(case: dict[str, Any]) -> None:
    assert [[list(entity) for entity in metrics.entities(row)] for row in case["own"]] == case["entities"]
    result = metrics.entity_f1(case["own"], case["right"])
    overall = [result.pop(f"overall_{name}") for name in ("precision", "recall", "f1")]
    assert overall == pytest.approx(case["overall"])
    assert result.pop("overall_accuracy") == pytest.approx(case["accuracy"])
    assert {kind: list(values.values()) for kind, values in result.items()} == {
        kind: pytest.approx(values) for kind, values in case["each"].items()
    }


def test_tags_are_those_of_tokens_that_count() -> None:
    labels = np.array([[-100, 1, 2, -100], [-100, 0, -100, -100]])
    scores = np.eye(3)[[[0, 1, 0, 2], [1, 0, 1, 1]]]
    own, right = metrics.tags(scores, labels, ["O", "B-PER", "I-PER"])
    assert own == [["B-PER", "O"], ["O"]]
    assert right == [["B-PER", "I-PER"], ["O"]]
    with pytest.raises(ValueError, match="labels run from 0 to 2, there are 2 names"):
        metrics.tags(scores, labels, ["O", "B-PER"])


def test_answers_are_compared_as_squad_compares_them() -> None:
    answers = ["The  Eiffel Tower!", "in Paris, France", "an", ""]
    references = ["eiffel tower", ["Paris", "Paris, Texas"], "", []]
    assert metrics.exact_match(answers, references) == pytest.approx(3 / 4)
    # "in paris france" beside "paris": precision 1/3, recall 1
    assert metrics.qa_f1(answers, references) == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert metrics.qa_f1(["", "cat"], ["cat", ""]) == 0.0
    assert metrics.qa_f1(["a b b c"], ["b b d"]) == pytest.approx(2 * 2 / (3 + 3))


def test_perplexity_of_a_loss() -> None:
    assert metrics.perplexity(math.log(50)) == pytest.approx(50)
    assert metrics.perplexity(1e9) == math.inf


def test_a_prediction_unpacks_as_the_tuple_of_what_is_there() -> None:
    predictions, labels = metrics.EvalPrediction("p", "l")
    assert (predictions, labels) == ("p", "l")
    assert metrics.EvalPrediction("p", "l", inputs="i")[2] == "i"
    assert list(metrics.EvalPrediction("p", "l", losses="x")) == ["p", "l", "x"]


def test_where_nothing_counts() -> None:
    assert math.isnan(metrics.accuracy([1], [-100]))
    assert metrics.f1([1], [-100], "macro") == metrics.f1([1], [-100], "micro") == metrics.f1([1], [-100]) == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.accuracy([1, 2], [1]), "neither classes nor scores"),
        (lambda: metrics.f1([0, 1], [1, 2]), "two classes, found 3"),
        (lambda: metrics.f1([0, 1], [1, 0], "samples"), "average 'samples'"),
        (lambda: metrics.entities(["PER"]), "tag 'PER'"),
        (lambda: metrics.entities(["B-"]), "tag 'B-'"),
        (lambda: metrics.entity_f1([["O"]], []), "1 rows of predictions, 0 of references"),
        (lambda: metrics.entity_f1([["O"]], [["O", "O"]]), "row 0: 1 tags are predicted, 2 are right"),
        (lambda: metrics.exact_match([], []), "no answers"),
        (lambda: metrics.exact_match(["a"], []), "1 answers, 0 questions"),
    ],
)
def test_what_cannot_be_compared_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
