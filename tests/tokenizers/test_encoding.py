"""BatchEncoding: a mapping that knows where its tokens come from."""

from __future__ import annotations

import copy
import pickle

import cases
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers import BertConfig, BertModel
from jaxformers.tokenizers import BatchEncoding, BertTokenizer
from jaxformers.tokenizers.encoding import CharSpan, TokenSpan

TOKENIZER = BertTokenizer(cases.VOCABULARY)
#        0    1  2     3      4    5      6     7
#     [CLS]  We are, tokens [SEP] no  embeddings [SEP]
PAIRS = TOKENIZER(["We are!", "you"], ["no wordplay", "too"], padding=True)


def test_it_is_a_mapping_with_attributes() -> None:
    encoded = TOKENIZER("we are")
    assert encoded["input_ids"] is encoded.input_ids
    assert {**encoded}.keys() == encoded.keys() == {"input_ids", "token_type_ids", "attention_mask"}
    assert encoded.get("labels") is None
    encoded["labels"] = [1]
    assert encoded.pop("labels") == [1]
    assert "labels" not in encoded
    with pytest.raises(AttributeError, match="BatchEncoding has no 'labels'; it has"):
        _ = encoded.labels
    with pytest.raises(KeyError):
        encoded["labels"]
    with pytest.raises(KeyError, match="expected a name"):
        encoded[None]


def test_rows_are_encodings() -> None:
    assert PAIRS[0].tokens == PAIRS.tokens(0)
    assert PAIRS[np.int64(1)].ids == PAIRS["input_ids"][1]
    assert [row.ids for row in PAIRS[0:2]] == PAIRS["input_ids"]
    assert PAIRS.is_fast
    assert PAIRS.n_sequences == 2
    assert TOKENIZER("we").n_sequences == 1
    with pytest.raises(IndexError):
        PAIRS[2]


def test_places() -> None:
    assert PAIRS.tokens()[:6] == ["[CLS]", "we", "are", "!", "[SEP]", "no"]
    assert PAIRS.word_ids()[:6] == [None, 0, 1, 2, None, 0]
    assert PAIRS.words(1) == PAIRS.word_ids(1)
    assert PAIRS.sequence_ids()[:6] == [None, 0, 0, 0, None, 1]
    last = len(PAIRS.tokens()) - 1
    assert PAIRS.token_to_sequence(5) == PAIRS.token_to_sequence(0, 5 - last - 1) == 1
    assert PAIRS.token_to_word(2) == 1
    assert PAIRS.token_to_word(0) is None
    assert PAIRS.token_to_chars(3) == CharSpan(6, 7)
    assert PAIRS.token_to_chars(0) is None
    assert PAIRS.word_to_tokens(1) == PAIRS.word_to_tokens(0, 1) == TokenSpan(2, 3)
    assert PAIRS.word_to_tokens(0, 0, sequence_index=1) == TokenSpan(5, 6)
    assert PAIRS.word_to_tokens(9) is None
    assert PAIRS.word_to_chars(1) == CharSpan(3, 6)
    assert PAIRS.word_to_chars(9) is None
    assert PAIRS.char_to_token(1, 0) == 1
    assert PAIRS.char_to_token(2) is None
    assert PAIRS.char_to_token(0, 0, sequence_index=1) == 5
    assert PAIRS.char_to_word(4) == 1
    assert PAIRS.char_to_word(2) is None
    assert PAIRS.token_to_chars(3).start == 6  # type: ignore[union-attr]


@pytest.mark.parametrize("place", [-1, 2**40])
def test_places_that_cannot_be(place: int) -> None:
    with pytest.raises(IndexError, match=f"no place {place}"):
        PAIRS.char_to_token(place)
    with pytest.raises(IndexError):
        PAIRS.tokens(7)


def test_without_encodings() -> None:
    plain = BatchEncoding({"input_ids": [[1, 2], [3, 4]]})
    assert not plain.is_fast
    assert plain.encodings is None
    assert plain.n_sequences is None
    assert plain[0:1] == {"input_ids": [[1, 2]]}
    with pytest.raises(ValueError, match="call the tokenizer"):
        plain.tokens()
    with pytest.raises(KeyError):
        plain[0]


def test_it_can_be_copied_and_pickled() -> None:
    for other in (pickle.loads(pickle.dumps(PAIRS)), copy.deepcopy(PAIRS), copy.copy(PAIRS)):
        assert dict(other) == dict(PAIRS)
        assert other.tokens(1) == PAIRS.tokens(1)
        assert other.n_sequences == 2


def test_conversion_to_arrays() -> None:
    encoded = BatchEncoding({"input_ids": [1, 2], "scores": [0.5, 1.5], "flags": [True, False]})
    assert encoded.convert_to_tensors(None) is encoded
    assert encoded["input_ids"] == [1, 2]
    arrays = encoded.convert_to_tensors("np", prepend_batch_axis=True)
    assert arrays is encoded
    assert {name: (value.shape, value.dtype.kind) for name, value in arrays.items()} == {
        "input_ids": ((1, 2), "i"),
        "scores": ((1, 2), "f"),
        "flags": ((1, 2), "b"),
    }
    ours = arrays.convert_to_tensors("jax")
    assert [str(value.dtype) for value in ours.values()] == ["int32", "float32", "bool"]
    assert all(isinstance(value, jax.Array) for value in ours.values())


@pytest.mark.parametrize("value", [["a"], [None], [[1], [[2]]], [[1, 2], [3]]])
def test_conversion_refuses_what_is_no_array_of_numbers(value: list[object]) -> None:
    with pytest.raises(ValueError, match=r"^extra: "):
        BatchEncoding({"input_ids": [1], "extra": value}, tensor_type="np")


def test_to_a_device() -> None:
    encoded = TOKENIZER(["we are"], return_tensors="np")
    encoded["names"] = ["a"]
    assert encoded.to("cpu") is encoded
    assert isinstance(encoded["input_ids"], jax.Array)
    assert encoded["names"] == ["a"]
    assert encoded.to(jax.devices()[0])["input_ids"].shape == (1, 4)
    with pytest.raises(ValueError, match="no device 'cuda:7' here"):
        encoded.to("cuda:7")


# A pytree

BATCH = TOKENIZER(["We are!", "you"], ["no wordplay", "too"], padding=True, return_tensors="np")


def test_batches_of_the_same_shapes_share_a_program() -> None:
    traced = []

    @jax.jit
    def total(params: dict[str, jax.Array], batch: BatchEncoding) -> tuple[jax.Array, BatchEncoding]:
        traced.append(sorted(batch))
        assert not batch.is_fast
        assert batch.n_sequences is None
        batch["twice"] = batch["input_ids"] * 2
        return (params["weight"] * batch.input_ids * batch["attention_mask"]).sum(), batch

    params = {"weight": jnp.ones(())}
    for texts in (["We are!", "you"], ["you are!", "we"]):
        batch = TOKENIZER(texts, padding=True, return_tensors="np")
        batch["texts"] = texts
        answer, other = total(params, batch)
        assert answer == batch["input_ids"].sum()  # type: ignore[comparison-overlap]
        assert isinstance(other, BatchEncoding)
        assert sorted(other) == ["attention_mask", "input_ids", "token_type_ids", "twice"]
        assert not other.is_fast
        np.testing.assert_array_equal(other["twice"], batch["input_ids"] * 2)
    backwards = BatchEncoding(dict(reversed(list(batch.items()))))
    assert total(params, backwards)[0] == answer
    assert total.lower(params, batch).compile()(params, batch)[0] == answer
    assert len(traced) == 1
    total(params, TOKENIZER(["we"], padding=True, return_tensors="np"))
    assert len(traced) == 2


def test_models_take_a_batch_that_went_into_a_transformation() -> None:
    config = BertConfig(
        vocab_size=len(TOKENIZER), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    model = BertModel(config)
    compiled = jax.jit(lambda params, batch: model.apply(params, **batch).last_hidden_state)
    expected = model(**BATCH).last_hidden_state
    np.testing.assert_allclose(compiled(model.params, BATCH), expected, atol=1e-6)
    np.testing.assert_allclose(model(**jax.device_put(BATCH)).last_hidden_state, expected, atol=1e-6)


def test_what_is_no_array_stays_outside_of_traced_functions() -> None:
    batch = TOKENIZER(["we are", "you"], padding=True, return_tensors="jax")
    batch["texts"] = ["we are", "you"]
    with pytest.raises(KeyError, match="texts: is no array"):
        jax.jit(lambda given: given["texts"])(batch)
    lists = TOKENIZER("we are")
    lists["weights"] = np.ones(4)
    with pytest.raises(KeyError, match="return_tensors='jax'"):
        jax.jit(lambda given: given["weights"] * given["input_ids"][0])(lists)


def test_lists_alone_go_into_no_program() -> None:
    """Each batch would be one of its own, or worse, see another's ids."""
    lists = TOKENIZER(["we are", "you are"])
    for transform in (jax.jit, jax.make_jaxpr, lambda f: lambda batch: jax.eval_shape(f, batch)):
        with pytest.raises(ValueError, match="call the tokenizer with return_tensors='np'"):
            transform(lambda batch: 1.0)(lists)
    assert jax.tree.map(lambda x: x, lists).data == lists.data


def test_vmap_grad_and_scan() -> None:
    rows = jax.vmap(lambda row: row["input_ids"].sum())(BATCH)
    assert rows.tolist() == BATCH["input_ids"].sum(1).tolist()
    axes = jax.tree.map(lambda _: 0, BATCH)
    assert (
        jax.vmap(lambda row: row, in_axes=(axes,), out_axes=1)(BATCH)["input_ids"].shape == BATCH["input_ids"].T.shape
    )
    slope = jax.grad(lambda weight, batch: (weight * batch["input_ids"]).sum())(1.0, BATCH)
    assert slope == BATCH["input_ids"].sum()
    count, _ = jax.lax.scan(lambda count, row: (count + row["attention_mask"].sum(), None), 0, BATCH)
    assert count == BATCH["attention_mask"].sum()
    shapes = jax.eval_shape(lambda batch: batch, BATCH)
    assert {name: value.shape for name, value in shapes.items()} == dict.fromkeys(BATCH, BATCH["input_ids"].shape)


def test_words_go_along_as_long_as_shapes_stay() -> None:
    batch = copy.copy(BATCH)
    batch["texts"] = ["a", "b"]
    for other in (
        jax.device_put(batch),
        jax.device_put(batch, jax.devices()[0]),
        jax.tree.map(lambda value: value + 1, batch),
        jax.tree.map(lambda value, more: value * more, batch, BatchEncoding(dict(BATCH))),
        pickle.loads(pickle.dumps(jax.device_get(jax.device_put(batch)))),
        copy.deepcopy(jax.device_put(batch)),
    ):
        assert isinstance(other, BatchEncoding)
        assert list(other) == list(batch)
        assert other["texts"] == ["a", "b"]
        assert other.word_ids(1) == BATCH.word_ids(1)
        assert other.n_sequences == 2
        assert {**other}.keys() == batch.keys()
    short = jax.tree.map(lambda value: value[:1], batch)
    assert not short.is_fast
    assert short["input_ids"].shape[0] == 1
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(batch)]
    assert paths == ["['attention_mask']", "['input_ids']", "['token_type_ids']"]
    leaves, structure = jax.tree.flatten(batch)
    dummy = jax.tree.unflatten(structure, [object()] * len(leaves))
    assert len(jax.tree.leaves(dummy)) == len(leaves)
    assert jax.tree.structure(dummy) == structure == jax.tree.structure(BATCH)
    assert hash(structure) == hash(jax.tree.structure(BATCH))
    del dummy["input_ids"]
    assert len(jax.tree.leaves(dummy)) == 2
