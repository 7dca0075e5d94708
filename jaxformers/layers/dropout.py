"""Dropout, handed to a forward pass as an argument: `no_drop` for inference, `Dropout(key)` for training.

Each site folds its own name into the key, so model files split no keys, and a new site leaves the others' draws alone.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence
from typing import Protocol

import jax
import jax.numpy as jnp


class Drop(Protocol):
    """What a forward pass calls at each dropout site."""

    def __call__(self, site: str, x: jax.Array, rate: float) -> jax.Array:
        """X with a share `rate` of its entries zeroed and the rest scaled up."""
        ...

    def each(self, count: int) -> Sequence[Drop]:
        """One of these for each of `count` layers."""
        ...


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class NoDrop:
    """No dropout: costs nothing in the compiled program."""

    def __call__(self, site: str, x: jax.Array, rate: float) -> jax.Array:
        """X as it is."""
        return x

    def each(self, count: int) -> Sequence[NoDrop]:
        """The same for each layer."""
        return [self] * count


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Dropout:
    """Inverted dropout (Srivastava et al. 2014) driven by one random key."""

    key: jax.Array

    def __call__(self, site: str, x: jax.Array, rate: float) -> jax.Array:
        """X with a share `rate` of its entries zeroed and the rest scaled by 1 / (1 - rate)."""
        if rate == 0.0:
            return x
        if rate == 1.0:  # nothing is kept, and 1 / (1 - rate) would make the gradient NaN
            return jnp.zeros_like(x)
        share = jnp.float32(1.0 - rate)  # of a stated type: the draws are the same with and without x64
        kept = jax.random.bernoulli(jax.random.fold_in(self.key, zlib.crc32(site.encode())), share, x.shape)
        return jnp.where(kept, x / (1.0 - rate), 0).astype(x.dtype)

    def each(self, count: int) -> Sequence[Dropout]:
        """One with a key of its own for each layer."""
        return [Dropout(jax.random.fold_in(self.key, layer)) for layer in range(count)]


no_drop = NoDrop()
