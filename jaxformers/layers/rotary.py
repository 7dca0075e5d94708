"""Positions by rotation: queries and keys turn with their place, so that scores depend on the distance alone
(Su et al. 2021, arXiv 2104.09864).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp


def angles(places: jax.Array, dim: int, base: float = 10_000.0, ntk: float = 1.0) -> jax.Array:
    """How far each pair of a head of `dim` numbers is rotated at places [B or 1, T]: [B or 1, T, dim/2].

    ntk: how many times as long as in training rows may be; the slowest pairs then turn that much slower, the fastest
    hardly (Su, kexue.fm/archives/9706).
    """
    steps = (base * ntk) ** (-jnp.arange(0, dim, 2, dtype=jnp.float32) / dim) / ntk ** (2 / dim)
    return places[..., None].astype(jnp.float32) * steps


def base(c: Any) -> float:
    """The base of a config's rotation: newer files have it in rope_parameters."""
    return float((c.rope_parameters or {}).get("rope_theta", c.rope_theta))


def check(c: Any) -> None:
    """Refuse heads that do not share the width evenly or have no pairs to rotate, and other rotations than these.

    Raises:
        ValueError: naming the fields.
    """
    name = type(c).__name__
    if c.hidden_size % c.num_attention_heads or c.hidden_size // c.num_attention_heads % 2:
        raise ValueError(
            f"{name}: hidden_size={c.hidden_size} must be an even multiple of num_attention_heads="
            f"{c.num_attention_heads}: rotation takes pairs"
        )
    if getattr(c, "head_dim", None) not in (None, c.hidden_size // c.num_attention_heads):
        raise ValueError(f"{name}: head_dim={c.head_dim} must be hidden_size over num_attention_heads")
    told = c.rope_parameters or {}
    if told.get("rope_type", "default") != "default":
        raise ValueError(f"{name}: rope_parameters has rope_type={told['rope_type']!r}, supported: 'default'")
    theta = told.get("rope_theta", c.rope_theta)
    if isinstance(theta, bool) or not isinstance(theta, int | float) or not theta > 0:
        raise ValueError(f"{name}: rope_theta={theta!r} must be a positive number")


def rotate(x: jax.Array, angles: jax.Array) -> jax.Array:
    """Heads x [B, T, H, d] whose pairs, one of each half, are rotated by angles [B or 1, T, d/2]."""
    sine, cosine = (f(angles)[:, :, None] for f in (jnp.sin, jnp.cos))
    left, right = jnp.split(x, 2, axis=-1)
    return jnp.concatenate([left * cosine - right * sine, right * cosine + left * sine], axis=-1).astype(x.dtype)
