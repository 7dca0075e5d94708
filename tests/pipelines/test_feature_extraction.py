"""What the feature-extraction pipeline gives."""

from __future__ import annotations

from pathlib import Path

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
