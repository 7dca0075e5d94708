"""The classifier that ships with the package: its size, its answers, and its accuracy on held-out snippets.

`held_out.tsv` holds 300 of the held-out snippets (label, text), drawn by `record.py` from the texts that the training
script never learns from; the accuracy on all of them is in the model card.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import snippets as snippets_of
import train_tiny_sentiment
from training.toys import put_tokenizer

from jaxformers import AutoConfig, AutoTokenizer, BertConfig, BertForSequenceClassification, hub, pipeline
from jaxformers.pipelines import Pipeline

NAME = "jaxformers/tiny-sentiment"


@pytest.fixture(scope="module")
def classify() -> Pipeline:
    return pipeline("sentiment-analysis", model=NAME)


@pytest.fixture(scope="module")
def snippets() -> list[tuple[str, str]]:
    """Label and text of each."""
    lines = Path(__file__).with_name("held_out.tsv").read_text("utf-8").splitlines()
    return [(label, text) for label, text in (line.split("\t") for line in lines)]


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
    assert all(snippets_of.held_out(text) for _, text in snippets)
    answers = classify([text for _, text in snippets])
    right = sum(answer["label"] == label for answer, (label, _) in zip(answers, snippets, strict=True))
    assert right / len(snippets) >= 0.78  # 80% or more on all of them: 2% is what chance may take from 300


def test_int8_keeps_the_labels(classify: Pipeline, snippets: list[tuple[str, str]]) -> None:
    texts = [text for _, text in snippets]
    whole = pipeline("sentiment-analysis", model=NAME, dtype="int8")
    same = sum(a["label"] == b["label"] for a, b in zip(classify(texts), whole(texts), strict=True))
    assert same >= 0.97 * len(texts)


def test_what_people_think_is_learnt(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(put_tokenizer(tmp_path))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(tokenizer), hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **sizes)
    texts, targets = ["maria", "berlin went to town"] * 32, np.array([0.9, 0.2] * 32)
    settings = {"folder": tmp_path / "run", "epochs": 30, "rate": 0.01}
    model = train_tiny_sentiment.fit(BertForSequenceClassification(config), tokenizer, texts, targets, **settings)
    odds = train_tiny_sentiment.predict(model, tokenizer, texts[:2])
    np.testing.assert_allclose(1 / (1 + np.exp(-odds)), targets[:2], atol=0.05)
