"""Products in whole numbers: weights and activations as int8 with scales (Dettmers et al. 2022, arXiv 2208.07339).

Weights are rounded once, with a scale per output; activations as they come, with a scale per token. Sums are exact in
int32. Only `linear` and `grouped` look into the type; everything else sees arrays in float32 or whatever type the model
runs in.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp

_MOST = 127.0  # -128 is left out: what is symmetric needs no offsets


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Int8:
    """A weight [..., out, in] as values [..., out, in] int8 times scale [..., out] float32."""

    values: jax.Array
    scale: jax.Array


@jax.jit
def rounded(x: jax.Array) -> Int8:
    """The nearest whole numbers to x [..., n], its largest in each [n] being 127."""
    x = x.astype(jnp.float32)
    scale = jnp.abs(x).max(-1) / _MOST
    values = jnp.round(x / jnp.where(scale == 0, 1.0, scale)[..., None])
    return Int8(values.astype(jnp.int8), scale)


def widened(weight: Int8) -> jax.Array:
    """The weight [..., out, in] in float32."""
    return weight.values.astype(jnp.float32) * weight.scale[..., None]


def product(x: jax.Array, weight: Int8) -> jax.Array:
    """X [..., in] by a weight [out, in]: [..., out] float32."""
    given = rounded(x)
    contract = (((x.ndim - 1,), (1,)), ((), ()))
    sums = jax.lax.dot_general(given.values, weight.values, contract, preferred_element_type=jnp.int32)
    return sums.astype(jnp.float32) * given.scale[..., None] * weight.scale


def rounds(path: str) -> bool:
    """Whether the array at a path of a model's tree becomes whole numbers: the weights that `linear` and `grouped` take
    inside a layer, in the list of layers or apart.

    Embeddings, norms, poolers and heads stay as they are: they are few, and errors there are not averaged away. So does
    what is neither, such as the kernels of convolutions and XLNet's projections with an axis of their own for heads,
    and
    routers, of which an error chooses another expert.
    """
    inside = path.count(".") > 1 and not path.startswith("head.") and ".router." not in path
    return inside and path.rpartition(".")[2] in ("weight", "blocks")


def restored(params: Any) -> Any:
    """The tree with plain arrays in place of `Int8`, in the type of the arrays beside them."""
    is_int8 = lambda leaf: isinstance(leaf, Int8)  # noqa: E731
    leaves = jax.tree.leaves(params, is_leaf=is_int8)
    if not any(map(is_int8, leaves)):
        return params
    dtype = Counter(leaf.dtype for leaf in leaves if not is_int8(leaf)).most_common(1)[0][0]
    return jax.tree.map(lambda leaf: widened(leaf).astype(dtype) if is_int8(leaf) else leaf, params, is_leaf=is_int8)
