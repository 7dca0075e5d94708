"""Dense layers in groups: each part of the input reaches its own part of the output alone."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from .linear import linear
from .product import matmul
from .quantized import Quantized


def grouped(p: Any, x: Array) -> Array:
    """X [..., G * d_in] by blocks [G, d_out, d_in], part by part, plus bias [G * d_out]: [..., G * d_out].

    Blocks may also be laid out as rows [G * d_out, d_in], and be `Quantized`. Sums are as in `linear`. Parts stand in
    front in one product: XLA's CPU has that form of it for half types too.
    """
    blocks = p["blocks"]
    small = isinstance(blocks, Quantized)
    width = (blocks.values if small else blocks).shape[-1]
    parts = x.reshape(-1, x.shape[-1] // width, width)
    groups = parts.shape[1]
    if small:
        own = blocks.in_groups(groups)
        each = [linear({"weight": jax.tree.map(lambda a: a[g], own)}, parts[:, g]) for g in range(groups)]  # noqa: B023
        narrow, y = x.dtype, jnp.stack(each, axis=1)
    else:
        narrow = jnp.result_type(x, blocks)
        wide = jnp.promote_types(narrow, jnp.float32)
        turned = jnp.swapaxes(blocks.reshape(groups, -1, width), 1, 2)
        y = jnp.swapaxes(matmul(jnp.swapaxes(parts, 0, 1), turned, wide), 0, 1)
    return (y.reshape(*x.shape[:-1], -1) + p["bias"]).astype(narrow)
