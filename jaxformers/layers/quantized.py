"""Weights kept in fewer bits than the model computes in: leaves that only dense layers and look-ups look into."""

from __future__ import annotations

import abc
import dataclasses
from collections import Counter
from typing import Any, Self

import jax
import jax.numpy as jnp

from .product import product
from .weight import Weight


@dataclasses.dataclass(frozen=True)
class Quantized(Weight):
    """A weight [..., out, in] as arrays with the axes [..., out] in front. values: [..., out, in]."""

    values: jax.Array

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weight."""
        return self.values.shape

    def product(self, x: jax.Array, out_sharding: Any = None) -> jax.Array:
        """X [..., in] by a weight [out, in]: [..., out] in float32 or wider.

        Gradients widen the weight once more, and keep it meanwhile as it is.
        """
        wide = jnp.promote_types(x.dtype, jnp.float32)
        multiply = lambda x, weight: product(x, weight.widened(x.dtype), wide, out_sharding)  # noqa: E731
        return jax.checkpoint(multiply)(x, self)

    @abc.abstractmethod
    def alike(self, x: jax.Array) -> Self:
        """An array [..., out, in], kept as this weight is."""

    def rows(self, ids: jax.Array) -> Self:
        """Outputs [out] of a weight [out, in] at ids [...], those out of range NaN."""

        def taken(array: jax.Array) -> jax.Array:
            outside = jnp.nan if jnp.issubdtype(array.dtype, jnp.floating) else 0
            return array.at[ids].get(mode="fill", fill_value=outside, wrap_negative_indices=False)

        return jax.tree.map(taken, self)

    def in_groups(self, count: int) -> Self:
        """A weight [count, out, in] of one [count, out, in] or [count * out, in]."""
        front = self.values.ndim - 1
        return jax.tree.map(lambda array: array.reshape(count, -1, *array.shape[front:]), self)


@dataclasses.dataclass(frozen=True)
class Scaled(Quantized):
    """A weight as whole numbers and scales. scale: [..., out, ...] in the type that the weight is widened to."""

    scale: jax.Array

    @property
    def dtype(self) -> Any:
        """The type of the scales."""
        return self.scale.dtype

    def widened(self, dtype: Any = None) -> jax.Array:
        """The weight [..., out, in] as an array."""
        dtype = self.dtype if dtype is None else dtype
        return self.values.astype(dtype) * self.steps().astype(dtype)

    def steps(self) -> jax.Array:
        """What each of the values counts, in a shape that broadcasts to theirs."""
        return self.scale[..., None]


def restored(params: Any) -> Any:
    """The tree with plain arrays in place of `Quantized`, in the type of the arrays beside them."""
    leaves = jax.tree.leaves(params, is_leaf=is_quantized)
    if not any(map(is_quantized, leaves)):
        return params
    dtype = Counter(leaf.dtype for leaf in leaves if not is_quantized(leaf)).most_common(1)[0][0]

    def plain(leaf: Any) -> Any:
        return leaf.widened().astype(dtype) if is_quantized(leaf) else leaf

    return jax.tree.map(plain, params, is_leaf=is_quantized)


def weights(params: Any) -> list[Any]:
    """The arrays of a tree, of those that are `Quantized` the values alone."""
    leaves = jax.tree.leaves(params, is_leaf=is_quantized)
    return [leaf.values if is_quantized(leaf) else leaf for leaf in leaves]


def is_quantized(leaf: Any) -> bool:
    """Whether a leaf is a weight that is kept in fewer bits."""
    return isinstance(leaf, Quantized)
