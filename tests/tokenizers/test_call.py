"""Calling a tokenizer: what goes in, what comes out, and what is refused with which words."""

from __future__ import annotations

import logging
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cases
import jax
import lines
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxformers.tokenizers import BatchEncoding, BertTokenizer, DistilBertTokenizer, Tokenizer

TEXTS = ["we are happy", "you", "it is the same film of another world"]


@pytest.fixture
def tokenizer() -> BertTokenizer:
    """A tokenizer for a model of 32 places."""
    return BertTokenizer(cases.VOCABULARY, model_max_length=32)


def test_one_text_is_flat_and_a_list_is_a_batch(tokenizer: BertTokenizer) -> None:
    one = tokenizer(TEXTS[0])
    assert one["input_ids"][0] == tokenizer.cls_token_id
    assert one["input_ids"][-1] == tokenizer.sep_token_id
    assert one["attention_mask"] == [1] * 5
    many = tokenizer(TEXTS)
    assert many["input_ids"][0] == one["input_ids"]
    assert [len(row) for row in many["input_ids"]] == [5, 3, 10]
    assert list(many) == ["input_ids", "token_type_ids", "attention_mask"]


@pytest.mark.parametrize("texts", [tuple(TEXTS), iter(TEXTS), np.array(TEXTS), dict.fromkeys(TEXTS).keys()])
def test_any_iterable_of_texts_is_a_batch(tokenizer: BertTokenizer, texts: Any) -> None:
    assert tokenizer(texts)["input_ids"] == tokenizer(TEXTS)["input_ids"]


def test_an_empty_list_is_an_empty_batch(tokenizer: BertTokenizer) -> None:
    assert dict(tokenizer([])) == {"input_ids": [], "token_type_ids": [], "attention_mask": []}
    empty = tokenizer([], padding=True, truncation=True, return_tensors="np", return_length=True)
    assert empty["input_ids"].shape == (0, 0)
    assert empty["input_ids"].dtype == np.int64
    assert empty["length"].shape == (0,)
    assert empty.encodings == []
    assert tokenizer([], [], return_overflowing_tokens=True)["overflow_to_sample_mapping"] == []


def test_pairs(tokenizer: BertTokenizer) -> None:
    both = tokenizer("we are", "happy")
    assert both["token_type_ids"] == [0, 0, 0, 0, 1, 1]
    assert tokenizer([("we are", "happy"), ["you", "too"]])["input_ids"][0] == both["input_ids"]
    assert (
        tokenizer(["we are", "you"], ["happy", "too"]).input_ids
        == tokenizer([("we are", "happy"), ("you", "too")]).input_ids
    )
    assert tokenizer.batch_encode_plus([("we are", "happy")])["input_ids"] == [both["input_ids"]]
    assert tokenizer.encode_plus("we are", "happy")["input_ids"] == both["input_ids"]
    assert tokenizer.encode("we are", "happy") == both["input_ids"]
    assert tokenizer.tokenize("we are", "happy") == ["we", "are", "happy"]
    assert tokenizer(["we", ("are", "happy")])["token_type_ids"] == [[0, 0, 0], [0, 0, 0, 1, 1]]


def test_words(tokenizer: BertTokenizer) -> None:
    words = tokenizer(["we", "are", "unbelievable"], is_split_into_words=True)
    assert words["input_ids"] == tokenizer("we are unbelievable")["input_ids"]
    assert words.word_ids()[:4] == [None, 0, 1, 2]
    assert len(tokenizer([["we"], ["are", "happy"]], is_split_into_words=True)["input_ids"]) == 2
    assert tokenizer([], is_split_into_words=True)["input_ids"] == tokenizer("")["input_ids"]
    pair = tokenizer([["we", "are"]], [["happy"]], is_split_into_words=True)
    assert pair["token_type_ids"] == [[0, 0, 0, 0, 1, 1]]


def test_targets(tokenizer: BertTokenizer) -> None:
    assert tokenizer(text_target="you")["input_ids"] == tokenizer("you")["input_ids"]
    both = tokenizer(TEXTS, text_target=["you", "we", "it"], padding=True, return_tensors="np")
    assert both["labels"].shape == (3, 3)
    assert both["input_ids"].shape == (3, 10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"text": None}, "no text"),
        ({"text": 7}, "text must be a str"),
        ({"text": b"we"}, "text must be a str"),
        ({"text": {"text": "we"}}, "text must be a str"),
        ({"text": ["we", None]}, r"text\[1\] is None"),
        ({"text": ["we", "are", 3]}, r"text\[2\] is 3 \(int\)"),
        ({"text": [None], "truncation": True, "max_length": 8}, r"text\[0\] is None"),
        ({"text": ["we", None], "truncation": True, "max_length": 8, "stride": 2}, r"text\[1\] is None"),
        ({"text": ["we", ("are", "you", "happy")]}, r"text\[1\] is \('are'"),
        ({"text": ["we", ("are", 1)]}, r"text\[1\], its pair is 1"),
        ({"text": [["we"]]}, r"text\[0\] is \['we'\]"),
        ({"text": ["we", "a\ud83d"]}, r"text\[1\] is no Unicode text: a lone surrogate U\+D83D at character 1"),
        ({"text": "\udc00"}, r"text is no Unicode text"),
        ({"text": ["we"], "text_pair": ["\ud800"]}, r"text\[0\], its pair is no Unicode"),
        ({"text": ["we", "\ud800"], "is_split_into_words": True}, r"text, word 1, is no Unicode"),
        ({"text": [["we"], ["a", None]], "is_split_into_words": True}, r"text\[1\], word 1, is None"),
        ({"text": "we", "is_split_into_words": True}, "text is 'we' .*expected a list of words"),
        ({"text": [["we"], 3], "is_split_into_words": True}, r"text\[1\] is 3"),
        ({"text": ["we"], "text_pair": ["a", "b"]}, "text has 1 texts, text_pair 2"),
        ({"text": ["we"], "text_pair": 3}, "text_pair must be"),
        ({"text_target": ["we", None]}, r"text_target\[1\] is None"),
        ({"text": "we", "text_target": 3}, "text_target must be"),
        ({"text": "we", "padding": "longst"}, "padding='longst' is not known, use one of False, 'do_not_pad', True"),
        ({"text": "we", "padding": 3}, "padding=3 is not known"),
        ({"text": "we", "truncation": "first"}, "truncation='first' is not known"),
        ({"text": "we", "padding": True, "padding_side": "up"}, "padding_side must be 'left' or 'right'"),
        ({"text": "we", "max_length": -1}, "max_length must be a whole number of at least 0"),
        ({"text": "we", "max_length": 8.5}, "max_length must be a whole number"),
        ({"text": "we", "max_length": True}, "max_length must be a whole number"),
        ({"text": "we", "max_length": "8", "truncation": True}, "max_length must be a whole number"),
        ({"text": "we", "truncation": True, "max_length": 1}, "max_length=1 is less than the 2 special tokens"),
        (
            {"text": "we", "text_pair": "you", "truncation": True, "max_length": 2},
            "max_length=2 is less than the 3 special",
        ),
        (
            {"text": "we are", "truncation": True, "max_length": 8, "stride": 6},
            "stride=6 leaves nothing new .* room for 6",
        ),
        ({"text": "we are", "truncation": True, "max_length": 8, "stride": -1}, "stride must be a whole number"),
        (
            {"text": "we are happy", "truncation": "only_second", "max_length": 4},
            "text: .*'only_second', but it is no pair",
        ),
        (
            {"text": ["we", "we are happy you"], "text_pair": ["a", "b"], "truncation": "only_second", "max_length": 6},
            r"text\[1\]: truncation='only_second' cannot bring 4 \+ 1 tokens to max_length=6",
        ),
        (
            {"text": TEXTS[2], "text_pair": TEXTS[2], "truncation": "only_first", "max_length": 14, "stride": 3},
            r"text: stride=3 leaves nothing new .* 8 \+ 8 tokens .* room for 3",
        ),
        (
            {"text": TEXTS[2], "text_pair": TEXTS[2], "truncation": True, "max_length": 9, "stride": 3},
            "text: stride=3 leaves nothing new .* room for 3",
        ),
        (
            {"text": "we", "padding": True, "truncation": True, "max_length": 9, "pad_to_multiple_of": 4},
            "max_length=9 is no mult",
        ),
        ({"text": "we", "padding": True, "pad_to_multiple_of": 0}, "pad_to_multiple_of must be"),
        ({"text": "we", "padding": "max_length", "max_length": 10**9}, "max_length=1000000000 is no length to pad to"),
        ({"text": "we", "padding": True, "pad_to_multiple_of": 10**30}, "is no length to pad to"),
        ({"text": TEXTS, "return_tensors": "np"}, "input_ids: rows of different lengths .* set padding=True"),
        (
            {"text": TEXTS, "return_tensors": "pt"},
            "return_tensors='pt' .*use 'np' or 'jax'; for torch, torch.from_numpy",
        ),
        ({"text": TEXTS, "return_tensors": "tf"}, "use 'np' or 'jax'$"),
    ],
)
def test_what_is_refused(tokenizer: BertTokenizer, call: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        tokenizer(**call)
    assert "\n" not in str(caught.value)


def test_one_pair_for_many_texts_is_refused(tokenizer: BertTokenizer) -> None:
    with pytest.raises(TypeError, match="text_pair one text"):
        tokenizer(TEXTS, "you")
    with pytest.raises(TypeError, match="takes a list"):
        tokenizer.batch_encode_plus("we")
    with pytest.raises(ValueError, match="takes one text"):
        tokenizer.encode(TEXTS)
    with pytest.raises(TypeError, match="pading"):
        tokenizer("we", pading=True)  # type: ignore[call-arg]


def test_padding_without_a_padding_token_says_what_to_do(tokenizer: BertTokenizer) -> None:
    tokenizer.pad_token = None
    assert tokenizer(TEXTS)
    with pytest.raises(ValueError, match=r"add_special_tokens\(\{'pad_token': '\[PAD\]'\}\)"):
        tokenizer(TEXTS, padding=True)
    tokenizer.pad_token = tokenizer.sep_token
    assert tokenizer(TEXTS, padding=True)["input_ids"][1][-1] == tokenizer.sep_token_id


def test_arrays(tokenizer: BertTokenizer) -> None:
    numpy = tokenizer(TEXTS, padding=True, return_tensors="np", return_offsets_mapping=True, return_length=True)
    assert {name: (value.shape, str(value.dtype)) for name, value in numpy.items()} == {
        "input_ids": ((3, 10), "int64"),
        "token_type_ids": ((3, 10), "int64"),
        "attention_mask": ((3, 10), "int64"),
        "offset_mapping": ((3, 10, 2), "int64"),
        "length": ((3,), "int64"),
    }
    ours = tokenizer("we are", return_tensors="jax")
    assert isinstance(ours["input_ids"], jax.Array)
    assert ours["input_ids"].dtype == "int32"
    assert ours["input_ids"].shape == (1, 4)
    assert tokenizer("", add_special_tokens=False, return_tensors="np")["input_ids"].shape == (1, 0)
    assert tokenizer.encode("we are", return_tensors="np").shape == (1, 4)


def test_which_fields_come(tokenizer: BertTokenizer) -> None:
    assert list(DistilBertTokenizer(cases.VOCABULARY)("we")) == ["input_ids", "attention_mask"]
    assert "token_type_ids" in DistilBertTokenizer(cases.VOCABULARY)("we", return_token_type_ids=True)
    assert list(tokenizer("we", return_token_type_ids=False, return_attention_mask=False)) == ["input_ids"]
    assert tokenizer("we", return_length=True)["length"] == [3]
    assert tokenizer("we", return_special_tokens_mask=True)["special_tokens_mask"] == [1, 0, 1]
    assert tokenizer("we", return_offsets_mapping=True)["offset_mapping"] == [(0, 0), (0, 2), (0, 0)]


def test_overflow_gives_more_rows_and_says_whose(tokenizer: BertTokenizer) -> None:
    rows = tokenizer(TEXTS, truncation=True, max_length=5, stride=1, padding=True, return_overflowing_tokens=True)
    assert rows["overflow_to_sample_mapping"] == [0, 1, 2, 2, 2, 2]
    assert {len(row) for row in rows["input_ids"]} == {5}
    assert rows["input_ids"][2][3] == rows["input_ids"][3][1]
    assert len(rows.encodings or []) == 6
    one = tokenizer(TEXTS[2], truncation=True, max_length=5, return_overflowing_tokens=True)
    assert len(one["input_ids"]) == 3


def test_special_tokens_in_texts(tokenizer: BertTokenizer) -> None:
    assert tokenizer.tokenize("[MASK]") == ["[MASK]"]
    split = tokenizer("[MASK]", split_special_tokens=True)["input_ids"]
    assert tokenizer.mask_token_id not in split
    assert tokenizer.tokenize("[MASK]") == ["[MASK]"]
    tokenizer.split_special_tokens = True
    assert tokenizer("[MASK]")["input_ids"] == split
    assert tokenizer("[MASK]", truncation=True, padding="max_length")["input_ids"][: len(split)] == split


def test_warnings_come_once(tokenizer: BertTokenizer, caplog: pytest.LogCaptureFixture) -> None:
    unlimited = BertTokenizer(cases.VOCABULARY)
    quiet = BertTokenizer(cases.VOCABULARY, model_max_length=4)
    for _ in range(2):
        assert len(tokenizer("we " * 99)["input_ids"]) == 101
        assert len(tokenizer(TEXTS[2], max_length=6)["input_ids"]) == 6
        assert len(tokenizer(TEXTS[2], padding=True, max_length=6)["input_ids"]) == 10
        assert len(unlimited(TEXTS[2], padding="max_length", truncation=True)["input_ids"]) == 10
        quiet(TEXTS, verbose=False)
    messages = [record.message for record in caplog.records]
    assert [re.findall("a text has 101|max_length=6|ignored|neither max_length", text)[0] for text in messages] == [
        "a text has 101",
        "max_length=6",
        "ignored",
        "neither max_length",
    ]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_limits_saved_in_the_library_tokenizer_do_not_count(tokenizer: BertTokenizer) -> None:
    backend = tokenizer.backend_tokenizer
    limited = Tokenizer(tokenizer_object=backend)
    limited.backend_tokenizer.enable_truncation(4)
    limited.backend_tokenizer.enable_padding(length=9)
    again = Tokenizer(tokenizer_object=limited.backend_tokenizer)
    assert len(again(TEXTS[2])["input_ids"]) == 10
    assert limited.backend_tokenizer.truncation["max_length"] == 4  # a copy was taken


def test_threads_with_other_settings_do_not_disturb_each_other(tokenizer: BertTokenizer) -> None:
    texts = lines.made(60)
    settings: list[dict[str, Any]] = [
        {},
        {"padding": True},
        {"padding": True, "padding_side": "left", "pad_to_multiple_of": 8},
        {"truncation": True, "max_length": 7},
        {"truncation": True, "max_length": 12, "stride": 3, "return_overflowing_tokens": True},
        {"padding": "max_length", "truncation": True, "max_length": 16},
        {"split_special_tokens": True},
        {"add_special_tokens": False, "truncation": True, "max_length": 5, "padding": "max_length"},
    ]

    def work(which: int) -> bool:
        return all(dict(tokenizer(texts, verbose=False, **settings[which])) == expected[which] for _ in range(25))

    expected = [dict(tokenizer(texts, verbose=False, **setting)) for setting in settings]
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def test_a_side_that_was_set_wrongly_is_named(tokenizer: BertTokenizer) -> None:
    tokenizer.truncation_side = "up"
    with pytest.raises(ValueError, match="truncation_side must be 'left' or 'right', not 'up'"):
        tokenizer("we are", truncation=True)


_words = st.sampled_from(
    [False, True, None, "longest", "max_length", "only_first", "only_second", "longest_first", "x"]
)
_text = st.text(st.characters(codec=None), max_size=12) | st.sampled_from([*TEXTS, ""])
_item = st.one_of(_text, st.none(), st.integers(), st.lists(_text, max_size=3), st.tuples(_text, _text))
_number = st.one_of(st.none(), st.integers(-1, 24), st.sampled_from([10**12, 2**64, 1.5]))


@given(
    text=st.one_of(_item, st.lists(_item, max_size=4)),
    pair=st.one_of(st.none(), _item, st.lists(_item, max_size=4)),
    padding=_words,
    truncation=_words,
    max_length=_number,
    stride=st.integers(-1, 12),
    multiple=_number,
    words=st.booleans(),
    specials=st.booleans(),
)
def test_any_call_answers_or_says_why_not(
    text: Any,
    pair: Any,
    padding: Any,
    truncation: Any,
    max_length: Any,
    stride: int,
    multiple: Any,
    words: bool,
    specials: bool,
) -> None:
    try:
        answer = TOKENIZER(
            text,
            pair,
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            stride=stride,
            pad_to_multiple_of=multiple,
            is_split_into_words=words,
            add_special_tokens=specials,
            verbose=False,
        )
    except (ValueError, TypeError) as error:
        assert "panic" not in str(error).lower()  # noqa: PT017 - either outcome is right
    else:
        assert isinstance(answer, BatchEncoding)


TOKENIZER = BertTokenizer(cases.VOCABULARY, model_max_length=32)
