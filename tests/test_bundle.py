"""The object that users hold: every way to call it, every mistake it refuses, every transformation it goes through."""

from __future__ import annotations

import copy
import logging
import pickle
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from jaxformers import (
    BertConfig,
    BertForMaskedLM,
    BertForMultipleChoice,
    BertForNextSentencePrediction,
    BertForPreTraining,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    Model,
    bundle,
)
from jaxformers import batch as batches
from jaxformers.layers import run
from jaxformers.layers.attention import prepare

IDS = np.array([[5, 6, 7, 8, 9], [1, 2, 3, 0, 0]])
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


@pytest.fixture(scope="module")
def toy_model(make, toy_config):
    """One layer, since most of the time here is compiling."""
    return make(BertForSequenceClassification, toy_config.replace(num_hidden_layers=1))


@pytest.fixture(scope="module")
def expected(toy_model):
    """The toy's scores of the batch, from the pure function without jit."""
    return np.asarray(toy_model.apply(toy_model.params, IDS, MASK).logits)


# -- calls ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "keywords"),
    [
        ((), {"input_ids": IDS, "attention_mask": MASK}),
        ((IDS, MASK), {}),
        ((IDS,), {"attention_mask": MASK}),
        ((IDS.tolist(), MASK.tolist()), {}),
        ((IDS.astype(np.uint8), MASK.astype(bool)), {}),
        ((jnp.asarray(IDS), jnp.asarray(MASK)), {"labels": None, "token_type_ids": None}),
        (([jnp.asarray(row) for row in IDS], MASK.astype(float)), {"return_dict": True}),
        ((IDS, MASK, np.zeros_like(IDS), np.tile(np.arange(5), (2, 1))), {}),
        ((IDS, np.repeat(MASK[:, None], 5, axis=1)), {}),
    ],
    ids=["names", "places", "both", "lists", "small types", "jax arrays", "list of arrays", "all places", "3-D mask"],
)
def test_every_form_of_a_call_gives_the_same(toy_model, expected, args, keywords):
    out = toy_model(*args, **keywords)
    np.testing.assert_allclose(out.logits, expected, atol=1e-5)
    assert list(out) == ["logits"]


def test_vectors_in_place_of_ids(toy_model, expected):
    embeds = np.asarray(toy_model.params["word"]["table"])[IDS]
    np.testing.assert_allclose(toy_model(inputs_embeds=embeds, attention_mask=MASK).logits, expected, atol=1e-5)
    narrow = jax.tree.map(lambda x: x.astype("bfloat16"), toy_model)
    assert narrow(inputs_embeds=embeds, attention_mask=MASK).logits.dtype == jnp.bfloat16


def test_the_lines_of_the_tour(toy_model, expected):
    batch = {"input_ids": IDS, "attention_mask": MASK}
    labels = [1, 0]
    out = toy_model(**batch)
    assert out.logits is out["logits"]
    assert out.logits is out[0]
    out = toy_model(**batch, labels=labels)
    log_p = expected - np.log(np.exp(expected).sum(-1, keepdims=True))
    np.testing.assert_allclose(out.loss, -(log_p[0, 1] + log_p[1, 0]) / 2, rtol=1e-4)
    assert out[:2] == (out.loss, out.logits)
    assert type(toy_model(**batch, labels=labels, return_dict=False)) is tuple
    assert isinstance(toy_model(**batch, return_dict=None)[0], jax.Array)
    grads = jax.jit(jax.grad(lambda p: toy_model.apply(p, **batch, labels=labels).loss))(toy_model.params)
    assert jax.tree.structure(grads) == jax.tree.structure(toy_model.params)
    assert all(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(grads["head"]))


def test_hidden_states_and_attentions_come_last_in_order(make, toy_config):
    model = make(BertModel, toy_config)
    out = model(IDS, MASK, output_hidden_states=True, output_attentions=True)
    assert list(out) == ["last_hidden_state", "pooler_output", "hidden_states", "attentions"]
    states, attentions = out[-2:]
    assert [s.shape for s in states] == [(2, 5, 32)] * 3
    assert [a.shape for a in attentions] == [(2, 4, 5, 5)] * 2
    np.testing.assert_array_equal(states[-1], out.last_hidden_state)
    p = model.params
    embedded = p["word"]["table"][IDS] + p["position"]["table"][:5] + p["type"]["table"][0]
    centred = embedded - embedded.mean(-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12) * p["norm"]["scale"] + p["norm"]["bias"]
    np.testing.assert_allclose(states[0], normal, atol=1e-4)
    for weights in map(np.asarray, attentions):
        np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
        assert (weights[1, :, :, 3:] == 0).all()
    assert model.replace(config=toy_config.replace(output_hidden_states=True))(IDS, MASK).hidden_states is not None
    assert list(model(IDS, MASK)) == ["last_hidden_state", "pooler_output"]


def test_padding_on_either_side_changes_nothing_that_counts(make, toy_config):
    model = make(BertForTokenClassification, toy_config.replace(num_labels=3))
    alone = model([[5, 6, 7]], position_ids=[[0, 1, 2]]).logits[0]
    right = model([[5, 6, 7, 0, 0]], [[1, 1, 1, 0, 0]], position_ids=[[0, 1, 2, 3, 4]]).logits[0, :3]
    left = model([[0, 0, 5, 6, 7]], [[0, 0, 1, 1, 1]], position_ids=[[0, 0, 0, 1, 2]]).logits[0, 2:]
    np.testing.assert_allclose(right, alone, atol=1e-5)
    np.testing.assert_allclose(left, alone, atol=1e-5)


def test_an_empty_row_is_finite_and_leaves_the_others_alone(toy_model):
    masked = MASK.copy()
    masked[1] = 0
    out, full = toy_model(IDS, masked).logits, toy_model(IDS, MASK).logits
    assert np.isfinite(out).all()
    np.testing.assert_array_equal(out[0], full[0])


# -- what is refused, before anything compiles ------------------------------------------------------------------------


@pytest.fixture
def no_compiling(monkeypatch):
    """Whatever gets as far as the compiled entry fails the test."""

    def fail(*args):
        raise AssertionError("it was not refused")

    fail._cache_size = lambda: 0
    monkeypatch.setattr(bundle, "_forward", fail)


BAD = {
    "an id behind the vocabulary": (([[5, 96]],), {}, r"input_ids\[0, 1\] is 96, allowed are 0 to 95"),
    "an id below zero": (([[5, 6], [-1, 3]],), {}, r"input_ids\[1, 0\] is -1"),
    "an id beyond 32 bits": (([[2**40, 5]],), {}, "input_ids: 1099511627776 does not fit"),
    "too many tokens": ((np.ones((1, 65), int),), {}, "65 tokens in a row, the model has 64 positions"),
    "no rows": ((np.zeros((0, 5), int),), {}, "is empty"),
    "no tokens": ((np.zeros((2, 0), int),), {}, "is empty"),
    "ragged rows": (([[1, 2], [3]],), {}, "input_ids: the rows have different lengths"),
    "one text": (([1, 2, 3],), {}, r"input_ids must be \[batch, seq\]"),
    "a number": ((3,), {}, r"input_ids must be \[batch, seq\]"),
    "text": (("hello",), {}, "input_ids: expected numbers"),
    "texts": ((["hello", "you"],), {}, "input_ids: expected numbers"),
    "nothing in a row": (([[None, 1]],), {}, "input_ids: expected numbers"),
    "a whole batch": (({"input_ids": IDS},), {}, r"model\(\*\*batch\)"),
    "fractions": (([[1.5, 2]],), {}, "input_ids must be whole numbers"),
    "both": ((IDS,), {"inputs_embeds": np.zeros((2, 5, 32))}, "either input_ids or inputs_embeds"),
    "neither": ((), {"attention_mask": MASK}, "either input_ids or inputs_embeds"),
    "narrow vectors": ((), {"inputs_embeds": np.zeros((2, 5, 31))}, r"inputs_embeds must be floats \[batch, seq, 32\]"),
    "vectors of one text": ((), {"inputs_embeds": np.zeros((5, 32))}, "inputs_embeds must be floats"),
    "ids as vectors": ((), {"inputs_embeds": IDS}, "inputs_embeds must be floats"),
    "a short mask": ((IDS, MASK[:, :4]), {}, r"attention_mask has shape \(2, 4\)"),
    "a mask of fewer rows": ((IDS, MASK[:1]), {}, "attention_mask has shape"),
    "a mask that is not square": ((IDS, np.ones((2, 5, 4))), {}, "attention_mask has shape"),
    "a segment too many": ((IDS, MASK, IDS * 0 + 2), {}, r"token_type_ids\[0, 0\] is 2, allowed are 0 to 1"),
    "segments of another shape": ((IDS, MASK, IDS[:, :2] * 0), {}, "token_type_ids has shape"),
    "a position too far": ((IDS,), {"position_ids": IDS * 0 + 64}, r"position_ids\[0, 0\] is 64"),
    "a label too many": ((IDS,), {"labels": [0, 2]}, r"labels\[1\] is 2, allowed are 0 to 1"),
    "a negative label": ((IDS,), {"labels": [-1, 0]}, r"labels\[0\] is -1"),
    "labels for other rows": ((IDS,), {"labels": [0]}, r"labels has shape \(1,\), expected \(2,\)"),
    "a label": ((IDS,), {"labels": 1}, "labels has shape"),
    "labels of each token": ((IDS,), {"labels": IDS * 0}, "labels has shape"),
    "whole numbers for several labels": ((IDS,), {"labels": [[1, 0], [0, 1]]}, "multi_label_classification"),
    "floats for one label": ((IDS,), {"labels": [1.0, 0.0]}, r"multi_label_classification takes \(2, 2\)"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_a_value_error_that_names_it_before_anything_compiles(toy_model, no_compiling, case):
    args, keywords, message = BAD[case]
    with pytest.raises(ValueError, match=message) as caught:
        toy_model(*args, **keywords)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("case", BAD)
def test_apply_says_what_the_call_says(toy_model, case):
    args, keywords, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        toy_model.apply(toy_model.params, *args, **keywords)


OF_SHAPES = [
    *("too many tokens", "no rows", "no tokens", "one text", "fractions", "both", "neither", "narrow vectors"),
    *("vectors of one text", "ids as vectors", "a short mask", "a mask of fewer rows", "a mask that is not square"),
    *("segments of another shape", "labels for other rows", "a label", "labels of each token"),
    *("whole numbers for several labels", "floats for one label"),
]


@pytest.mark.parametrize("case", OF_SHAPES)
@pytest.mark.parametrize("way", ["apply", "call"])
def test_shapes_and_types_of_tracers_are_checked(toy_model, way, case):
    args, keywords, message = BAD[case]
    call = partial(toy_model.apply, toy_model.params) if way == "apply" else toy_model
    args, keywords = [jnp.asarray(x) for x in args], {name: jnp.asarray(x) for name, x in keywords.items()}
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda args, keywords: call(*args, **keywords), args, keywords)


def test_a_row_without_the_axis_of_rows_is_told_what_to_do(toy_model, expected):
    ids, mask = jnp.asarray(IDS), jnp.asarray(MASK)
    for way in (partial(toy_model.apply, toy_model.params), toy_model):
        for wrong in (lambda ids, mask, way=way: way(ids[0], mask[0]), jax.vmap(way)):
            with pytest.raises(ValueError, match=r"found 1 axes \(5,\): pass input_ids\[None\]; under vmap too"):
                wrong(ids, mask)
    each = jax.vmap(lambda ids, mask: toy_model.apply(toy_model.params, ids[None], mask[None]).logits[0])
    np.testing.assert_allclose(each(ids, mask), expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"\(5, 32\): pass inputs_embeds\[None\]"):
        jax.vmap(lambda x: toy_model.apply(toy_model.params, inputs_embeds=x))(jnp.zeros((2, 5, 32)))


def test_a_model_without_token_types_drops_those_that_are_zero(make):
    config = DistilBertConfig(vocab_size=96, dim=32, n_heads=4, n_layers=1, hidden_dim=64)
    model = make(DistilBertModel, config)
    expected = model(IDS, MASK)[0]
    for zeros in ((IDS * 0).tolist(), IDS * 0, jnp.zeros((2, 5), jnp.int32), None):
        for way in (model, partial(model.apply, model.params)):
            np.testing.assert_allclose(way(IDS, MASK, token_type_ids=zeros)[0], expected, atol=1e-5)
    batch = {"input_ids": IDS, "attention_mask": MASK, "token_type_ids": IDS * 0}
    traced = jax.jit(lambda params, batch: model.apply(params, **batch)[0])(model.params, batch)
    np.testing.assert_allclose(traced, expected, atol=1e-5)
    for others in (IDS * 0 + 1, jnp.asarray(IDS * 0).at[1, 2].set(1)):
        for way in (model, partial(model.apply, model.params)):
            with pytest.raises(ValueError, match="no token types, and token_type_ids has 1: leave"):
                way(IDS, MASK, token_type_ids=others)


@pytest.mark.parametrize("name", sorted(batches.FOR_USERS))
def test_what_a_tokenizer_gives_for_its_caller_is_told_apart(toy_model, name):
    with pytest.raises(TypeError, match=f"takes no '{name}', which the tokenizer gave for you: leave it out"):
        toy_model(IDS, **{name: IDS})


SHAPES = array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=70)


@given(
    ids=arrays("int64", SHAPES, elements=st.integers(-2, 97), fill=st.integers(0, 1))
    | arrays("int64", array_shapes(min_dims=2, max_dims=2, max_side=4), elements=st.integers(0, 95)),
    dtype=st.sampled_from(["int64", "int64", "int32", "uint8", "int8", "float32", "bool"]),
)
def test_only_ids_that_mean_something_get_as_far_as_the_program(toy_model, ids, dtype):
    ids = ids.astype(dtype)
    try:
        batch, labels, _, _ = batches.read(type(toy_model), toy_model.config, (ids,), {})
        batches.check(type(toy_model), toy_model.config, batch, labels)
        taken = True
    except ValueError:
        taken = False
    sound = ids.ndim == 2 and ids.size > 0 and ids.shape[1] <= 64 and ids.dtype.kind in "iu"
    assert taken == (sound and bool(((ids >= 0) & (ids < 96)).all()))


def test_shapes_and_types_are_checked_on_devices_too_and_values_are_not(toy_model, no_compiling):
    with pytest.raises(ValueError, match="is empty"):
        toy_model(jnp.zeros((0, 5), jnp.int32))
    with pytest.raises(ValueError, match="whole numbers"):
        toy_model(jnp.zeros((2, 5)))
    with pytest.raises(AssertionError, match="not refused"):
        toy_model(jnp.full((2, 5), 96))


def test_values_of_tracers_are_not_looked_at(toy_model, expected):
    ids = jnp.asarray(IDS)
    np.testing.assert_allclose(jax.jit(lambda ids: toy_model(ids, MASK).logits)(ids), expected, atol=1e-5)
    wrong = jax.jit(lambda ids: toy_model(ids, MASK).logits)(ids.at[0, 1].set(96))
    assert np.isnan(wrong[0]).all()  # out of range is NaN, never another word's row
    np.testing.assert_allclose(wrong[1], expected[1], atol=1e-5)


def test_unknown_and_repeated_keywords_are_type_errors(toy_model, make, no_compiling):
    with pytest.raises(TypeError, match=r"takes no 'inputs'; it takes input_ids, attention_mask, .*labels"):
        toy_model(inputs=IDS)
    with pytest.raises(TypeError, match="input_ids is given twice"):
        toy_model(IDS, input_ids=IDS)
    with pytest.raises(TypeError, match="takes at most 5 arrays in order: input_ids, attention_mask"):
        toy_model(IDS, MASK, MASK, MASK, MASK, MASK)
    config = DistilBertConfig(vocab_size=96, dim=32, n_heads=4, n_layers=1, hidden_dim=64)
    with pytest.raises(TypeError, match="DistilBertModel takes no 'langs'"):
        make(DistilBertModel, config)(IDS, langs=IDS)


def traced(cls, params, config, inputs, labels, ask, sites):
    """Shapes and types of what the compiled entry would return."""
    return jax.eval_shape(lambda p, x, y: cls.captured(p, config, x, y), params, inputs, labels)


traced._cache_size = lambda: 0


@pytest.mark.parametrize(
    ("kind", "fields", "good", "bad"),
    [
        (
            BertForSequenceClassification,
            {"num_labels": 1},
            [{"labels": [0.5, 7]}, {"labels": [[3], [4]]}],
            [{"labels": [[1, 2]] * 2}],
        ),
        (
            BertForSequenceClassification,
            {"num_labels": 3, "problem_type": "regression"},
            [{"labels": np.ones((2, 3))}],
            [{"labels": [1, 2]}],
        ),
        (
            BertForSequenceClassification,
            {"num_labels": 3, "problem_type": "multi_label_classification"},
            [{"labels": np.ones((2, 3), int)}],
            [{"labels": [1, 2]}],
        ),
        (BertForSequenceClassification, {}, [{"labels": [[1], [-100]]}, {"labels": np.ones((2, 2))}], []),
        (BertForMaskedLM, {}, [{"labels": IDS}, {"labels": IDS * 0 - 100}], [{"labels": [1, 2]}, {"labels": IDS + 95}]),
        (BertForTokenClassification, {}, [{"labels": IDS % 2}], [{"labels": IDS}, {"labels": IDS * 1.0}]),
        (BertForNextSentencePrediction, {}, [{"labels": [0, 1]}, {"labels": [[0], [1]]}], [{"labels": [0, 2]}]),
        (
            BertForQuestionAnswering,
            {},
            [{"start_positions": [0, 99], "end_positions": [[4], [1]]}, {"start_positions": [0, 1]}],
            [{"start_positions": [0], "end_positions": [1]}, {"start_positions": [0.5, 1.0]}],
        ),
        (
            BertForPreTraining,
            {},
            [{"labels": IDS, "next_sentence_label": [0, 1]}],
            [{"labels": IDS, "next_sentence_label": [0, 2]}, {"labels": [0, 1]}],
        ),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_tasks_labels(make, toy_config, monkeypatch, kind, fields, good, bad):
    model = make(kind, toy_config.replace(**fields))
    monkeypatch.setattr(bundle, "_forward", traced)
    for labels in good:
        out = model(IDS, **labels)
        complete = len(labels) == len(kind.labels)
        assert out.loss is None if not complete else (out.loss.shape, out.loss.dtype) == ((), jnp.float32)
    for labels in bad:
        with pytest.raises(ValueError, match="|".join(labels)):
            model(IDS, **labels)


def test_choices(make, toy_config):
    model = make(BertForMultipleChoice, toy_config)
    ids = np.stack([IDS, IDS[::-1], IDS + 1])  # 3 texts with 2 choices each
    out = model(ids, np.stack([MASK, MASK[::-1], MASK]), labels=[0, 1, 1], output_hidden_states=True)
    assert out.logits.shape == (3, 2)
    np.testing.assert_allclose(out.logits[0], out.logits[1, ::-1], atol=1e-6)
    log_p = out.logits - np.log(np.exp(out.logits).sum(-1, keepdims=True))
    np.testing.assert_allclose(out.loss, -(log_p[0, 0] + log_p[1, 1] + log_p[2, 1]) / 3, rtol=1e-5)
    for args, message in (
        ((IDS,), r"\[batch, choices, seq\], found 2 axes"),
        ((ids, MASK), "attention_mask has shape"),
    ):
        with pytest.raises(ValueError, match=message):
            model(*args)
    with pytest.raises(ValueError, match=r"labels\[0\] is 2, allowed are 0 to 1"):
        model(ids, labels=[2, 0, 0])


# -- the object -------------------------------------------------------------------------------------------------------


def test_it_says_what_it_is(toy_model):
    count = sum(leaf.size for leaf in jax.tree.leaves(toy_model))
    assert repr(toy_model) == f"BertForSequenceClassification({count:,} parameters, 0.1 MB, float32)"
    assert "bfloat16" in repr(jax.tree.map(lambda x: x.astype("bfloat16"), toy_model))
    jax.eval_shape(lambda model: [repr(model), model.params][1], toy_model)


@pytest.mark.parametrize(
    ("habit", "advice"),
    [
        (lambda m: m.to("cuda"), "device_put"),
        (lambda m: m.cuda(), r"jax\.devices\('gpu'\)"),
        (lambda m: m.cpu(), r"jax\.devices\('cpu'\)"),
        (lambda m: m.half(), "float16"),
        (lambda m: m.eval(), "without dropout"),
        (lambda m: m.train(), "key=key"),
        (lambda m: m.parameters(), r"model\.params"),
        (lambda m: m.state_dict(), "save_pretrained"),
        (lambda m: m.device, r"devices\(\)"),
    ],
)
def test_torch_habits_say_what_to_write_instead(toy_model, habit, advice):
    with pytest.raises(AttributeError, match=f"models here have no .*; instead: .*{advice}"):
        habit(toy_model)


def test_what_the_advice_says_works(toy_model):
    assert jax.tree.map(lambda x: x.astype("float16"), toy_model).params["norm"]["bias"].dtype == jnp.float16
    assert type(jax.device_put(toy_model, jax.devices("cpu")[0])) is type(toy_model)
    with pytest.raises(AttributeError, match="has no attribute 'bert'"):
        _ = toy_model.bert


def test_it_is_frozen_and_comes_back_from_copy_and_pickle(toy_model, expected):
    with pytest.raises(AttributeError, match=r"frozen: use model\.replace\(params=\.\.\.\)"):
        toy_model.params = {}
    with pytest.raises(AttributeError, match="frozen"):
        del toy_model.config
    for again in (copy.copy(toy_model), copy.deepcopy(toy_model), pickle.loads(pickle.dumps(toy_model))):
        assert again.config == toy_model.config
        np.testing.assert_allclose(again(IDS, MASK).logits, expected, atol=1e-5)
    assert toy_model != copy.copy(toy_model)
    assert hash(toy_model) == hash(toy_model)


def test_random_weights_come_from_the_key():
    config = BertConfig(
        vocab_size=7,
        hidden_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=4,
        max_position_embeddings=4,
    )
    first, same, other = (
        BertModel(config),
        BertModel(config, key=jax.random.key(0)),
        BertModel(config, key=jax.random.key(1)),
    )
    tables = [np.asarray(model.params["word"]["table"]) for model in (first, same, other)]
    np.testing.assert_array_equal(tables[0], tables[1])
    assert not np.array_equal(tables[0], tables[2])
    np.testing.assert_array_equal(tables[0][0], 0)  # the padding token's row
    wide = BertModel(config.replace(initializer_range=2.0), key=jax.random.key(0))
    np.testing.assert_allclose(wide.params["word"]["table"], 100 * tables[0], rtol=1e-5)


def test_what_cannot_be_made_is_refused(toy_model, toy_config):
    with pytest.raises(TypeError, match="takes a BertConfig, not DistilBertConfig"):
        BertModel(DistilBertConfig())
    with pytest.raises(TypeError, match="from_pretrained reads a checkpoint by name or folder"):
        BertModel("bert-base-uncased")
    with pytest.raises(ValueError, match=r"random weights of this config take .* GiB"):
        BertModel(BertConfig(hidden_size=10**8, num_attention_heads=1))
    with pytest.raises(ValueError, match=r"params lack head\.classifier\.bias"):
        BertForSequenceClassification(toy_config, params={"word": {"table": 3}})
    with pytest.raises(ValueError, match=r"params have, unlike the config's model, more"):
        BertForSequenceClassification(toy_model.config, params=toy_model.params | {"more": 3})
    with pytest.raises(ValueError, match=r"head\.classifier\.bias have shape \(2,\), the config asks for \(3,\)"):
        BertForSequenceClassification(toy_model.config.replace(num_labels=3), params=toy_model.params)
    with pytest.raises(TypeError, match="Model is no model of a task"):
        Model.finish(None, None, {}, None)


def test_what_replaces_params_is_checked_as_by_the_constructor(toy_model):
    params = toy_model.params
    for broken, message in (
        ({"word": {"table": 3}}, r"params lack head\.classifier\.bias"),
        (params | {"more": 3}, r"params have, unlike the config's model, more"),
        (params | {"norm": jax.tree.map(lambda x: x[:3], params["norm"])}, r"norm\.bias have shape \(3,\)"),
        ([params], "params must be a nested dict of arrays, found list"),
    ):
        with pytest.raises(ValueError, match=message):
            toy_model.replace(params=broken)
    with pytest.raises(ValueError, match=r"head\.classifier\.bias have shape \(2,\), the config asks for \(3,\)"):
        toy_model.replace(config=toy_model.config.replace(num_labels=3))
    with pytest.raises(TypeError, match="takes a BertConfig, not DistilBertConfig"):
        toy_model.replace(config=DistilBertConfig())


def test_params_are_replaced_inside_transformations_and_by_trees_of_other_kinds(toy_model, toy_folder, expected):
    ids, mask = jnp.asarray(IDS), jnp.asarray(MASK)
    scores = jax.jit(lambda p: toy_model.replace(params=p)(ids, mask).logits)(toy_model.params)
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    stacked = toy_model.params | {"layers": run.stack(toy_model.params["layers"])}
    np.testing.assert_allclose(toy_model.replace(params=stacked)(ids, mask).logits, expected, atol=1e-5)
    shapes = jax.eval_shape(lambda: toy_model.params)
    assert toy_model.replace(params=shapes).params is shapes
    for dtype in ("int8", "int8_weight_only", "int4_weight_only"):
        small = type(toy_model).from_pretrained(toy_folder, dtype=dtype)
        again = type(small)(small.config, params=toy_model.replace(params=small.params).params)
        np.testing.assert_array_equal(again(ids, mask).logits, small(ids, mask).logits)
        with pytest.raises(ValueError, match="have shape"):
            toy_model.replace(params=jax.tree.map(lambda x: x[:3], small.params))
    assert jax.tree.leaves(jax.tree.map(lambda x: x.sharding, toy_model))  # what jax makes of a model is not looked at


# -- transformations --------------------------------------------------------------------------------------------------


def test_it_is_a_pytree_of_its_params(toy_model):
    paths = {
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, _ in jax.tree_util.tree_leaves_with_path(toy_model)
    }
    assert "params.layers.0.query.weight" in paths
    assert len(paths) == len(jax.tree.leaves(toy_model.params))
    doubled = jax.tree.map(lambda x: 2 * x, toy_model)
    assert type(doubled) is type(toy_model)
    assert doubled.config is toy_model.config
    shapes = jax.eval_shape(lambda: toy_model)
    assert shapes.params["norm"]["bias"].shape == (32,)


def test_jit_and_grad_and_an_optimizers_step_over_the_model_itself(toy_model):
    optimizer = optax.sgd(0.1)

    @jax.jit
    def step(model, state):
        loss, grads = jax.value_and_grad(lambda m: m.apply(m.params, IDS, MASK, labels=[1, 0]).loss)(model)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(model, updates), state, loss

    model, state, losses = toy_model, optimizer.init(toy_model), []
    for _ in range(3):
        model, state, loss = step(model, state)
        losses.append(float(loss))
    assert type(model) is type(toy_model)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def test_vmap_over_stacked_models(toy_model, expected):
    other = jax.tree.map(lambda x: x * 1.1, toy_model)
    both = jax.tree.map(lambda *x: jnp.stack(x), toy_model, other)
    scores = jax.vmap(lambda m: m(IDS, MASK).logits)(both)
    np.testing.assert_allclose(scores[0], expected, atol=1e-5)
    np.testing.assert_allclose(scores[1], other(IDS, MASK).logits, atol=1e-5)


def test_pmap(toy_model, expected):
    scores = jax.pmap(lambda p, ids: toy_model.apply(p, ids, MASK).logits, in_axes=(None, 0))(
        toy_model.params, IDS[None]
    )
    np.testing.assert_allclose(scores[0], expected, atol=1e-5)


def test_dropout_is_on_with_a_key_and_drawn_by_it(toy_model, expected):
    apply = jax.jit(lambda key: toy_model.apply(toy_model.params, IDS, MASK, key=key).logits)
    first = apply(jax.random.key(1))
    np.testing.assert_array_equal(first, apply(jax.random.key(1)))
    assert not np.allclose(first, apply(jax.random.key(2)))
    assert not np.allclose(first, expected, atol=1e-3)
    still = toy_model.replace(config=toy_model.config.replace(hidden_dropout_prob=0, attention_probs_dropout_prob=0))
    without = jax.jit(lambda key: still.apply(still.params, IDS, MASK, key=key).logits)(jax.random.key(1))
    np.testing.assert_allclose(without, expected, atol=1e-5)


def test_what_is_prepared_shares_what_it_leaves_alone(make, toy_config):
    model = make(BertModel, toy_config)
    assert model.prepared is model.prepared is model.replace(config=model.config).prepared
    (first, *_), (own, *_) = model.prepared["layers"], model.params["layers"]
    assert "qkv" in first
    assert "query" not in first
    assert first["up"]["weight"] is own["up"]["weight"]
    assert model.prepared["word"]["table"] is model.params["word"]["table"]


def test_stacked_and_prepared_layers_compute_the_same(make, toy_config):
    listed = make(BertForSequenceClassification, toy_config)
    stacked = BertForSequenceClassification(
        toy_config, params=listed.params | {"layers": run.stack(listed.params["layers"])}
    )

    asked = {"output_hidden_states": True, "output_attentions": True}
    expected = listed(IDS, MASK, **asked)
    prepared = prepare(listed.params, listed.laid_out)
    others = [stacked(IDS, MASK, **asked), listed.apply(prepared, IDS, MASK, **asked)]
    for other in others:
        assert jax.tree.structure(other) == jax.tree.structure(expected)
        for x, y in zip(jax.tree.leaves(other), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(x, y, atol=1e-5)


def test_export_round_trips_with_any_number_of_rows(toy_model, expected):
    pytest.importorskip("flatbuffers")  # jax writes exported programs with it
    rows = jax.export.symbolic_shape("b")[0]
    shape = jax.ShapeDtypeStruct((rows, 5), jnp.int32)
    scores = jax.jit(lambda p, ids, mask: toy_model.apply(p, input_ids=ids, attention_mask=mask).logits)
    exported = jax.export.export(scores)(toy_model.params, shape, shape)
    again = jax.export.deserialize(exported.serialize())
    got = jax.jit(again.call)(toy_model.params, IDS.astype(np.int32), MASK.astype(np.int32))
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert again.call(toy_model.params, *(np.repeat(x, 2, 0).astype(np.int32) for x in (IDS, MASK))).shape == (4, 2)


def test_x64_changes_neither_types_nor_values(toy_model, expected):
    with jax.enable_x64(True):
        out = toy_model(IDS, MASK, labels=[1, 0], output_hidden_states=True)
        assert {leaf.dtype.name for leaf in jax.tree.leaves(out)} == {"float32"}
        np.testing.assert_allclose(out.logits, expected, atol=1e-5)
        assert toy_model(jnp.asarray(IDS), jnp.asarray(MASK)).logits.dtype == jnp.float32  # int64 from the caller


def test_half_types_go_through(toy_model, expected):
    narrow = jax.tree.map(lambda x: x.astype("bfloat16"), toy_model)
    out = narrow(IDS, MASK, labels=[1, 0], output_hidden_states=True)
    assert (out.logits.dtype, out.loss.dtype, out.hidden_states[0].dtype) == (jnp.bfloat16, jnp.float32, jnp.bfloat16)
    np.testing.assert_allclose(out.logits.astype("float32"), expected, atol=0.1)


def test_many_shapes_earn_one_word_of_advice(toy_model, caplog):
    one_layer = toy_model.replace(
        config=toy_model.config.replace(num_hidden_layers=0), params=toy_model.params | {"layers": []}
    )
    bundle._forward.clear_cache()
    with caplog.at_level(logging.INFO, "jaxformers"):
        for length in range(1, 11):
            one_layer(np.ones((1, length), int))
            one_layer(np.ones((1, length), int))
    said = [record.getMessage() for record in caplog.records if "pad_to_multiple_of" in record.getMessage()]
    assert len(said) == 1
    assert "pipeline()" in said[0]


def test_resizing_the_vocabulary(toy_folder):
    model = BertForMaskedLM.from_pretrained(toy_folder, key=jax.random.key(1))
    larger = model.resize_token_embeddings(100, pad_to_multiple_of=64, key=jax.random.key(2))
    assert larger.config.vocab_size == 128
    assert model.config.vocab_size == 96
    old, new = model.params["word"]["table"], larger.params["word"]["table"]
    np.testing.assert_array_equal(new[:96], old)
    np.testing.assert_allclose(new[96:], np.broadcast_to(old.mean(0), (32, 32)), atol=1e-3)
    assert len(np.unique(np.asarray(new[96:]), axis=0)) == 32
    assert larger.params["head"]["bias"].shape == (128,)
    out = larger(IDS).logits
    np.testing.assert_allclose(out[..., :96], model(IDS).logits, rtol=1e-5, atol=1e-5)
    assert out.shape == (2, 5, 128)
    smaller = larger.resize_token_embeddings(50)
    np.testing.assert_array_equal(smaller.params["word"]["table"], old[:50])
    assert larger.resize_token_embeddings().config.vocab_size == 128
    for wrong in (0, -1, 2.5):
        with pytest.raises(ValueError, match="new_num_tokens"):
            model.resize_token_embeddings(wrong)
