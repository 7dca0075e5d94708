"""Positions as a penalty on scores that grows with the distance (Press et al. 2021, arXiv 2108.12409)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np


def slopes(heads: int, most: float = 8.0) -> np.ndarray:
    """What each head's scores lose a token of distance [H].

    They fall by a constant factor from head to head, to 2 ** -most. Where their number is no power of two, those beyond
    the power below it lie between the others.
    """
    full = 1 << (heads - 1).bit_length()
    falling = 2.0 ** (-most / full * np.arange(1, full + 1))
    if full != heads:
        falling = np.concatenate([falling[1::2], falling[::2]])[:heads]
    return falling.astype(np.float32)


def leaning(keys: jax.Array, slopes: np.ndarray | jax.Array) -> jax.Array:
    """The bias [B or 1, H, 1, S] of keys at positions [B or 1, S]: the later, the more.

    To all scores of a query it adds the same, beside what the paper does: softmax does not see the difference.
    """
    return jnp.asarray(slopes)[:, None, None] * keys[:, None, None, :].astype(jnp.float32)
