"""The key that draws go by."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np


def key_of(key: Any) -> jax.Array | None:
    """The key of a call, which may be a seed.

    Raises:
        ValueError: it is neither.
    """
    if key is None:
        return None
    if isinstance(key, jax.Array) and (jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key) or key.dtype == "uint32"):
        return key
    if isinstance(key, int | np.integer) and not isinstance(key, bool) and -(2**63) <= key < 2**63:
        return jax.random.key(int(key))
    raise ValueError(f"key={key!r:.60}: expected jax.random.key(...) or a whole number")
