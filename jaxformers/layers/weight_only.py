"""Weights as whole numbers, activations as they are: a weight is widened where it is multiplied.

int8 has one scale an output; int4 has, for each 32 inputs of an output, a scale and what the number zero stands for, so
that its sixteen numbers reach from the smallest weight to the largest. What was stored so, as in GGUF's Q4_1, stays as
it is.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from .quantized import Scaled

GROUP = 32  # inputs that share a scale in int4; where they do not divide, the last group is smaller


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class WeightOnly(Scaled):
    """A weight [..., out, in] as values [..., out, in] int8 or int4 times scale [..., out, groups], in int4 plus middle
    [..., out, groups].

    XLA keeps two int4 in a byte on every device; a numpy copy takes a byte for each.
    """

    middle: jax.Array | None = None

    def widened(self, dtype: Any = None) -> jax.Array:
        """The weight [..., out, in] as an array."""
        wide = super().widened(dtype)
        return wide if self.middle is None else wide + self._each(self.middle).astype(wide.dtype)

    def steps(self) -> jax.Array:
        """What each of the values counts [..., out, in]."""
        return self._each(self.scale)

    def alike(self, x: jax.Array) -> WeightOnly:
        """An array [..., out, in], kept as this weight is."""
        return rounded(x, self.values.dtype)

    def _each(self, groups: jax.Array) -> jax.Array:
        """What groups have [..., out, groups], for each input [..., out, in]."""
        size = self.values.shape[-1]
        return jnp.repeat(groups, _group(size, self.values.dtype), axis=-1)[..., :size]


@partial(jax.jit, static_argnames="kind")
def rounded(x: jax.Array, kind: Any) -> WeightOnly:
    """The nearest numbers to x [..., in] in `kind`, int8 or int4, with scales in the type of x."""
    size = x.shape[-1]
    group = _group(size, kind)
    padded = jnp.pad(x.astype(jnp.float32), [(0, 0)] * (x.ndim - 1) + [(0, -size % group)], mode="edge")
    parts = padded.reshape(*x.shape[:-1], -1, group)
    least, most = jnp.iinfo(kind).min, jnp.iinfo(kind).max
    if kind == jnp.int4:
        low, high = parts.min(-1), parts.max(-1)
        scale = ((high - low) / (most - least)).astype(x.dtype)
        middle = (low - least * scale.astype(jnp.float32)).astype(x.dtype)
        parts = parts - middle.astype(jnp.float32)[..., None]
    else:
        least, middle = -most, None  # what is symmetric needs no middle
        scale = (jnp.abs(parts).max(-1) / most).astype(x.dtype)
    steps = jnp.where(scale == 0, 1, scale).astype(jnp.float32)[..., None]
    values = jnp.clip(jnp.round(parts / steps), least, most)
    return WeightOnly(values.reshape(padded.shape)[..., :size].astype(kind), scale, middle)


def _group(size: int, kind: Any) -> int:
    return GROUP if kind == jnp.int4 else size
