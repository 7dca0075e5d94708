"""Losses against numpy, with labels that do not count, and gradients that are right at the edges too."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers.layers import losses

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0], [-3.0, 4.0, 1.0]])


def log_softmax(x: np.ndarray) -> np.ndarray:
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_cross_entropy_counts_what_is_not_ignored():
    log_p = log_softmax(LOGITS)
    every = losses.cross_entropy(jnp.asarray(LOGITS), jnp.array([0, 2, 1])).mean()
    np.testing.assert_allclose(every, -(log_p[0, 0] + log_p[1, 2] + log_p[2, 1]) / 3, rtol=1e-6)
    two = losses.cross_entropy(jnp.asarray(LOGITS), jnp.array([0, -100, 1])).mean()
    np.testing.assert_allclose(two, -(log_p[0, 0] + log_p[2, 1]) / 2, rtol=1e-6)
    tokens = losses.cross_entropy(jnp.asarray(LOGITS)[None], jnp.array([[0, -100, 1]])).mean()
    np.testing.assert_allclose(tokens, two, rtol=1e-6)


def test_nothing_counted_is_zero_with_zero_gradient():
    loss, grad = jax.value_and_grad(lambda x: losses.cross_entropy(x, jnp.full(3, -100)).mean())(jnp.asarray(LOGITS))
    assert loss == 0.0
    np.testing.assert_array_equal(grad, np.zeros_like(LOGITS))


def test_half_types_are_widened_first():
    logits = jnp.asarray(np.random.default_rng(0).normal(0, 8, (4, 30_000)), jnp.bfloat16)
    labels = jnp.arange(4)
    loss = losses.cross_entropy(logits, labels).mean()
    assert loss.dtype == jnp.float32
    wide = log_softmax(np.asarray(logits, np.float64))
    np.testing.assert_allclose(loss, -wide[np.arange(4), np.arange(4)].mean(), rtol=1e-5)
    for kind in ("regression", "multi_label_classification"):
        assert losses.classification(logits[:, :3], jnp.ones((4, 3)), kind).mean().dtype == jnp.float32


@pytest.mark.parametrize(
    ("problem_type", "labels", "width"),
    [
        ("regression", [0.5, 1.0, -2.0], 1),
        (None, [0.5, 1.0, -2.0], 1),
        (None, [3, 1, 2], 1),  # one label and whole numbers: values still
        ("regression", [[0.5, 1, 2], [0, 0, 0], [1, 2, 3]], 3),
    ],
)
def test_regression_is_the_mean_square(problem_type, labels, width):
    logits = LOGITS[:, :width]
    loss = losses.classification(jnp.asarray(logits), jnp.asarray(labels), problem_type).mean()
    np.testing.assert_allclose(loss, ((logits - np.reshape(labels, logits.shape)) ** 2).mean(), rtol=1e-6)


@pytest.mark.parametrize("problem_type", [None, "single_label_classification"])
def test_whole_numbers_are_classes(problem_type):
    labels = jnp.array([0, 2, -100])
    for shape in ((3,), (3, 1)):
        loss = losses.classification(jnp.asarray(LOGITS), labels.reshape(shape), problem_type).mean()
        np.testing.assert_allclose(loss, losses.cross_entropy(jnp.asarray(LOGITS), labels).mean())


@pytest.mark.parametrize(("problem_type", "dtype"), [(None, "float32"), ("multi_label_classification", "int32")])
def test_several_labels_a_row(problem_type, dtype):
    labels = np.array([[1, 0, 1], [0, 0, 0], [1, 1, 1]])
    loss = losses.classification(jnp.asarray(LOGITS), jnp.asarray(labels, dtype), problem_type).mean()
    p = 1 / (1 + np.exp(-LOGITS))
    np.testing.assert_allclose(loss, -np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p)), rtol=1e-5)


def test_several_labels_large_logits_and_the_gradient_at_zero():
    logits = jnp.array([[1e4, -1e4], [0.0, 0.0]])
    labels = jnp.array([[0.0, 1.0], [0.0, 1.0]])
    loss, grad = jax.value_and_grad(lambda x: losses.classification(x, labels, "multi_label_classification").mean())(
        logits
    )
    np.testing.assert_allclose(loss, (2e4 + 2 * np.log(2)) / 4, rtol=1e-6)
    np.testing.assert_allclose(grad * 4, [[1, -1], [0.5, -0.5]], rtol=1e-6)  # a new head starts near zero


def test_spans_clamp_to_the_row_and_ignore_what_lies_behind_it():
    start, end = jnp.asarray(LOGITS), jnp.asarray(LOGITS[::-1].copy())
    one = lambda logits, labels: losses.cross_entropy(logits, jnp.asarray(labels)).mean()  # noqa: E731
    loss = losses.span(start, end, jnp.array([0, 3, 99]), jnp.array([[-5], [2], [1]])).mean()
    np.testing.assert_allclose(loss, (one(start, [0, -100, -100]) + one(end, [0, 2, 1])) / 2, rtol=1e-6)
    assert losses.span(start, end, jnp.full(3, 3), jnp.full(3, 9)).mean() == 0.0


def test_the_kind_of_problem_is_guessed_as_the_reference_does():
    assert losses.problem(None, 1, np.int32) == "regression"
    assert losses.problem(None, 2, np.int64) == "single_label_classification"
    assert losses.problem(None, 2, np.float32) == "multi_label_classification"
    assert losses.problem("regression", 2, np.int32) == "regression"


def test_x64_changes_no_type():
    with jax.enable_x64(True):
        logits = jnp.asarray(LOGITS, jnp.float32)
        assert losses.cross_entropy(logits, jnp.array([0, 1, -100])).mean().dtype == jnp.float32
        assert losses.classification(logits, jnp.ones((3, 3)), "regression").mean().dtype == jnp.float32
        assert losses.span(logits, logits, jnp.array([0, 1, 2]), jnp.array([0, 1, 2])).mean().dtype == jnp.float32


def test_parts_of_a_batch_give_the_loss_of_the_whole():
    rng = np.random.default_rng(0)
    words, order = jnp.asarray(rng.normal(size=(6, 5, 7))), jnp.asarray(rng.normal(size=(6, 2)))
    labels = jnp.asarray(np.where(rng.random((6, 5)) < 0.5, rng.integers(0, 7, (6, 5)), -100))

    def loss(rows: slice) -> losses.Loss:
        return losses.cross_entropy(words[rows], labels[rows]) + losses.cross_entropy(order[rows], labels[rows, 0] % 2)

    parts = [loss(rows).sums() for rows in (slice(0, 1), slice(1, 6))]
    whole = [losses.Sum(sum(s.total for s in sums), sum(s.count for s in sums)) for sums in zip(*parts, strict=True)]
    assert len({int(s.count) for s in parts[0]}) == 2  # the terms count differently: one count would not do
    np.testing.assert_allclose(sum(s.mean() for s in whole), loss(slice(0, 6)).mean(), rtol=1e-6)


def test_smoothing_spreads_a_share_of_each_label_over_all_classes():
    labels = jnp.array([0, -100, 1])
    (found,) = losses.cross_entropy(jnp.asarray(LOGITS), labels).sums(0.1)
    log_p = log_softmax(LOGITS)[[0, 2]]
    expected = -(0.9 * (log_p[0, 0] + log_p[1, 1]) + 0.1 * log_p.mean(-1).sum())
    np.testing.assert_allclose(found.total, expected, rtol=1e-6)
    assert found.count == 2
    with pytest.raises(ValueError, match="label smoothing"):
        losses.classification(jnp.asarray(LOGITS), jnp.ones((3, 3)), "regression").sums(0.1)
