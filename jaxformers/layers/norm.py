"""Normalisation, with statistics in float32 whatever the weights' type."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from ..placement.constraints import whole


def layer_norm(p: Any, x: jax.Array, epsilon: float) -> jax.Array:
    """Zero mean and unit variance over the last axis, then scale [D] and bias [D], where there are any (Ba et al. 2016,
    arXiv 1607.06450).
    """
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    centred = wide - wide.mean(-1, keepdims=True)
    normal = centred * jax.lax.rsqrt(jnp.square(centred).mean(-1, keepdims=True) + epsilon)
    scaled = normal * whole(p["scale"]) if "scale" in p else normal
    return (scaled + whole(p["bias"]) if "bias" in p else scaled).astype(x.dtype)


def rms_norm(p: Any, x: jax.Array, epsilon: float) -> jax.Array:
    """Root mean square one over the last axis, then scale [D] (Zhang and Sennrich 2019, arXiv 1910.07467)."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    normal = wide * jax.lax.rsqrt(jnp.square(wide).mean(-1, keepdims=True) + epsilon)
    return (normal * whole(p["scale"])).astype(x.dtype)


def offset_rms_norm(p: Any, x: jax.Array, epsilon: float) -> jax.Array:
    """`rms_norm` with a scale that is kept as what it is above one, offset [D] (Gemma 2024, arXiv 2403.08295)."""
    return rms_norm({"scale": 1.0 + p["offset"].astype(jnp.promote_types(x.dtype, jnp.float32))}, x, epsilon)
