"""On explicit axes, which `jax.make_mesh` gives, all is as on one device; elsewhere it costs nothing."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from devices import on_devices

from jaxformers import LlamaConfig, LlamaForCausalLM, bundle
from jaxformers.layers.inputs import Ask, Inputs
from jaxformers.layers.sites import PLAIN

ARCHITECTURES = """
import jax, numpy as np
import jaxformers as jf

jax.config.update("jax_disable_most_optimizations", True)
sizes = dict(vocab_size=64, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=24)
gemma = dict(sliding_window=3, layer_types=["sliding_attention", "full_attention"])
shared = sizes | dict(num_key_value_heads=2, head_dim=4, pad_token_id=0)
deepseek = dict(first_k_dense_replace=1, n_routed_experts=4, num_experts_per_tok=2, n_group=2, topk_group=1)
deepseek |= dict(q_lora_rank=8, kv_lora_rank=8, qk_rope_head_dim=4, qk_nope_head_dim=4, v_head_dim=4)
models = [
    jf.BertForSequenceClassification(jf.BertConfig(**sizes, num_labels=3)),
    jf.LlamaForCausalLM(jf.LlamaConfig(**shared)),
    jf.Qwen3ForCausalLM(jf.Qwen3Config(**shared)),
    jf.Gemma3ForCausalLM(jf.Gemma3TextConfig(**shared, **gemma)),
    jf.MixtralForCausalLM(jf.MixtralConfig(**shared, num_local_experts=4)),
    jf.DeepseekV3ForCausalLM(jf.DeepseekV3Config(**sizes, **deepseek, num_key_value_heads=4, moe_intermediate_size=8)),
]
mesh = jax.make_mesh((8,), ("data",))
rows, copies = jax.NamedSharding(mesh, jax.P("data")), jax.NamedSharding(mesh, jax.P())
ids = np.random.default_rng(0).integers(1, 64, (8, 6))
mask = (np.arange(6) < 6 - np.arange(8)[:, None] % 3).astype(np.int32)


def close(ours, expected):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), ours, expected)


for model in models:
    labels = np.arange(8) % 3 if isinstance(model, jf.BertForSequenceClassification) else ids
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    spread, copied = jax.device_put(batch, rows), jax.device_put(model, copies)
    step = jax.jit(jax.value_and_grad(lambda p, b, key: model.apply(p, **b, key=key).loss))
    loss, gradient = step(copied.params, spread, jax.random.key(0))
    close((loss, gradient), step(model.params, batch, jax.random.key(0)))
    assert jax.tree.map(jax.typeof, gradient) == jax.tree.map(jax.typeof, copied.params)
    with jax.set_mesh(mesh):
        out = copied(**spread)
    close(out, model(**batch))
    assert jax.typeof(out.logits).sharding.spec[0] == "data", out.logits.sharding
    if hasattr(model, "generate"):
        way = dict(attention_mask=mask, max_new_tokens=4, do_sample=False)
        with jax.set_mesh(mesh):
            written = copied.generate(spread["input_ids"], **way)
        assert (np.asarray(written) == np.asarray(model.generate(ids, **way))).all()
close(models[0](jax.device_put(ids, rows)), models[0](ids))  # params that lie nowhere yet
print("equal")
"""


def test_six_architectures_on_explicit_axes_are_as_on_one_device():
    assert on_devices(ARCHITECTURES, timeout=600) == "equal"


TRANSFORMATIONS = """
import jax, jax.numpy as jnp, numpy as np, tempfile
from jax.sharding import AxisType
import jaxformers as jf

jax.config.update("jax_disable_most_optimizations", True)
sizes = dict(vocab_size=64, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
one = jf.LlamaForCausalLM(jf.LlamaConfig(**sizes, intermediate_size=48))
folder = tempfile.mkdtemp()
one.save_pretrained(folder)
ids = np.random.default_rng(0).integers(1, 64, (8, 6))
expected = one(ids).logits
mesh = jax.make_mesh((2, 4), ("data", "tp"))
model = jf.LlamaForCausalLM.from_pretrained(folder, mesh=mesh)
spread = jax.device_put(ids, jax.NamedSharding(mesh, jax.P("data")))
close = lambda ours, theirs=expected: np.testing.assert_allclose(ours, theirs, atol=1e-5)
logits = lambda p, ids: model.apply(p, ids).logits

# The user's own transformations, with layouts on both axes.
assert model.params["layers"][0]["up"]["weight"].sharding.mesh == mesh
close(logits(model.params, spread))
close(jax.jit(lambda model, ids: model(ids).logits)(model, spread))
close(jax.jit(lambda p, ids: jax.vmap(lambda row: logits(p, row[None])[0])(ids))(model.params, spread))
by_rows = dict(mesh=mesh, in_specs=(jax.P(), jax.P("data")), out_specs=jax.P("data"), check_vma=False)
close(jax.jit(jax.shard_map(logits, **by_rows, axis_names={"data"}))(model.params, spread))
copies = jax.device_put(one.params, jax.NamedSharding(mesh, jax.P()))
close(jax.jit(jax.shard_map(logits, **by_rows))(copies, spread))
with jax.set_mesh(mesh):
    placed = dict(in_shardings=(None, jax.P("data")), out_shardings=jax.P("data"))
    close(jax.jit(logits, **placed)(model.params, ids))
    gradient = jax.jit(jax.grad(lambda p, ids: model.apply(p, ids, labels=ids).loss))
    jax.tree.map(close, gradient(model.params, spread), gradient(one.params, ids))

    # A loop of the user's carries a cache, so it comes back as it went in.
    def steps(params, ids):
        cache = jax.reshard(model.init_cache(8, 16), jax.P())
        def step(cache, token):
            out = model.apply(params, token[:, None], past_key_values=cache)
            return out.past_key_values, out.logits[:, 0]
        return jax.lax.scan(step, cache, ids.T)[1]
    close(jnp.swapaxes(jax.jit(steps)(model.params, spread), 0, 1))
first = model(spread[:, :4], use_cache=True).past_key_values
assert jax.typeof(first.cells[0]["key"].array).sharding.spec[0] == "data" == jax.typeof(first.length).sharding.spec[0]

# Rows that are divided need nothing of each other.
data = jax.make_mesh((8,), ("data",))
params = jax.device_put(one.params, jax.NamedSharding(data, jax.P()))
divided = jax.device_put(ids, jax.NamedSharding(data, jax.P("data")))
text = jax.jit(logits).lower(params, divided).compile().as_text()
assert not [word for word in ("all-gather", "all-reduce", "all-to-all", "collective-permute") if word in text]

# Axes of both kinds, automatic params under an explicit batch, one device, and a number that divides no batch.
kinds = AxisType.Explicit, AxisType.Auto
for types in (kinds, kinds[::-1]):
    mixed = jax.make_mesh((4, 2), ("data", "tp"), axis_types=types)
    divided = jax.device_put(ids, jax.NamedSharding(mixed, jax.P("data")))
    close(jf.LlamaForCausalLM.from_pretrained(folder, mesh=mixed)(divided).logits)
automatic = mesh.update(axis_types=(AxisType.Auto,) * 2)
with jax.set_mesh(mesh):
    close(jf.LlamaForCausalLM.from_pretrained(folder, mesh=automatic)(spread).logits)
alone = jf.LlamaForCausalLM.from_pretrained(folder, mesh=jax.make_mesh((1,), ("data",)))
close(alone(ids).logits)
assert "qkv" in alone.prepared["layers"][0]
seven = jax.make_mesh((7,), ("data",))
close(jf.LlamaForCausalLM.from_pretrained(folder, mesh=seven)(ids).logits)

# What is made of params lies where they do.
again = lambda **how: jf.LlamaForCausalLM.from_pretrained(folder, **how)
small = again(dtype="int4_weight_only")
wide = jf.LlamaForCausalLM.from_pretrained(folder).resize_token_embeddings(70)
for ours, theirs in (
    (model.resize_token_embeddings(70), wide),
    (again(mesh=mesh, stacked=True), one),
    (again(mesh=mesh, dtype="int4_weight_only"), small),
):
    assert {leaf.sharding.mesh for leaf in jax.tree.leaves(ours)} == {mesh}
    close(ours(spread).logits, theirs(ids).logits)
    ours.save_pretrained(saved := tempfile.mkdtemp())
    close(jf.LlamaForCausalLM.from_pretrained(saved)(ids).logits, theirs(ids).logits)

elsewhere = jax.device_put(ids, jax.NamedSharding(jax.make_mesh((8,), ("rows",)), jax.P("rows")))
try:
    model(elsewhere)
except ValueError as error:
    assert "{'data': 2, 'tp': 4} and of {'rows': 8}" in str(error), error
else:
    raise AssertionError("params and batch on different meshes passed")
print("equal")
"""


def test_transformations_of_the_users_own_on_explicit_axes():
    assert on_devices(TRANSFORMATIONS, timeout=600) == "equal"


def test_a_call_without_a_mesh_is_the_program_that_it_would_be_without_the_door():
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=32, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24)
    )

    def jaxformers_forward(cls: Any, params: Any, config: Any, inputs: Any, labels: Any, ask: Any, sites: Any) -> Any:
        return cls.captured(params, config, inputs, labels, ask, sites)

    inputs = Inputs(ids=np.ones((2, 4), np.int32))
    args = (LlamaForCausalLM, model.params, model.config.bare(), inputs, {}, Ask(), PLAIN)
    plain = jax.jit(jaxformers_forward, static_argnums=0).lower(*args)
    assert bundle._forward.lower(*args).as_text() == plain.as_text()
