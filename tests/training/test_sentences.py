"""Encoders of texts that are trained by what belongs together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers import (
    AutoTokenizer,
    BertModel,
    MultipleNegativesRankingLoss,
    SentencePairsCollator,
    Trainer,
    TrainingArguments,
    outputs,
)
from jaxformers.training.sentences import pooled

from .toys import put_tokenizer

MASK = np.array([[1, 1, 0, 0], [0, 1, 1, 1]])
STATE = np.arange(16.0).reshape(2, 4, 2)


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    return AutoTokenizer.from_pretrained(put_tokenizer(tmp_path))


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("mean", [[1, 2], [12, 13]]),
        ("cls", [[0, 1], [10, 11]]),
        ("lasttoken", [[2, 3], [14, 15]]),
        ("max", [[2, 3], [14, 15]]),
    ],
)
def test_tokens_become_one_vector_whatever_the_padding(how: Any, expected: Any) -> None:
    np.testing.assert_array_equal(pooled(jnp.asarray(STATE), jnp.asarray(MASK), how), expected)


def test_rows_become_all_first_texts_and_then_all_second(tokenizer: Any) -> None:
    rows = [{"query": "a b", "passage": "c", "other": "d e f"}, {"query": "g", "passage": "h i", "other": "j"}]
    collator = SentencePairsCollator(tokenizer, prompts={"passage": "x "})
    texts = tokenizer.batch_decode(collator(rows)["input_ids"], skip_special_tokens=True)
    assert texts == ["a b", "g", "x c", "x h i", "d e f", "j"]
    assert len(SentencePairsCollator(tokenizer, ["query", "other"])(rows)["input_ids"]) == 4
    with pytest.raises(ValueError, match="columns query: two or more are needed of those that rows have"):
        SentencePairsCollator(tokenizer, ["query"])(rows)


def test_the_loss_is_the_entropy_of_cosines_within_the_batch() -> None:
    state = np.random.default_rng(0).normal(size=(6, 1, 5)).astype(np.float32)
    vectors = state[:, 0] / np.linalg.norm(state[:, 0], axis=1, keepdims=True)
    scores = 20.0 * vectors[:2] @ vectors[2:].T
    expected = np.mean(np.log(np.exp(scores).sum(1)) - scores[[0, 1], [0, 1]])
    found = MultipleNegativesRankingLoss(texts=3)(outputs.BaseModelOutput(last_hidden_state=jnp.asarray(state)), {})
    np.testing.assert_allclose(found.mean(), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="6 texts cannot be divided into rows of 4"):
        MultipleNegativesRankingLoss(texts=4)(outputs.BaseModelOutput(last_hidden_state=jnp.asarray(state)), {})


def test_texts_that_belong_together_come_nearer(tokenizer: Any, toy_config: Any, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    words = [list(rng.choice(list("abcdefghijklm"), 6)) for _ in range(24)]
    rows = [{"anchor": " ".join(word[:4]), "positive": " ".join(word[2:])} for word in words]
    args = TrainingArguments(
        tmp_path / "out", max_steps=30, learning_rate=3e-3, save_strategy="no", disable_tqdm=True,
        gradient_accumulation_steps=2, per_device_train_batch_size=4,
    )  # fmt: skip
    trainer = Trainer(
        BertModel(toy_config), args, SentencePairsCollator(tokenizer), rows, rows[:13],
        compute_loss_func=MultipleNegativesRankingLoss(),
    )  # fmt: skip
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < 0.7 * before
    assert jax.tree.structure(trainer.model.params) == jax.tree.structure(BertModel(toy_config).params)
