"""Values at named sites are replaced while prompts are read and tokens written, and captured of whole rows."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import jaxformers
from jaxformers import LlamaConfig, LlamaForCausalLM
from jaxformers.generation import rows

SIZES = {"vocab_size": 67, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
PROMPTS = np.array([[5, 6, 7, 8], [0, 0, 9, 11]])
MASK = np.array([[1, 1, 1, 1], [0, 0, 1, 1]])


@pytest.fixture(scope="module")
def model(make: Any) -> LlamaForCausalLM:
    return make(LlamaForCausalLM, LlamaConfig(**SIZES, pad_token_id=0))


def steer(direction: jax.Array, x: jax.Array) -> jax.Array:
    return x + direction


def by_hand(model: LlamaForCausalLM, patch: Any, new: int) -> np.ndarray:
    """Greedy search by one whole pass a token."""
    ids, mask = PROMPTS, MASK
    for _ in range(new):
        out = model(ids, mask, patch=patch)
        ids = np.concatenate([ids, np.asarray(out.logits[:, -1]).argmax(-1)[:, None]], axis=1)
        mask = np.pad(mask, [(0, 0), (0, 1)], constant_values=1)
    return ids


PATCHES = [
    {"layers.0.residual": Partial(steer, jnp.sin(jnp.arange(32.0)))},
    {"layers.*.ffn": 0.0},
    {"layers.1.attention_heads": jnp.negative, "final": Partial(steer, 3 * jnp.cos(jnp.arange(32.0)))},
]


@pytest.mark.parametrize("patch", PATCHES)
@pytest.mark.parametrize("stacked", [False, True])
def test_what_is_written_is_that_of_whole_passes(model: LlamaForCausalLM, patch: Any, stacked: bool) -> None:
    if stacked:
        layers = jaxformers.layers.run.stack(model.params["layers"])
        model = model.replace(params=model.params | {"layers": layers})
    told = {"attention_mask": MASK, "max_new_tokens": 6, "eos_token_id": None}
    written = np.asarray(model.generate(PROMPTS, patch=patch, **told))
    np.testing.assert_array_equal(written, by_hand(model, patch, 6))
    assert not np.array_equal(written, model.generate(PROMPTS, **told))
    pure = jaxformers.generate(model.params, model, PROMPTS, MASK, patch=patch, max_new_tokens=6, eos_token_id=None)
    np.testing.assert_array_equal(written, pure)


def test_beams_and_assistants_have_the_same_patches(model: LlamaForCausalLM) -> None:
    told = {"max_new_tokens": 6, "eos_token_id": None, "patch": PATCHES[0]}
    alone = np.asarray(model.generate(PROMPTS[:1], **told))
    np.testing.assert_array_equal(model.generate(PROMPTS[:1], assistant_model=model, **told), alone)
    beams, plain = (model.generate(PROMPTS[:1], num_beams=3, **(told | own)) for own in ({}, {"patch": None}))
    assert not np.array_equal(beams, plain)


def test_captured_values_are_those_of_all_tokens_but_the_last(model: LlamaForCausalLM) -> None:
    told = {"attention_mask": MASK, "max_new_tokens": 3, "eos_token_id": None, "patch": PATCHES[0]}
    written, captured = model.generate(PROMPTS, capture=["layers.*.residual"], **told)
    assert list(captured) == ["layers.0.residual", "layers.1.residual"]
    assert captured["layers.1.residual"].shape == (2, 6, 32)
    mask = np.pad(MASK, [(0, 0), (0, 2)], constant_values=1)
    _, whole = model(written[:, :-1], mask, capture=["layers.1.residual"], patch=PATCHES[0])
    np.testing.assert_array_equal(captured["layers.1.residual"], whole["layers.1.residual"])
    out, _ = model.generate(PROMPTS, capture=["final"], return_dict_in_generate=True, **told)
    np.testing.assert_array_equal(out.sequences, written)
    traced = model.generate(PROMPTS, return_dict_in_generate=True, output_hidden_states=True, **told)
    np.testing.assert_allclose(traced.hidden_states[0][1], captured["layers.0.residual"][:, :4], atol=1e-5)


def test_other_arrays_in_a_patch_compile_nothing(model: LlamaForCausalLM) -> None:
    def write(size: float) -> Any:
        patch = {"layers.0.residual": Partial(steer, jnp.full(32, size))}
        return model.generate(PROMPTS, attention_mask=MASK, max_new_tokens=3, eos_token_id=None, patch=patch)

    write(0.0)
    before = rows.decode_segment._cache_size()
    write(1.0)
    assert rows.decode_segment._cache_size() == before


def test_gradients_through_the_pure_function_have_patches_as_data(model: LlamaForCausalLM) -> None:
    def written(size: jax.Array) -> jax.Array:
        patch = {"layers.0.residual": Partial(steer, size * jnp.ones(32))}
        return jaxformers.generate(model.params, model, PROMPTS, MASK, patch=patch, max_new_tokens=3, eos_token_id=None)

    several = jax.jit(jax.vmap(written))(jnp.array([0.0, 5.0]))
    for row, size in zip(several, (0.0, 5.0), strict=True):
        np.testing.assert_array_equal(row, written(jnp.float32(size)))


def test_patches_fit_any_number_of_rows_and_tokens(model: LlamaForCausalLM) -> None:
    for shape in ((2, 1, 32), (4, 32)):
        with pytest.raises(ValueError, match=r"layers.0.ffn is \(1, 1, 32\), what is to stand there"):
            model.generate(PROMPTS, patch={"layers.0.ffn": np.zeros(shape)})
    model = model.replace(config=model.config.replace(bos_token_id=3))
    told = {"max_new_tokens": 2, "eos_token_id": None, "bos_token_id": 3, "patch": PATCHES[1]}
    np.testing.assert_array_equal(model.generate(**told), model.generate([[3]], **told))


def test_what_is_no_site_is_refused_before_anything_is_written(model: LlamaForCausalLM) -> None:
    with pytest.raises(ValueError, match=r"no site is named 'layer\.0'"):
        model.generate(PROMPTS, patch={"layer.0": 0.0})
    with pytest.raises(ValueError, match="leave inputs_embeds or capture out"):
        model.generate(inputs_embeds=np.zeros((1, 2, 32), np.float32), capture=["final"])
    with pytest.raises(ValueError, match="leave past_key_values or capture out"):
        model.generate(PROMPTS, past_key_values=model.init_cache(2, 4), capture=["final"])
