"""Dense layers in groups: each part of the input reaches its own part of the output alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def grouped(blocks: jax.Array, bias: jax.Array, x: jax.Array) -> jax.Array:
    """X [..., G * d_in] by blocks [G, d_out, d_in], part by part, plus bias [G * d_out]: [..., G * d_out]."""
    groups, _, width = blocks.shape
    narrow = jnp.result_type(x, blocks)
    wide = jnp.promote_types(narrow, jnp.float32)
    parts = x.reshape(*x.shape[:-1], groups, width)
    y = jnp.einsum("...gi,goi->...go", parts, blocks, preferred_element_type=wide)
    return (y.reshape(*x.shape[:-1], -1) + bias).astype(narrow)
