"""Losses, in float32. A label of -100 does not count; a batch in which none counts has loss 0."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

IGNORED = -100


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean over counted labels [...] of -log softmax(logits [..., C])[label]."""
    counted = labels != IGNORED
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
    chosen = jnp.take_along_axis(log_p, jnp.where(counted, labels, 0)[..., None], axis=-1)[..., 0]
    return -jnp.sum(chosen, where=counted) / jnp.maximum(jnp.sum(counted), 1)


def yes_or_no(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean over counted labels [...], 1 for yes and 0 for no, of the binary cross-entropy of logits [...]."""
    counted = labels != IGNORED
    logits = logits.astype(jnp.float32)
    each = jax.nn.softplus(logits) - logits * labels
    return jnp.sum(each, where=counted) / jnp.maximum(jnp.sum(counted), 1)


def problem(problem_type: str | None, num_labels: int, dtype: Any) -> str:
    """The kind of a classifier's problem; where the config does not say, it is guessed as the reference does.

    One label: regression. Labels are whole numbers: one class a row. Floats: any number of classes a row.
    """
    if problem_type is not None:
        return problem_type
    if num_labels == 1:
        return "regression"
    return "single_label_classification" if jnp.issubdtype(dtype, jnp.integer) else "multi_label_classification"


def classification(logits: jax.Array, labels: jax.Array, problem_type: str | None) -> jax.Array:
    """Loss of logits [B, C] by the kind of problem; labels [B] for one class a row, else [B, C]."""
    problem_type = problem(problem_type, logits.shape[-1], labels.dtype)
    logits = logits.astype(jnp.float32)
    if problem_type == "single_label_classification":
        return cross_entropy(logits, labels.reshape(-1))
    labels = labels.astype(jnp.float32).reshape(logits.shape)
    if problem_type == "regression":
        return jnp.mean(jnp.square(logits - labels))
    return jnp.mean(jax.nn.softplus(logits) - logits * labels)


def span(start_logits: jax.Array, end_logits: jax.Array, start: jax.Array, end: jax.Array) -> jax.Array:
    """Mean loss of an answer's first and last token; logits [B, T], positions [B]; past the row: ignored."""
    length = start_logits.shape[-1]

    def one(logits: jax.Array, position: jax.Array) -> jax.Array:
        position = jnp.maximum(position.reshape(-1), 0)
        return cross_entropy(logits, jnp.where(position < length, position, IGNORED))

    return (one(start_logits, start) + one(end_logits, end)) / 2
