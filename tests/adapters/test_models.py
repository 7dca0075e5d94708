"""Models with an adapter in all that models do: dropout, generation, stacked layers, meshes, weights in fewer bits."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from devices import on_devices
from safetensors.numpy import load_file

import jaxformers
from jaxformers import LoraConfig, PeftModel, declare, get_peft_model, parallel, runtime, training
from jaxformers.layers import int8, low_rank
from jaxformers.layers.linear import linear
from jaxformers.training import step

from .cases import CASES

LLAMA = CASES["llama"].toy
EVERY = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)


@pytest.fixture(scope="module")
def model(base: Callable[..., Any]) -> Any:
    return get_peft_model(base("llama"), EVERY)


def names_of(leaves: Any) -> set[str]:
    return {declare.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(leaves)}


# -- the object -------------------------------------------------------------------------------------------------------


def test_a_model_with_an_adapter_is_of_its_class_and_a_peft_model(model: Any, base: Callable[..., Any]) -> None:
    assert isinstance(model, jaxformers.LlamaForCausalLM)
    assert isinstance(model, PeftModel)
    assert model.peft_config == {"default": model.adapter}
    plain = base("llama")
    assert not isinstance(plain, PeftModel)
    assert plain.peft_config == {}
    for again in (pickle.loads(pickle.dumps(model)), copy.copy(model), jax.tree.map(lambda x: x, model)):
        assert again.adapter == model.adapter
        assert names_of(again.params) == names_of(model.params)
    changed = model.replace(params=jax.tree.map(lambda x: 2 * x, model.params))
    assert changed.adapter is model.adapter


def test_what_is_trained_is_counted(model: Any, capsys: pytest.CaptureFixture[str]) -> None:
    own, every = model.get_nb_trainable_parameters()
    assert own == sum(x.size for path, x in leaves(model.params) if path.endswith((".down", ".up")))
    assert every == sum(x.size for _, x in leaves(model.params))
    model.print_trainable_parameters()
    assert capsys.readouterr().out == (
        f"trainable params: {own:,d} || all params: {every:,d} || trainable%: {100 * own / every:.4f}\n"
    )
    assert model.unload().get_nb_trainable_parameters() == (every - own, every - own)


def leaves(tree: Any) -> list[tuple[str, Any]]:
    return [(declare.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def test_what_an_adapter_is_called_compiles_nothing(model: Any) -> None:
    batch = LLAMA.batch(0, rows=3)
    model(**batch)
    before = runtime.compilations().get("jaxformers_forward", 0)
    named = model.adapter.replace(base_model_name_or_path="owner/name", task_type="CAUSAL_LM")
    get_peft_model(model.unload(), named)(**batch)
    assert runtime.compilations().get("jaxformers_forward", 0) == before
    model(**LLAMA.batch(0, rows=4))
    assert runtime.compilations()["jaxformers_forward"] == before + 1


def test_params_of_other_shapes_are_refused_by_name(model: Any) -> None:
    params = copy.deepcopy(model.params)
    leaf = params["layers"][0]["query"]["weight"]
    params["layers"][0]["query"]["weight"] = dataclasses.replace(leaf, up=leaf.up[:3])
    with pytest.raises(ValueError, match=r"layers\.0\.query\.weight\.up have shape \(3, 4\)"):
        model.replace(params=params)


def test_new_words_are_new_outputs_of_an_addition_too(base: Callable[..., Any]) -> None:
    config = LoraConfig(r=2, target_modules=["lm_head", "q_proj"], init_lora_weights=False)
    wider = get_peft_model(base("llama"), config).resize_token_embeddings(60)
    assert wider.params["head"]["decoder"]["table"].up.shape == (60, 2)
    assert wider(np.array([[55, 3]])).logits.shape == (1, 2, 60)


# -- dropout ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stacked", [False, True])
def test_dropout_is_on_what_additions_read_and_by_the_key(base: Callable[..., Any], stacked: bool) -> None:
    model = get_peft_model(base("llama", stacked=stacked), EVERY.replace(lora_dropout=0.4))
    batch, apply = LLAMA.batch(0), jax.jit(lambda key: model.apply(model.params, **LLAMA.batch(0), key=key).logits)
    first, same, other = apply(jax.random.key(0)), apply(jax.random.key(0)), apply(jax.random.key(1))
    np.testing.assert_array_equal(first, same)
    assert float(abs(first - other).max()) > 1e-2
    assert float(abs(first - model(**batch).logits).max()) > 1e-2
    bare = get_peft_model(base("llama", stacked=stacked), EVERY)
    np.testing.assert_array_equal(model(**batch).logits, bare(**batch).logits)


def test_dropout_keeps_the_mean_and_draws_for_each_layer() -> None:
    keys = jax.random.split(jax.random.key(0), 3)
    base, down, up = (jax.random.normal(key, shape) for key, shape in zip(keys, ((6, 8), (2, 8), (6, 2)), strict=True))
    leaf = low_rank.LowRank(base, down, up, scale=0.5, rate=0.25)
    x = jax.random.normal(jax.random.key(1), (1, 8))
    tree = low_rank.dropping({"a": {"weight": leaf}, "b": {"weight": leaf}}, jax.random.key(2))
    assert not np.array_equal(*(jax.random.key_data(tree[name]["weight"].key) for name in "ab"))
    assert low_rank.dropping({"a": leaf}, None)["a"].key is None
    many = linear({"weight": tree["a"]["weight"]}, jnp.repeat(x, 20_000, axis=0))
    np.testing.assert_allclose(many.mean(0), linear({"weight": leaf}, x)[0], atol=0.05)


# -- generation and half types ----------------------------------------------------------------------------------------


def test_it_writes_what_the_merged_model_writes(model: Any) -> None:
    prompt = np.array([[5, 6, 7, 8], [9, 3, 4, 2]])
    said = model.generate(prompt, max_new_tokens=6, do_sample=False)
    np.testing.assert_array_equal(said, model.merge_and_unload().generate(prompt, max_new_tokens=6, do_sample=False))
    assert not np.array_equal(said, model.unload().generate(prompt, max_new_tokens=6, do_sample=False))


def test_half_types_stay_and_their_additions_are_float32(base: Callable[..., Any]) -> None:
    model = get_peft_model(base("llama", dtype="bfloat16"), EVERY)
    leaf = model.params["layers"][0]["query"]["weight"]
    assert (leaf.base.dtype, leaf.down.dtype, leaf.up.dtype) == (jnp.bfloat16, jnp.float32, jnp.float32)
    merged = model.merge_and_unload().params["layers"][0]["query"]["weight"]
    assert merged.dtype == jnp.bfloat16
    prepared = model.prepared["layers"][0]["query"]["weight"]
    x = jax.random.normal(jax.random.key(0), (3, 16))
    np.testing.assert_allclose(linear({"weight": prepared}, x), x @ leaf.widened(jnp.float32).T, atol=2e-2)
    assert len(model.generate(np.array([[5, 6, 7]]), max_new_tokens=3)[0]) == 6


# -- layers that are stacked, experts ---------------------------------------------------------------------------------


def test_stacked_layers_have_the_same_additions_and_files(base: Callable[..., Any], model: Any, tmp_path: Path) -> None:
    stacked = get_peft_model(base("llama", stacked=True), EVERY)
    listed, rows = model.params["layers"], stacked.params["layers"]
    for number, layer in enumerate(listed):
        np.testing.assert_array_equal(rows["down"]["weight"].down[number], layer["down"]["weight"].down)
    batch = LLAMA.batch(0)
    np.testing.assert_allclose(stacked(**batch).logits, model(**batch).logits, atol=1e-5)
    for name, one in (("listed", model), ("stacked", stacked)):
        one.save_pretrained(tmp_path / name)
    first, second = (load_file(tmp_path / name / "adapter_model.safetensors") for name in ("listed", "stacked"))
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(second[name], array)
    again = PeftModel.from_pretrained(base("llama", stacked=True), tmp_path / "listed")
    np.testing.assert_allclose(again(**batch).logits, model(**batch).logits, atol=1e-5)


def test_stacked_layers_are_to_be_meant_alike(base: Callable[..., Any]) -> None:
    stacked = base("llama", stacked=True)
    for fields in ({"layers_to_transform": [0]}, {"rank_pattern": {r"layers.1.*q_proj": 2}}):
        with pytest.raises(ValueError, match=r"q_proj is one of 2 weights in one array.*stacked=False"):
            get_peft_model(stacked, LoraConfig(target_modules=["q_proj"], **fields))


def test_experts_have_additions_each(tmp_path: Path) -> None:
    sizes = {**LLAMA.config, "num_local_experts": 4, "num_experts_per_tok": 2}
    model = jaxformers.MixtralForCausalLM(jaxformers.MixtralConfig(**sizes))
    config = LoraConfig(r=2, init_lora_weights=False, target_modules=["w1", "w2", "w3"])
    adapted, batch = get_peft_model(model, config), LLAMA.batch(0)
    merged = adapted.merge_and_unload()
    np.testing.assert_allclose(adapted(**batch).logits, merged(**batch).logits, atol=1e-5)
    adapted.save_pretrained(tmp_path)
    names = load_file(tmp_path / "adapter_model.safetensors")
    assert names["base_model.model.model.layers.1.block_sparse_moe.experts.3.w2.lora_A.weight"].shape == (2, 24)
    again = PeftModel.from_pretrained(model, tmp_path)
    np.testing.assert_array_equal(again(**batch).logits, adapted(**batch).logits)
    grads, whole = (jax.grad(lambda p, m=m: m.apply(p, **batch).loss)(m.params) for m in (adapted, merged))
    own, weight = (tree["layers"][0]["experts"]["gate"]["weight"] for tree in (grads, whole))
    leaf = adapted.params["layers"][0]["experts"]["gate"]["weight"]
    np.testing.assert_allclose(own.up, leaf.scale * jnp.einsum("eoi,eri->eor", weight, leaf.down), atol=1e-6)
    with pytest.raises(ValueError, match="lora_dropout is not done in experts"):
        get_peft_model(model, config.replace(lora_dropout=0.1))


# -- weights in fewer bits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "bits"), [("int8", 8), ("int8_weight_only", 8), ("int4_weight_only", 4)])
def test_weights_in_fewer_bits_stay_so_in_a_step(base: Callable[..., Any], kind: str, bits: int) -> None:
    model = get_peft_model(base("llama", dtype=kind, stacked=True), LoraConfig(r=2, target_modules="all-linear"))
    own = training.optimizer("adamw_torch", 1e-2, model.laid_out)
    plan = training.TrainPlan.of(model, own)
    state, batch = training.init(plan, model.params, key=None), LLAMA.batch(0)
    kept = {path: leaf for path, leaf in leaves(state.params) if leaf.dtype in (jnp.int8, jnp.int4)}
    assert sum(path.endswith(".base.values") for path in kept) == len(kept) - 1 == 7
    given = parallel.explicit.to_automatic(step.read(plan, batch))
    program = step._train_step.lower(plan, step._layout(state), state, *given).compile()
    numbers = sum(leaf.size for leaf in kept.values())
    others = sum(x.nbytes for x in jax.tree.leaves((state, given)) if x.dtype not in (jnp.int8, jnp.int4))
    taken = program.memory_analysis().argument_size_in_bytes
    assert abs(taken - others - numbers * bits / 8) <= 64  # of numbers that a program does not read
    before, losses = {path: np.asarray(leaf) for path, leaf in kept.items()}, []
    for _ in range(3):
        state, metrics = training.train_step(plan, state, batch)
        losses.append(float(metrics["loss"]))
    assert losses[2] < losses[1] < losses[0]
    after = dict(leaves(state.params))
    for path, leaf in before.items():
        np.testing.assert_array_equal(after[path], leaf)


def test_a_gradient_keeps_no_widened_weights(tmp_path: Path) -> None:
    sizes = {**LLAMA.config, "hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 6}
    jaxformers.LlamaForCausalLM(jaxformers.LlamaConfig(**sizes)).save_pretrained(tmp_path)

    def needed(kind: str) -> int:
        model = jaxformers.LlamaForCausalLM.from_pretrained(tmp_path, dtype=kind, stacked=True)
        model = get_peft_model(model, LoraConfig(r=2, target_modules="all-linear"))
        plan = training.TrainPlan.of(model, training.optimizer("sgd", 1e-2, model.laid_out))
        state = training.init(plan, model.params, key=None)
        given = parallel.explicit.to_automatic(step.read(plan, LLAMA.batch(0)))
        program = step._train_step.lower(plan, step._layout(state), state, *given).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert needed("int8_weight_only") <= 1.02 * needed("float32")


def test_a_frozen_weight_in_fewer_bits_keeps_its_scales_in_bfloat16_steps(base: Callable[..., Any]) -> None:
    model = get_peft_model(base("llama", dtype="int8"), LoraConfig(r=2))
    plan = training.TrainPlan.of(model, training.optimizer("sgd", 0.1, model.laid_out), compute_dtype="bfloat16")
    state, _ = training.train_step(plan, training.init(plan, model.params, key=None), LLAMA.batch(0))
    found = dict(leaves(state.params))
    assert found["layers.0.up.weight.scale"].dtype == jnp.float32
    np.testing.assert_array_equal(found["layers.0.up.weight.scale"], model.params["layers"][0]["up"]["weight"].scale)


def test_products_of_int8_have_gradients_of_what_is_not_rounded() -> None:
    weight, x = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate(((6, 8), (3, 8))))
    kept = int8.rounded(weight)
    goal = lambda w, x: (jnp.sin(linear({"weight": w}, x))).sum()  # noqa: E731
    found, expected = (jax.grad(goal, 1)(w, x) for w in (kept, kept.widened()))
    np.testing.assert_allclose(found, expected, atol=0.1 * float(abs(expected).max()))
    scales = jax.grad(lambda scale: goal(dataclasses.replace(kept, scale=scale), x))(kept.scale)
    plain = jax.grad(lambda scale: goal(kept.values * scale[:, None], x))(kept.scale)
    np.testing.assert_allclose(scales, plain, atol=0.1 * float(abs(plain).max()))


def test_merging_rounds_anew(base: Callable[..., Any]) -> None:
    model = get_peft_model(base("llama", dtype="int8"), EVERY)
    leaf = model.params["layers"][0]["up"]["weight"]
    merged = model.merge_and_unload().params["layers"][0]["up"]["weight"]
    assert isinstance(merged, int8.Int8)
    step = np.asarray(merged.scale)[:, None]
    assert (np.abs(merged.widened() - leaf.widened()) <= 0.51 * step).all()


def test_a_module_that_is_trained_as_a_whole_is_widened(base: Callable[..., Any]) -> None:
    model = get_peft_model(base("llama", dtype="int8"), LoraConfig(r=2, modules_to_save=["lm_head", "down_proj"]))
    assert model.params["head"]["decoder"]["table"].dtype == jnp.float32
    assert model.params["layers"][1]["down"]["weight"].dtype == jnp.float32
    plan = training.TrainPlan.of(model, training.optimizer("sgd", 0.1, model.laid_out))
    state, metrics = training.train_step(plan, training.init(plan, model.params, key=None), LLAMA.batch(0))
    assert np.isfinite(metrics["loss"])
    assert float(abs(state.params["head"]["decoder"]["table"] - model.params["head"]["decoder"]["table"]).max()) > 0


# -- training ---------------------------------------------------------------------------------------------------------


def test_an_adapter_that_is_used_is_not_trained(model: Any, base: Callable[..., Any], tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    used = PeftModel.from_pretrained(base("llama"), tmp_path)
    own = training.optimizer("sgd", 0.1, used.laid_out)
    assert used.get_nb_trainable_parameters()[0] == 0
    with pytest.raises(ValueError, match="is_trainable=True"):
        training.TrainPlan.of(used, own)
    assert training.TrainPlan.of(used, own, only=["final_norm"]).trained == {"final_norm.scale"}
    tuned = PeftModel.from_pretrained(base("llama"), tmp_path, is_trainable=True)
    assert training.TrainPlan.of(tuned, own).trained == set(model.trains)
    first = training.TrainPlan.of(tuned, own, frozen=["layers.0"])
    assert first.trained == {path for path in model.trains if not path.startswith("layers.0.")}
    assert training.TrainPlan.of(tuned, own, frozen_roles=["matrix"]).trained == set(model.trains)


def test_bfloat16_steps_keep_adapters_in_float32(base: Callable[..., Any]) -> None:
    model = get_peft_model(base("llama", dtype="bfloat16"), EVERY.replace(lora_dropout=0.1))
    plan = training.TrainPlan.of(model, training.optimizer("adamw", 1e-2, model.laid_out), accumulation=2, remat=True)
    state, metrics = training.train_step(plan, training.init(plan, model.params, key=0), LLAMA.batch(0))
    types = {path.rpartition(".")[2]: leaf.dtype for path, leaf in leaves(state.params) if ".query." in path}
    assert types == {"base": jnp.bfloat16, "down": jnp.float32, "up": jnp.float32}
    assert np.isfinite(metrics["loss"])


def test_additions_lie_on_a_mesh_as_their_weights_do() -> None:
    found = json.loads(on_devices("from tests.adapters.on_devices import main; main()", timeout=300).splitlines()[-1])
    for kind in ("auto", "explicit"):
        np.testing.assert_allclose(found[kind]["losses"], found["one"]["losses"], rtol=1e-5)
        assert found[kind]["up"] == ["tp", None]
        assert found[kind]["down"] == [None, "fsdp"]
        assert found[kind]["merged"] == ["tp", "fsdp"]
        assert found[kind]["read_up"] == [None, "tp", None]
        assert found[kind]["read_down"] == [None, "fsdp"]
    assert len(set(found["one"]["losses"])) == len(found["one"]["losses"])
