"""Generation by a model whose arrays lie on several devices: the same tokens as on one."""

from __future__ import annotations

from pathlib import Path

from devices import on_devices

PROGRAM = """
import sys
from pathlib import Path

import jax
import numpy as np
from jax.sharding import AxisType

import jaxformers
import toy_writer
from jaxformers import AutoModelForCausalLM, AutoTokenizer, pipeline

jax.config.update("jax_disable_most_optimizations", True)
folder = toy_writer.write(Path(sys.argv[1]))
ids = [[0, 0, 5, 6, 7], [9, 8, 7, 6, 5]]
mask = np.array([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
ways = [
    {"do_sample": False, "max_new_tokens": 70},
    {"do_sample": True, "top_k": 5, "top_p": 0.9, "max_new_tokens": 6},
    {"num_beams": 2, "max_new_tokens": 6},
]
mesh = jax.make_mesh((2, 2), ("dp", "tp"), axis_types=(AxisType.Auto,) * 2)
explicit = jax.make_mesh((2, 2), ("dp", "tp"), axis_types=(AxisType.Explicit,) * 2)
def check(given, ways, **plain):
    one = AutoModelForCausalLM.from_pretrained(folder, **plain)
    many = AutoModelForCausalLM.from_pretrained(folder, mesh=given, **plain)
    assert len({device for leaf in jax.tree.leaves(many.params) for device in leaf.devices()}) == 4
    for way in ways:
        ours, expected = (m.generate(ids, attention_mask=mask, **way) for m in (many, one))
        assert (np.asarray(ours) == np.asarray(expected)).all(), (given, plain, way)


check(mesh, ways)
check(explicit, ways[1:2])
check(mesh, ways[1:2], stacked=True)
check(mesh, ways[1:2], dtype="int8")
many = AutoModelForCausalLM.from_pretrained(folder, mesh=mesh)
assert many.prepared is many.params  # no copies on a mesh
one = AutoModelForCausalLM.from_pretrained(folder)
first, again = (m.generate(ids, max_new_tokens=3, do_sample=False, return_dict_in_generate=True) for m in (one, many))
longer = np.concatenate([first.sequences, [[3], [4]]], axis=1)
more = [
    m.generate(longer, max_new_tokens=3, do_sample=False, past_key_values=out.past_key_values)
    for m, out in ((one, first), (many, again))
]
assert (np.asarray(more[0]) == np.asarray(more[1])).all()
write = jax.jit(lambda params, ids, mask: jaxformers.generate(params, one, ids, mask, do_sample=True, max_new_tokens=5))
spread = jax.device_put((np.array(ids), mask), jax.NamedSharding(mesh, jax.P("dp")))
assert (np.asarray(write(many.params, *spread)) == np.asarray(write(one.params, np.array(ids), mask))).all()
tokenizer = AutoTokenizer.from_pretrained(folder)
answers = [pipeline("text-generation", model=m, tokenizer=tokenizer)(["a", "hello"], **ways[1]) for m in (one, many)]
assert answers[0] == answers[1]
print("equal")
"""


def test_a_model_on_a_mesh_writes_the_same(tmp_path: Path):
    assert on_devices(PROGRAM, tmp_path, count=4, timeout=600) == "equal"
