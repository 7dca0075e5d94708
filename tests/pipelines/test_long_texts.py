"""Texts that are longer than a model's config promises, of a model whose positions have no end."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxformers
from jaxformers import config, pipeline
from tests import toy_writer
from tests.toy_writer import PLACES

TEXT = "abcdefghij" * 13
GREEDY: dict[str, Any] = {"do_sample": False, "return_full_text": False}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_writer.write(tmp_path_factory.mktemp("writer"))


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log, of a process that has not warned yet."""
    config.say_once.cache_clear()
    caplog.set_level(logging.WARNING)
    return caplog


def made(task: str, folder: Path, head: str, limit: int | None) -> Any:
    """A pipeline whose tokenizer names a limit, or none."""
    model = toy_writer.model()
    if head != "CausalLM":
        model = getattr(jaxformers, f"LlamaFor{head}" if head else "LlamaModel")(model.config.replace(pad_token_id=0))
    made = pipeline(task, model=model, tokenizer=folder)
    made.tokenizer.model_max_length = 10**30 if limit is None else limit
    return made


@pytest.mark.parametrize(
    ("task", "head"), [("text-classification", "SequenceClassification"), ("feature-extraction", "")]
)
def test_what_is_longer_than_the_tokenizer_says_is_refused_and_else_runs(
    task: str, head: str, folder: Path, said: pytest.LogCaptureFixture
) -> None:
    pipe = made(task, folder, head, PLACES)
    with pytest.raises(ValueError, match=rf"130 tokens, the model takes {PLACES}: pass truncation=True"):
        pipe(TEXT)
    pipe = made(task, folder, head, 110)
    assert pipe(TEXT[:110])
    free = made(task, folder, head, None)
    assert free(TEXT)
    assert [int(record.message.split()[6]) for record in said.records] == [PLACES]


def test_what_the_caller_asks_for_counts(folder: Path) -> None:
    pipe = made("text-classification", folder, "SequenceClassification", 40)
    found = pipe(TEXT, truncation=True, max_length=120, top_k=None)
    assert found == made("text-classification", folder, "SequenceClassification", None)(TEXT[:120], top_k=None)


def test_tokens_are_labelled_to_the_end_of_a_text(folder: Path) -> None:
    """Where the tokenizer names a limit, up to there."""
    for limit, tokens in ((None, len(TEXT)), (50, 50)):
        found = made("token-classification", folder, "TokenClassification", limit)(TEXT, ignore_labels=[])
        assert len(found) == tokens


def test_vectors_are_of_what_is_promised_unless_a_checkpoint_says_more(folder: Path) -> None:
    """As sentence-transformers cuts texts."""
    embed = made("text-embedding", folder, "", None)
    np.testing.assert_array_equal(embed.encode(TEXT), embed.encode(TEXT[:PLACES]))
    assert np.abs(embed.encode(TEXT[:PLACES]) - embed.encode(TEXT[: PLACES - 1])).max() > 1e-4


def test_a_length_that_is_said_of_an_embedding_may_only_be_less(folder: Path) -> None:
    embed = made("text-embedding", folder, "", 50)
    np.testing.assert_array_equal(embed(TEXT, max_length=60), embed(TEXT[:50]))
    np.testing.assert_array_equal(embed(TEXT, max_length=40), embed(TEXT[:40]))


def test_what_is_said_is_written(folder: Path, said: pytest.LogCaptureFixture) -> None:
    """And what nobody says ends with what is promised, unless the prompt is longer."""
    pipe = made("text-generation", folder, "CausalLM", None)
    assert not said.records
    (prompt,) = pipe.tokenizer([TEXT[:60]])["input_ids"]
    new = pipe(TEXT[:60], max_new_tokens=50, **GREEDY)[0]["generated_text"]
    assert new == pipe.tokenizer.decode(toy_writer.greedy(pipe.model, prompt, 50), skip_special_tokens=True)
    assert len([record for record in said.records if "promises" in record.message]) == 1
    (unsaid,) = pipe(TEXT[:60], return_tensors=True, do_sample=False, min_new_tokens=36)
    assert len(unsaid["generated_token_ids"]) == PLACES
    assert pipe(TEXT, max_new_tokens=4, **GREEDY)[0]["generated_text"]
    limited = made("text-generation", folder, "CausalLM", PLACES)
    with pytest.raises(ValueError, match=f"130 tokens leaves no room, the model takes {PLACES}"):
        limited(TEXT, max_new_tokens=4)
