"""Rotations: what turns heads is worked out once."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers.layers.rotation import Rotation, rotate_half

STEPS = np.array([1.0, 0.25, 0.01], np.float32)


def test_turns_are_cosines_and_sines_of_positions_times_steps() -> None:
    positions = jnp.array([[0, 1, 700], [0, 0, 3]])
    cosine, sine = Rotation(STEPS, gain=2.0).cos_sin(positions, positions.max(1) + 1)
    angles = np.asarray(positions, np.float32)[..., None, None] * STEPS
    np.testing.assert_allclose(cosine, 2 * np.cos(angles), atol=1e-6)
    np.testing.assert_allclose(sine, 2 * np.sin(angles), atol=1e-6)


def test_what_overflows_is_not_a_number() -> None:
    positions = jnp.array([[0, 1]])
    for rotate in Rotation(np.array([1.0, np.inf], np.float32)).cos_sin(positions, jnp.array([2])):
        assert np.isnan(rotate).all()


@pytest.mark.usefixtures("optimised")
def test_turns_are_worked_out_once_for_all_layers_and_heads() -> None:
    def layers(x: jax.Array, weights: jax.Array, positions: jax.Array) -> jax.Array:
        cos_sin = Rotation(STEPS).cos_sin(positions, positions.max(1) + 1)
        for weight in weights:
            x = jnp.einsum("bthd,de->bthe", rotate_half(x, cos_sin), weight)
        return x

    given = jnp.ones((2, 40, 4, 6)), jnp.ones((3, 6, 6)), jnp.zeros((2, 40), jnp.int32)
    program = jax.jit(layers).lower(*given).compile().as_text()
    assert len(re.findall(r" cosine\(", program)) == 1
