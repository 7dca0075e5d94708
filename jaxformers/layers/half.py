"""Weights of a half type in a model that computes in float32.

On CPU products of half types are faster than float32's, while all that stands between products is slower in them, and
less exact. So what weights multiply is rounded as it comes, and nothing else is.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import declare
from .product import product
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

    def rows(self, ids: jax.Array) -> Half:
        """Outputs [out] of a weight [out, in] at ids [...], those out of range NaN. No gradient comes back.

        Bits are looked up, since XLA's CPU widens a whole table of a half type to take rows of it.
        """
        bits = jax.lax.bitcast_convert_type(self.values, jnp.uint16)
        nan = int(np.asarray(np.nan, self.values.dtype).view(np.uint16))
        found = bits.at[ids].get(mode="fill", fill_value=nan, wrap_negative_indices=False)
        return Half(jax.lax.bitcast_convert_type(found, self.values.dtype))

    def product(self, x: jax.Array, out_sharding: Any = None) -> jax.Array:
        """X [..., in] by a weight [out, in]: [..., out] float32."""
        return product(x.astype(self.values.dtype), self.values, jnp.float32, out_sharding)


def halved(params: Any, declaration: declare.Tree) -> Any:
    """The tree with weights of half types as `Half`: those of dense layers, and words; nothing is copied.

    Args:
        params: listed or stacked.
        declaration: of these arrays, laid out as they are (`declare.like`).
    """

    def kept(param: declare.Param, array: Any) -> Any:
        chosen = param.role == "matrix" or (param.role in ("table", "unembedding") and "vocab" in param.axes)
        return Half(array) if chosen and array.dtype in (jnp.bfloat16, jnp.float16) else array

    return jax.tree.map(kept, declaration, params, is_leaf=declare.is_param)
