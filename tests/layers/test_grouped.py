"""Dense layers in groups: against numpy, in every type, compiled as models have them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers.layers import int8
from jaxformers.layers.grouped import grouped

LIMITS = {"float32": 1e-5, "float16": 5e-3, "bfloat16": 4e-2, "int8": 4e-2}


@pytest.mark.parametrize("kind", LIMITS)
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("rows", [(), (1,), (2, 5)])
def test_each_part_reaches_its_own(kind: str, groups: int, rows: tuple[int, ...]) -> None:
    draw = np.random.RandomState(0)
    dtype = "float32" if kind == "int8" else kind
    x = jnp.asarray(draw.randn(*rows, groups * 16), dtype)
    blocks = jnp.asarray(draw.randn(groups, 24, 16) / 4, dtype)
    bias = jnp.asarray(draw.randn(groups * 24), dtype)
    parts = np.asarray(x, np.float64).reshape(*rows, groups, 16)
    expected = np.einsum("...gi,goi->...go", parts, np.asarray(blocks, np.float64)).reshape(*rows, -1)
    expected += np.asarray(bias, np.float64)
    for laid_out in (blocks, blocks.reshape(-1, 16)):
        held: Any = int8.rounded(laid_out) if kind == "int8" else laid_out
        y = jax.jit(lambda held, x: grouped({"blocks": held, "bias": bias}, x))(held, x)
        assert (y.dtype, y.shape) == (jnp.dtype(dtype), expected.shape)
        assert np.abs(np.asarray(y, np.float64) - expected).max() < LIMITS[kind] * np.abs(expected).max()
