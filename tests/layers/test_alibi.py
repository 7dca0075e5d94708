"""The penalty on distant tokens: its slopes, and that only distances count."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxformers.layers.alibi import leaning, slopes


def test_slopes_fall_by_a_constant_factor():
    np.testing.assert_allclose(slopes(8), 2.0 ** -np.arange(1, 9))
    np.testing.assert_allclose(slopes(4, 16), 2.0 ** (-4.0 * np.arange(1, 5)))  # as MPT-StoryWriter has them
    np.testing.assert_allclose(slopes(1), [2.0**-8])


def test_heads_beyond_a_power_of_two_lie_between_the_others():
    np.testing.assert_allclose(slopes(6), [2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8, 2.0**-1, 2.0**-3])


def test_softmax_sees_distances_alone():
    far = leaning(jnp.array([[100, 101, 102]]), slopes(2))
    near = leaning(jnp.array([[0, 1, 2]]), slopes(2))
    assert far.shape == (1, 2, 1, 3)
    np.testing.assert_allclose(jax.nn.softmax(far), jax.nn.softmax(near), rtol=1e-5)
