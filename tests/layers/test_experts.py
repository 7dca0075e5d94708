"""Mixtures of experts: every way to compute one gives the same, and none turns a token away."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers import declare
from jaxformers.layers import expert_products as products
from jaxformers.layers import experts, int8
from jaxformers.layers.attention import prepare

COUNT, D, F, K = 5, 12, 7, 2
GATE = experts.halves("silu")
WAYS = {
    "chosen": lambda *given: experts.experts(*given, GATE),
    "gathered": partial(products.gathered, GATE),
    "dense": partial(products.dense, GATE),
    "ragged": partial(products.ragged, GATE),
    "each": partial(products.each, GATE),
    "in groups": partial(products.in_groups, GATE),
}


@pytest.fixture(autouse=True)
def exact() -> Any:
    with jax.default_matmul_precision("highest"):
        yield


def networks(biased: bool) -> Any:
    shapes = {"gate": (F, D), "up": (F, D), "down": (D, F)}
    draw = np.random.RandomState(0)
    made = {name: {"weight": draw.randn(COUNT, *shape) / 3} for name, shape in shapes.items()}
    if biased:
        for name, (outputs, _) in shapes.items():
            made[name]["bias"] = draw.randn(COUNT, outputs)
    return jax.tree.map(lambda x: x.astype(np.float32), made)


def tokens(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tokens, of which the third and later all want the same expert first, with shares that sum to anything."""
    draw = np.random.RandomState(size)
    chosen = np.stack([draw.permutation(COUNT)[:K] for _ in range(size)])
    chosen[2:, 0], chosen[2:, 1] = 4, draw.randint(0, 4, max(size - 2, 0))
    x, shares = draw.randn(size, D), draw.random_sample((size, K))
    return x.astype(np.float32), chosen.astype(np.int32), shares.astype(np.float32)


def expected(p: Any, x: Any, chosen: Any, shares: Any) -> np.ndarray:
    """Token by token and expert by expert, in float64."""
    p = jax.tree.map(lambda array: np.asarray(array, np.float64), p)
    times = lambda part, i, y: part["weight"][i] @ y + (part["bias"][i] if "bias" in part else 0)  # noqa: E731
    total = np.zeros(x.shape)
    for n, (row, numbers, parts) in enumerate(zip(x, chosen, shares, strict=True)):
        for i, share in zip(numbers, parts, strict=True):
            gate, up = times(p["gate"], i, row), times(p["up"], i, row)
            total[n] += share * times(p["down"], i, gate / (1 + np.exp(-gate)) * up)
    return total


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("size", [1, 7, 90])
@pytest.mark.parametrize("way", WAYS)
def test_all_ways_are_one(way: str, size: int, biased: bool) -> None:
    p, given = networks(biased), tokens(size)
    answer = expected(p, *given)
    np.testing.assert_allclose(jax.jit(WAYS[way])(p, *given), answer, atol=1e-5)
    declared = experts.one_by_one(4, 12, 8, "e.{}")
    if biased:
        declared |= {name: part | {"bias": declare.vector(1, "b")} for name, part in declared.items()}
    fused = prepare({"experts": p}, {"experts": declared})["experts"]
    assert fused.keys() == {"gate_up", "down"}
    np.testing.assert_allclose(WAYS[way](fused, *given), answer, atol=1e-5)


@pytest.mark.parametrize("way", ["chosen", "gathered", "dense", "ragged"])
def test_layers_of_half_types_that_are_computed_again(way: str) -> None:
    half = partial(jax.tree.map, lambda a: jnp.asarray(a, jnp.bfloat16))
    (x, chosen, shares), layers = (
        map(jnp.asarray, tokens(20)),
        half(jax.tree.map(lambda a: np.stack([a, a]), networks(False))),
    )

    def through(layers: Any, x: Any) -> jax.Array:
        step = jax.checkpoint(lambda x, p: ((x + WAYS[way](p, x, chosen, shares)).astype(x.dtype), None))
        return jax.lax.scan(step, x, layers)[0].astype(jnp.float32).sum()

    found = jax.jit(jax.grad(through))(layers, half(x))
    assert all(bool(jnp.isfinite(a).all()) and bool((a != 0).any()) for a in jax.tree.leaves(found))


@pytest.mark.parametrize("size", [3, 40])
@pytest.mark.parametrize("way", ["chosen", "gathered", "dense", "ragged"])
def test_gradients_and_transformations(way: str, size: int) -> None:
    """Backwards, forwards, both, and over several models: what is differentiated and what is computed are one."""
    p, (x, chosen, shares) = jax.tree.map(jnp.asarray, (networks(False), tokens(size)))

    def loss(compute: Any, p: Any, x: Any, shares: Any) -> jax.Array:
        return jnp.sin(compute(p, x, chosen, shares)).sum()

    plain, ours = (partial(loss, compute) for compute in (partial(products.every, GATE), WAYS[way]))
    close = lambda a, b: jax.tree.map(partial(np.testing.assert_allclose, rtol=2e-4, atol=2e-4), a, b)  # noqa: E731
    close(*(jax.jit(jax.grad(f, (0, 1, 2)))(p, x, shares) for f in (ours, plain)))
    moved = (p, x, shares)
    close(*(jax.jvp(f, moved, moved) for f in (ours, plain)))
    twice = lambda f: jax.jvp(jax.grad(lambda x: f(p, x, shares)), (x,), (x,))[1]  # noqa: E731
    close(twice(ours), twice(plain))
    models = jax.tree.map(lambda a: jnp.stack([a, 2 * a]), p)
    both = jax.vmap(lambda p: ours(p, x, shares))(models)
    close(both, jnp.stack([ours(jax.tree.map(lambda a, i=i: a[i], models), x, shares) for i in range(2)]))


@pytest.mark.parametrize("way", WAYS)
def test_half_types_and_whole_numbers(way: str) -> None:
    p, (x, chosen, shares) = networks(False), tokens(9)
    answer = expected(p, x, chosen, shares)
    largest = np.abs(answer).max()
    half = jax.tree.map(lambda a: a.astype(jnp.bfloat16), p)
    y = jax.jit(WAYS[way])(half, x.astype(jnp.bfloat16), chosen, shares)
    assert y.dtype == jnp.float32
    assert np.abs(y - answer).max() < 0.03 * largest
    whole = jax.tree.map(int8.rounded, p)
    assert np.abs(jax.jit(WAYS[way])(whole, x, chosen, shares) - answer).max() < 0.05 * largest


def test_few_tokens_read_their_experts_alone() -> None:
    """Of the others anything may stand there, on any device."""
    p, (x, chosen, shares) = networks(False), tokens(1)
    broken = jax.tree.map(lambda a: np.where(np.isin(np.arange(COUNT), chosen)[:, None, None], a, np.nan), p)
    for way in ("chosen", "gathered", "each", "in groups"):
        np.testing.assert_allclose(WAYS[way](broken, x, chosen, shares), expected(p, x, chosen, shares), atol=1e-5)


def test_exported_for_any_number_of_tokens() -> None:
    p, route = networks(False), experts.best(K)
    router = {"weight": np.random.RandomState(3).randn(COUNT, D).astype(np.float32)}
    compute = jax.jit(lambda p, x: experts.experts(p, x, *route(router, experts.scores(router, x)), GATE))
    (size,) = jax.export.symbolic_shape("n")
    exported = jax.export.export(compute)(p, jax.ShapeDtypeStruct((size, D), jnp.float32))
    for count in (1, 60):
        x = tokens(count)[0]
        np.testing.assert_allclose(exported.call(p, x), compute(p, x), atol=1e-5)


def test_shares() -> None:
    """Softmax over all scores or over the best alone; a router of a half type is exact."""
    scores = jnp.array([[1.0, 3.0, 2.0, -1.0]])
    router, one = {"weight": scores.T.astype(jnp.bfloat16), "bias": jnp.array([0.0, 0, 0, 5])}, jnp.ones((1, 1))
    odds = np.exp([4.0, 3.0]) / np.exp([4.0, 3, 2, 1]).sum()
    for normalised, shares in ((False, odds), (True, odds / odds.sum())):
        chosen, given = experts.best(2, normalised=normalised)(router, experts.scores(router, one.astype(jnp.bfloat16)))
        np.testing.assert_array_equal(chosen, [[3, 1]])
        np.testing.assert_allclose(given, [shares], rtol=1e-6)
        assert given.dtype == jnp.float32


def test_best_groups() -> None:
    every = jnp.array([[5.0, 0, 0, 3, 3, 3, 1, 1, 1]])
    best = experts.of_best_groups(every, 3, 1, worth=lambda group: group.max(-1))
    np.testing.assert_array_equal(best, [[5, 0, 0, *[-np.inf] * 6]])
    best = experts.of_best_groups(every, 3, 2, worth=lambda group: group.sum(-1))
    np.testing.assert_array_equal(best, [[5, 0, 0, 3, 3, 3, *[-np.inf] * 3]])
