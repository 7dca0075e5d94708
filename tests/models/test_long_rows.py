"""What attention over parts of a row sees, beside what was recorded."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxformers
from jaxformers.layers.attention import attend, probabilities
from jaxformers.layers.sites import PLAIN
from jaxformers.models.big_bird import attend_blocks

from .architectures import ARCHITECTURES

IDS = np.random.RandomState(0).randint(5, 67, (2, 11)).astype(np.int32)


def toy(name: str, kind: str, **fields: object) -> jaxformers.Model:
    """A model with random weights, large enough to tell tokens apart."""
    cls = getattr(jaxformers, name)
    model = cls(cls.config_class(**{**ARCHITECTURES[kind].config, **fields}))
    return jax.tree.map(lambda x: 5 * x, model)


@pytest.mark.parametrize("length", [24, 30])
def test_blocks_are_full_attention_under_a_mask(length: int):
    """Of any length; here with the mask written out."""
    size, first, rng = 4, 3, np.random.RandomState(length)
    q, k, v = (rng.standard_normal((2, length, 2, 8)).astype(np.float32) for _ in range(3))
    real = np.arange(length) < np.array([[length], [9]])
    tapped = PLAIN.opened("attention_weights")
    context, read = (
        attend_blocks(*map(jnp.asarray, (q, k, v)), jnp.asarray(real), size, first, rate=0.0, sites=sites)
        for sites in (PLAIN, tapped)
    )
    weights = tapped.shown["attention_weights"]
    place = np.arange(length) // size
    outer = (place == 0) | (place == place[-1])
    seen = outer[:, None] | outer | (np.abs(place[:, None] - place) <= 1)
    times = np.where(~outer[:, None] & (place == 0), math.log(first), 0.0)
    q, k, v, seen, times = map(jnp.asarray, (q, k, v, seen & real[:, None, None], times))
    expected, odds = attend(q, k, v, seen, bias=times), probabilities(q, k, seen, times)
    np.testing.assert_allclose(context, np.where(real[:, :, None, None], expected, 0), atol=1e-5)
    np.testing.assert_allclose(read, context, atol=1e-5)
    once = np.where(times > 0, odds / first, odds)
    np.testing.assert_allclose(np.swapaxes(weights, 1, 2)[real], np.swapaxes(once, 1, 2)[real], atol=1e-6)


def test_a_question_is_no_answer_to_big_bird():
    model, ids = toy("BigBirdForQuestionAnswering", "big_bird", sep_token_id=3), IDS.copy()
    ids[0, 4] = ids[0, 7] = 3
    start = model(input_ids=ids, token_type_ids=np.zeros_like(ids)).start_logits
    low = start < -1e5
    np.testing.assert_array_equal(low[0], [False, True, True, True, True, *[False] * 6])
    assert not low[1].any()
    types = np.array([[0] * 5 + [1] * 6, [0] + [1] * 10])
    np.testing.assert_array_equal(
        model(input_ids=ids).start_logits, model(input_ids=ids, token_type_ids=types).start_logits
    )


def test_big_bird_refuses_a_mask_for_each_pair_of_tokens_by_blocks():
    model = toy("BigBirdModel", "big_bird", block_size=2, num_random_blocks=0)
    with pytest.raises(ValueError, match=r"\[batch, seq\]"):
        model(input_ids=IDS, attention_mask=np.ones((2, 11, 11), np.int32))
