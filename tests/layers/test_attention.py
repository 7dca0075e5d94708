"""Who sees whom, as pictures: rows are queries, columns are keys, a mark where the query sees the key."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers import declare
from jaxformers.layers.attention import attend, merge, prepare, project, visible, weighed
from jaxformers.layers.sites import PLAIN, Sites


def both(*arrays, sites=PLAIN, **options):
    """The context, and the probabilities that somebody reads."""
    tapped = sites.opened("attention_weights")
    read = attend(*arrays, sites=tapped, **options)
    context = attend(*arrays, sites=sites, **options)
    return context, tapped.shown["attention_weights"], read


@jax.jit  # one program, not one an operation
def attended(q, k, v, mask):
    return both(q, k, v, visible(mask))


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def picture(mask: np.ndarray, length: int) -> list[str]:
    """What attention makes of a mask: one line a query, rows of the batch under each other."""
    q = drawn(len(mask), length, 2, 4)
    _, weights, _ = attended(q, q, q, mask)
    weights = np.asarray(weights)
    assert weights.shape == (len(mask), 2, length, length)
    np.testing.assert_allclose(weights.sum(-1), 1, rtol=1e-5)
    seen = weights > 0
    assert (seen[:, 0] == seen[:, 1]).all()
    return ["".join("#" if mark else "." for mark in line) for row in seen[:, 0] for line in row]


@pytest.mark.parametrize("dtype", [np.int32, np.bool_, np.float32])
def test_a_padding_mask_hides_keys_from_every_query(dtype):
    mask = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 1]], dtype)
    assert picture(mask, 3) == [
        *("##.", "##.", "##."),  # padded on the right
        *(".##", ".##", ".##"),  # padded on the left
        *("###", "###", "###"),
    ]


def test_a_mask_of_three_axes_says_it_for_each_query():
    packed = np.array([[[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 1]]])
    assert picture(packed, 4) == ["##..", "##..", "..#.", "..##"]


def test_no_mask_hides_nothing():
    assert visible(None) is None
    q = drawn(1, 3, 2, 4)
    assert np.asarray(attended(q, q, q, None)[1]).min() > 0


def test_attention_is_the_textbooks():
    rng = np.random.default_rng(0)
    q, k, v = rng.normal(size=(2, 3, 2, 4)), rng.normal(size=(2, 5, 2, 4)), rng.normal(size=(2, 5, 2, 4))
    mask = np.array([[1, 1, 1, 0, 0], [0, 1, 1, 1, 1]], bool)
    scores = np.einsum("bthd,bshd->bhts", q, k) / 2
    scores = np.where(mask[:, None, None], scores, -np.inf)
    odds = np.exp(scores - scores.max(-1, keepdims=True))
    weights = odds / odds.sum(-1, keepdims=True)
    context = np.einsum("bhts,bshd->bthd", weights, v)
    ours = attended(*(x.astype(np.float32) for x in (q, k, v)), mask)
    np.testing.assert_allclose(ours[0], context, atol=1e-5)
    np.testing.assert_allclose(ours[1], weights, atol=1e-6)
    np.testing.assert_allclose(ours[2], context, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(merge(ours[0]))[..., :4], np.asarray(ours[0])[:, :, 0])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_a_query_that_sees_nothing_gets_the_mean_and_no_nan(dtype):
    q = drawn(2, 3, 1, 4).astype(dtype)
    mask = np.array([[0, 0, 0], [1, 1, 0]])

    def f(q):
        context, weights, _ = both(q, q, q, visible(mask))
        return context.astype(jnp.float32).sum(), (context, weights)

    grads, (context, weights) = jax.jit(jax.grad(f, has_aux=True))(q)
    assert context.dtype == weights.dtype == grads.dtype == jnp.dtype(dtype)
    grads, context, weights, q = (np.asarray(x).astype(np.float32) for x in (grads, context, weights, q))
    np.testing.assert_allclose(weights[0], np.full((1, 3, 3), 1 / 3), rtol=1e-2)
    np.testing.assert_allclose(context[0], np.broadcast_to(q[0].mean(0), (3, 1, 4)), atol=2e-2)
    assert np.isfinite(context).all()
    assert np.isfinite(grads).all()


def test_large_scores_neither_overflow_nor_lose_precision_in_half_types():
    q = np.full((1, 2, 1, 4), 200.0, np.float16)  # products of 160,000 are beyond float16
    k = q.copy()
    k[0, 1] = 199.0
    v = np.array([1.0, 0.0], np.float16).reshape(1, 2, 1, 1)
    context, weights, _ = (np.asarray(x) for x in attended(q, k, v, None))
    assert context.dtype == jnp.float16
    np.testing.assert_array_equal(weights[0, 0], [[1, 0], [1, 0]])
    np.testing.assert_array_equal(context[0, :, 0, 0], [1, 1])


def test_hidden_keys_have_no_influence_and_no_gradient():
    q, k, v = drawn(3, 1, 3, 2, 4)
    mask = np.array([[1, 1, 0]])
    other_k, other_v = k.copy(), v.copy()
    other_k[:, 2], other_v[:, 2] = 1e30, -7.0
    for a, b in zip(attended(q, k, v, mask), attended(q, other_k, other_v, mask), strict=True):
        np.testing.assert_array_equal(a, b)
    grads = jax.jit(jax.grad(lambda k, v: attended(q, k, v, mask)[0].sum(), argnums=(0, 1)))(k, v)
    for grad in map(np.asarray, grads):
        np.testing.assert_array_equal(grad[:, 2], np.zeros((1, 2, 4)))
        assert np.abs(grad[:, :2]).max() > 0


def test_gradients_are_those_of_the_textbooks_softmax():
    q, k, v = drawn(3, 1, 3, 2, 4)
    mask = np.array([[1, 1, 0]])

    def textbook(q, k, v):
        scores = jnp.einsum("bthd,bshd->bhts", q, k) / 2
        return jnp.einsum("bhts,bshd->bthd", jax.nn.softmax(jnp.where(mask[:, None, None] > 0, scores, -1e30)), v)

    for ours, theirs in zip(
        jax.jit(jax.grad(lambda *x: (attended(*x, mask)[0] ** 2).sum(), argnums=(0, 1, 2)))(q, k, v),
        jax.jit(jax.grad(lambda *x: (textbook(*x) ** 2).sum(), argnums=(0, 1, 2)))(q, k, v),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_dropout_draws_the_same_whether_probabilities_are_read_or_not():
    q, rates = drawn(1, 16, 2, 4), (0.0, 0.5, 1.0)
    sites = Sites(key=jax.random.key(1))
    plain, dropped, everything = jax.jit(lambda q: [both(q, q, q, None, rate=rate, sites=sites) for rate in rates])(q)
    kept = np.asarray(dropped[1]) != 0
    assert 0.3 < kept.mean() < 0.7
    np.testing.assert_allclose(np.asarray(dropped[1]), np.where(kept, 2 * np.asarray(plain[1]), 0), rtol=1e-5)
    np.testing.assert_allclose(dropped[0], dropped[2], rtol=1e-4, atol=1e-6)
    assert not np.allclose(plain[0], dropped[0])
    np.testing.assert_array_equal(everything[0], np.zeros_like(q))


@pytest.mark.parametrize("stacked", [False, True])
def test_prepared_params_project_the_same(stacked):
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    layers = [
        {name: {"weight": draw(6, 4), "bias": draw(6)} for name in ("query", "key", "value")} | {"up": draw(2)}
        for _ in range(2)
    ]
    tree = {"word": draw(3), "layers": layers if not stacked else jax.tree.map(lambda *x: np.stack(x), *layers)}
    dense = declare.together("qkv", {name: declare.linear(4, 6, name) for name in ("query", "key", "value")})
    alone = {name: declare.linear(4, 6, name) for name in ("query", "key", "value")}
    declared = lambda layer: {"word": declare.vector(3, "w"), "layers": [layer | {"up": declare.vector(2, "up")}] * 2}  # noqa: E731
    fused = prepare(tree, declare.like(declared(dense), tree))
    kept = prepare(tree, declare.like(declared(alone), tree))  # of the same names, but no group
    assert jax.tree.structure(kept) == jax.tree.structure(tree)
    x = draw(1, 5, 4)
    for i, layer in enumerate(layers):
        ours = jax.tree.map(lambda a, i=i: a[i], fused["layers"]) if stacked else fused["layers"][i]
        assert set(ours) == {"qkv", "up"}
        for a, b in zip(project(layer, x, 3), project(ours, x, 3), strict=True):
            assert a.shape == (1, 5, 2, 3)
            np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("bias_shape", [(1, 4, 600, 600), (3, 1, 1, 600), None])
def test_large_scores_are_computed_in_parts_and_are_the_same(bias_shape):
    q, k, v = (drawn(3, 600, 4, 8) + shift for shift in (0.0, 0.1, 0.2))
    seen = jnp.asarray(np.arange(600) < np.array([600, 400, 10])[:, None])[:, None, None]
    bias = None if bias_shape is None else jnp.asarray(drawn(*bias_shape))

    def parted(q, k, v, bias):
        return attend(q, k, v, seen, bias=bias)

    def textbook(q, k, v, bias):
        scores = jnp.einsum("bthd,bshd->bhts", q, k) / 8**0.5 + (0.0 if bias is None else bias)
        weights = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), axis=-1)
        return jnp.einsum("bhts,bshd->bthd", weights, v)

    def loss(function):
        return lambda *arrays: (function(*arrays) ** 2).sum()

    assert "while" in jax.jit(parted).lower(q, k, v, bias).as_text()
    ours, theirs = (jax.jit(function)(q, k, v, bias) for function in (parted, textbook))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)
    wanted = (0, 1, 2) if bias is None else (0, 1, 2, 3)
    ours, theirs = (jax.jit(jax.grad(loss(function), wanted))(q, k, v, bias) for function in (parted, textbook))
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("rows", "heads", "keys", "new", "slots"),
    [(3, 4, 4, 400, 402), (3, 4, 2, 600, 600), (2, 4, 1, 600, 703), (1, 12, 3, 500, 600), (1, 4, 2, 1300, 1300)],
    ids=["whole rows", "heads of keys", "one head of keys", "one row", "single heads"],
)
@pytest.mark.parametrize("used", [1, 150, 151, 390, None])
def test_large_scores_of_shared_heads_are_computed_in_parts_and_as_far_as_keys_are_used(
    rows: int, heads: int, keys: int, new: int, slots: int, used: int | None
):
    q, k, v = drawn(rows, heads, new, 8), drawn(rows, keys, 8, slots), drawn(rows, keys, slots, 8) + 0.2
    last = np.arange(new) % (used or slots)
    seen = jnp.asarray(np.arange(slots) <= last[:, None])[None, None] & jnp.ones((rows, 1, 1, 1), bool)
    sinks, bias = jnp.asarray(drawn(heads)), jnp.asarray(drawn(1, heads, 1, slots))
    told = None if used is None else jnp.int32(used)
    parted = jax.jit(lambda q, k, v, told: weighed(q, k, v, seen, sinks=sinks, bias=bias, used=told))
    assert "while" in parted.lower(q, k, v, told).as_text()
    beyond = slots if used is None else next(slots * n // 4 for n in (1, 2, 3, 4) if used <= slots * n // 4)
    hole = np.where(np.arange(slots) < beyond, 0, np.nan).astype(np.float32)  # nobody may look there
    found = parted(q, k + hole, v + hole[:, None], told)
    for row in range(rows):
        for head in range(0, heads, 3):  # few enough scores to be computed at once
            at, key = (slice(row, row + 1), slice(head, head + 1)), (slice(row, row + 1), [head * keys // heads])
            one = {"sinks": sinks[at[1]], "bias": bias[:, at[1]]}
            part = weighed(q[at], k[key], v[key], seen[at[:1]], **one)
            np.testing.assert_allclose(found[at], part, rtol=1e-4, atol=1e-5)


def test_gradients_of_large_scores_end_where_keys_are_no_longer_used():
    q, k, v = drawn(2, 4, 600, 8), drawn(2, 2, 8, 600), drawn(2, 2, 600, 8)
    seen = jnp.asarray(np.arange(600) <= np.arange(600)[:, None] % 140)[None, None]

    def loss(used: int | None):
        told = None if used is None else jnp.int32(used)
        return jax.jit(jax.grad(lambda *arrays: jnp.square(weighed(*arrays, seen, used=told)).sum(), (0, 1, 2)))

    for mine, other in zip(loss(140)(q, k, v), loss(None)(q, k, v), strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-3, atol=1e-4)


def test_each_part_of_large_scores_has_a_dropout_of_its_own_which_the_gradient_draws_again():
    q, k = jnp.zeros((3, 4, 400, 8)), jnp.zeros((3, 4, 8, 400))  # each key has the same share
    v = jnp.broadcast_to(jnp.eye(400), (3, 4, 400, 400))
    sites = Sites(key=jax.random.key(0))

    def taken(v: jax.Array) -> jax.Array:
        return weighed(q, k, v, None, rate=0.25, sites=sites)

    assert "while" in jax.jit(taken).lower(v).as_text()
    shares, pull = jax.vjp(jax.jit(taken), v)
    np.testing.assert_allclose(shares[shares > 0] * 400, 4 / 3, rtol=1e-5)
    assert abs(float((shares == 0).mean()) - 0.25) < 0.01
    parts = shares.reshape(12, -1)
    for i in range(12):
        for j in range(i):
            agree = float(((parts[i] == 0) == (parts[j] == 0)).mean())
            assert abs(agree - 0.625) < 0.01  # as of two draws that know nothing of each other
    onto = jnp.asarray(drawn(3, 4, 400, 400))
    np.testing.assert_allclose(pull(onto)[0], jnp.swapaxes(shares, 2, 3) @ onto, atol=1e-4)
