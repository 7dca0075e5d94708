"""Keys and values lie in one of two ways, and are the same in both."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers.layers import cells
from jaxformers.layers.cache import Leaf, lying

HEADS, DIM, SLOTS = 2, 3, 11


def cell(platform: str, rows: int, layer: int | None, kept: np.ndarray) -> Any:
    """Of numbers kept [L, B, K, S, d], in the layers' stack or a layer's own."""

    def leaf(name: str) -> Leaf:
        param = lying(cells.keys_values(rows, SLOTS, HEADS, DIM)[name], platform)
        array = jnp.swapaxes(kept, -1, -2) if param.axes[-1] == "length" else jnp.asarray(kept)
        return Leaf(array if layer is not None else array[0], param.axes, None if layer is None else jnp.int32(layer))

    return {"key": leaf("key"), "value": leaf("value")}


def expected(kept: np.ndarray, new: np.ndarray, slots: np.ndarray, layer: int | None) -> np.ndarray:
    """Token by token."""
    kept = kept.copy()
    for row, places in enumerate(slots):
        for token, place in enumerate(places):
            if place < SLOTS:
                kept[layer or 0, row, :, place] = new[row, token]
    return kept


@pytest.mark.parametrize("platform", ["cpu", "tpu"])
@pytest.mark.parametrize("layer", [None, 1])
@pytest.mark.parametrize("count", [1, 5, 11, 14])
def test_new_tokens_stand_in_their_slots(platform: str, layer: int | None, count: int) -> None:
    rng = np.random.default_rng(count)
    for share in (0.3, 0.8, 1.0):  # of what is no padding, wherever that is
        rows = 3
        length = rng.integers(0, SLOTS + 1, rows)[:, None]  # one may be full
        real = rng.random((rows, count)) < share
        slots = np.where(real, length + np.cumsum(real, axis=1) - 1, SLOTS)
        kept = rng.normal(size=(2, rows, HEADS, SLOTS, DIM)).astype(np.float32)
        new = rng.normal(size=(rows, count, HEADS, DIM)).astype(np.float32)
        after = cells.write(cell(platform, rows, layer, kept), jnp.array(new), jnp.array(new), jnp.array(slots))
        answer = expected(kept, new, slots, layer)
        keys, values = cells.read(after, DIM)
        np.testing.assert_array_equal(np.swapaxes(keys, -1, -2), answer[layer or 0])
        np.testing.assert_array_equal(values, answer[layer or 0])
        if layer is not None:  # other layers are as they were
            np.testing.assert_array_equal(after["value"].array, answer)


def test_many_rows_are_written_in_a_loop() -> None:
    rows = 70
    kept = np.zeros((1, rows, HEADS, SLOTS, DIM), np.float32)
    new = np.random.default_rng(0).normal(size=(rows, 1, HEADS, DIM)).astype(np.float32)
    slots = np.arange(rows)[:, None] % (SLOTS + 1)
    after = cells.write(cell("tpu", rows, None, kept), jnp.array(new), jnp.array(new), jnp.array(slots))
    np.testing.assert_array_equal(cells.read(after, DIM)[1], expected(kept, new, slots, None)[0])
