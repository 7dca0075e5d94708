"""What every class promises beside torch's numbers: padding changes nothing, and JAX's transformations work.

Walks `jaxformers/models/`, so a new class is tested by existing; weights and batches are those of the parity suite.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxformers.layers.run import stack, unstack

from . import golden
from .architectures import ARCHITECTURES
from .registry import LIMIT, classes, faults, labels_of, load, one_by_one

CLASSES = classes()
EACH = pytest.mark.parametrize("name", CLASSES)
SHORT = 7  # tokens of a row before it is padded


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Products of float32 as float32, whatever the device's default."""
    with jax.default_matmul_precision("highest"):
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Class name → (model, its recorded case); each is loaded once."""

    @functools.cache
    def made(name: str) -> tuple[Any, golden.Golden]:
        case = golden.cases()[name]
        return load(case, case.write(tmp_path_factory.mktemp("checkpoint")))[0], case

    return made


def close(ours: Any, theirs: Any, limit: float = LIMIT) -> None:
    """Two trees are equal but for rounding: the largest difference over the largest value, array by array."""

    def check(path: Any, a: Any, b: Any) -> None:
        a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
        assert a.shape == b.shape, (jax.tree_util.keystr(path), a.shape, b.shape)
        error = np.abs(a - b).max() / np.abs(b).max()
        assert error < limit, (jax.tree_util.keystr(path), error)

    jax.tree_util.tree_map_with_path(check, ours, theirs)


def total(out: Any) -> jax.Array:
    """One number that depends on every output, the loss where there is one."""
    if "loss" in out:
        return out["loss"]
    return sum(jnp.sum(jnp.sin(leaf * (1 + i))) for i, leaf in enumerate(jax.tree.leaves(out)))


@EACH
def test_compiled_gives_the_recorded_answers(name: str, model: Any):
    ours, case = model(name)
    plain = case.calls["plain"]
    assert not faults(ours(**plain.inputs), plain)


@EACH
def test_padding_is_neutral(name: str, model: Any):
    """A row gives the same alone, padded on the right, and on the left with the positions of its tokens."""
    ours, case = model(name)
    row = {key: array.reshape(-1, array.shape[-1])[0] for key, array in case.calls["plain"].inputs.items()}
    length = len(row["input_ids"])
    pad = length - SHORT
    assert pad > 0
    choices = (1,) * (ours.axes - 2)

    def rows(*rows: np.ndarray) -> np.ndarray:
        return np.stack(rows).reshape(len(rows), *choices, -1)

    asked = {"output_hidden_states": True, "output_attentions": True}
    junk = {"input_ids": 3, "attention_mask": 0}  # what stands at padding must not matter
    alone = {key: rows(array[:SHORT]) for key, array in row.items()}
    padded = {
        key: rows(
            np.r_[array[:SHORT], np.full(pad, junk.get(key, 1))], np.r_[np.full(pad, junk.get(key, 1)), array[:SHORT]]
        )
        for key, array in row.items()
    }
    places = np.arange(SHORT)
    padded["position_ids"] = rows(np.r_[places, np.zeros(pad)], np.r_[np.zeros(pad), places]).astype(np.int32)
    with one_by_one():
        one, both = ours(**alone, **asked), ours(**padded, **asked)
    for which, real in enumerate((slice(None, SHORT), slice(pad, None))):
        cut = lambda x, which=which, real=real: _cut(x[which], real, length)  # noqa: E731
        close(jax.tree.map(cut, both), jax.tree.map(lambda x: x[0], one), 1e-5)


def _cut(x: Any, real: slice, length: int) -> Any:
    """Of a row's output the real tokens, along each axis that has one entry a token."""
    return x[tuple(real if size == length else slice(None) for size in x.shape)]


@EACH
def test_stacked_layers_are_listed_ones(name: str, model: Any, tmp_path: Path):
    ours, case = model(name)
    first = next(iter(case.calls.values()))
    folder = case.write(tmp_path / "torch")
    stacked, _ = load(case, folder, stacked=True)
    jax.tree.map(np.testing.assert_array_equal, stacked.params["layers"], stack(ours.params["layers"]))
    jax.tree.map(np.testing.assert_array_equal, unstack(stacked.params["layers"]), ours.params["layers"])
    with one_by_one():
        close(stacked(**first.inputs, **first.flags), ours(**first.inputs, **first.flags), 1e-5)
    stacked.save_pretrained(tmp_path / "ours")
    saved = safetensors.numpy.load_file(tmp_path / "ours" / "model.safetensors")
    for key, array in case.written().items():
        np.testing.assert_array_equal(saved[key], array)


@EACH
def test_gradients(name: str, model: Any):
    """Every array has a gradient, and it is the slope: against differences in float64."""
    ours, case = model(name)
    inputs = {**case.calls["plain"].inputs, **labels_of(case)}
    with jax.enable_x64(True), one_by_one():
        params = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), ours.params)
        loss = lambda p: total(ours.apply(p, **inputs))  # noqa: E731
        gradient = jax.grad(loss)(params)
        for path, g in jax.tree_util.tree_leaves_with_path(gradient):
            where = jax.tree_util.keystr(path, simple=True, separator=".")
            assert np.isfinite(g).all(), where
            # The same added to all keys moves every score of a query alike: attention does not see a key's bias.
            assert where.endswith("key.bias") or np.abs(g).max() > 1e-9, where
        rng = np.random.RandomState(0)
        along = jax.tree.map(lambda x: rng.standard_normal(x.shape), params)
        step = lambda size: loss(jax.tree.map(lambda p, d: p + size * d, params, along))  # noqa: E731
        slope = (step(1e-5) - step(-1e-5)) / 2e-5
        dot = sum(jax.tree.leaves(jax.tree.map(lambda g, d: jnp.vdot(g, d), gradient, along)))
        assert abs(slope - dot) < 1e-4 * abs(slope), (slope, dot)


@EACH
def test_vmap_over_batches_and_over_models(name: str, model: Any):
    ours, case = model(name)
    inputs = case.calls["plain"].inputs
    with one_by_one():
        plain = ours(**inputs)
        turned = {key: array[::-1] for key, array in inputs.items()}
        both = {key: np.stack([array, turned[key]]) for key, array in inputs.items()}
        out = jax.vmap(lambda x: ours.apply(ours.params, **x))(both)
        close(jax.tree.map(lambda x: x[0], out), plain)
        close(jax.tree.map(lambda x: x[1][::-1], out), plain)

        other = jax.tree.map(lambda x: x * 0.9, ours)
        ensemble = jax.tree.map(lambda *x: jnp.stack(x), ours, other)
        out = jax.vmap(lambda m: m.apply(m.params, **inputs))(ensemble)
        close(jax.tree.map(lambda x: x[0], out), plain)
        close(jax.tree.map(lambda x: x[1], out), other(**inputs))


@EACH
def test_a_key_turns_dropout_on(name: str, model: Any):
    ours, case = model(name)
    inputs = case.calls["plain"].inputs
    with one_by_one():
        plain, again = (ours.apply(ours.params, **inputs) for _ in range(2))
        jax.tree.map(np.testing.assert_array_equal, plain, again)
        one, same, other = (ours.apply(ours.params, **inputs, key=jax.random.key(i)) for i in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    for a, b in ((one, plain), (one, other)):
        assert all(np.abs(x - y).max() > 1e-3 for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(one))


@EACH
def test_bfloat16_weights_give_nearly_the_same(name: str, model: Any, tmp_path: Path):
    ours, case = model(name)
    plain = case.calls["plain"]
    half, _ = load(case, case.write(tmp_path), dtype="bfloat16")
    with one_by_one():
        out = half(**plain.inputs)
    assert {x.dtype for x in jax.tree.leaves(out)} == {jnp.dtype(jnp.bfloat16)}
    wide = jax.tree.map(lambda x: x.astype(jnp.float32), out)
    assert not faults(wide, plain, 0.1)


@EACH
def test_export_round_trips(name: str, model: Any):
    """A model that was exported and read back answers the same, without its Python code."""
    ours, case = model(name)
    inputs = case.calls["plain"].inputs
    function = jax.jit(lambda params, inputs: ours.apply(params, **inputs).to_tuple())
    exported = jax.export.export(function)(ours.params, dict(inputs))
    again = jax.export.deserialize(exported.serialize())
    close(again.call(ours.params, dict(inputs)), ours(**inputs).to_tuple())


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_compiled_transformations(kind: str, model: Any):
    """What the tests above run operation by operation: whole programs, for one class of each architecture."""
    architecture = ARCHITECTURES[kind]
    ours, case = model(f"{architecture.prefix}{architecture.heads.split()[-1]}")
    inputs = {**case.calls["plain"].inputs, **labels_of(case)}
    stacked = ours.replace(params={**ours.params, "layers": stack(ours.params["layers"])})
    step = jax.jit(jax.value_and_grad(lambda m: total(m.apply(m.params, **inputs))))
    (listed, one), (scanned, two) = step(ours), step(stacked)
    close(scanned, listed)
    two = two.replace(params={**two.params, "layers": unstack(two.params["layers"])})
    flat = lambda tree: jnp.concatenate([x.ravel() for x in jax.tree.leaves(tree)])  # noqa: E731
    close(flat(two), flat(one))
