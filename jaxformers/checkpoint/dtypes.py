"""What `dtype=` means: the type that weights are read as, and the kinds that keep them in fewer bits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ..layers import int8, quantized, weight_only
from .weights import Weights

logger = logging.getLogger(__name__)

# Types that only what dense layers multiply has, and how an array becomes one of them.
_ROUNDED: Mapping[Any, Callable[[jax.Array], quantized.Quantized]] = {
    "int8": int8.rounded,
    jnp.int8: int8.rounded,
    "int8_weight_only": partial(weight_only.rounded, kind=jnp.int8),
    "int4_weight_only": partial(weight_only.rounded, kind=jnp.int4),
}
_TYPES = "'float32', 'bfloat16', 'float16', 'int8', 'int8_weight_only', 'int4_weight_only' or 'auto'"


def rounding(asked: Any) -> Callable[[jax.Array], quantized.Quantized] | None:
    """How arrays become what keeps them in fewer bits; None: `asked` is a plain type."""
    return _ROUNDED.get(_spelt(asked))


def dtype_of(asked: Any, files: Weights) -> Any:
    """The type of the weights, None for as stored; the default follows the device and is said once."""
    if asked is None:
        stored = ", ".join(sorted({str(tensor.dtype) for tensor in files.values()}))
        if jax.default_backend() != "cpu":
            logger.info("weights keep their stored type, %s (dtype='float32' widens them)", stored)
            return files.dtype
        if stored != "float32":
            logger.info("weights are stored as %s and become float32 on CPU (dtype='auto' keeps them)", stored)
        return jnp.float32
    if isinstance(asked, str) and asked == "auto":
        return files.dtype
    try:
        dtype = jnp.dtype(_spelt(asked))
    except TypeError:
        raise ValueError(f"dtype={asked!r} is no known type: use {_TYPES}") from None
    if not jnp.issubdtype(dtype, jnp.floating) or dtype.itemsize < 2:
        raise ValueError(f"dtype={asked!r}: weights cannot be of this type: use {_TYPES}")
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise ValueError(f"dtype={asked!r} is {dtype}: jax has it after jax.config.update('jax_enable_x64', True) only")
    return dtype


def bits(dtype: Any) -> int:
    """What one number takes on a device: numpy counts a byte for an int4."""
    return jnp.iinfo(dtype).bits if jnp.issubdtype(dtype, jnp.integer) else jnp.dtype(dtype).itemsize * 8


def _spelt(asked: Any) -> Any:
    """A dtype's name without the prefix of a library, and short ones in full; classes as they are."""
    if isinstance(asked, type):
        return asked
    name = str(asked).rpartition(".")[2]
    return {"fp32": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16"}.get(name, name)
