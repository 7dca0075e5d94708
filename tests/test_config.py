"""Configs keep what config.json says, refuse what cannot be, and never make two fine-tunes compile twice."""

from __future__ import annotations

import copy
import json
import logging
import math
import pickle
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxformers import AutoConfig, BertConfig, BertForSequenceClassification, DistilBertConfig
from jaxformers.config import Config

TOY = {"vocab_size": 96, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}


# -- reading and writing ----------------------------------------------------------------------------------------------


def test_every_field_of_a_file_is_read_and_written(tmp_path, caplog):
    fields = {
        "model_type": "bert",
        "architectures": ["BertForSequenceClassification"],
        **TOY,
        "hidden_act": "gelu_new",
        "hidden_dropout_prob": 0.25,
        "attention_probs_dropout_prob": 0,
        "max_position_embeddings": 77,
        "type_vocab_size": 3,
        "layer_norm_eps": 1e-7,
        "classifier_dropout": None,
        "pad_token_id": 5,
        "position_embedding_type": "absolute",
        "problem_type": "multi_label_classification",
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "id2label": {"0": "traurig", "1": "fröhlich", "2": "😐"},
        "label2id": {"traurig": 0, "fröhlich": 1, "😐": 2},
        "task_specific_params": {"summarization": {"num_beams": 4, "nested": [1, 2.5, None, "x"]}},
        "_name_or_path": "somebody/something",
        "self": "a name that Python uses too",
        "rest": [1],
        "house_number": 12,
    }
    (tmp_path / "config.json").write_text(json.dumps(fields))
    with caplog.at_level(logging.WARNING):
        config = AutoConfig.from_pretrained(tmp_path)
    assert [r.getMessage() for r in caplog.records] == [
        "BertConfig: unknown fields, kept but without effect: house_number, rest, self"
    ]
    for name, value in fields.items():
        if name not in ("id2label", "label2id", "self", "rest"):
            assert getattr(config, name) == value, name
    assert config.id2label == {0: "traurig", 1: "fröhlich", 2: "😐"}
    assert config.label2id == {"traurig": 0, "fröhlich": 1, "😐": 2}
    assert config.num_labels == 3
    config.save_pretrained(tmp_path / "again")
    written = json.loads((tmp_path / "again" / "config.json").read_text())
    # Readers that ask whether a field is there would take a None for a value (torch's DeBERTa for an embedding_size).
    fields.pop("classifier_dropout")
    assert written == fields
    assert BertConfig.from_pretrained(tmp_path / "again") == config


def test_a_config_that_was_never_in_a_file_comes_back_equal(tmp_path):
    for config in (
        BertConfig(**TOY),
        DistilBertConfig(dim=24, n_heads=3),
        BertConfig(num_labels=3),
        BertConfig(num_labels=0),
    ):
        config.save_pretrained(tmp_path)
        assert type(config).from_pretrained(tmp_path) == config
        assert AutoConfig.from_pretrained(str(tmp_path)) == config


def test_reading_lists_and_dicts_gives_copies():
    config = BertConfig(architectures=["A"], task_specific_params={"a": {"b": 1}})
    config.architectures.append("B")
    config.task_specific_params["a"]["b"] = 2
    config.rest["architectures"].append("C")
    config.id2label[7] = "new"
    assert config.architectures == ["A"]
    assert config.task_specific_params == {"a": {"b": 1}}
    assert 7 not in config.id2label


def test_usual_files_are_read_without_a_word(caplog):
    usual = {  # the fields of the best known DistilBERT classifier
        "activation": "gelu",
        "architectures": ["DistilBertForSequenceClassification"],
        "attention_dropout": 0.1,
        "dim": 768,
        "dropout": 0.1,
        "finetuning_task": "sst-2",
        "hidden_dim": 3072,
        "id2label": {"0": "NEGATIVE", "1": "POSITIVE"},
        "initializer_range": 0.02,
        "label2id": {"NEGATIVE": 0, "POSITIVE": 1},
        "max_position_embeddings": 512,
        "model_type": "distilbert",
        "n_heads": 12,
        "n_layers": 6,
        "output_past": True,
        "pad_token_id": 0,
        "qa_dropout": 0.1,
        "seq_classif_dropout": 0.2,
        "sinusoidal_pos_embds": False,
        "tie_weights_": True,
        "vocab_size": 30522,
    }
    with caplog.at_level(logging.WARNING):
        assert DistilBertConfig.from_dict(usual).tie_weights_ is True
    assert not caplog.records


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", "3", '"bert"', "null", "\x00\xff", "[" * 100_000, '{"a": ' * 100_000, "1" * 5_000]
)
def test_a_file_that_is_no_json_object_is_a_value_error_that_names_it(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match=r"config\.json"):
        AutoConfig.from_pretrained(tmp_path)


# -- names ------------------------------------------------------------------------------------------------------------


def test_aliases_read_both_ways_and_only_the_field_is_written():
    by_field = DistilBertConfig(dim=24, n_heads=3, n_layers=1, hidden_dim=48, activation="relu")
    by_alias = DistilBertConfig(
        hidden_size=24, num_attention_heads=3, num_hidden_layers=1, intermediate_size=48, hidden_act="relu"
    )
    assert by_field == by_alias
    assert (by_alias.dim, by_alias.hidden_size) == (24, 24)
    assert by_alias.replace(hidden_size=36).dim == 36
    assert by_alias.override(hidden_size=36).dim == 36
    assert by_field.to_dict()["dim"] == 24
    assert "hidden_size" not in by_alias.to_dict()
    with pytest.raises(ValueError, match="dim=24 and hidden_size=32"):
        DistilBertConfig(dim=24, hidden_size=32)
    assert DistilBertConfig(dim=24, hidden_size=24, n_heads=3).dim == 24


def test_a_typed_keyword_that_is_no_field_is_an_error_that_names_the_nearest(tmp_path):
    BertConfig(**TOY, my_own=1).save_pretrained(tmp_path)
    with pytest.raises(TypeError, match=r"BertConfig has no field 'num_label'; did you mean 'num_labels'\?"):
        BertConfig.from_pretrained(tmp_path, num_label=3)
    with pytest.raises(TypeError, match=r"no field 'completely_else'$"):
        BertConfig.from_pretrained(tmp_path, completely_else=3)
    with pytest.raises(TypeError, match="hidden_dropout_prob"):  # BERT's: it would have no effect here
        DistilBertConfig().override(hidden_dropout_prob=0.5)
    config = BertConfig.from_pretrained(tmp_path, hidden_size=64, my_own=2, max_length=30)
    assert (config.hidden_size, config.my_own, config.max_length, config.vocab_size) == (64, 2, 30, 96)
    with pytest.raises(ValueError, match="BertConfig: hidden_size=63 is no multiple of num_attention_heads=4"):
        BertConfig.from_pretrained(tmp_path, hidden_size=63)


def test_a_field_that_is_not_there_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="BertConfig has no field 'rope_theta'"):
        _ = BertConfig().rope_theta
    assert getattr(BertConfig(), "architectures", None) is None


# -- labels -----------------------------------------------------------------------------------------------------------


def test_labels_have_numbered_names_unless_they_are_given():
    assert BertConfig().id2label == {0: "LABEL_0", 1: "LABEL_1"}
    assert BertConfig(num_labels=3).label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}
    named = BertConfig(id2label={1: "b", 0: "a", 2: "c"})
    assert (named.num_labels, list(named.id2label.items())) == (3, [(0, "a"), (1, "b"), (2, "c")])
    assert BertConfig(label2id={"a": 0, "b": 1, "c": 2}) == named
    assert BertConfig(id2label={"0": "a", "1": "b", "2": "c"}) == named
    assert BertConfig(id2label={0: "LABEL_0", 1: "LABEL_1"}) == BertConfig()
    assert (
        BertConfig(num_labels=3, label2id={"yes": 0}).id2label[0] == "LABEL_0"
    )  # of another size: as in the reference
    written = named.to_dict()
    assert written["id2label"] == {"0": "a", "1": "b", "2": "c"}
    assert written["label2id"] == {"a": 0, "b": 1, "c": 2}
    assert "num_labels" not in written


def test_names_with_a_gap_keep_it_when_written(tmp_path):
    config = BertConfig(id2label={"1": "b", "5": "f"})
    config.save_pretrained(tmp_path)
    again = BertConfig.from_pretrained(tmp_path)
    assert again == config
    assert again.num_labels == 2
    assert again.id2label == {0: "LABEL_0", 1: "b", 5: "f"}


def test_id2label_wins_over_another_num_labels_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        config = BertConfig(num_labels=5, id2label={0: "a", 1: "b", 2: "c"})
    assert config.num_labels == 3
    assert "num_labels=5, but id2label names 3 labels" in caplog.text


def test_keywords_that_say_two_numbers_of_labels_are_a_value_error(tmp_path):
    two = {0: "a", 1: "b"}
    BertConfig(**TOY, id2label=two).save_pretrained(tmp_path)
    for made in (
        lambda: BertConfig.from_dict({**TOY}, num_labels=5, id2label=two),
        lambda: BertConfig.from_pretrained(tmp_path, num_labels=5, id2label=two),
        lambda: AutoConfig.from_pretrained(tmp_path, num_labels=5, id2label=two),
        lambda: BertForSequenceClassification.from_pretrained(tmp_path, num_labels=5, id2label=two),
        lambda: BertConfig(**TOY).replace(num_labels=5, id2label=two),
    ):
        with pytest.raises(ValueError, match=r"^BertConfig: num_labels=5, but id2label names 2 labels: pass one$"):
            made()
    assert BertConfig.from_pretrained(tmp_path, num_labels=10).num_labels == 10
    assert BertConfig.from_pretrained(tmp_path, num_labels=2).id2label == two
    both = BertConfig.from_pretrained(tmp_path, num_labels=3, id2label={0: "x", 1: "y", 2: "z"})
    assert (both.num_labels, both.id2label[2]) == (3, "z")


def test_num_labels_as_a_keyword_renames_the_labels():
    named = BertConfig(id2label={0: "NEGATIVE", 1: "POSITIVE"})
    assert named.override(num_labels=2).id2label == {0: "NEGATIVE", 1: "POSITIVE"}
    assert named.override(num_labels=3).id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
    assert named.override(id2label={0: "x"}).num_labels == 1
    assert named.override(label2id={"x": 0, "y": 1, "z": 2}).id2label == {0: "x", 1: "y", 2: "z"}
    assert named.replace(hidden_size=24, num_attention_heads=2).id2label == named.id2label
    assert BertConfig(num_labels=np.int64(3)).num_labels == 3


@pytest.mark.parametrize(
    "fields",
    [
        {"num_labels": -1},
        {"num_labels": 10**9},
        {"num_labels": "two"},
        {"num_labels": True},
        {"num_labels": 2.5},
        {"id2label": ["a", "b"]},
        {"id2label": {"x": "a"}},
        {"id2label": {"-1": "a"}},
        {"id2label": {"0": "a", "00": "b"}},
        {"id2label": {"0": {"a": 1}}},
        {"id2label": {"0": None}},
        {"label2id": 5},
        {"label2id": {"a": [0]}},
        {"label2id": {"a": 0.5}},
        {"label2id": {"a": 0, "b": 0}},
        {"id2label": {"0": "a"}, "label2id": "a"},
    ],
)
def test_impossible_labels_are_value_errors_that_name_the_field(fields):
    with pytest.raises(ValueError, match="|".join(fields)):
        BertConfig(**fields)
    cyclic: dict = {}
    cyclic[0] = cyclic
    with pytest.raises(ValueError, match="id2label"):
        BertConfig(id2label=cyclic)


# -- types ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling", ["bfloat16", "torch.bfloat16", jnp.bfloat16, np.dtype("bfloat16"), jnp.zeros((), jnp.bfloat16).dtype]
)
@pytest.mark.parametrize("field", ["dtype", "torch_dtype"])
def test_both_fields_of_the_weights_type_take_every_spelling(field, spelling):
    config = BertConfig(**{field: spelling})
    assert config.dtype == config.torch_dtype == "bfloat16"
    assert json.loads(config.to_json_string())[field] == "bfloat16"
    other = config.replace(dtype="float32")  # the old spelling must not contradict the new one
    assert other.dtype == other.torch_dtype == "float32"
    assert "torch_dtype" not in other.to_dict()


@pytest.mark.parametrize("value", [5, [], ["float32"], {}, object()])
def test_a_weights_type_that_is_none_is_a_value_error(value):
    with pytest.raises(ValueError, match="torch_dtype"):
        BertConfig(torch_dtype=value)


def test_whole_numbers_pass_as_floats_and_numpy_numbers_as_pythons():
    config = BertConfig(hidden_dropout_prob=0, hidden_size=np.int32(24), layer_norm_eps=np.float32(0.5))
    assert repr(config.hidden_dropout_prob) == "0.0"
    assert (type(config.hidden_size), type(config.layer_norm_eps)) == (int, float)
    assert config == BertConfig(hidden_dropout_prob=0.0, hidden_size=24, layer_norm_eps=0.5)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("problem_type", "regresion"),
        ("problem_type", 3),
        ("hidden_act", "gelu_unheard_of"),
        ("position_embedding_type", "relative_key"),
        ("is_decoder", "yes"),
        ("is_encoder_decoder", True),
        ("quantization_config", {"bits": 4}),
        ("pruned_heads", {"0": [1]}),
        ("pad_token_id", 30522),
        ("pad_token_id", 10**30),
        ("initializer_range", "big"),
        ("initializer_range", math.nan),
        ("architectures", 5),
        ("architectures", "BertModel"),
        ("architectures", [5]),
        ("output_hidden_states", "yes"),
        ("hidden_size", 768.0),
        pytest.param("hidden_size", 10**10_000, id="too long to print"),
        pytest.param("hidden_dropout_prob", 10**10_000, id="too long to print, for a float"),
        ("layer_norm_eps", "1e-12"),
    ],
)
def test_unsupported_values_are_value_errors_of_one_short_line_that_names_the_field(field, value):
    with pytest.raises(ValueError, match=f"^BertConfig: {field}") as caught:
        BertConfig(**{field: value})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


WRONG = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**31),
    st.integers(max_value=-1),
    st.just(10**400),
    st.floats(),
    st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 1e308]),
    st.text(max_size=20),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=3),
)


@given(data=st.data())
@pytest.mark.parametrize("kind", [BertConfig, DistilBertConfig])
def test_any_value_of_any_field_is_taken_or_refused_by_name_at_once(kind, data):
    name = data.draw(
        st.sampled_from([*kind._hints, *kind.aliases, "id2label", "label2id", "torch_dtype", "architectures"])
    )
    value = data.draw(WRONG)
    start = time.thread_time()
    try:
        config = kind.from_dict({name: value})
    except ValueError as error:
        message = str(error)
    else:
        message = name
        assert kind.from_dict(json.loads(config.to_json_string())) == config
        hash(config)
    assert any(known in message for known in (name, kind.aliases.get(name, name)))
    assert "\n" not in message
    assert time.thread_time() - start < 1.0


# -- identity ---------------------------------------------------------------------------------------------------------


def test_configs_are_frozen_and_compare_by_value():
    config = BertConfig(**TOY, id2label={0: "a"}, note=[1, 2])
    for same in (BertConfig(**TOY, id2label={0: "a"}, note=[1, 2]), copy.copy(config), copy.deepcopy(config)):
        assert same == config
        assert hash(same) == hash(config)
    again = pickle.loads(pickle.dumps(config))
    assert again == config
    assert (again.note, again.id2label) == ([1, 2], {0: "a"})
    for other in (config.replace(note=[2, 1]), config.replace(id2label={0: "b"}), config.replace(hidden_size=64)):
        assert other != config
    assert DistilBertConfig() != BertConfig()
    for change in (lambda: setattr(config, "hidden_size", 3), lambda: delattr(config, "hidden_size")):
        with pytest.raises(AttributeError, match="frozen"):
            change()
    assert "hidden_size=32" in repr(config)
    assert "num_attention_heads=12" not in repr(BertConfig())


def test_bare_keeps_what_shapes_the_program_and_drops_the_rest():
    config = BertConfig(**TOY, id2label={0: "a", 1: "b", 2: "c"}, problem_type="regression", note=1)
    bare = config.bare()
    assert (bare.hidden_size, bare.num_labels, bare.problem_type) == (32, 3, "regression")
    assert bare.id2label[2] == "LABEL_2"
    assert not hasattr(bare, "note")
    assert bare == config.replace(id2label={0: "x", 1: "y", 2: "z"}, note=2).bare()
    assert bare.bare() is bare


def test_a_config_passes_through_transformations_as_an_argument():
    traced = []

    @jax.jit
    def scale(config, x):
        traced.append(config)
        return x * config.hidden_size, config

    x = jnp.arange(3.0)
    y, back = scale(BertConfig(**TOY), x)
    assert back == BertConfig(**TOY)
    np.testing.assert_array_equal(y, [0, 32, 64])
    scale(BertConfig(**TOY), x)
    assert len(traced) == 1
    scale(BertConfig(**TOY, note=1), x)
    assert len(traced) == 2
    config = BertConfig(**TOY)
    out = jax.vmap(lambda c, x: x * c.hidden_size, in_axes=(None, 0))(config, x)
    np.testing.assert_array_equal(out, y)
    assert jax.tree.leaves(config) == []
    assert jax.grad(lambda x, c: (x * c.hidden_size).sum())(x, config).tolist() == [32.0] * 3


def test_a_config_of_ones_own_inherits_aliases_and_allowed_values():
    class MyConfig(DistilBertConfig, model_type="mine", aliases={"width": "dim"}):
        extra: int = 3

    config = MyConfig(width=36, hidden_act="relu")
    assert (config.dim, config.hidden_size, config.activation, config.extra) == (36, 36, "relu", 3)
    with pytest.raises(ValueError, match="MyConfig: activation"):
        MyConfig(hidden_act="none such")
    with pytest.raises(ValueError, match="model_type is 'bert'"):
        MyConfig(model_type="bert")
    assert jax.tree.leaves(config) == []
    with pytest.raises(ValueError, match="AutoConfig"):
        Config(model_type="bert")


# -- what is in the jit key -------------------------------------------------------------------------------------------


def test_two_fine_tunes_share_their_program_and_keep_their_own_labels(make, toy_config):
    from jaxformers import bundle

    ids = [[1, 2, 3, 4, 5]]
    first = make(BertForSequenceClassification, toy_config, 1)
    second = make(
        BertForSequenceClassification, toy_config.replace(id2label={0: "NEIN", 1: "JA"}, finetuning_task="x"), 2
    )
    a = first(ids)
    entries = bundle._forward._cache_size()
    b = second(ids)
    assert bundle._forward._cache_size() == entries
    assert not np.allclose(a.logits, b.logits)
    assert (first.config.id2label[1], second.config.id2label[1]) == ("GOOD", "JA")
    other = make(BertForSequenceClassification, toy_config.replace(num_labels=3), 1)
    assert other(ids).logits.shape == (1, 3)
    assert bundle._forward._cache_size() == entries + 1


def test_one_users_jitted_step_on_both_returns_each_its_own_labels(make, toy_config):
    @jax.jit
    def step(model, ids):
        return jax.tree.map(lambda x: x * 2, model), model.apply(model.params, ids).logits

    ids = jnp.ones((1, 4), jnp.int32)
    models = [
        make(BertForSequenceClassification, toy_config.replace(id2label=names), 1)
        for names in ({0: "NO", 1: "YES"}, {0: "NEIN", 1: "JA"})
    ]
    for model, label in zip(models, ("YES", "JA"), strict=True):
        doubled, logits = step(model, ids)
        assert doubled.config.id2label[1] == label
        assert type(doubled) is type(model)
        np.testing.assert_array_equal(
            doubled.params["head"]["classifier"]["bias"], model.params["head"]["classifier"]["bias"] * 2
        )
        assert logits.shape == (1, 2)
