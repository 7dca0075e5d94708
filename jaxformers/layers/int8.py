"""Products in whole numbers: weights and activations as int8 with scales (Dettmers et al. 2022, arXiv 2208.07339).

Weights are rounded once, with a scale per output; activations as they come, with a scale per token. Sums are exact in
int32. Gradients are those of the product in which activations are not rounded, since a step has none.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from .product import product
from .quantized import Scaled

_MOST = 127.0  # -128 is left out: what is symmetric needs no offsets


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Int8(Scaled):
    """A weight [..., out, in] as values [..., out, in] int8 times scale [..., out] float32."""

    def alike(self, x: jax.Array) -> Int8:
        """An array [..., out, in], kept as this weight is."""
        return rounded(x)

    def product(self, x: jax.Array, out_sharding: Any = None) -> jax.Array:
        """X [..., in] by a weight [out, in]: [..., out] float32. Gradients as `Quantized.product`."""
        return jax.checkpoint(partial(_product, out_sharding))(x, self.values, self.scale)


@jax.jit
def rounded(x: jax.Array) -> Int8:
    """The nearest whole numbers to x [..., n], its largest in each [n] being 127."""
    x = x.astype(jnp.float32)
    scale = jnp.abs(x).max(-1) / _MOST
    values = jnp.round(x / jnp.where(scale == 0, 1.0, scale)[..., None])
    return Int8(values.astype(jnp.int8), scale)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _product(out_sharding: Any, x: jax.Array, values: jax.Array, scale: jax.Array) -> jax.Array:
    """X [..., in], rounded, by values [out, in] times scale [out]: [..., out] float32."""
    given = rounded(x)
    sums = product(given.values, values, jnp.int32, out_sharding)
    return sums.astype(jnp.float32) * given.scale[..., None] * scale


def _differentiate(out_sharding: Any, primals: Any, tangents: Any) -> tuple[jax.Array, jax.Array]:
    """As of products that round nothing: the parts of each of the two that change."""
    (x, values, scale), (dx, _, dscale) = primals, tangents
    pairs = [pair for pair in ((dx, scale), (x, dscale)) if not any(isinstance(one, SymbolicZero) for one in pair)]
    parts = [product(a, Int8(values, b).widened(a.dtype), jnp.float32, out_sharding) for a, b in pairs]
    y = _product(out_sharding, x, values, scale)
    return y, sum(parts, start=jnp.zeros_like(y))


_product.defjvp(_differentiate, symbolic_zeros=True)
