"""xIELU, an activation that learns its own shape (Huang and Schlag 2024, arXiv 2411.13010)."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare


def arrays() -> declare.Tree:
    """Its four numbers, of which the last two have no gradient."""
    return {
        "above": declare.Param((1,), (None,), "alpha_p", "bias", starts(0.203596)),  # softplus makes 0.8 of it
        "below": declare.Param((1,), (None,), "alpha_n", "bias", starts(-1.050183)),  # and 0.3 of it
        "beta": declare.Param((), (), "beta", "buffer", starts(0.5)),
        "eps": declare.Param((), (), "eps", "buffer", starts(-1e-6)),
    }


def starts(value: float) -> declare.Init:
    """The value in each place."""
    return lambda key, shape, dtype: jnp.full(shape, value, dtype)


def xielu(p: Any, x: jax.Array) -> jax.Array:
    """A parabola above zero and an exponential below, both of slope beta at zero; in float32 or wider, rounded once."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    above, below, beta, eps = (p[name].astype(wide) for name in ("above", "below", "beta", "eps"))
    y = x.astype(wide)
    parabola = jax.nn.softplus(above) * y * y
    exponential = (beta + jax.nn.softplus(below)) * (jnp.expm1(jnp.minimum(y, eps)) - y)
    return (jnp.where(y > 0, parabola, exponential) + beta * y).astype(x.dtype)
