"""Losses, in float32. A label of -100 does not count; a batch in which none counts has loss 0.

A loss is a value: the means that it is the sum of, which are not taken yet. A call takes them (`Loss.mean`); training
on parts of a batch takes their totals and counts (`Loss.sums`), so that all parts together give the loss of the whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

IGNORED = -100


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Sum:
    """What one mean is taken of. total: float32 []. count: int32 [] of the labels in it."""

    total: jax.Array
    count: jax.Array

    def mean(self) -> jax.Array:
        """The total by the count; 0 where nothing counts."""
        return self.total / jnp.maximum(self.count, 1)


@dataclasses.dataclass(frozen=True)
class Term:
    """One mean of a loss. each: scores and labels to the losses [...] of single labels.

    scores: [..., C] or [...]. labels: [...]. counted: bool [...], which labels count; None: all. share: what
    the mean is multiplied by.
    """

    each: Callable[[jax.Array, jax.Array], jax.Array]
    scores: jax.Array
    labels: jax.Array
    counted: jax.Array | None = None
    share: float = 1.0

    def sum(self, smoothing: float = 0.0) -> Sum:
        """The term's total and count; smoothing as in `Loss.sums`."""
        each = self.each(self.scores, self.labels)
        if smoothing:
            if self.each is not _of_class:
                raise ValueError("label smoothing is for labels that are classes, one of several: leave it at 0")
            each = _smoothed(smoothing, self.scores, self.labels)
        if self.counted is None:
            return Sum(self.share * each.sum(), jnp.int32(each.size))
        return Sum(self.share * jnp.sum(each, where=self.counted), jnp.sum(self.counted, dtype=jnp.int32))


@dataclasses.dataclass(frozen=True)
class Loss:
    """The sum of the means of its terms. Losses are added, and divided by numbers."""

    terms: tuple[Term, ...]

    def __add__(self, other: Loss) -> Loss:
        return Loss(self.terms + other.terms)

    def __truediv__(self, number: float) -> Loss:
        return Loss(tuple(dataclasses.replace(term, share=term.share / number) for term in self.terms))

    def mean(self) -> jax.Array:
        """The loss, float32 []."""
        first, *others = (term.sum().mean() for term in self.terms)
        return sum(others, start=first)

    def sums(self, smoothing: float = 0.0) -> tuple[Sum, ...]:
        """What the mean of each term is taken of.

        Args:
            smoothing: the share of a label that is spread evenly over all classes (Szegedy et al. 2015, arXiv
                1512.00567).

        Raises:
            ValueError: smoothing, and labels that are no classes.
        """
        return tuple(term.sum(smoothing) for term in self.terms)


def taken(output: Any) -> Any:
    """A tree with the mean in place of each `Loss`."""
    return jax.tree.map(lambda x: x.mean() if isinstance(x, Loss) else x, output)


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> Loss:
    """Mean over counted labels [...] of -log softmax(logits [..., C])[label].

    smoothing: the share of a label that an architecture spreads over all classes, whatever training asks for.
    """
    counted = labels != IGNORED
    each = partial(_smoothed, smoothing) if smoothing else _of_class
    return Loss((Term(each, logits, jnp.where(counted, labels, 0), counted),))


def yes_or_no(logits: jax.Array, labels: jax.Array) -> Loss:
    """Mean over counted labels [...], 1 for yes and 0 for no, of the binary cross-entropy of logits [...]."""
    return Loss((Term(_of_answer, logits, labels, labels != IGNORED),))


def _from_scores(each: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """A function of scores, in float32, whose gradient keeps the scores alone, as they are: over a large vocabulary
    all that is computed of them is as large, or twice, and quickly computed again.
    """

    def wide(scores: jax.Array, *others: jax.Array) -> jax.Array:
        return each(scores.astype(jnp.float32), *others)

    return jax.checkpoint(wide)


@_from_scores
def _of_class(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return jax.nn.logsumexp(logits, axis=-1) - _chosen(logits, labels)


@_from_scores
def _of_all_classes(logits: jax.Array) -> jax.Array:
    return jax.nn.logsumexp(logits, axis=-1) - logits.mean(-1)


def _chosen(logits: jax.Array, labels: jax.Array) -> jax.Array:
    """The logit of each label, found by looking at all: a mesh may divide classes, and gradients scatter nothing."""
    classes = jnp.arange(logits.shape[-1], dtype=labels.dtype)
    return jnp.where(classes == labels[..., None], logits, 0.0).sum(-1)


def _smoothed(share: float, logits: jax.Array, labels: jax.Array) -> jax.Array:
    return (1.0 - share) * _of_class(logits, labels) + share * _of_all_classes(logits)


@_from_scores
def _of_answer(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return jax.nn.softplus(logits) - logits * labels


@_from_scores
def _of_number(values: jax.Array, labels: jax.Array) -> jax.Array:
    return jnp.square(values - labels)


def problem(problem_type: str | None, num_labels: int, dtype: Any) -> str:
    """The kind of a classifier's problem; where the config does not say, it is guessed as the reference does.

    One label: regression. Labels are whole numbers: one class a row. Floats: any number of classes a row.
    """
    if problem_type is not None:
        return problem_type
    if num_labels == 1:
        return "regression"
    return "single_label_classification" if jnp.issubdtype(dtype, jnp.integer) else "multi_label_classification"


def classification(logits: jax.Array, labels: jax.Array, problem_type: str | None) -> Loss:
    """Loss of logits [B, C] by the kind of problem; labels [B] for one class a row, else [B, C]."""
    problem_type = problem(problem_type, logits.shape[-1], labels.dtype)
    if problem_type == "single_label_classification":
        return cross_entropy(logits, labels.reshape(-1))
    each = _of_number if problem_type == "regression" else _of_answer
    return Loss((Term(each, logits, labels.astype(jnp.float32).reshape(logits.shape)),))


def span(start_logits: jax.Array, end_logits: jax.Array, start: jax.Array, end: jax.Array) -> Loss:
    """Mean loss of an answer's first and last token; logits [B, T], positions [B]; past the row: ignored."""
    length = start_logits.shape[-1]

    def one(logits: jax.Array, position: jax.Array) -> Loss:
        position = jnp.maximum(position.reshape(-1), 0)
        return cross_entropy(logits, jnp.where(position < length, position, IGNORED))

    return (one(start_logits, start) + one(end_logits, end)) / 2
