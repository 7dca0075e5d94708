"""Arrays on a mesh: loaded part by part, and with the same results as on one device."""

from __future__ import annotations

import jax
import pytest
from devices import on_devices

from jaxformers import BertModel

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
    raise AssertionError("32 heads' columns on 3 devices passed")
print("equal")
"""


def test_a_model_on_a_mesh_computes_the_same():
    assert on_devices(PROGRAM) == "equal"


@pytest.mark.parametrize("given", ["auto", 8, jax.sharding.AbstractMesh((8,), ("tp",))])
def test_what_is_no_mesh_is_refused_before_a_file_is_looked_for(given):
    with pytest.raises(ValueError, match=r"^mesh=.*expected a jax\.sharding\.Mesh, such as jax\.make_mesh\("):
        BertModel.from_pretrained("nowhere", mesh=given)
