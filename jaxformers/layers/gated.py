"""Feed-forward networks with a gate (Shazeer 2020, arXiv 2002.05202)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .linear import linear


def opened(p: Any, x: jax.Array, activation: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """act(gate(x)) * up(x) of x [..., D]: [..., F], in one product where `attention.prepare` has fused the two."""
    if "gate_up" in p:
        gate, up = jnp.split(linear(p["gate_up"], x), 2, axis=-1)
    else:
        gate, up = linear(p["gate"], x), linear(p["up"], x)
    return activation(gate) * up
