"""What dense layers multiply with where it is no plain array: leaves that know their own product."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from .product import product


@dataclasses.dataclass(frozen=True)
class Weight(abc.ABC):
    """A weight [..., out, in] that is made of several arrays, or of one that is to be read in a way of its own."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of the weight."""

    @property
    @abc.abstractmethod
    def dtype(self) -> Any:
        """The type that the weight is widened to unless another is asked for."""

    @abc.abstractmethod
    def widened(self, dtype: Any = None) -> jax.Array:
        """The weight [..., out, in] as an array."""

    @abc.abstractmethod
    def product(self, x: jax.Array, out_sharding: Any = None) -> jax.Array:
        """X [..., in] by a weight [out, in]: [..., out] in float32 or wider."""


def multiplied(weight: Any, x: jax.Array, out_sharding: Any = None) -> jax.Array:
    """X [..., in] by a weight [out, in], an array or a `Weight`: [..., out] in float32 or wider."""
    if isinstance(weight, Weight):
        return weight.product(x, out_sharding)
    narrow = jnp.result_type(x, weight)
    return product(x.astype(narrow), weight.astype(narrow), jnp.promote_types(narrow, jnp.float32), out_sharding)
