"""At the named sites of every architecture values are captured and replaced, and dropout draws, in the same way."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

import jaxformers
from jaxformers import bundle
from jaxformers.layers.inputs import Ask, Inputs
from jaxformers.layers.remat import POLICIES
from jaxformers.layers.run import stack
from jaxformers.layers.sites import PLAIN, TABLE, Sites

from . import rule
from .architectures import ARCHITECTURES
from .test_registry import SCANNED

EACH_LAYER = {f"layers.*.{name}" for name in ("attention_weights", "attention_heads", "attention", "ffn", "residual")}
LACKING = {"fnet": {"layers.*.attention_weights", "layers.*.attention_heads"}}
"""What an architecture does not compute: Fourier transforms have neither heads nor probabilities."""
SHOWN = {"squeezebert": ["layers.*.attention_weights"]}
"""What can be captured alone: the reference reports scores before the softmax."""
EXPERTS = {"mixtral", "gpt_oss", "olmoe", "granitemoe", "qwen2_moe", "qwen3_moe", "deepseek_v2", "deepseek_v3"}
GAIN = jnp.float32(0.7)


def times(x: jax.Array, gain: jax.Array) -> jax.Array:
    return x * gain


def gained(gain: jax.Array) -> Partial:
    """A patch whose program is the same for all gains."""
    return Partial(lambda gain, x: times(x, gain), gain)


@functools.cache
def toy(kind: str) -> tuple[Any, Mapping[str, np.ndarray]]:
    """The base model of an architecture, or its first class, and a batch."""
    architecture = ARCHITECTURES[kind]
    heads = architecture.heads.split()
    cls = getattr(jaxformers, architecture.named("Model" if "Model" in heads else heads[0]))
    config = cls.config_class(**architecture.config)
    batch = rule.batch(config.vocab_size, pad=config.pad_token_id or 0)
    return cls(config), {name: batch[name] for name in ("input_ids", "attention_mask") if name in cls.accepts}


def general(names: Any) -> set[str]:
    """Names with a star for the layer's number."""
    return {".".join("*" if part.isdecimal() else part for part in name.split(".")) for name in names}


def first(out: Any) -> np.ndarray:
    return np.asarray(out[0])


@pytest.mark.parametrize("kind", list(ARCHITECTURES))
def test_an_architecture_has_the_sites_of_the_table(kind: str) -> None:
    model, batch = toy(kind)
    sites = model.sites(**batch)
    found = general(sites)
    assert found >= {"embeddings", "final"} | EACH_LAYER - LACKING.get(kind, set())
    assert ("layers.*.router" in found) == (kind in EXPERTS)
    assert {name.removeprefix("decoder.") for name in found} <= set(TABLE)
    rows, length = batch["input_ids"].shape
    for name, site in sites.items():
        weights, router = name.endswith("attention_weights"), name.endswith("router")
        assert len(site.shape) == (4 if weights else 3), name
        assert site.shape[0] == rows
        if not name.startswith("layers.") and kind != "funnel":
            assert site.shape[1] == length
        assert not router or site.dtype == jnp.float32


@pytest.mark.parametrize("kind", list(ARCHITECTURES))
def test_what_is_captured_can_be_replaced(kind: str) -> None:
    """One program: all sites times a number each, which is one but for one of them."""
    model, batch = toy(kind)
    names = [name for name in sorted(general(model.sites(**batch))) if name not in SHOWN.get(kind, [])]
    run = jax.jit(
        lambda params, gains: model.apply(
            params, **batch, capture=["*.*.*", "*"], patch={name: gained(gain) for name, gain in gains.items()}
        )
    )
    ones = dict.fromkeys(names, jnp.float32(1))
    plain = first(model(**batch))
    scale = np.abs(plain).max()
    out, captured = run(model.params, ones)
    np.testing.assert_allclose(first(out), plain, atol=2e-5 * scale)
    np.testing.assert_allclose(captured["final"], plain, atol=2e-5 * scale)
    for name in names:
        changed, seen = run(model.params, ones | {name: GAIN})
        assert np.abs(first(changed) - plain).max() > 1e-7 * scale, name
        if name == "embeddings":
            np.testing.assert_allclose(seen[name], GAIN * captured[name], rtol=1e-6)


@pytest.mark.parametrize("kind", ["bert", *SCANNED])
def test_listed_and_stacked_layers_have_the_same_sites(kind: str) -> None:
    model, batch = toy(kind)
    stacked = model.replace(params=model.params | {"layers": stack(model.params["layers"])})
    state = jnp.sin(jnp.arange(float(model.config.hidden_size)))
    patch = {"layers.1.ffn": times_two, "layers.*.attention": gained(GAIN), "layers.0.residual": state}
    call = {**batch, "capture": ["layers.*.residual", "layers.1.attention_heads"], "patch": patch}
    for params in (model.params, stacked.params):
        out, captured = jax.jit(functools.partial(model.apply, **call))(params)
        if params is model.params:
            expected, kept = out, captured
    np.testing.assert_allclose(first(out), first(expected), atol=1e-5)
    count = len([name for name in kept if name.endswith("residual")])
    assert list(captured) == [
        *(f"layers.{i}.residual" for i in range(1)),
        "layers.1.attention_heads",
        *(f"layers.{i}.residual" for i in range(1, count)),
    ]
    for name, value in kept.items():
        np.testing.assert_allclose(captured[name], value, atol=1e-5)
    np.testing.assert_array_equal(kept["layers.0.residual"], np.broadcast_to(state, (4, 11, len(state))))


def times_two(x: jax.Array) -> jax.Array:
    return 2 * x


def test_captured_values_are_the_outputs_own() -> None:
    model, batch = toy("bert")
    out, captured = model(
        **batch,
        output_hidden_states=True,
        output_attentions=True,
        capture=["embeddings", "layers.*.residual", "layers.*.attention_weights"],
    )
    states = [captured["embeddings"], *(captured[f"layers.{i}.residual"] for i in range(2))]
    for ours, theirs in zip(states, out.hidden_states, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for i, theirs in enumerate(out.attentions):
        np.testing.assert_array_equal(captured[f"layers.{i}.attention_weights"], theirs)
    assert isinstance(model(**batch, capture=[]), tuple)
    assert model(**batch, capture=[])[1] == {}
    assert isinstance(model(**batch, capture=["final"], return_dict=False)[0], tuple)


@pytest.mark.parametrize("stacked", [False, True])
def test_gradients_and_vmap_go_through_patches(stacked: bool) -> None:
    model, batch = toy("llama")
    params = model.params | ({"layers": stack(model.params["layers"])} if stacked else {})
    shift = jnp.zeros(model.config.hidden_size)

    def moved(shift: jax.Array) -> jax.Array:
        add = Partial(lambda shift, x: x + shift, shift)
        out, captured = model.apply(params, **batch, capture=["final"], patch={"layers.0.residual": add})
        return loss([captured["final"]]) + out[0].sum()

    slope = jax.jit(jax.grad(moved))(shift)
    step = jnp.zeros_like(shift).at[3].set(1e-3)
    numeric = (jax.jit(moved)(shift + step) - jax.jit(moved)(shift - step)) / 2e-3
    np.testing.assert_allclose(slope[3], numeric, rtol=2e-2)
    several = jnp.stack([shift, shift + step])
    np.testing.assert_allclose(jax.jit(jax.vmap(moved))(several), [moved(s) for s in several], rtol=1e-4)


@pytest.mark.parametrize("kind", ["bert", "llama", "mixtral", "longformer", "big_bird", "deberta"])
def test_sites_that_nobody_uses_cost_nothing(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program is that of a model without any."""
    model, batch = toy(kind)
    inputs = Inputs(ids=jnp.asarray(batch["input_ids"]), mask=jnp.asarray(batch["attention_mask"]))

    def text() -> str:
        args = (type(model), model.params, model.config.bare(), inputs, {}, Ask(), PLAIN)
        return jax.jit(bundle.jaxformers_forward, static_argnums=0).lower(*args).as_text()

    with_sites = text()
    monkeypatch.setattr(Sites, "__call__", lambda self, name, x, rate=0.0: x)
    monkeypatch.setattr(Sites, "drop", lambda self, name, x, rate: x)
    monkeypatch.setattr(Sites, "show", lambda self, name, x: None)
    jax.clear_caches()
    assert text() == with_sites


def test_a_new_array_in_a_patch_compiles_nothing_new() -> None:
    model, batch = toy("bert")
    model(**batch, patch={"layers.0.ffn": np.float32(1)})
    before = bundle._forward._cache_size()
    model(**batch, patch={"layers.0.ffn": np.float32(2)})
    assert bundle._forward._cache_size() == before
    model(**batch, patch={"layers.0.ffn": times_two})
    model(**batch, patch={"layers.0.ffn": times_two})
    assert bundle._forward._cache_size() == before + 1


def test_of_several_patches_of_a_site_the_exact_one_is_last_however_they_are_called() -> None:
    model, batch = toy("llama")
    several = {"layers.1.residual": times_two, "layers.*.residual": jnp.tanh}
    expected = first(model(**batch, patch={"layers.0.residual": jnp.tanh, "layers.1.residual": both_of_them}))
    for patch in (several, dict(reversed(several.items()))):
        for params in (model.params, model.params | {"layers": stack(model.params["layers"])}):
            for run in (model.replace(params=params), functools.partial(model.apply, params)):
                np.testing.assert_allclose(first(run(**batch, patch=patch)), expected, atol=1e-5)


def both_of_them(x: jax.Array) -> jax.Array:
    return 2 * jnp.tanh(x)


def test_names_are_looked_up_once_for_a_kind_of_call(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = toy("bert")
    model(**batch, capture=["final"])
    traced: list[Any] = []
    plain = type(model).captured.__func__
    monkeypatch.setattr(type(model), "captured", classmethod(lambda *a: traced.append(a) or plain(*a)))
    model(**batch, capture=["final"])
    assert not traced


@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_the_last_hidden_state_is_the_one_that_was_replaced(kind: str) -> None:
    model, batch = toy(kind)
    out = model(**batch, output_hidden_states=True, patch={"final": 0.5})
    np.testing.assert_array_equal(out.hidden_states[-1], np.full_like(out.last_hidden_state, 0.5))


def test_a_seed_is_a_key() -> None:
    model, batch = toy("bert")
    np.testing.assert_array_equal(
        model.apply(model.params, **batch, key=3)[0], model.apply(model.params, **batch, key=jax.random.key(3))[0]
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"capture": ["layer.0.ffn"]}, r"no site is named 'layer.0.ffn'; there are embeddings, final, layers\.\*\."),
        ({"capture": ["layers.9.ffn"]}, "no site is named 'layers.9.ffn'"),
        ({"capture": "final"}, r"expected a list of names"),
        ({"capture": 3}, r"expected a list of names"),
        ({"patch": {"final": lambda x: None}}, "patch: final: the function gave None, expected an array"),
        ({"patch": {"final": np.array(1j)}}, "final: what is to stand there is complex64, expected real numbers"),
        ({"patch": {"layers.*.nothing": 1.0}}, "no site is named"),
        ({"patch": ["final"]}, "expected a dict"),
        ({"patch": {"final": "word"}}, "expected an array or a function"),
        (
            {"patch": {"layers.0.ffn": np.zeros((3, 5))}},
            r"layers.0.ffn is \(4, 11, 32\), what is to stand there \(3, 5\)",
        ),
        ({"patch": {"layers.0.ffn": lambda x: x[0, 0, :3]}}, r"what is to stand there \(3,\)"),
    ],
)
def test_what_is_no_site_and_no_value(call: dict[str, Any], message: str) -> None:
    model, batch = toy("bert")
    for run in (model, functools.partial(model.apply, model.params)):
        with pytest.raises(ValueError, match=message):
            run(**batch, **call)


def test_scores_before_the_softmax_are_captured_and_not_replaced() -> None:
    model, batch = toy("squeezebert")
    _, captured = model(**batch, capture=["layers.*.attention_weights"])
    assert len(captured) == model.config.num_hidden_layers
    with pytest.raises(ValueError, match="only capture it"):
        model(**batch, patch={"layers.0.attention_weights": 0.0})


# -- rematerialisation ------------------------------------------------------------------------------------------------


def saved(model: Any, params: Any, batch: Mapping[str, np.ndarray], **options: Any) -> int:
    """The bytes that a gradient keeps of a forward pass."""
    _, pull = jax.eval_shape(lambda params: jax.vjp(lambda p: loss(model.apply(p, **batch, **options)), params), params)
    return sum(np.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(pull))


def loss(out: Any) -> jax.Array:
    """Of each number another multiple: the sum of the squares of what a norm gives would have no slope."""
    return (out[0] * jnp.sin(jnp.arange(out[0].size)).reshape(out[0].shape)).sum()


@pytest.mark.parametrize("kind", ["bert", "llama", "longformer", "gemma2"])
@pytest.mark.parametrize("stacked", [False, True])
def test_rematerialised_layers_keep_less_and_give_the_same_gradients(kind: str, stacked: bool) -> None:
    model, batch = toy(kind)
    params = model.params | ({"layers": stack(model.params["layers"])} if stacked else {})
    whole = saved(model, params, batch)

    def grad(**options: Any) -> Any:
        return jax.jit(jax.grad(lambda params: loss(model.apply(params, **batch, **options))))(params)

    plain = grad()
    for policy in (True, *POLICIES):
        kept = saved(model, params, batch, gradient_checkpointing=policy)
        assert kept < whole if policy in (True, POLICIES[0]) else kept <= 1.3 * whole
        again, scale = grad(gradient_checkpointing=policy), max(np.abs(x).max() for x in jax.tree.leaves(plain))
        for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(plain), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6 * scale)


def test_gradient_checkpointing_is_meant_wherever_it_is_said(tmp_path: Any) -> None:
    model, batch = toy("bert")
    whole = saved(model, model.params, batch)
    said = type(model)(model.config.replace(gradient_checkpointing=True), params=model.params)
    assert saved(said, said.params, batch) < whole
    assert saved(said, said.params, batch, gradient_checkpointing=False) == whole
    model.save_pretrained(tmp_path)
    read = type(model).from_pretrained(tmp_path, gradient_checkpointing=True)
    assert saved(read, read.params, batch) < whole
    with pytest.raises(ValueError, match="expected True, False or one of"):
        type(model).from_pretrained(tmp_path, gradient_checkpointing="dots")
    with pytest.raises(ValueError, match="expected True, False or one of"):
        type(model)(model.config.replace(gradient_checkpointing="dots"))
    for wrong in ("everything", 3):
        with pytest.raises(ValueError, match=r"gradient_checkpointing=.*expected True, False or one of"):
            model(**batch, gradient_checkpointing=wrong)
