"""The run over layers gives the same listed and stacked, with all that may be asked for."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers.layers.inputs import Ask
from jaxformers.layers.run import run, stack, unstack
from jaxformers.layers.sites import Sites

ALL = Ask(hidden_states=True, attentions=True)
LAYERS = [{"w": jnp.array([1.0, 2.0])}, {"w": jnp.array([10.0, 20.0])}, {"w": jnp.array([3.0, 5.0])}]


def block(p, x, sites, add=0.0):
    sites("attention_weights", x.sum())
    return sites("site", x * p["w"], 0.5) + add


@pytest.mark.parametrize("stacked", [False, True])
def test_states_and_attentions_in_order(stacked):
    layers = stack(LAYERS) if stacked else LAYERS
    adds = [jnp.float32(0), jnp.float32(1), jnp.float32(2)]
    encoded = jax.jit(lambda layers, x: run(block, layers, x, adds, ask=ALL))(layers, jnp.ones(2))
    np.testing.assert_array_equal(encoded.state, [35, 207])
    assert [s.tolist() for s in encoded.hidden_states] == [[1, 1], [1, 2], [11, 41], [35, 207]]
    assert [float(a) for a in encoded.attentions] == [2, 3, 52]
    plain = run(block, layers, jnp.ones(2), adds)
    np.testing.assert_array_equal(plain.state, encoded.state)
    assert (plain.hidden_states, plain.attentions, plain.pooled) == (None, None, None)


def test_dropout_draws_the_same_listed_and_stacked():
    x = jnp.ones((50, 2))
    sites = Sites(key=jax.random.key(0))
    listed = run(block, LAYERS, x, sites=sites)
    np.testing.assert_array_equal(run(block, stack(LAYERS), x, sites=sites).state, listed.state)
    assert 0.1 < np.mean(np.asarray(listed.state) != 0) < 0.15  # three layers at a half each


def test_stack_and_unstack_are_inverse():
    stacked = stack(LAYERS)
    assert stacked["w"].shape == (3, 2)
    for a, b in zip(unstack(stacked), LAYERS, strict=True):
        np.testing.assert_array_equal(a["w"], b["w"])


def test_no_layers_at_all():
    encoded = run(block, [], jnp.ones(2), ask=ALL)
    np.testing.assert_array_equal(encoded.state, [1, 1])
    assert (len(encoded.hidden_states), encoded.attentions) == (1, ())


def test_as_many_of_each_as_layers():
    with pytest.raises(ValueError, match="2 entries for 3 layers"):
        run(block, LAYERS, jnp.ones(2), [0.0, 1.0])


def test_gradients_are_the_same_listed_and_stacked():
    loss = lambda layers: run(block, layers, jnp.ones(2)).state.sum()  # noqa: E731
    listed, stacked = jax.grad(loss)(LAYERS), jax.grad(loss)(stack(LAYERS))
    np.testing.assert_allclose(stack(listed)["w"], stacked["w"], rtol=1e-6)
