"""Texts to rows: what torch Transformers' example scripts give, by hand on a few texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toy_writer

from jaxformers import AutoTokenizer
from jaxformers.layers.losses import IGNORED
from jaxformers.training import tokenized

from .toys import PIECES, put_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return AutoTokenizer.from_pretrained(put_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def ids(*pieces: str) -> list[int]:
    return [PIECES.index(piece) for piece in pieces]


def test_texts_and_pairs_have_their_labels(tokenizer: Any) -> None:
    first, second = tokenized.classified(
        tokenizer, ["Maria went", "to town"], [1, 0], pairs=["town", "a"], max_length=6
    )
    assert first["input_ids"] == ids("[CLS]", "maria", "went", "[SEP]", "town", "[SEP]")
    assert first["token_type_ids"] == [0, 0, 0, 0, 1, 1]
    assert (first["labels"], second["labels"]) == (1, 0)
    (cut,) = tokenized.classified(tokenizer, ["Maria went to town"], max_length=4)
    assert cut["input_ids"] == ids("[CLS]", "maria", "went", "[SEP]")
    assert "labels" not in cut


def test_the_first_token_of_a_word_has_its_tag(tokenizer: Any) -> None:
    words, tags = [["Maria", "went", "townish"], ["Berlin"]], [[1, 0, 3], [5]]
    first, second = tokenized.tagged(tokenizer, words, tags)
    assert first["input_ids"] == ids("[CLS]", "maria", "went", "town", "##ish", "[SEP]")
    assert first["labels"] == [IGNORED, 1, 0, 3, IGNORED, IGNORED]
    assert second["labels"] == [IGNORED, 5, IGNORED]


def test_further_tokens_may_have_tags_too(tokenizer: Any) -> None:
    words, tags = [["townish", "townish"]], [[3, 0]]
    assert tokenized.tagged(tokenizer, words, tags, inside={3: 4})[0]["labels"] == [IGNORED, 3, 4, 0, 0, IGNORED]
    assert tokenized.tagged(tokenizer, words, tags, inside={})[0]["labels"] == [IGNORED, 3, 3, 0, 0, IGNORED]


def test_tags_are_cut_with_their_words(tokenizer: Any) -> None:
    (row,) = tokenized.tagged(tokenizer, [["Maria", "went", "to"]], [[1, 2, 3]], max_length=4)
    assert row["labels"] == [IGNORED, 1, 2, IGNORED]


def test_masked_texts_go_on_in_further_rows(tokenizer: Any) -> None:
    rows = tokenized.masked(tokenizer, ["maria went to town", "a"], max_length=4, whole_words=True)
    assert [row["input_ids"] for row in rows] == [
        ids("[CLS]", "maria", "went", "[SEP]"),
        ids("[CLS]", "to", "town", "[SEP]"),
        ids("[CLS]", "a", "[SEP]"),
    ]
    assert rows[0]["special_tokens_mask"] == [1, 0, 0, 1]
    assert [tuple(pair) for pair in rows[1]["offset_mapping"]] == [(0, 0), (11, 13), (14, 18), (0, 0)]
    assert "overflow_to_sample_mapping" not in rows[0]


def test_texts_of_causal_models_end(tokenizer: Any, tmp_path: Path) -> None:
    letters = AutoTokenizer.from_pretrained(toy_writer.write(tmp_path))
    long, short = tokenized.causal(letters, ["a" * 100, "b<eos>"])
    assert [len(row["input_ids"]) for row in (long, short)] == [101, 2]
    assert long["input_ids"][-1] == short["input_ids"][-1] == letters.eos_token_id
    assert tokenized.causal(letters, ["a"], end=False)[0]["input_ids"] == letters("a")["input_ids"]
    assert tokenized.causal(tokenizer, ["maria"])[0]["input_ids"] == ids("[CLS]", "maria", "[SEP]")  # knows no end


def test_targets_are_labels(tokenizer: Any) -> None:
    (row,) = tokenized.translated(tokenizer, ["maria went"], ["to town a b"], prefix="a ", max_target_length=4)
    assert row["input_ids"] == ids("[CLS]", "a", "maria", "went", "[SEP]")
    assert row["labels"] == ids("[CLS]", "to", "town", "[SEP]")
    assert "labels" not in tokenized.translated(tokenizer, ["maria"])[0]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda t: tokenized.classified(t, ["a", "b"], [1]), "2 texts and 1 labels"),
        (lambda t: tokenized.classified(t, ["a"], [1], pairs=["a", "b"]), "1 texts and 2 pairs"),
        (lambda t: tokenized.tagged(t, [["a"]], [[0], [1]]), "1 texts and 2 tags"),
        (lambda t: tokenized.tagged(t, [["a", "b"]], [[0]]), "text 0 has 2 words and 1 tags"),
        (lambda t: tokenized.translated(t, ["a"], []), "1 texts and 0 targets"),
    ],
)
def test_what_does_not_belong_together(tokenizer: Any, call: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call(tokenizer)
