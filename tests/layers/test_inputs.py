"""Where tokens stand when nobody says so."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import jaxformers
from jaxformers.layers.inputs import Inputs


def test_positions_count_tokens_after_the_padding_token():
    ids = jnp.array([[5, 6, 7, 1, 1], [1, 1, 5, 6, 7], [5, 1, 6, 1, 7]])
    counted = [[2, 3, 4, 1, 1], [1, 1, 2, 3, 4], [2, 1, 3, 1, 4]]
    np.testing.assert_array_equal(Inputs(ids=ids).counted(1), counted)
    np.testing.assert_array_equal(Inputs(embeds=jnp.ones((2, 3, 4))).counted(1), [[2, 3, 4]])
    np.testing.assert_array_equal(Inputs(ids=ids, positions=ids).counted(1), ids)


def test_a_row_past_the_counted_positions_is_refused():
    config = jaxformers.RobertaConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=10, intermediate_size=8
    )
    model = jaxformers.RobertaModel(config)
    assert np.isfinite(model(np.full((1, 8), 5)).last_hidden_state).all()
    with pytest.raises(ValueError, match="9 tokens in a row, the model has 8 positions"):
        model(np.full((1, 9), 5))
