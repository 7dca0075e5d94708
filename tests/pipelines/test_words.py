"""The words that tokens make, and which labels are left out: by hand-made scores, without a model."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from jaxformers import AutoTokenizer, BertConfig, Tokenizer
from jaxformers.pipelines import token_classification as task

from . import toy_tokenizers

KINDS = ("word_piece", "byte_level", "unigram")
BY_WORD = ("first", "average", "max")


@pytest.fixture(scope="module")
def tokenizers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tokenizer]:
    """One of each kind."""
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    made = {kind: toy_tokenizers.put(getattr(toy_tokenizers, kind)(), folder) for kind, folder in folders.items()}
    return {kind: AutoTokenizer.from_pretrained(folder) for kind, folder in made.items()}


def answered(
    tokenizer: Tokenizer, text: Any, labels: Mapping[str, str] | str, **options: Any
) -> tuple[str, list[dict[str, Any]]]:
    """The text as places count it, and what is said of it.

    labels: by the token, else "O"; or one for all.
    """
    chosen = task.Options(**options)
    names = sorted({"O", labels} if isinstance(labels, str) else {"O", *labels.values()})
    config = BertConfig(id2label=dict(enumerate(names)))
    (rows,) = task.rows([text], tokenizer, chosen, 40)
    results = []
    for row in rows:
        own = [labels if isinstance(labels, str) else labels.get(token, "O") for token in row.about.tokens]
        chances = np.full((len(own), len(names)), 0.1 / len(names), np.float32)
        chances[np.arange(len(own)), [names.index(label) for label in own]] += 0.9
        results.append((row, chances))
    return rows[0].about.text, task.answer(text, results, chosen, config)


def words(tokenizer: Tokenizer, text: Any, strategy: str, **options: Any) -> list[str]:
    """The words of a text, as they stand in it: each token begins an entity, where it is no part of a word."""
    whole, found = answered(tokenizer, text, "B-X", aggregation_strategy=strategy, **options)
    return [whole[one["start"] : one["end"]].strip() for one in found]


@pytest.mark.parametrize("strategy", BY_WORD)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc de xyz", ["abc", "de", "xyz"]),
        ("jos\u00e9 garc\u00eda abc", ["jos\u00e9", "garc\u00eda", "abc"]),
        ("so\u0301l garci\u0301a abc", ["so\u0301l", "garci\u0301a", "abc"]),  # a letter and its accent
        ("i ma\u00adria ber\u00adlin x", ["i", "ma\u00adria", "ber\u00adlin", "x"]),  # where a line may end
        ("berlin\nparis\tabc", ["berlin", "paris", "abc"]),
        ("berlin\u00a0paris\u3000x", ["berlin", "paris", "x"]),
        ("ab  cd   e ", ["ab", "cd", "e"]),
    ],
)
def test_words_are_what_people_see(
    tokenizers: dict[str, Tokenizer], kind: str, strategy: str, text: str, expected: list[str]
) -> None:
    assert words(tokenizers[kind], text, strategy) == expected


@pytest.mark.parametrize("strategy", ["simple", *BY_WORD])
@pytest.mark.parametrize("kind", ["byte_level", "unigram"])
@pytest.mark.parametrize("text", ["new york city", "new\nyork\tcity, now", "x  new-york (xy)", "so\u0301l  x"])
def test_an_entity_of_several_words_is_what_stands_in_the_text(
    tokenizers: dict[str, Tokenizer], kind: str, strategy: str, text: str
) -> None:
    whole, (one,) = answered(tokenizers[kind], text, "I-X", aggregation_strategy=strategy)
    assert one["word"].strip() == whole[one["start"] : one["end"]].strip() == text


def test_punctuation_is_a_word_where_the_tokenizer_says_what_goes_on_with_one(tokenizers: dict[str, Tokenizer]) -> None:
    text = "new-york, (xy) don't"
    assert words(tokenizers["word_piece"], text, "first") == [*"new - york , ( xy ) don ' t".split()]
    for kind in ("byte_level", "unigram"):
        assert words(tokenizers[kind], text, "first") == text.split()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("delimiter", [None, "--", ""])
def test_words_of_a_list_are_its_words(tokenizers: dict[str, Tokenizer], kind: str, delimiter: str | None) -> None:
    given = ["new-york", "ma\u00adria", "u.s.", "a b", "so\u0301l"]
    for strategy in BY_WORD:
        options = {"is_split_into_words": True, "delimiter": delimiter}
        found = words(tokenizers[kind], given, strategy, **options)
        assert found[:4] == given[:4]
        assert unicodedata.normalize("NFC", found[4]) == "s\u00f3l"


@pytest.mark.parametrize("kind", KINDS)
def test_windows_have_the_words_of_the_whole(tokenizers: dict[str, Tokenizer], kind: str) -> None:
    text = " ".join(f"ma\u00ad{letter}i so\u0301{letter}" for letter in "abcdef")
    (whole, found) = answered(tokenizers[kind], text, "B-X", aggregation_strategy="max", stride=20)
    assert {whole[one["start"] : one["end"]].strip() for one in found} >= set(text.split())


@pytest.mark.parametrize(("strategy", "kinds"), [("first", ["O", "X"]), ("max", ["O", "X"]), ("average", ["O"])])
def test_a_sign_for_a_space_belongs_to_the_word_that_it_begins(
    tokenizers: dict[str, Tokenizer], strategy: str, kinds: list[str]
) -> None:
    """As when the model was taught: the first token of a word has its label."""
    unigram, text = tokenizers["unigram"], "x \u00e9a"
    assert unigram.tokenize(text) == ["\u2581x", "\u2581", "\u00e9", "a"]
    options = {"aggregation_strategy": strategy, "ignore_labels": []}
    _, found = answered(unigram, text, {"\u2581": "B-X"}, **options)
    assert [one["entity_group"] for one in found] == kinds
    assert words(unigram, text, strategy) == text.split()


@pytest.mark.parametrize("strategy", BY_WORD)
def test_white_space_that_begins_no_word_is_none(tokenizers: dict[str, Tokenizer], strategy: str) -> None:
    byte_level, text = tokenizers["byte_level"], "x\n\ny   z "
    assert byte_level.tokenize(text) == ["x", "\u010a", "\u010a", "y", "\u0120", "\u0120", "\u0120z", "\u0120"]
    options = {"aggregation_strategy": strategy, "ignore_labels": []}
    _, found = answered(byte_level, text, {"\u010a": "B-X", "\u0120": "B-X"}, **options)
    assert [one["entity_group"] for one in found] == ["O"]
    assert words(byte_level, text, strategy) == text.split()


def test_without_words_tokens_stay_as_they_are(tokenizers: dict[str, Tokenizer]) -> None:
    text = "x \u00e9a"
    for strategy in ("none", "simple"):
        options = {"aggregation_strategy": strategy, "ignore_labels": []}
        _, found = answered(tokenizers["unigram"], text, "B-X", **options)
        assert [(one["start"], one["end"]) for one in found] == [(0, 1), (1, 2), (2, 3), (3, 4)]


OUTSIDE = {"a": "O", "b": "B-O", "c": "I-O", "d": "B-LOC", "e": "I-LOC", "f": "E-LOC", "g": "MISC"}


@pytest.mark.parametrize("strategy", ["simple", *BY_WORD])
@pytest.mark.parametrize(
    ("ignored", "expected"),
    [
        (None, ["O:b c", "LOC:d e", "LOC:f", "MISC:g"]),
        (["O"], ["O:b c", "LOC:d e", "LOC:f", "MISC:g"]),
        ([], ["O:a", "O:b c", "LOC:d e", "LOC:f", "MISC:g"]),
        (["LOC"], ["O:a", "O:b c", "MISC:g"]),
        (["MISC", "O"], ["O:b c", "LOC:d e", "LOC:f"]),
        (["B-LOC", "B-O"], ["O:a", "O:b c", "LOC:d e", "LOC:f", "MISC:g"]),  # of entities kinds are left out, no parts
    ],
)
def test_a_label_is_left_out_whole(
    tokenizers: dict[str, Tokenizer], strategy: str, ignored: Sequence[str] | None, expected: list[str]
) -> None:
    options = {"aggregation_strategy": strategy, "ignore_labels": ignored}
    _, found = answered(tokenizers["word_piece"], "a b c d e f g", OUTSIDE, **options)
    assert [f"{one['entity_group']}:{one['word']}" for one in found] == expected


def test_what_is_outside_goes_on_with_nothing(tokenizers: dict[str, Tokenizer]) -> None:
    _, found = answered(tokenizers["word_piece"], "a c a", OUTSIDE, aggregation_strategy="simple")
    assert [(one["entity_group"], one["word"]) for one in found] == [("O", "c")]


@pytest.mark.parametrize(
    ("ignored", "expected"), [(None, "bcdefg"), (["B-O", "O"], "cdefg"), (["LOC"], "abcdefg"), (["B-LOC"], "abcefg")]
)
def test_tokens_are_left_out_by_their_labels(
    tokenizers: dict[str, Tokenizer], ignored: Sequence[str] | None, expected: str
) -> None:
    _, found = answered(tokenizers["word_piece"], "a b c d e f g", OUTSIDE, ignore_labels=ignored)
    assert "".join(one["word"] for one in found) == expected


def test_a_label_without_a_mark_goes_on_with_its_kind(tokenizers: dict[str, Tokenizer]) -> None:
    """As "I-" does; "O" alone is no kind of "I-O"."""
    byte_level = tokenizers["byte_level"]
    for first, second, kinds in (("X", "I-X", ["X"]), ("O", "I-O", ["O", "O"]), ("B-O", "I-O", ["O"])):
        options = {"aggregation_strategy": "simple", "ignore_labels": []}
        _, found = answered(byte_level, "xy", {"x": first, "y": second}, **options)
        assert [one["entity_group"] for one in found] == kinds
