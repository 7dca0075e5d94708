"""Special tokens, the vocabulary, ids to text, padding of what has been tokenized."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import cases
import jax.numpy as jnp
import numpy as np
import pytest
from tokenizers import AddedToken

from jaxformers.tokenizers import BertTokenizer, Tokenizer


@pytest.fixture
def tokenizer() -> BertTokenizer:
    """The golden vocabulary."""
    return BertTokenizer(cases.VOCABULARY, model_max_length=32)


def test_roles(tokenizer: BertTokenizer) -> None:
    assert tokenizer.cls_token == "[CLS]"
    assert tokenizer.cls_token_id == tokenizer.convert_tokens_to_ids("[CLS]") == 2
    assert tokenizer.eos_token is None
    assert tokenizer.eos_token_id is None
    assert tokenizer.all_special_tokens == ["[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"]
    assert tokenizer.all_special_ids == [1, 3, 0, 2, 4]
    assert tokenizer.special_tokens_map["mask_token"] == "[MASK]"
    tokenizer.eos_token = AddedToken("[SEP]")
    assert tokenizer.eos_token_id == 3
    tokenizer.bos_token_id = 2
    assert tokenizer.bos_token == "[CLS]"
    tokenizer.bos_token = None
    assert "bos_token" not in tokenizer.special_tokens_map
    with pytest.raises(ValueError, match="pad_token must be a str"):
        tokenizer.pad_token = 3  # type: ignore[assignment]
    with pytest.raises(AttributeError, match="no attribute 'image_token'"):
        _ = tokenizer.image_token


def test_new_tokens(tokenizer: BertTokenizer) -> None:
    size = len(tokenizer)
    assert tokenizer.tokenize("newword") != ["newword"]
    assert tokenizer.add_tokens(["newword", "we"]) == 2  # the second had an id already, but could be split
    assert tokenizer.add_tokens("newword") == 0
    assert tokenizer.add_tokens([]) == 0
    assert len(tokenizer) == size + 1
    assert tokenizer.vocab_size == size
    assert tokenizer.tokenize("a NEWWORD") == ["a", "newword"]
    assert tokenizer.get_added_vocab()["newword"] == size
    assert tokenizer.get_vocab()["newword"] == tokenizer.vocab["newword"] == size
    assert tokenizer("newword " * 9, truncation=True, max_length=4)["input_ids"][1] == size
    with pytest.raises(ValueError, match="str or AddedToken"):
        tokenizer.add_tokens([3])  # type: ignore[list-item]


def test_new_special_tokens(tokenizer: BertTokenizer) -> None:
    size = len(tokenizer)
    assert tokenizer.add_special_tokens({"additional_special_tokens": ["<a>", AddedToken("<b>", lstrip=True)]}) == 2
    assert tokenizer.additional_special_tokens == ["<a>", "<b>"]
    assert tokenizer.additional_special_tokens_ids == [size, size + 1]
    assert tokenizer.add_special_tokens({"additional_special_tokens": ["<a>", "<c>"]}, False) == 1
    assert tokenizer.additional_special_tokens == ["<a>", "<b>", "<c>"]
    assert tokenizer.add_special_tokens({"eos_token": "<eos>"}) == 1
    assert tokenizer.eos_token_id == size + 3
    assert tokenizer.decode(tokenizer("we <a> are <b>")["input_ids"], skip_special_tokens=True) == "we are"
    with pytest.raises(ValueError, match="'end_token' is no role of a special token, use one of bos_token"):
        tokenizer.add_special_tokens({"pad_token": "<new>", "end_token": "<eos>"})
    assert tokenizer.pad_token == "[PAD]"  # refused as a whole
    with pytest.raises(ValueError, match="pad_token: expected str or AddedToken"):
        tokenizer.add_special_tokens({"pad_token": 3})
    tokenizer.additional_special_tokens = ["[MASK]"]
    assert tokenizer.additional_special_tokens_ids == [4]


def test_roles_of_one_tokenizer_alone() -> None:
    tokenizer = BertTokenizer(cases.VOCABULARY, extra_special_tokens={"image_token": "<image>"})
    assert tokenizer.image_token == "<image>"
    assert tokenizer.image_token_id == len(tokenizer) - 1
    assert tokenizer.special_tokens_map["image_token"] == "<image>"
    assert "<image>" in tokenizer.all_special_tokens


def test_special_tokens_around_texts(tokenizer: BertTokenizer) -> None:
    assert tokenizer.num_special_tokens_to_add() == 2
    assert tokenizer.num_special_tokens_to_add(pair=True) == 3
    assert tokenizer.max_len_single_sentence == 30
    assert tokenizer.max_len_sentences_pair == 29
    first, second = (
        tokenizer.encode("we are", add_special_tokens=False),
        tokenizer.encode("you", add_special_tokens=False),
    )
    both = tokenizer("we are", "you", return_special_tokens_mask=True)
    assert tokenizer.build_inputs_with_special_tokens(first, second) == both["input_ids"]
    assert tokenizer.build_inputs_with_special_tokens(first) == tokenizer.encode("we are")
    assert tokenizer.create_token_type_ids_from_sequences(first, second) == both["token_type_ids"]
    assert tokenizer.create_token_type_ids_from_sequences(first) == [0] * 4
    assert tokenizer.get_special_tokens_mask(first, second) == both["special_tokens_mask"]
    assert tokenizer.get_special_tokens_mask(both["input_ids"], already_has_special_tokens=True) == [1, 0, 0, 1, 0, 1]
    with pytest.raises(ValueError, match="pass no token_ids_1"):
        tokenizer.get_special_tokens_mask(first, second, already_has_special_tokens=True)
    base = Tokenizer(tokenizer_object=tokenizer.backend_tokenizer)
    assert base.build_inputs_with_special_tokens(first, second) == first + second
    assert base.get_special_tokens_mask(first) == [0, 0]


@pytest.mark.parametrize("of", [list, tuple, np.array, jnp.array])
def test_ids_become_text(tokenizer: BertTokenizer, of: Any) -> None:
    ids = tokenizer.encode("we are happy")
    assert tokenizer.decode(of(ids)) == "[CLS] we are happy [SEP]"
    assert tokenizer.convert_ids_to_tokens(of(ids))[1:3] == ["we", "are"]
    assert tokenizer.batch_decode(of([ids, ids]), skip_special_tokens=True) == ["we are happy"] * 2


def test_ids_that_are_none(tokenizer: BertTokenizer) -> None:
    assert tokenizer.decode([10**6, -100, 2**40]) == ""
    assert tokenizer.decode([]) == ""
    assert tokenizer.decode(np.int64(2)) == tokenizer.decode(2) == "[CLS]"
    assert tokenizer.convert_ids_to_tokens([2, 10**6, -1]) == ["[CLS]", None, None]
    assert tokenizer.convert_ids_to_tokens(np.int64(2)) == "[CLS]"
    assert tokenizer.convert_tokens_to_ids(["we", "no such token"]) == [tokenizer.vocab["we"], tokenizer.unk_token_id]
    assert tokenizer.convert_tokens_to_ids(None) is None
    for wrong in ([1.5], "ab", [[1, 2], [3]], np.ones((2, 2), int), None):
        with pytest.raises(ValueError, match="ids must be whole numbers"):
            tokenizer.decode(wrong)


def test_cleaning(tokenizer: BertTokenizer) -> None:
    ids = tokenizer.encode("it's so, isn't it?", add_special_tokens=False)
    assert tokenizer.decode(ids) == tokenizer.decode(ids, clean_up_tokenization_spaces=True) == "it's so, isn't it?"
    assert " ' s" in tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    assert tokenizer.clean_up_tokenization("a . b , c 's") == "a. b, c's"
    assert tokenizer.convert_tokens_to_string(["un", "##believ"]) == "unbeliev"


ROWS = [[2, 7, 8, 3], [2, 7, 3]]


@pytest.mark.parametrize("give", [lambda rows: {"input_ids": rows}, lambda rows: [{"input_ids": row} for row in rows]])
@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_afterwards(tokenizer: BertTokenizer, give: Any, side: str) -> None:
    padded = tokenizer.pad(give(ROWS), padding_side=side)
    assert padded["input_ids"] == [ROWS[0], [*ROWS[1], 0] if side == "right" else [0, *ROWS[1]]]
    assert padded["attention_mask"] == [[1] * 4, [1, 1, 1, 0] if side == "right" else [0, 1, 1, 1]]
    assert [len(row) for row in tokenizer.pad(give(ROWS), pad_to_multiple_of=8)["input_ids"]] == [8, 8]
    assert [len(row) for row in tokenizer.pad(give(ROWS), "max_length")["input_ids"]] == [32, 32]
    assert [len(row) for row in tokenizer.pad(give(ROWS), "max_length", max_length=3)["input_ids"]] == [4, 3]
    assert tokenizer.pad(give(ROWS), False)["input_ids"] == ROWS


def test_padding_afterwards_is_as_in_the_call(tokenizer: BertTokenizer) -> None:
    texts = ["we are happy", "you", "it is"]
    options: dict[str, Any] = {"return_special_tokens_mask": True}
    encoded = tokenizer(texts, **options)
    before = copy.deepcopy(dict(encoded))
    assert dict(tokenizer.pad(encoded)) == dict(tokenizer(texts, padding=True, **options))
    assert dict(encoded) == before
    assert dict(tokenizer.pad([tokenizer(text, **options) for text in texts])) == dict(tokenizer.pad(encoded))
    one = tokenizer.pad(tokenizer("you"), "max_length", max_length=5)
    assert one["input_ids"] == tokenizer("you", padding="max_length", max_length=5)["input_ids"]


def test_padding_afterwards_leaves_the_rest_alone(tokenizer: BertTokenizer) -> None:
    padded = tokenizer.pad([{"input_ids": row, "labels": label} for row, label in zip(ROWS, [0, 1], strict=True)])
    assert padded["labels"] == [0, 1]
    arrays = tokenizer.pad([{"input_ids": np.array(row), "label": np.float32(0.5)} for row in ROWS])
    assert arrays["input_ids"].shape == (2, 4)
    assert arrays["label"].tolist() == [0.5, 0.5]
    ours = tokenizer.pad({"input_ids": [jnp.array(row) for row in ROWS]})
    assert ours["input_ids"].dtype == "int32"
    assert tokenizer.pad({"input_ids": ROWS, "labels": [[1] * 4, [1] * 3]})["labels"] == [[1] * 4, [1] * 3]
    assert tokenizer.pad({"input_ids": []}, return_tensors="np")["input_ids"].shape == (0,)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        ({"ids": ROWS}, {}, r"pad needs input_ids, found \['ids'\]"),
        ([{"input_ids": [1]}, {"ids": [1]}], {}, "the same names"),
        ([3], {}, "pad needs input_ids"),
        ({"input_ids": ROWS, "labels": [1]}, {}, "labels and input_ids have different numbers of rows"),
        ({"input_ids": ROWS, "labels": [[1], [1, 2]]}, {"return_tensors": "np"}, "^labels: rows of different lengths"),
        ({"input_ids": ROWS}, {"padding": "all"}, "padding='all' is not known"),
        ({"input_ids": ROWS}, {"padding_side": "top"}, "padding_side"),
    ],
)
def test_padding_afterwards_refuses(tokenizer: BertTokenizer, given: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tokenizer.pad(given, **options)


def test_the_object_itself(tokenizer: BertTokenizer) -> None:
    assert repr(tokenizer) == (
        f"BertTokenizer('', {len(tokenizer)} tokens, model_max_length=32, padding_side='right', unk_token='[UNK]', "
        "sep_token='[SEP]', pad_token='[PAD]', cls_token='[CLS]', mask_token='[MASK]')"
    )
    assert tokenizer
    for other in (pickle.loads(pickle.dumps(tokenizer)), copy.deepcopy(tokenizer)):
        assert other("we are")["input_ids"] == tokenizer("we are")["input_ids"]
        other.add_tokens("newword")
    assert len(other) == len(tokenizer) + 1
    with pytest.raises(TypeError, match="has no setting 'do_lowercase'; do you mean do_lower_case"):
        BertTokenizer(cases.VOCABULARY, do_lowercase=False)
