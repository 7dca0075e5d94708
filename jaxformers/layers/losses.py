"""Losses, in float32. A label of -100 does not count; a batch in which none counts has loss 0."""

from __future__ import annotations

import jax
import jax.numpy as jnp

IGNORED = -100


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean over counted labels [...] of -log softmax(logits [..., C])[label]."""
    counted = labels != IGNORED
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
    chosen = jnp.take_along_axis(log_p, jnp.where(counted, labels, 0)[..., None], axis=-1)[..., 0]
    return -jnp.sum(chosen, where=counted) / jnp.maximum(jnp.sum(counted), 1)


def classification(logits: jax.Array, labels: jax.Array, problem_type: str | None) -> jax.Array:
    """Loss of logits [B, C] by the kind of problem; not said, it is guessed as the reference does.

    One label: regression. Whole numbers: one class a row, labels [B]. Floats: any number of classes, labels [B, C].
    """
    if problem_type is None:
        if logits.shape[-1] == 1:
            problem_type = "regression"
        elif jnp.issubdtype(labels.dtype, jnp.integer):
            problem_type = "single_label_classification"
        else:
            problem_type = "multi_label_classification"
    logits = logits.astype(jnp.float32)
    if problem_type == "single_label_classification":
        return cross_entropy(logits, labels.reshape(-1))
    labels = labels.astype(jnp.float32).reshape(logits.shape)
    if problem_type == "regression":
        return jnp.mean(jnp.square(logits - labels))
    return jnp.mean(jax.nn.relu(logits) - logits * labels + jnp.log1p(jnp.exp(-jnp.abs(logits))))


def span(start_logits: jax.Array, end_logits: jax.Array, start: jax.Array, end: jax.Array) -> jax.Array:
    """Mean loss of an answer's first and last token; logits [B, T], positions [B]; past the row: ignored."""
    length = start_logits.shape[-1]

    def one(logits: jax.Array, position: jax.Array) -> jax.Array:
        position = jnp.maximum(position.reshape(-1), 0)
        return cross_entropy(logits, jnp.where(position < length, position, IGNORED))

    return (one(start_logits, start) + one(end_logits, end)) / 2
