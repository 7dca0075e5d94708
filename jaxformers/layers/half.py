"""Weights of a half type in a model that computes in float32.

On CPU products of half types are faster than float32's, while all that stands between products is slower in them, and
less exact. So what weights multiply is rounded as it comes, and nothing else is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .quantized import Quantized


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Half(Quantized):
    """A weight [..., out, in] as values [..., out, in] bfloat16 or float16."""

    @property
    def dtype(self) -> Any:
        """float32."""
        return jnp.dtype(jnp.float32)

    def widened(self, dtype: Any = None) -> jax.Array:
        """The weight [..., out, in] as an array."""
        return self.values.astype(self.dtype if dtype is None else dtype)

    def alike(self, x: jax.Array) -> Half:
        """An array [..., out, in], kept as this weight is."""
        return Half(x.astype(self.values.dtype))

    def multiplied(self, dtype: Any) -> Any:
        """The half type, of whatever type x is."""
        return self.values.dtype

    def product(self, x: jax.Array, out_sharding: Any = None) -> jax.Array:
        """X [..., in] by a weight [out, in]: [..., out] float32."""
        contract = (((x.ndim - 1,), (1,)), ((), ()))
        given = x.astype(self.values.dtype)
        return jax.lax.dot_general(
            given, self.values, contract, preferred_element_type=jnp.float32, out_sharding=out_sharding
        )


def halved(params: Any, chosen: Callable[[str], bool]) -> Any:
    """The tree with those arrays of half types as `Half` whose paths are chosen; nothing is copied."""

    def kept(path: Any, array: Any) -> Any:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        return Half(array) if chosen(name) and array.dtype in (jnp.bfloat16, jnp.float16) else array

    return jax.tree_util.tree_map_with_path(kept, params)
