"""Weights as int8 or int4 and activations as they are: against numpy, in every layer that takes them, and in models."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxformers
from jaxformers import declare
from jaxformers.layers import expert_products as products
from jaxformers.layers import experts, run, weight_only
from jaxformers.layers.attention import prepare
from jaxformers.layers.embedding import embed
from jaxformers.layers.grouped import grouped
from jaxformers.layers.linear import linear, unembed
from jaxformers.layers.quantized import Quantized

KINDS = [jnp.int8, jnp.int4]
NAMES = {"int8_weight_only": jnp.int8, "int4_weight_only": jnp.int4}


def normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def plain(tree: Any) -> Any:
    is_small = lambda leaf: isinstance(leaf, Quantized)  # noqa: E731
    return jax.tree.map(lambda leaf: leaf.widened() if is_small(leaf) else leaf, tree, is_leaf=is_small)


def near(small: Any, wide: Any) -> None:
    np.testing.assert_allclose(small, wide, rtol=1e-6, atol=1e-6 * float(np.abs(wide).max()))


def steps(part: np.ndarray, kind: Any) -> np.ndarray:
    """How far apart the numbers of a group are."""
    if kind == jnp.int4:
        return (part.max(-1, keepdims=True) - part.min(-1, keepdims=True)) / 15
    return np.abs(part).max(-1, keepdims=True) / 127


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 20, 32, 40, 96])
def test_the_nearest_numbers_in_groups(kind: Any, size: int) -> None:
    """Of int4 each 32 inputs have a scale of their own, and what is left over too."""
    w = np.array(normal(3, 5, size))
    w[0, 1] = 0
    held = weight_only.rounded(jnp.asarray(w), kind)
    group = 32 if kind == jnp.int4 else size
    assert (held.values.dtype, held.values.shape) == (kind, w.shape)
    assert held.scale.shape == (3, 5, -(-size // group))
    values, wide = np.asarray(held.values, np.int32), np.asarray(held.widened())
    for start in range(0, size, group):
        part, number = w[..., start : start + group], values[..., start : start + group]
        step = steps(part, kind)
        np.testing.assert_allclose(held.scale[..., start // group, None], step, rtol=1e-5, atol=1e-9)
        assert np.abs(wide[..., start : start + group] - part).max() <= step.max() * 0.501 + 1e-6
        middle = 0 if held.middle is None else np.asarray(held.middle)[..., start // group, None]
        np.testing.assert_allclose(wide[..., start : start + group], number * step + middle, 1e-5, 1e-6)
    assert not wide[0, 1].any()
    again = weight_only.rounded(held.widened(), kind)
    np.testing.assert_array_equal(np.asarray(again.values, np.int32), values)


def test_sixteen_numbers_a_group_stay_as_they_are() -> None:
    """What Q4_1 holds: a step and a least number for each 32 weights, both in half precision."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 16, (8, 3, 32))
    numbers[..., :2] = 0, 15  # as the smallest and the largest weight are
    step, least = (rng.uniform(low, 1, (8, 3, 1)).astype(np.float16).astype(np.float32) for low in (0.01, -1))
    w = (numbers * step + least).astype(np.float32).reshape(8, 96)
    held = weight_only.rounded(jnp.asarray(w), jnp.int4)
    np.testing.assert_array_equal(np.asarray(held.values, np.int32) + 8, numbers.reshape(8, 96))
    np.testing.assert_allclose(held.widened(), w, rtol=0, atol=2e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_scales_of_half_types_do_not_overflow_the_values(kind: Any) -> None:
    w = normal(64, 64).astype(jnp.bfloat16)
    held = weight_only.rounded(w, kind)
    assert (held.dtype, held.widened().dtype) == (jnp.bfloat16, jnp.bfloat16)
    groups = np.float32(w).reshape(64, -1, 32 if kind == jnp.int4 else 64)
    assert np.abs(np.float32(held.widened()) - np.float32(w)).max() < steps(groups, kind).max() * 0.8
    assert linear({"weight": held}, w[:1]).dtype == jnp.bfloat16


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux's count of memory")
def test_two_int4_share_a_byte() -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    make = jax.jit(lambda: jnp.full((8192, 8192), 3, jnp.int4))
    compiled = make.lower().compile()
    before = resident()
    held = jax.block_until_ready(compiled())
    assert resident() - before < 0.7 * held.size


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [(), (1,), (2, 3)])
def test_dense_layers(kind: Any, rows: tuple[int, ...]) -> None:
    p = {"weight": weight_only.rounded(normal(6, 40), kind), "bias": normal(6, seed=1)}
    x = normal(*rows, 40, seed=2)
    near(jax.jit(linear)(p, x), linear(plain(p), x))
    np.testing.assert_allclose(linear(p, x), np.asarray(x) @ np.asarray(plain(p)["weight"]).T + p["bias"], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_vmap_and_gradients_of_what_is_beside(kind: Any) -> None:
    p = {"weight": weight_only.rounded(normal(3, 6, 40), kind), "bias": normal(3, 6)}
    x = normal(3, 2, 40)
    near(jax.vmap(linear)(p, x), jax.vmap(linear)(plain(p), x))
    first = jax.tree.map(lambda array: array[0], p)

    def loss(bias: jax.Array, x: jax.Array, weight: Any) -> jax.Array:
        return (linear({"weight": weight, "bias": bias}, x) ** 2).sum()

    small, wide = (
        jax.jit(jax.grad(loss, (0, 1)))(first["bias"], x[0], tree["weight"]) for tree in (first, plain(first))
    )
    jax.tree.map(near, small, wide)


@pytest.mark.parametrize("kind", KINDS)
def test_tables(kind: Any) -> None:
    p = {"table": weight_only.rounded(normal(9, 40), kind)}
    ids = np.array([[0, 8], [3, 9]])
    rows = jax.jit(embed)(p, ids)
    np.testing.assert_array_equal(rows, embed(plain(p), ids))
    assert np.isnan(rows[1, 1]).all()
    x = normal(2, 40, seed=1)
    near(unembed(p, x), unembed(plain(p), x))


@pytest.mark.parametrize("kind", KINDS)
def test_groups(kind: Any) -> None:
    for blocks in (normal(3, 4, 40), normal(12, 40)):
        p = {"blocks": weight_only.rounded(blocks, kind), "bias": normal(12)}
        x = normal(2, 120, seed=1)
        near(jax.jit(grouped)(p, x), grouped(plain(p), x))


@pytest.mark.parametrize(("kind", "tokens"), [(jnp.int8, 60), (jnp.int4, 1), (jnp.int4, 60)])
def test_experts(kind: Any, tokens: int) -> None:
    arrays = {"gate": normal(4, 12, 40), "up": normal(4, 12, 40, seed=1), "down": normal(4, 40, 12, seed=2)}
    p = {name: {"weight": weight_only.rounded(array, kind)} for name, array in arrays.items()}
    x, router = normal(tokens, 40, seed=3), {"weight": normal(4, 40, seed=4)}
    chosen, shares = experts.best(2)(router, experts.scores(router, x))
    gate = experts.halves("silu")
    answer = experts.experts(plain(p), x, chosen, shares, gate)
    near(jax.jit(lambda p: experts.experts(p, x, chosen, shares, gate))(p), answer)
    for way in (products.gathered, products.dense, products.ragged):  # what accelerators run
        np.testing.assert_allclose(way(gate, p, x, chosen, shares), answer, atol=1e-4 * float(np.abs(answer).max()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stacked", [False, True])
def test_fused_projections(kind: Any, stacked: bool) -> None:
    def layer(seed: int) -> Any:
        names = ("query", "key", "value")
        return {n: {"weight": weight_only.rounded(normal(8, 40, seed=seed + i), kind)} for i, n in enumerate(names)}

    names = ("query", "key", "value")
    dense = {name: declare.linear(40, 8, name, bias=False) for name in names}
    declared = declare.together("qkv", dense)
    layers = run.stack([layer(0), layer(3)]) if stacked else [layer(0), layer(3)]
    tree = declare.like([declared, declared], layers)
    fused, wide = prepare(layers, tree), prepare(plain(layers), tree)
    for small in [fused] if stacked else fused:
        assert isinstance(small["qkv"]["weight"], weight_only.WeightOnly)
    jax.tree.map(np.testing.assert_array_equal, plain(fused), wide)


SIZES = {"vocab_size": 96, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
MODELS = {
    "Llama": (jaxformers.LlamaForCausalLM, jaxformers.LlamaConfig(**SIZES, intermediate_size=96)),
    "GPT2": (jaxformers.GPT2LMHeadModel, jaxformers.GPT2Config(vocab_size=96, n_embd=64, n_layer=2, n_head=4)),
    "Bert": (jaxformers.BertForMaskedLM, jaxformers.BertConfig(**SIZES, intermediate_size=96)),
}
IDS, MASK = np.array([[5, 7, 11, 3], [13, 3, 0, 0]]), np.array([[1, 1, 1, 1], [1, 1, 0, 0]])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("kind", "stacked"), [("Llama", False), ("Llama", True), ("GPT2", False), ("Bert", True)])
def test_models(kind: str, name: str, stacked: bool, make: Callable[..., Any], tmp_path: Path) -> None:
    cls, config = MODELS[kind]
    wide = jax.tree.map(lambda array: array / 3 if array.ndim > 1 else array, make(cls, config))  # as after training
    wide.save_pretrained(tmp_path / "wide")
    model = cls.from_pretrained(tmp_path / "wide", dtype=name, stacked=stacked)
    small = [leaf for leaf in jax.tree.leaves(model.params) if leaf.dtype == NAMES[name]]
    matrices = 7 if kind == "Llama" else 4 if kind == "GPT2" else 6
    words = 1 if cls.writes() else 0
    assert len(small) == matrices * (1 if stacked else 2) + words
    others = {leaf.dtype.name for leaf in jax.tree.leaves(model.params)} - {jnp.dtype(NAMES[name]).name}
    assert others == {"float32"}

    answer, logits = wide(IDS, MASK).logits, model(IDS, MASK).logits
    real = MASK.astype(bool)
    error = np.linalg.norm((logits - answer)[real]) / np.linalg.norm(answer[real])
    limits = {"Llama": (0.02, 0.35), "GPT2": (0.01, 0.15), "Bert": (0.005, 0.08)}  # int8, int4: of random weights
    assert 0 < error < limits[kind][name == "int4_weight_only"]
    if kind == "Llama":
        assert model.generate(IDS[:1], max_new_tokens=4, eos_token_id=None).shape == (1, 8)

    model.save_pretrained(tmp_path / "again")
    again = cls.from_pretrained(tmp_path / "again", stacked=stacked)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(again)} == {"float32"}
    jax.tree.map(np.testing.assert_array_equal, again.params, plain(model.params))
    np.testing.assert_allclose(again(IDS, MASK).logits[real], logits[real], atol=1e-5 * np.abs(answer).max())


def test_what_a_model_takes_is_said(make: Callable[..., Any], tmp_path: Path) -> None:
    cls, config = MODELS["Llama"]
    make(cls, config).save_pretrained(tmp_path)
    weights = 2 * (4 * 64 * 64 + 3 * 64 * 96)
    words, head, norms = 96 * 64, 96 * 64, 5 * 64
    model = cls.from_pretrained(tmp_path, dtype="int4_weight_only")
    small = weights + head  # half a byte each, and 4 bytes for each 32
    assert f"{weights + words + head + norms:,} parameters" in repr(model)
    assert f"{(small * (1 / 2 + 4 / 32) + 4 * (words + norms)) / 1e6:,.1f} MB" in repr(model)


@pytest.mark.parametrize("name", ["int8", *NAMES])
def test_more_words(name: str, make: Callable[..., Any], tmp_path: Path) -> None:
    cls, config = MODELS["Llama"]
    make(cls, config).save_pretrained(tmp_path)
    model = cls.from_pretrained(tmp_path, dtype=name)
    larger = model.resize_token_embeddings(100)
    old, new = (m.params["head"]["decoder"]["table"] for m in (model, larger))
    assert (type(new), new.values.dtype, new.values.shape) == (type(old), old.values.dtype, (100, 64))
    near(new.widened()[:96], old.widened())


def test_unknown_names_list_these(toy_folder: Path) -> None:
    for name in ("int4", "int4_weights"):
        with pytest.raises(ValueError, match=f"dtype='{name}'.*'int8_weight_only', 'int4_weight_only'"):
            jaxformers.BertModel.from_pretrained(toy_folder, dtype=name)
