"""Products of tokens and weights, in whichever order a platform computes them."""

from __future__ import annotations

import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers.layers.product import product

TYPES = {"float32": "float32", "bfloat16": "float32", "float16": "float32", "int8": "int32"}


def draw(shape: tuple[int, ...], dtype: str) -> jax.Array:
    numbers = np.random.default_rng(math.prod(shape)).integers(-9, 10, shape)  # sums are exact in every type
    return jnp.asarray(numbers).astype(dtype)


@pytest.mark.parametrize("front", [(), (1,), (3,), (1, 1), (4, 1), (1, 5), (2, 3), (17,), (5, 7), (0,), (2, 0)])
@pytest.mark.parametrize("size", [24, 1030])
@pytest.mark.parametrize("dtype", TYPES)
def test_products_are_those_of_numpy(dtype: str, size: int, front: tuple[int, ...]) -> None:
    x, weight = draw((*front, size), dtype), draw((16, size), dtype)
    found = jax.jit(product, static_argnums=2)(x, weight, TYPES[dtype])
    assert found.dtype == TYPES[dtype]
    np.testing.assert_array_equal(found, np.asarray(x, np.float64) @ np.asarray(weight, np.float64).T)


@pytest.mark.parametrize("front", [(1,), (3, 1), (20,)])
def test_gradients_and_batches_go_through(front: tuple[int, ...]) -> None:
    x, weight = draw((*front, 24), "float32"), draw((16, 24), "float32")
    given, found = jax.grad(lambda x, w: jnp.square(product(x, w, jnp.float32)).sum(), (0, 1))(x, weight)
    given_too, found_too = jax.grad(lambda x, w: jnp.square(x @ w.T).sum(), (0, 1))(x, weight)
    np.testing.assert_allclose(given, given_too)
    np.testing.assert_allclose(found, found_too)
    weights = jnp.stack([weight, -weight])
    many = jax.vmap(lambda w: product(x, w, jnp.float32))(weights)
    np.testing.assert_array_equal(many, [x @ weight.T, -x @ weight.T])


def products(function: Any, *args: Any) -> list[str]:
    """The types of the results of a function's products, in its own order."""
    text = str(jax.make_jaxpr(function)(*args))
    return re.findall(r":(\w+)\[[\d,]*\] = dot_general\[", text)


def test_gradients_of_half_types_are_products_of_these() -> None:
    x, weight = draw((2, 24, 24), "bfloat16"), draw((16, 24), "bfloat16")
    square = lambda x, w: jnp.square(product(x.reshape(-1, 24), w, jnp.float32)).sum()  # noqa: E731
    types = products(jax.grad(square, (0, 1)), x, weight)
    assert sorted(types) == ["bf16", "bf16", "f32"]
    assert sorted(products(jax.grad(square), x, weight)) == ["bf16", "f32"]  # and none with zeros
    found = jax.grad(square, (0, 1))(x, weight)
    exact = jax.grad(square, (0, 1))(x.astype("float32"), weight.astype("float32"))
    for one, other in zip(found, exact, strict=True):
        assert one.dtype == jnp.bfloat16
        np.testing.assert_allclose(one.astype("float32"), other, rtol=1e-2, atol=1e-2 * float(abs(other).max()))
    y, pushed = jax.jvp(square, (x, weight), (x, weight))
    np.testing.assert_allclose(pushed, 4 * y, rtol=1e-2)  # of degree 2 in each


@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shape", [(1, 1), (4, 1), (32, 1), (4, 5)])
def test_a_loop_lays_no_weight_out_anew(dtype: str, shape: tuple[int, int]) -> None:
    up, down = draw((96, 40), dtype), draw((40, 96), dtype)

    @jax.jit
    def loop(x: jax.Array, *weights: jax.Array) -> jax.Array:
        def step(x: jax.Array, _: Any) -> tuple[jax.Array, None]:
            for weight in weights:
                x = product(x.astype(dtype), weight, jnp.float32)
            return x, None

        return jax.lax.scan(step, x, length=9)[0]

    program = loop.lower(jnp.ones((*shape, 40)), up, down).compile().as_text()
    if shape == (4, 1):
        assert "f32[96,4]" in program  # the weight is the first factor
    copied = re.findall(r"= \w+\[([\d,]+)\]\S* (?:copy|transpose|convert)\(", program)
    assert not {"96,40", "40,96"} & set(copied)
