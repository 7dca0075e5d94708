"""Weights as whole numbers, activations as they are: a weight is widened where it is multiplied.

int8 has one scale an output, int4 one for each 32 inputs of an output.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from .quantized import Quantized

GROUP = 32  # inputs that share a scale in int4; where they do not divide, the last group is smaller


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class WeightOnly(Quantized):
    """A weight [..., out, in] as values [..., out, in] int8 or int4 times scale [..., out, groups].

    XLA keeps two int4 in a byte on every device; a numpy copy takes a byte for each.
    """

    def steps(self) -> jax.Array:
        """What each of the values counts [..., out, in]."""
        size = self.values.shape[-1]
        return jnp.repeat(self.scale, _group(size, self.values.dtype), axis=-1)[..., :size]

    def alike(self, x: jax.Array) -> WeightOnly:
        """An array [..., out, in], kept as this weight is."""
        return rounded(x, self.values.dtype)


@partial(jax.jit, static_argnames="kind")
def rounded(x: jax.Array, kind: Any) -> WeightOnly:
    """The nearest numbers to x [..., in] in `kind`, int8 or int4, with scales in the type of x."""
    size = x.shape[-1]
    group = _group(size, kind)
    most = jnp.iinfo(kind).max  # and -most: what is symmetric needs no offsets
    padded = jnp.pad(x.astype(jnp.float32), [(0, 0)] * (x.ndim - 1) + [(0, -size % group)])
    parts = padded.reshape(*x.shape[:-1], -1, group)
    scale = (jnp.abs(parts).max(-1) / most).astype(x.dtype)
    steps = jnp.where(scale == 0, 1, scale).astype(jnp.float32)[..., None]
    values = jnp.clip(jnp.round(parts / steps), -most, most)
    return WeightOnly(values.reshape(padded.shape)[..., :size].astype(kind), scale)


def _group(size: int, kind: Any) -> int:
    return GROUP if kind == jnp.int4 else size
