"""Arrays on a mesh: loaded part by part, and with the same results as on one device."""

from __future__ import annotations

from typing import Any

import pytest
from devices import on_devices
from jax.sharding import AbstractMesh, PartitionSpec

from jaxformers import BertModel, parallel
from jaxformers.declare import Param
from jaxformers.layers.cells import keys_values

PROGRAM = """
import jax, numpy as np, tempfile
from jax.sharding import AxisType
from jaxformers import BertConfig, BertForSequenceClassification
from jaxformers.parallel import shardings

config = BertConfig(vocab_size=96, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
model = BertForSequenceClassification(config)
ids = np.arange(1, 25).reshape(4, 6)
expected = model(ids).logits
folder = tempfile.mkdtemp()
model.save_pretrained(folder)
for kind in (AxisType.Auto, AxisType.Explicit):
    mesh = jax.make_mesh((2, 2, 2), ("dp", "fsdp", "tp"), axis_types=(kind,) * 3)
    sharded = BertForSequenceClassification.from_pretrained(folder, mesh=mesh)
    up = sharded.params["layers"][0]["up"]["weight"]
    assert up.sharding.mesh == mesh
    assert up.shape == (64, 32) and up.addressable_shards[0].data.shape == (32, 16), up.sharding
    np.testing.assert_allclose(sharded(ids).logits, expected, atol=1e-6)
    spread = jax.device_put(ids, jax.NamedSharding(mesh, jax.P("dp")))
    np.testing.assert_allclose(sharded(spread).logits, expected, atol=1e-6)
    small, parts = (
        BertForSequenceClassification.from_pretrained(folder, dtype="int4_weight_only", mesh=m) for m in (None, mesh)
    )
    np.testing.assert_allclose(parts(ids).logits, small(ids).logits, atol=1e-6)

three = jax.make_mesh((3,), ("tp",), axis_types=(AxisType.Auto,), devices=jax.devices()[:3])
try:
    shardings(BertForSequenceClassification.declaration(config), three)
except ValueError as error:
    assert "cannot be divided among 3" in str(error) and "jax.make_mesh((2,), ('tp',)) would do" in str(error), error
else:
    raise AssertionError("32 columns on 3 devices passed")
print("equal")
"""


FAMILIES = """
import jax, numpy as np
import jaxformers as j
from jax.sharding import AxisType
from jaxformers import parallel

SIZES = dict(vocab_size=99, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128)
FEW = SIZES | dict(num_key_value_heads=2)
LATENT = SIZES | dict(num_key_value_heads=4, moe_intermediate_size=32, n_routed_experts=8, n_group=2, topk_group=1,
    num_experts_per_tok=2, first_k_dense_replace=1, kv_lora_rank=16, q_lora_rank=32, qk_nope_head_dim=16,
    qk_rope_head_dim=8, v_head_dim=16)
CLASSES = {
    j.BertForMaskedLM: SIZES,
    j.LlamaForCausalLM: FEW,
    j.MixtralForCausalLM: FEW | dict(num_local_experts=4),
    j.T5ForConditionalGeneration: dict(vocab_size=99, d_model=64, d_kv=16, d_ff=128, num_layers=2, num_heads=4),
    j.DeepseekV3ForCausalLM: LATENT,
}
MESHES = {
    AxisType.Explicit: dict(data=2, fsdp=2, tensor=2),
    AxisType.Auto: dict(tensor=8),
}
jax.config.update("jax_default_matmul_precision", "highest")
jax.config.update("jax_disable_most_optimizations", True)
ids = np.arange(2, 50).reshape(4, 12)
for cls, sizes in CLASSES.items():
    model = cls(cls.config_class(**sizes))
    batch = dict(input_ids=ids) | (dict(decoder_input_ids=ids[:, :5]) if "T5" in cls.__name__ else {})
    expected = model(**batch).logits
    for kind, axes in MESHES.items():
        mesh = jax.make_mesh(tuple(axes.values()), tuple(axes), axis_types=(kind,) * len(axes))
        layouts = parallel.shardings(model.laid_out, mesh)
        spread = model.replace(params=jax.device_put(model.params, layouts))
        rows = jax.device_put(batch, jax.NamedSharding(mesh, jax.P(parallel.row_axes(mesh.axis_names))))
        np.testing.assert_allclose(spread(**rows).logits, expected, atol=1e-4, err_msg=f"{cls.__name__} {axes}")
        whole = sum(x.nbytes for x in jax.tree.leaves(model.params))
        own = sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(spread.params))
        assert own < (0.28 if "data" in axes else 0.14) * whole, (cls.__name__, axes, own / whole)
print("equal")
"""

GATHERED = """
import jax, jax.numpy as jnp, numpy as np, re
from jax.sharding import AxisType, NamedSharding
from jaxformers import LlamaConfig, LlamaForCausalLM, declare, parallel

config = LlamaConfig(
    vocab_size=1024, hidden_size=1024, num_hidden_layers=2, num_attention_heads=8, intermediate_size=1024,
    attention_bias=True,
)
model = LlamaForCausalLM(config)
mesh = jax.make_mesh((8,), ("tensor",), axis_types=(AxisType.Auto,))
layouts = parallel.shardings(model.laid_out, mesh)
assert layouts["final_norm"]["scale"].spec == jax.P("tensor")
params = jax.tree.map(
    lambda p, layout: jax.ShapeDtypeStruct(p.shape, jnp.float32, sharding=layout), model.laid_out, layouts,
    is_leaf=declare.is_param,
)
ids = jax.ShapeDtypeStruct((2, 64), jnp.int32, sharding=NamedSharding(mesh, jax.P()))
text = jax.jit(lambda params, ids: model.apply(params, ids).logits).lower(params, ids).compile().as_text()
gathered = [
    int(np.prod([int(n) for n in shape.split(",")]))
    for results in re.findall(r" = (.*?) all-gather(?:-start)?\\(", text)
    for shape in re.findall(r"f32\\[([\\d,]+)\\]", results)
]
print(max(gathered), len(re.findall(r" all-reduce(?:-start)?\\(", text)))
"""

SAID = """
import jax, tempfile
from jaxformers import BertConfig, BertModel, LlamaConfig, LlamaForCausalLM
from jaxformers.parallel import mesh_of
from jaxformers.training import TrainingArguments

given = jax.make_mesh((8,), ("rows",))
assert mesh_of(given) is given and mesh_of(None) is None
for said in ("data=2, tensor=4", {"data": 2, "tensor": 4}):
    assert dict(mesh_of(said).shape) == {"data": 2, "tensor": 4}

def chosen(**sizes):
    config = LlamaConfig(vocab_size=97, num_hidden_layers=1, **sizes)
    return dict(mesh_of("auto", LlamaForCausalLM.declaration(config)).shape)

sizes = dict(hidden_size=64, intermediate_size=128)
assert chosen(num_attention_heads=8, **sizes) == {"tensor": 8}
assert chosen(num_attention_heads=8, num_key_value_heads=2, **sizes) == {"fsdp": 4, "tensor": 2}
assert chosen(num_attention_heads=6, num_key_value_heads=3, head_dim=8, **sizes) == {"fsdp": 8}
assert chosen(num_attention_heads=2, num_key_value_heads=2, hidden_size=36, intermediate_size=72) == {
    "data": 2, "fsdp": 2, "tensor": 2
}
assert dict(TrainingArguments("out", mesh="auto").mesh.shape) == {"fsdp": 8}
assert TrainingArguments("out", mesh="data=2,fsdp=2,tensor=2", per_device_train_batch_size=3).train_batch_size == 12

for said, answer in {
    "data=2,tensor=2": 'expected axes of all 8 devices, found 4: "data=4,tensor=2" would do',
    "data=3,fsdp=5": 'expected axes of all 8 devices, found 15: "data=1,fsdp=8" would do',
    "rows=8": "expected axes among data, fsdp, tensor, sequence, expert, dp, batch, tp, model, ep, found 'rows'",
    "data=2,data=4": "expected each axis once, found 'data' twice",
}.items():
    try:
        mesh_of(said)
    except ValueError as error:
        assert answer in str(error), error
    else:
        raise AssertionError(said)

model = BertModel(BertConfig(
    vocab_size=96, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64
))
folder = tempfile.mkdtemp()
model.save_pretrained(folder)
for said, axes in {"auto": {"fsdp": 2, "tensor": 4}, "data=2,tensor=4": {"data": 2, "tensor": 4}}.items():
    up = BertModel.from_pretrained(folder, mesh=said).params["layers"][0]["up"]["weight"]
    assert dict(up.sharding.mesh.shape) == axes and up.addressable_shards[0].data.shape[0] == 16, up.sharding
print("as said")
"""


def test_a_model_on_a_mesh_computes_the_same():
    assert on_devices(PROGRAM) == "equal"


def test_families_compute_the_same_on_automatic_and_explicit_axes():
    assert on_devices(FAMILIES, timeout=600) == "equal"


def test_vectors_are_gathered_and_activations_are_not():
    largest, reduced = map(int, on_devices(GATHERED, timeout=300).split())
    assert largest == 1024  # numbers: a scale
    assert reduced == 2 * 2 + 1  # two a layer, and the words


def test_a_mesh_is_made_of_what_is_said():
    assert on_devices(SAID) == "as said"


@pytest.mark.parametrize("given", ["tensor", "tensor=two", "", 8, {}, {"tp": 0}, AbstractMesh((8,), ("tp",))])
def test_what_is_no_mesh_is_refused_before_a_file_is_looked_for(given):
    with pytest.raises(ValueError, match=r"^mesh=.*expected a jax\.sharding\.Mesh, such as jax\.make_mesh\("):
        BertModel.from_pretrained("nowhere", mesh=given)


def placed(param: Param, rules: parallel.Rules = parallel.RULES, **sizes: int) -> PartitionSpec:
    """The layout of one array on a mesh of such sizes."""
    mesh = AbstractMesh(tuple(sizes.values()), tuple(sizes))
    return parallel.shardings(param, mesh, rules).spec


def weight(*axes: str | None, shape: tuple[int, ...], heads: int | None = None) -> Param:
    return Param(shape, axes, "some.weight", "matrix", heads=heads)


@pytest.mark.parametrize(
    ("param", "sizes", "expected"),
    [
        (weight("heads", "embed", shape=(64, 64), heads=8), {"fsdp": 2, "tensor": 4}, ("tensor", "fsdp")),
        (weight("kv_heads", "embed", shape=(64, 64), heads=2), {"tensor": 8}, (None, "tensor")),  # heads stay whole
        (weight("kv_heads", "embed", shape=(64, 64), heads=1), {"fsdp": 2, "tensor": 4}, (None, ("fsdp", "tensor"))),
        (weight("kv_heads", shape=(1024,), heads=2), {"tensor": 8}, ("tensor",)),  # of a vector there is nothing else
        (weight("vocab", "embed", shape=(99, 64)), {"fsdp": 2, "tensor": 4}, (None, ("fsdp", "tensor"))),
        (weight("vocab", "embed", shape=(96, 64)), {"fsdp": 2, "tensor": 4}, ("tensor", "fsdp")),
        (weight("vocab", shape=(1009,)), {"tensor": 8}, (None,)),
        (weight("latent", "embed", shape=(32, 64)), {"fsdp": 8}, (None, "fsdp")),
        (weight("heads", "latent", shape=(64, 32)), {"fsdp": 8}, ("fsdp", None)),
        (weight("out", "embed", shape=(64, 64)), {"tp": 8}, ("tp", None)),
        (weight(None, "embed", shape=(512, 64)), {"data": 2, "fsdp": 2, "tensor": 2}, (None, ("fsdp", "tensor"))),
        (weight("embed", shape=(512,)), {"tensor": 8}, (None,)),  # small
        (weight("embed", shape=(2048,)), {"fsdp": 2, "tensor": 4}, (("fsdp", "tensor"),)),
        (weight("expert", "mlp", "embed", shape=(8, 64, 32)), {"ep": 2, "tp": 4}, ("ep", "tp", None)),
        (weight("layers", "mlp", "embed", shape=(3, 64, 32)), {"fsdp": 2, "tensor": 4}, (None, "tensor", "fsdp")),
        (weight("mlp", "embed", shape=(64, 32)), {"data": 8}, (None, None)),
    ],
)
def test_weights_are_divided_by_the_table(param: Param, sizes: dict[str, int], expected: tuple[Any, ...]):
    assert placed(param, **sizes) == PartitionSpec(*expected)


@pytest.mark.parametrize(
    ("heads", "rows", "sizes", "expected"),
    [
        (8, 4, {"tensor": 8}, (None, "tensor", None, None)),
        (2, 4, {"tensor": 8}, (None, None, "tensor", None)),  # slots, rather than eight copies
        (2, 4, {"data": 2, "tensor": 2, "sequence": 2}, ("data", "tensor", "sequence", None)),
        (2, 4, {"data": 2, "fsdp": 2, "tensor": 2}, (("fsdp", "data"), "tensor", None, None)),
        (2, 2, {"data": 2, "fsdp": 2, "tensor": 2}, ("data", "tensor", None, None)),
        (3, 1, {"data": 2, "fsdp": 4}, (None, None, None, None)),  # a row of three heads: copies
    ],
)
def test_cells_are_divided_by_the_table(heads: int, rows: int, sizes: dict[str, int], expected: tuple[Any, ...]):
    assert placed(keys_values(rows, 64, heads, 16)["value"], **sizes) == PartitionSpec(*expected)


def test_rows_are_divided_among_data_and_fsdp_whatever_they_are_called():
    assert parallel.row_axes(("tp", "fsdp", "dp")) == ("fsdp", "dp")
    assert parallel.row_axes(("tensor",)) == ()
    assert parallel.row_axes(("data", "fsdp"), {"batch": ("fsdp",)}) == ("fsdp",)


def test_rules_can_be_replaced():
    param = weight("mlp", "embed", shape=(64, 32))
    assert placed(param, {"embed": ("model",)}, tensor=8) == PartitionSpec(None, "tensor")
    assert placed(param, {}, fsdp=2, tensor=4) == PartitionSpec(None, None)
    assert placed(param, {"mlp": (("fsdp", "tensor"),)}, fsdp=2, tensor=4) == PartitionSpec(("fsdp", "tensor"), None)


@pytest.mark.parametrize(
    ("param", "sizes", "said"),
    [
        (weight("expert", "mlp", "embed", shape=(6, 32, 32)), {"expert": 4, "fsdp": 2}, "((3, 2), ('expert', 'fsdp'))"),
        (weight("vocab", "embed", shape=(99, 30)), {"fsdp": 4}, "((3,), ('fsdp',))"),
        (weight("mlp", "embed", shape=(36, 36)), {"fsdp": 4, "tensor": 8}, "((4, 6), ('fsdp', 'tensor'))"),
    ],
)
def test_what_no_axis_divides_is_answered_with_a_mesh_that_does(param: Param, sizes: dict[str, int], said: str):
    with pytest.raises(ValueError, match=r"some\.weight: its axes .* cannot be divided among") as refused:
        placed(param, **sizes)
    assert f"jax.make_mesh{said} would do" in str(refused.value)
