"""Weights as whole numbers: how near their products are, what is rounded, and that files keep their format."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers import AutoModelForSequenceClassification, BertForSequenceClassification, Model
from jaxformers.layers import int8
from jaxformers.layers.linear import linear

IDS = np.array([[2, 5, 7, 11, 3], [2, 13, 3, 0, 0]])
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])


def test_products_of_whole_numbers_are_exact():
    w = np.array([[127, -3, 0], [5, 127, 1]], np.float32)
    x = np.array([[[127, 2, -5]], [[0, 127, 127]]], np.float32)
    p = {"weight": int8.rounded(w), "bias": np.array([1, 2], np.float32)}
    np.testing.assert_array_equal(linear(p, x), x @ w.T + [1, 2])
    np.testing.assert_array_equal(p["weight"].widened(), w)


def test_products_are_near_and_zeros_stay():
    rng = np.random.default_rng(0)
    w, x = rng.normal(size=(48, 64)), rng.normal(size=(7, 64))
    w[3], x[2] = 0, 0
    y = linear({"weight": int8.rounded(jnp.asarray(w, jnp.float32))}, jnp.asarray(x, jnp.float32))
    assert np.abs(y - x @ w.T).max() < 0.03 * np.abs(x @ w.T).max()
    assert not np.any(y[2])
    assert not np.any(y[:, 3])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_one_row_gives_what_it_gives_among_others(dtype: str):
    rng = np.random.default_rng(1)
    w, x = (jnp.asarray(rng.normal(size=size), dtype) for size in ((6, 8), (3, 8)))
    for p in ({"weight": w, "bias": w[:, 0]}, {"weight": int8.rounded(w), "bias": w[:, 0]}):
        for one in (x[1], x[1:2], x[None, 1:2]):
            assert linear(p, one).shape == (*one.shape[:-1], 6)
            assert linear(p, one).dtype == dtype
            np.testing.assert_allclose(
                np.float32(linear(p, one)).reshape(-1), np.float32(linear(p, x)[1]), rtol=1e-2, atol=1e-2
            )


@pytest.mark.parametrize("stacked", [False, True])
def test_a_model_in_int8(toy_model: Model, toy_folder: Path, tmp_path: Path, stacked: bool):
    model = BertForSequenceClassification.from_pretrained(toy_folder, dtype="int8", stacked=stacked)
    where = {
        jax.tree_util.keystr(path[:-1], simple=True, separator=".").rpartition(".")[2]
        for path, leaf in jax.tree_util.tree_leaves_with_path(model.params)
        if leaf.dtype == jnp.int8
    }
    assert where == {"weight"}
    assert "int8" in repr(model)
    assert model.params["head"]["classifier"]["weight"].dtype == jnp.float32
    np.testing.assert_allclose(model(IDS, MASK).logits, toy_model(IDS, MASK).logits, atol=0.3)
    assert np.abs(model(IDS, MASK).logits - toy_model(IDS, MASK).logits).max() > 0

    model.save_pretrained(tmp_path / "again")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "again")
    assert {leaf.dtype.name for leaf in jax.tree.leaves(again)} == {"float32"}
    step = jax.tree.map(lambda a, b: np.abs(a - b).max() <= np.abs(a).max() / 250, toy_model.params, again.params)
    assert all(jax.tree.leaves(step))
