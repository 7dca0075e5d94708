"""The fused kernel of attention, computed without a TPU, beside the plain way; which masks are given to it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from devices import on_devices

from jaxformers.layers import flash
from jaxformers.layers.attention import weighed
from jaxformers.layers.causal import Causal
from jaxformers.layers.flash import Band, band_of
from jaxformers.layers.inputs import Inputs

ROWS, HEADS, KEYS, TOKENS, DIM = 2, 4, 2, 300, 64
BANDS: dict[str, tuple[int | None, int | None, float | None]] = {
    "all": (None, None, None),
    "causal": (2**30 - 1, 0, None),
    "window and cap": (31, 0, 30.0),
    "both sides": (63, 64, None),
}


def arrays() -> tuple[jax.Array, jax.Array, jax.Array]:
    rng = np.random.default_rng(0)
    shapes = (ROWS, HEADS, TOKENS, DIM), (ROWS, KEYS, DIM, TOKENS), (ROWS, KEYS, TOKENS, DIM)
    q, k, v = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in shapes)
    return q, k, v


def segments() -> np.ndarray:
    """A row padded on the left, and one of two texts."""
    found = np.ones((ROWS, TOKENS), np.int32)
    found[0, :40], found[1, 150:] = 0, 2
    return found


def seen(texts: np.ndarray, before: int | None, after: int | None) -> jax.Array:
    place = np.arange(TOKENS)
    far = place[:, None] - place
    near = (far <= (TOKENS if before is None else before)) & (far >= -(TOKENS if after is None else after))
    return jnp.asarray(near & (texts[:, None, :, None] == texts[:, None, None, :]))


@pytest.mark.parametrize(("before", "after", "cap"), BANDS.values(), ids=BANDS)
def test_the_kernel_gives_what_the_plain_way_gives(before: int | None, after: int | None, cap: float | None) -> None:
    texts, given = segments(), arrays()
    real = jnp.asarray(texts != 0)[:, None, :, None]
    band = Band(jnp.asarray(texts), before, after)

    def fused(*given: jax.Array) -> jax.Array:
        return jnp.where(real, flash.attention(*given, band, cap=cap, interpret=True), 0)

    def plain(*given: jax.Array) -> jax.Array:
        return jnp.where(real, weighed(*given, seen(texts, before, after), cap=cap), 0)

    np.testing.assert_allclose(fused(*given), plain(*given), atol=5e-6)
    square = lambda way: lambda *given: (way(*given) ** 2).sum()  # noqa: E731
    for ours, theirs in zip(*(jax.grad(square(way), (0, 1, 2))(*given) for way in (fused, plain)), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_masks_that_say_more_than_a_band_take_the_plain_way() -> None:
    ids = jnp.ones((2, 4), jnp.int32)
    own = np.array([[0, 1, 1, 2], [1, 1, 1, 1]])
    assert band_of(Inputs(ids=ids, mask=jnp.ones((2, 4, 4)))) is None
    assert Causal.of(Inputs(ids=ids, mask=jnp.ones((2, 4, 4)))).band is None
    for inputs in (Inputs(ids=ids, mask=jnp.asarray(own != 0)), Inputs(ids=ids, texts=jnp.asarray(own))):
        band: Any = band_of(inputs)
        np.testing.assert_array_equal(band.segments, own != 0 if inputs.texts is None else own)
    np.testing.assert_array_equal(Causal.of(Inputs(ids=ids)).band.segments, np.ones((2, 4)))


def test_what_takes_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = arrays()
    band = Band(jnp.asarray(segments()))
    assert not flash.fits(band, q, k, v)  # where there is no TPU
    monkeypatch.setattr(flash, "may_be_on", lambda platform, x: platform == "tpu")
    assert flash.fits(band, q, k, v)
    assert not flash.fits(None, q, k, v)
    assert not flash.fits(band, q[:, :, :200], k[..., :200], v[:, :, :200])
    assert not flash.fits(band, q[:, :, :270], k, v)  # queries behind the keys of a cache


def test_each_device_of_a_mesh_has_its_rows_and_heads() -> None:
    program = """
        import jax, jax.numpy as jnp, numpy as np
        from jax.sharding import AxisType, NamedSharding, PartitionSpec as P
        from jaxformers.layers import flash
        from jaxformers.layers.flash import Band

        rng = np.random.default_rng(0)
        q, k, v = (rng.normal(size=shape).astype("f") for shape in ((2, 8, 256, 64), (2, 2, 64, 256), (2, 2, 256, 64)))
        texts = np.ones((2, 256), np.int32)
        compute = lambda q, k, v, texts: flash.attention(q, k, v, Band(texts, 255, 0), interpret=True)
        one = compute(*map(jnp.asarray, (q, k, v, texts)))
        for sizes in ({"data": 2, "tensor": 4}, {"data": 2, "tensor": 2}):  # more devices than heads of keys, and not
            devices = jax.devices()[: 2 * sizes["tensor"]]
            mesh = jax.make_mesh(tuple(sizes.values()), tuple(sizes), (AxisType.Auto,) * 2, devices=devices)
            put = lambda x: jax.device_put(x, NamedSharding(mesh, P("data")))
            text = jax.jit(compute).lower(*map(put, (q, k, v, texts))).compile().as_text()
            other = jax.jit(compute)(*map(put, (q, k, v, texts)))
            print(float(jnp.abs(jax.device_get(other) - jax.device_get(one)).max()) < 1e-5)
    """
    assert on_devices(program, timeout=300).split() == ["True", "True"]
