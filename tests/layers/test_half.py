"""Weights of half types in products alone: more exact than half types everywhere, and nothing is copied."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification
from jaxformers.layers.embedding import embed
from jaxformers.layers.half import Half
from jaxformers.layers.linear import linear

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "initializer_range": 0.3,
    "eos_token_id": None,
}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("rows", [1, 3])
def test_what_is_multiplied_is_rounded_and_sums_are_not(dtype: str, rows: int):
    draw = np.random.default_rng(0)
    x, w, b = (draw.standard_normal(shape).astype(np.float32) for shape in ((rows, 32), (16, 32), (16,)))
    weight = Half(jnp.asarray(w, dtype))
    found = linear({"weight": weight, "bias": jnp.asarray(b)}, jnp.asarray(x))
    exact = np.asarray(jnp.asarray(x, dtype), np.float64) @ np.asarray(weight.values, np.float64).T + b
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_rows_are_widened_and_what_is_out_of_range_is_nan(dtype: str):
    table = Half(jnp.arange(8, dtype=dtype).reshape(4, 2))
    found = np.asarray(embed({"table": table}, jnp.array([3, 4, -1])))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[6, 7], [np.nan] * 2, [np.nan] * 2])


@pytest.mark.parametrize("tied", [True, False])
def test_models_that_write_round_nothing_else_on_a_cpu(tied: bool):
    exact = LlamaForCausalLM(LlamaConfig(**SIZES, tie_word_embeddings=tied), key=jax.random.key(1))
    model = exact.replace(params=jax.tree.map(lambda x: x.astype("bfloat16"), exact.params))
    exact = exact.replace(params=jax.tree.map(lambda x: x.astype("float32"), model.params))
    kept = model.prepared
    assert kept["word"]["table"].values is model.params["word"]["table"]
    assert isinstance(kept["layers"][0]["qkv"]["weight"], Half)
    ids = jnp.array([[5, 6, 7, 8, 9]])

    def scores(params: Any, config: Any = model.config) -> np.ndarray:
        cache = LlamaForCausalLM.empty_cache(params, config, 1, 8)
        return np.asarray(LlamaForCausalLM.decode_step(params, config, ids, cache)[0])

    far, near = (np.abs(scores(params) - scores(exact.params)).max() for params in (model.params, kept))
    assert 0 < near < far
    first = model.generate(ids, max_new_tokens=3, return_dict_in_generate=True)
    assert first.past_key_values.cells[0]["key"].array.dtype == jnp.float32
    half = first.past_key_values
    half = jax.tree.map(lambda x: x.astype("bfloat16") if x.dtype == jnp.float32 else x, half)
    for cache in (first.past_key_values, half):  # the cache of a direct call is of the half type
        assert model.generate(first.sequences, max_new_tokens=1, past_key_values=cache).shape == (1, 9)


def test_what_does_not_write_stays_as_it_is():
    model = LlamaForSequenceClassification(LlamaConfig(**SIZES))
    model = model.replace(params=jax.tree.map(lambda x: x.astype("bfloat16"), model.params))
    assert model.prepared["word"]["table"] is model.params["word"]["table"]
