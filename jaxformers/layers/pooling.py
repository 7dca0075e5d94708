"""Rows that are pooled to half their length, and spread again (Dai et al. 2020, arXiv 2006.03236)."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Level:
    """What attention knows of a row of S places beside their vectors.

    segments: [B or 1, S]. mask: [B, S] or None. stride: tokens from one place to the next.
    """

    segments: jax.Array
    mask: jax.Array | None
    stride: int = 1

    @property
    def length(self) -> int:
        """S."""
        return self.segments.shape[1]


def pairs(c: Any, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The two places that pooling makes one of, for each new place; one without a partner is its own.

    Of the config separate_cls keeps the first place alone, truncate_seq leaves the last one out.
    """
    if c.separate_cls:  # the first stays alone
        kept = length - 1 if c.truncate_seq else length
        second = 2 * np.arange(-(-(kept + 1) // 2))
        first = np.maximum(second - 1, 0)
    else:
        kept = length
        first = 2 * np.arange(-(-kept // 2))
        second = first + 1
    return first, np.where(second < kept, second, first)


def pooled(c: Any, row: Level) -> Level:
    """The row at half its length. A pair of which one is padding is padding."""
    first, second = pairs(c, row.length)
    mask = None if row.mask is None else jnp.minimum(row.mask[:, first], row.mask[:, second])
    return Level(row.segments[:, first], mask, 2 * row.stride)


def pooled_states(c: Any, x: jax.Array) -> jax.Array:
    """States [B, S, D] at half their length; padding is pooled as if it were none."""
    first, second = pairs(c, x.shape[1])
    if c.pooling_type == "max":
        return jnp.maximum(x[:, first], x[:, second])
    return (x[:, first] + x[:, second]) / 2


def spread(c: Any, x: jax.Array, length: int) -> jax.Array:
    """Each vector of x [B, S, D] as often as it stands for tokens: [B, T, D], zero where pooling left tokens out."""
    times = 2 ** (len(c.block_sizes) - 1)
    if times == 1:
        return x
    alone = int(c.separate_cls)
    rest = jnp.repeat(x[:, alone:], times, axis=1)[:, : length - alone]
    rest = jnp.pad(rest, [(0, 0), (0, length - alone - rest.shape[1]), (0, 0)])
    return jnp.concatenate([x[:, :alone], rest], axis=1)
