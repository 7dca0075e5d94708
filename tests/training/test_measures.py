"""What `compute_metrics` is for each task."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import toy_writer

from jaxformers import AutoTokenizer, EvalPrediction
from jaxformers.training import measures, spans
from jaxformers.training.spans import Question

from .toys import put_tokenizer


def test_classes() -> None:
    scores = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    found = measures.of_classes(2)(EvalPrediction(scores, np.array([0, 1, 1, 0])))
    assert found == {"accuracy": 0.75, "f1": pytest.approx(0.8)}
    beside = measures.of_classes(2)(EvalPrediction((scores, np.zeros((4, 3))), np.array([0, 1, 1, 0])))
    assert beside == found
    three = measures.of_classes(3)(EvalPrediction(np.eye(3)[[0, 1, 1]], np.array([0, 1, 2])))
    assert three == {"accuracy": pytest.approx(2 / 3), "f1": pytest.approx((1 + 2 / 3 + 0) / 3)}


def test_values() -> None:
    assert measures.of_values(EvalPrediction(np.array([[1.0], [3.0]]), np.array([1.0, 1.0]))) == {"mse": 2.0}


def test_tags() -> None:
    labels = np.array([[-100, 1, 2, 0, -100], [-100, 0, 1, -100, -100]])
    scores = np.eye(3)[[[0, 1, 2, 0, 0], [1, 0, 0, 0, 0]]]
    found = measures.of_tags(["O", "B-X", "I-X"])(EvalPrediction(scores, labels))
    assert found == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "accuracy": 0.8}


def test_answers(tmp_path: Any) -> None:
    tokenizer = AutoTokenizer.from_pretrained(put_tokenizer(tmp_path))
    context = "maria went to town"
    questions = [Question("to", context, ("went to",), (6,)), Question("a", context, ("maria",), (0,))]
    rows = spans.windows(tokenizer, questions)
    starts, ends = np.zeros((2, 2, len(rows[0]["input_ids"])))
    starts[0, 4], ends[0, 5] = 5, 5  # went to
    starts[1, 3], ends[1, 4] = 5, 5  # maria went
    found = measures.of_spans(rows, questions)(EvalPrediction((starts, ends), (None, None)))
    assert found == {"exact_match": 0.5, "f1": pytest.approx((1 + 2 / 3) / 2)}


def test_texts(tmp_path: Any) -> None:
    tokenizer = AutoTokenizer.from_pretrained(toy_writer.write(tmp_path))
    ids = [tokenizer(text)["input_ids"] for text in ("abc", "de")]
    labels = np.array([ids[0], [*ids[1], -100]])
    written = np.array([[*ids[0], 2], [*ids[1], 2, 0]])
    seen: list[Any] = []

    def score(own: list[str], right: list[str]) -> dict[str, float]:
        seen.extend([own, right])
        return {"same": float(own == right)}

    assert measures.of_texts(tokenizer, score)(EvalPrediction(written, labels)) == {"same": 1.0}
    assert seen == [["abc", "de"], ["abc", "de"]]
