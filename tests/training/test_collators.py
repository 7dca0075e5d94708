"""Collators give what the Hub's give, hide what may be hidden, and refuse what cannot be a batch."""

from __future__ import annotations

import copy
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxformers import AutoTokenizer
from jaxformers.training import collators, masking
from jaxformers.training.buckets import Buckets

from .toys import CASES, CLASSES, EVERY, PIECES, ROWS, SAME, SOURCES, TAGGED, put_tokenizer, row

GOLDEN = json.loads(Path(__file__).with_name("golden_collators.json").read_text())
WITHOUT = ("DefaultDataCollator", "DataCollatorWithFlattening")
# What ours give beside theirs: a mask, without which padding would be read, and which text each token belongs to.
BESIDE = {"DataCollatorForWholeWordMask": {"attention_mask"}, "DataCollatorWithFlattening": {"segment_ids"}}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return AutoTokenizer.from_pretrained(put_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def made(kind: str, tokenizer: Any, side: str = "right", **keywords: Any) -> Any:
    tokenizer.padding_side = side
    own = {} if kind in WITHOUT else {"tokenizer": tokenizer}
    return getattr(collators, kind)(**own, **keywords)


@pytest.mark.parametrize("name", CASES)
def test_batches_are_those_of_the_hubs_collators(name: str, tokenizer: Any) -> None:
    kind, keywords, features, side = CASES[name]
    before = copy.deepcopy(features)
    batch = made(kind, tokenizer, side, **keywords)(features)
    assert features == before
    expected = {key: value for key, (_, value) in GOLDEN[name].items()}
    assert batch.keys() == expected.keys() | BESIDE.get(kind, set())
    for key, (dtype, value) in GOLDEN[name].items():
        if dtype is None:
            assert batch[key] == value
            continue
        assert batch[key].dtype == dtype, key
        np.testing.assert_array_equal(batch[key], value, err_msg=key)


def test_arrays_and_objects_are_read_as_lists_and_mappings(tokenizer: Any) -> None:
    arrays = [{name: np.asarray(value) for name, value in example.items()} for example in SOURCES]
    collator = made("DataCollatorForSeq2Seq", tokenizer)
    for name, array in collator(arrays).items():
        np.testing.assert_array_equal(array, collator(SOURCES)[name])

    class Holder:
        def __init__(self, **fields: Any) -> None:
            self.__dict__.update(fields)

    given = collators.default_data_collator([Holder(**example) for example in SAME])
    np.testing.assert_array_equal(given["labels"], [1, 0])


def test_a_model_that_can_makes_the_decoders_ids(tokenizer: Any) -> None:
    class Model:
        def prepare_decoder_input_ids_from_labels(self, labels: np.ndarray) -> np.ndarray:
            return np.roll(labels, 1, axis=1)

    batch = made("DataCollatorForSeq2Seq", tokenizer, model=Model())(SOURCES)
    np.testing.assert_array_equal(batch["decoder_input_ids"], np.roll(batch["labels"], 1, axis=1))
    assert "decoder_input_ids" not in made("DataCollatorForSeq2Seq", tokenizer, model=object())(SOURCES)


def test_rows_get_the_first_length_that_they_fit_into(tokenizer: Any) -> None:
    buckets = Buckets((6, 12, 20), (5, 9))
    classes = made("DataCollatorWithPadding", tokenizer)(CLASSES, buckets=buckets)
    tagged = made("DataCollatorForTokenClassification", tokenizer)(TAGGED[::2], buckets=buckets)
    targets = made("DataCollatorForSeq2Seq", tokenizer)(SOURCES, buckets=buckets)
    fixed = made("DataCollatorWithPadding", tokenizer, padding="max_length", max_length=9)(CLASSES, buckets=buckets)
    assert classes["input_ids"].shape == (3, 12)
    assert tagged["input_ids"].shape == tagged["labels"].shape == (2, 6)
    assert (targets["input_ids"].shape, targets["labels"].shape) == ((3, 12), (3, 5))
    assert fixed["input_ids"].shape == (3, 9)
    with pytest.raises(ValueError, match="7 tokens, the longest that is allowed is 6"):
        made("DataCollatorWithPadding", tokenizer)(CLASSES, buckets=Buckets((6,)))


MANY = [row(*np.random.default_rng(i).integers(5, len(PIECES), 5 + i % 40).tolist()) for i in range(400)]


@pytest.mark.parametrize("kind", ["DataCollatorForLanguageModeling", "DataCollatorForWholeWordMask"])
def test_as_many_tokens_are_hidden_as_was_said_and_never_special_ones(kind: str, tokenizer: Any) -> None:
    plain = made("DataCollatorForLanguageModeling", tokenizer, mlm=False)(MANY)["input_ids"]
    batch = made(kind, tokenizer, seed=0)(MANY)
    ids, labels = batch["input_ids"], batch["labels"]
    hidden, free = labels != -100, plain >= 5
    assert not (hidden & ~free).any()
    np.testing.assert_array_equal(labels[hidden], plain[hidden])
    np.testing.assert_array_equal(ids[~hidden], plain[~hidden])
    count = hidden.sum()
    of = {"DataCollatorForLanguageModeling": free.sum(), "DataCollatorForWholeWordMask": (plain != 0).sum()}[kind]
    # A few standard errors; of whole words those that do not fit are left out, so there it is no more than the share.
    assert abs(count / of - 0.15) < (0.012 if kind == "DataCollatorForLanguageModeling" else 0.03)
    masked = (ids[hidden] == tokenizer.mask_token_id).mean()
    same = (ids[hidden] == plain[hidden]).mean()
    assert abs(masked - 0.8) < 0.04
    assert abs(same - 0.1) < 0.03
    random = ids[hidden & (ids != plain) & (ids != tokenizer.mask_token_id)]
    assert len(np.unique(random)) > 40


def test_shares_of_what_is_hidden_can_be_said(tokenizer: Any) -> None:
    keywords = {"mlm_probability": 1.0, "mask_replace_prob": 0.0, "random_replace_prob": 0.0}
    plain = made("DataCollatorForLanguageModeling", tokenizer, mlm=False)(MANY)["input_ids"]
    unchanged = made("DataCollatorForLanguageModeling", tokenizer, **keywords)(MANY)
    np.testing.assert_array_equal(unchanged["input_ids"], plain)
    keywords["random_replace_prob"] = 1.0
    changed = made("DataCollatorForLanguageModeling", tokenizer, **keywords)(MANY)["input_ids"]
    assert (changed[plain >= 5] != plain[plain >= 5]).mean() > 0.95
    np.testing.assert_array_equal(changed[plain < 5], plain[plain < 5])


def test_a_key_makes_a_batch_again_and_seeds_make_a_run_again(tokenizer: Any) -> None:
    collator = made("DataCollatorForLanguageModeling", tokenizer)
    one, again, other = (collator(MANY, key=key)["input_ids"] for key in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    runs = [made("DataCollatorForLanguageModeling", tokenizer, seed=7) for _ in range(2)]
    first, second = ([run(MANY)["input_ids"] for _ in range(2)] for run in runs)
    np.testing.assert_array_equal(first, second)
    assert (first[0] != first[1]).any()


def test_a_column_says_which_tokens_are_special(tokenizer: Any) -> None:
    marked = [example | {"special_tokens_mask": [1, 1, *[0] * (len(example["input_ids"]) - 2)]} for example in MANY]
    labels = made("DataCollatorForLanguageModeling", tokenizer, **EVERY)(marked)["labels"]
    assert (labels[:, :2] == -100).all()
    assert all(labels[i, len(example["input_ids"]) - 1] == 3 for i, example in enumerate(MANY))


@pytest.mark.parametrize("side", ["right", "left"])
def test_words_are_hidden_whole_by_their_offsets(side: str, tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    texts = ["mariaish went to berlinn", "townish to xyz", "a"]
    rows = [dict(tokenizer(text, return_offsets_mapping=True)) for text in texts]
    with caplog.at_level(logging.WARNING):
        collator = made("DataCollatorForLanguageModeling", tokenizer, side, whole_word_mask=True, mlm_probability=0.5)
    assert "mask_replace_prob" in caplog.text
    seen = set()
    for key in range(40):
        batch = collator(rows, key=key)
        hidden = batch["labels"] != -100
        np.testing.assert_array_equal(hidden, batch["input_ids"] == tokenizer.mask_token_id)
        first = hidden[0] if side == "right" else hidden[0][-len(rows[0]["input_ids"]) :]
        # [CLS] maria ##ish went to berlin ##n [SEP]
        assert not first[[0, 7]].any()
        assert first[1] == first[2]
        assert first[5] == first[6]
        seen.add(tuple(first[[1, 3, 4, 5]].tolist()))
    assert len(seen) > 8


def test_words_of_pieces_are_hidden_whole_up_to_their_share(tokenizer: Any) -> None:
    words = masking.words_by_pieces(["[CLS]", "a", "##b", "c", "d", "[SEP]"], continued=[4])
    assert words == [[1, 2], [3, 4]]
    collator = made("DataCollatorForWholeWordMask", tokenizer, mlm_probability=0.3)
    ids = tokenizer("mariaish went to berlinn")["input_ids"]
    for key in range(40):
        hidden = collator([{"input_ids": ids}], key=key)["labels"][0] != -100
        assert hidden.sum() <= round(0.3 * len(ids))
        assert hidden.any()
        assert hidden[1] == hidden[2]
        assert hidden[5] == hidden[6]


def test_flat_rows_tell_their_texts_apart() -> None:
    batch = collators.DataCollatorWithFlattening()([{"input_ids": [5, 6, 7]}, {"input_ids": [8]}])
    np.testing.assert_array_equal(batch["segment_ids"], [[1, 1, 1, 2]])


ERRORS = [
    ("DataCollatorWithPadding", {"return_tensors": "pt"}, ROWS, "return_tensors='pt'"),
    ("DataCollatorWithPadding", {}, [], "no examples"),
    ("DataCollatorWithPadding", {}, [ROWS[0], row(1, label=1)], "row 1 has label too, row 0 has not the same fields"),
    ("DataCollatorWithPadding", {}, [row(1, label=1), ROWS[0]], "row 1 has no label"),
    ("DataCollatorWithPadding", {}, [{"text": "a"}], "row 0 has no input_ids: it has text"),
    ("DataCollatorWithPadding", {}, [row(1, text="a")], "text: expected numbers"),
    ("DataCollatorWithPadding", {}, [5], "row 0 is int: expected a mapping"),
    ("DataCollatorWithPadding", {}, [{"input_ids": 5}], "input_ids is int, expected a list"),
    ("DataCollatorWithPadding", {}, TAGGED, "labels: the rows have different lengths"),
    ("DataCollatorForTokenClassification", {}, [row(5, labels=[1])], "labels must have one for each of 3 tokens"),
    ("DataCollatorForTokenClassification", {}, [row(5, label=1)], "labels must have one for each of 3 tokens, found 1"),
    ("DataCollatorForSeq2Seq", {}, [row(5, labels=[1]), row(5, labels=None)], "row 1: labels is None"),
    ("DataCollatorForSeq2Seq", {"padding": "max_length", "max_length": 3}, SOURCES[:1], "4 labels, max_length is 3"),
    ("DataCollatorForMultipleChoice", {}, [{"input_ids": [[1]]}, {"input_ids": [[1], [2]]}], "row 1 has [2] choices"),
    ("DataCollatorForMultipleChoice", {}, [{"input_ids": [[1]], "n": 1}], "n must have one value for each choice"),
    ("DataCollatorForLanguageModeling", {"mlm_probability": 2.0}, ROWS, "mlm_probability must be between 0 and 1"),
    ("DataCollatorForLanguageModeling", {"mlm_probability": None}, ROWS, "mlm_probability must be between 0 and 1"),
    ("DataCollatorForLanguageModeling", {"random_replace_prob": 0.3}, ROWS, "together they must not exceed 1"),
    ("DataCollatorForLanguageModeling", {"mlm": False, "whole_word_mask": True}, ROWS, "whole_word_mask=True hides"),
    ("DataCollatorForLanguageModeling", {"whole_word_mask": True}, ROWS, "whole_word_mask needs offset_mapping"),
    ("DataCollatorWithFlattening", {}, [{"input_ids": [1, 2], "labels": [1]}], "text 0 has 2 tokens and 1 labels"),
]


@pytest.mark.parametrize(("kind", "keywords", "features", "message"), ERRORS)
def test_what_cannot_be_a_batch_is_refused(
    kind: str, keywords: dict[str, Any], features: list[Any], message: str, tokenizer: Any
) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is compared below
        made(kind, tokenizer, **keywords)(features)
    assert message in str(error.value)


def test_a_tokenizer_without_a_mask_is_for_causal_models(tmp_path: Path) -> None:
    put_tokenizer(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text()) | {"mask_token": None}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no mask token"):
        collators.DataCollatorForLanguageModeling(tokenizer)
