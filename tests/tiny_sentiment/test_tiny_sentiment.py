"""The classifier that ships with the package: its size, its answers, and its accuracy on held-out snippets.

`held_out.tsv` holds 300 of the held-out snippets (label, text), drawn by `record.py` from the texts that the training
script never learns from; the accuracy on all of them is in the model card.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from jaxformers import AutoConfig, AutoTokenizer, BertForSequenceClassification, hub, pipeline
from jaxformers.pipelines import Pipeline

NAME = "jaxformers/tiny-sentiment"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def classify() -> Pipeline:
    return pipeline("sentiment-analysis", model=NAME)


@pytest.fixture(scope="module")
def snippets() -> list[tuple[str, str]]:
    """Label and text of each."""
    lines = Path(__file__).with_name("held_out.tsv").read_text("utf-8").splitlines()
    return [(label, text) for label, text in (line.split("\t") for line in lines)]


def script() -> ModuleType:
    """The training script, which says what is held out."""
    spec = importlib.util.spec_from_file_location("train", ROOT / "examples" / "train_tiny_sentiment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_it_is_small_and_says_what_it_is() -> None:
    folder = hub.source_of(NAME).file("config.json").parent
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 12_000_000
    card = (folder / "README.md").read_text()
    (accuracy,) = re.findall(r"held-out accuracy: \*\*([0-9.]+)%\*\*", card)
    assert float(accuracy) >= 80
    assert AutoConfig.from_pretrained(NAME).id2label == {0: "NEGATIVE", 1: "POSITIVE"}
    assert AutoTokenizer.from_pretrained(NAME).model_max_length == 256
    assert isinstance(BertForSequenceClassification.from_pretrained(NAME), BertForSequenceClassification)


def test_plain_sentences(classify: Pipeline) -> None:
    good = ["We are very happy to show you the library.", "A warm, clever and moving film.", "I love my new phone."]
    bad = ["Two hours that I will never get back.", "The food was cold and the waiter was rude.", "I hate this."]
    assert [answer["label"] for answer in classify(good + bad)] == ["POSITIVE"] * 3 + ["NEGATIVE"] * 3
    assert classify(good[0])[0]["score"] > 0.9


def test_four_of_five_held_out_snippets(classify: Pipeline, snippets: list[tuple[str, str]]) -> None:
    held_out = script().held_out
    assert all(held_out(text) for _, text in snippets)
    answers = classify([text for _, text in snippets])
    right = sum(answer["label"] == label for answer, (label, _) in zip(answers, snippets, strict=True))
    assert right / len(snippets) >= 0.78  # 80% or more on all of them: 2% is what chance may take from 300


def test_int8_keeps_the_labels(classify: Pipeline, snippets: list[tuple[str, str]]) -> None:
    texts = [text for _, text in snippets]
    whole = pipeline("sentiment-analysis", model=NAME, dtype="int8")
    same = sum(a["label"] == b["label"] for a, b in zip(classify(texts), whole(texts), strict=True))
    assert same >= 0.97 * len(texts)
