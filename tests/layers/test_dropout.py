"""Dropout draws the same for the same key and place, at the rate that was asked for, and never a NaN."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from jaxformers.layers.sites import PLAIN, Sites

ONES = jnp.ones((200, 200))


def test_rate_and_scale():
    y = np.asarray(Sites(key=jax.random.key(0))("site", ONES, 0.25))
    assert set(np.unique(y)) == {0.0, np.float32(4 / 3)}
    assert abs((y == 0).mean() - 0.25) < 0.01
    assert abs(y.mean() - 1) < 0.02


def test_the_same_key_and_site_draw_the_same_and_others_do_not():
    drop = Sites(key=jax.random.key(0))
    np.testing.assert_array_equal(drop("a", ONES, 0.5), drop("a", ONES, 0.5))
    first, second = drop.at(0), drop.at(1)
    sides = drop.under("encoder").at(0), drop.under("decoder").at(0)
    draws = [drop("a", ONES, 0.5), drop("b", ONES, 0.5), Sites(key=jax.random.key(1))("a", ONES, 0.5)]
    draws += [sites("a", ONES, 0.5) for sites in (first, second, *sides)]
    for i, one in enumerate(draws):
        for other in draws[:i]:
            assert 0.45 < np.mean(np.asarray(one) == np.asarray(other)) < 0.55


def test_nothing_and_everything():
    drop = Sites(key=jax.random.key(0))
    assert drop("a", ONES, 0.0) is ONES
    assert PLAIN("a", ONES, 0.5) is ONES
    x = jnp.array([1.0, -2.0])
    value, grad = jax.value_and_grad(lambda x: drop("a", x, 1.0).sum())(x)
    assert value == 0
    np.testing.assert_array_equal(grad, [0, 0])


def test_gradients_flow_through_what_is_kept():
    drop = Sites(key=jax.random.key(0))
    y, pull = jax.vjp(lambda x: drop("a", x, 0.5), ONES)
    np.testing.assert_array_equal(pull(ONES)[0], y)


def test_types_are_kept_and_x64_draws_the_same():
    drop = Sites(key=jax.random.key(0))
    assert drop("a", ONES.astype(jnp.bfloat16), 0.5).dtype == jnp.bfloat16
    narrow = drop("a", ONES, 0.3)
    with jax.enable_x64(True):
        wide = drop("a", ONES, 0.3)
        assert wide.dtype == jnp.float32
        np.testing.assert_array_equal(wide, narrow)
