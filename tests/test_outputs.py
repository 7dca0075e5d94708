"""Outputs are dataclass, mapping, tuple and pytree at once, by the rules that users know."""

from __future__ import annotations

import dataclasses
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers.outputs import QuestionAnsweringModelOutput, SequenceClassifierOutput

LOGITS = jnp.arange(4.0).reshape(2, 2)
STATES = (jnp.zeros(1), jnp.ones(1))


@pytest.fixture
def out() -> SequenceClassifierOutput:
    return SequenceClassifierOutput(logits=LOGITS, hidden_states=STATES)


def test_a_field_is_reached_by_name_key_and_place(out):
    assert out.logits is out["logits"]
    assert out.logits is out[0]
    assert out[-1] is out.hidden_states
    assert out[:1] == (LOGITS,)
    assert out[-2:] == (LOGITS, STATES)
    assert out[::-1] == (STATES, LOGITS)
    assert out.to_tuple() == (LOGITS, STATES)
    with_loss = out.replace(loss=jnp.float32(0.5))
    assert with_loss[0] is with_loss.loss
    assert with_loss[:2] == (with_loss.loss, LOGITS)


def test_what_was_not_asked_for_is_none_and_absent(out):
    assert out.loss is None
    assert out.attentions is None
    assert len(out) == 2
    assert "loss" not in out
    assert out.get("loss", 7) == 7
    for absent in ("loss", "no such field"):
        with pytest.raises(KeyError, match=absent):
            out[absent]
    for place in (2, -3):
        with pytest.raises(IndexError):
            out[place]
    assert SequenceClassifierOutput().to_tuple() == ()


def test_iterating_gives_names_as_over_a_dict(out):
    assert list(out) == ["logits", "hidden_states"]
    assert [*out] == list(out.keys())
    assert [name for name, _ in out.items()] == list(out)
    assert [id(value) for value in out.values()] == [id(value) for value in out.to_tuple()]
    assert dict(**out).keys() == {"logits", "hidden_states"}
    assert list(QuestionAnsweringModelOutput(end_logits=LOGITS, start_logits=LOGITS, loss=LOGITS)) == [
        "loss",
        "start_logits",
        "end_logits",
    ]


def test_outputs_cannot_be_changed(out):
    for name in ("pop", "update", "setdefault", "clear", "popitem"):
        assert not hasattr(out, name)
    with pytest.raises(TypeError):
        out["logits"] = LOGITS
    with pytest.raises(TypeError):
        del out["logits"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        out.logits = LOGITS
    with pytest.raises(dataclasses.FrozenInstanceError):
        del out.logits
    with pytest.raises(TypeError):
        SequenceClassifierOutput(LOGITS)


def test_comparing_asks_for_the_same_object_and_no_array(out):
    same = out
    assert out == same
    assert out != out.replace(logits=LOGITS)
    with pytest.raises(TypeError):
        hash(out)


def test_outputs_are_pytrees_that_keep_their_absent_fields(out):
    doubled = jax.tree.map(lambda x: 2 * x, out)
    assert type(doubled) is SequenceClassifierOutput
    assert list(doubled) == list(out)
    np.testing.assert_array_equal(doubled.logits, 2 * LOGITS)
    paths = [
        jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree_util.tree_leaves_with_path(out)
    ]
    assert paths == ["logits", "hidden_states.0", "hidden_states.1"]
    with_loss = out.replace(loss=jnp.float32(1))
    assert jax.tree.structure(out) != jax.tree.structure(with_loss)
    back = jax.jit(lambda x: x)(out)
    assert back.loss is None
    assert list(back) == list(out)
    stacked = jax.vmap(lambda x: SequenceClassifierOutput(logits=x, loss=x.sum()))(LOGITS)
    np.testing.assert_array_equal(stacked.loss, [1, 5])
    again = pickle.loads(pickle.dumps(out))
    np.testing.assert_array_equal(again[0], LOGITS)
    assert list(again) == list(out)
