"""What the feature-extraction pipeline gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxformers import AutoModel, AutoTokenizer, Pipeline, pipeline


@pytest.fixture(scope="module")
def extract(folder: Path) -> Pipeline:
    return pipeline("feature-extraction", model=folder)


def test_every_text_has_the_vectors_of_its_own_tokens(extract: Pipeline, folder: Path) -> None:
    texts = ["a", "b c d e f g h i j k l m", ""]
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    for text, features in zip(texts, extract(texts), strict=True):
        states = model(**tokenizer(text, return_tensors="np")).last_hidden_state
        assert isinstance(features, list)
        np.testing.assert_allclose(np.array(features), states, atol=1e-5)
    assert np.array(extract("a")).shape == (1, 3, 32)


def test_arrays_on_demand(extract: Pipeline) -> None:
    assert extract("a b", return_tensors=True).shape == (1, 4, 32)
    assert extract(["a b"], return_tensors=True)[0].shape == (1, 4, 32)


def test_truncation_is_said_once(extract: Pipeline) -> None:
    long = "a " * 150
    with pytest.raises(ValueError, match="152 tokens"):
        extract(long)
    assert np.array(extract(long, truncation=True)).shape == (1, 40, 32)
    assert np.array(extract(long, tokenize_kwargs={"truncation": True, "max_length": 7})).shape == (1, 7, 32)
    with pytest.raises(ValueError, match="given twice"):
        extract(long, truncation=True, tokenize_kwargs={"truncation": True})


@pytest.mark.parametrize(
    ("options", "advice", "better"),
    [
        ({}, "pass truncation=True", {"truncation": True}),
        (
            {"tokenize_kwargs": {"truncation": False}},
            "pass truncation=True in tokenize_kwargs",
            {"tokenize_kwargs": {"truncation": True}},
        ),
        (
            {"truncation": True, "tokenize_kwargs": {"max_length": 90}},
            "lower max_length in tokenize_kwargs to 40",
            {"truncation": True, "tokenize_kwargs": {"max_length": 40}},
        ),
    ],
)
def test_advice_for_long_texts_works(extract: Pipeline, options: Any, advice: str, better: Any) -> None:
    with pytest.raises(ValueError, match=f"the model takes 40: {advice}$"):
        extract("a " * 150, **options)
    assert np.array(extract("a " * 150, **better)).shape == (1, 40, 32)


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        (
            {"truncation": True, "max_length": 5, "return_overflowing_tokens": True},
            ValueError,
            "not give one row a text",
        ),
        ({"is_split_into_words": True}, ValueError, "not give one row a text"),
        ({"text_pair": ["b", "c"]}, TypeError, "takes no 'text_pair' here"),
        ({"max_lenght": 5}, TypeError, "did you mean 'max_length'"),
        (3, ValueError, "tokenize_kwargs=3: expected keywords"),
    ],
)
def test_no_text_gets_the_vectors_of_another(extract: Pipeline, keywords: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        extract(["a b c d e f g", "x y"], tokenize_kwargs=keywords)


def test_keywords_that_are_the_engines_change_nothing(extract: Pipeline) -> None:
    plain = extract(["a b c d e f g", "x y"])
    assert extract(["a b c d e f g", "x y"], tokenize_kwargs={"padding": True, "return_tensors": "np"}) == plain
