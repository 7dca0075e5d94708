"""Generation by a model whose arrays lie on several devices: the same tokens as on one."""

from __future__ import annotations

from pathlib import Path

import pytest
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
def check(given, ways, **plain):
    one = AutoModelForCausalLM.from_pretrained(folder, **plain)
    many = AutoModelForCausalLM.from_pretrained(folder, mesh=given, **plain)
    assert len({device for leaf in jax.tree.leaves(many.params) for device in leaf.devices()}) == 4
    for way in ways:
        ours, expected = (m.generate(ids, attention_mask=mask, **way) for m in (many, one))
        assert (np.asarray(ours) == np.asarray(expected)).all(), (given, plain, way)


check(mesh, ways)
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


EXPLICIT = """
import sys
from pathlib import Path

import jax
import numpy as np

import jaxformers
import toy_writer
from jaxformers import AutoModel, AutoModelForCausalLM, AutoTokenizer, pipeline

jax.config.update("jax_disable_most_optimizations", True)
folder = toy_writer.write(Path(sys.argv[1]))
ids = np.array([[0, 0, 5, 6, 7], [9, 8, 7, 6, 5]])
mask = np.array([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
tokenizer = AutoTokenizer.from_pretrained(folder)
greedy = {"do_sample": False, "max_new_tokens": 4}
sampled = {"do_sample": True, "top_k": 5, "max_new_tokens": 4}
whole = {"return_dict_in_generate": True, "output_hidden_states": True, "output_scores": True}


class Shown(list):
    put = lambda self, tokens: self.append(np.asarray(tokens).tolist())
    end = lambda self: self.append("end")


def written(model, ids, mask, key):
    yield model.generate(ids, attention_mask=mask, **greedy)
    yield model.generate(ids, attention_mask=mask, key=key, **sampled)
    yield model.generate(ids, attention_mask=mask, num_beams=2, **greedy)
    yield model.generate(ids, attention_mask=mask, guidance_scale=1.5, **greedy)
    row = np.array([[5, 6, 7]])
    yield model.generate(row, assistant_model=model, **greedy)
    yield model.generate(row, streamer=(shown := Shown()), **greedy)
    assert shown[-1] == "end" and len(shown) == 6, shown
    first = model.generate(ids, attention_mask=mask, **whole, **greedy)
    yield first.sequences, first.scores, first.hidden_states
    longer = np.concatenate([np.asarray(first.sequences), [[3], [4]]], axis=1)
    seen = np.concatenate([mask, np.ones((2, 5), int)], axis=1)
    past = {"past_key_values": first.past_key_values}
    yield model.generate(longer, attention_mask=seen, **past, **greedy)
    yield model(longer[:, -1:], **past).logits
    write = lambda params, ids, mask, key: jaxformers.generate(params, model, ids, mask, key=key, **sampled)
    yield jax.jit(write)(model.params, ids, mask, key)


def answered(model, base):
    write = pipeline("text-generation", model=model, tokenizer=tokenizer)
    for way in (greedy, greedy | {"num_beams": 2}, sampled | {"key": jax.random.key(1)}):
        yield write("a", **way)
        yield write(["a", "hello", "b c"], **way)
    for task in ("text-embedding", "feature-extraction"):
        yield np.asarray(pipeline(task, model=base, tokenizer=tokenizer)("hello"))
        yield [np.asarray(x) for x in pipeline(task, model=base, tokenizer=tokenizer)(["hello", "a"])]


def equal(x, y):
    np.testing.assert_array_equal(x, y) if isinstance(x, str) else np.testing.assert_allclose(x, y, atol=1e-5)


def both(mesh=None):
    return [cls.from_pretrained(folder, mesh=mesh) for cls in (AutoModelForCausalLM, AutoModel)]


one, base = both()
expected = [*written(one, ids, mask, jax.random.key(3))], [*answered(one, base)]
mesh = jax.make_mesh((2, 2), ("dp", "tp"))
many, spread = both(mesh)
rows = jax.NamedSharding(mesh, jax.P("dp"))
if sys.argv[2] == "set":
    jax.set_mesh(mesh)
ours = [*written(many, *jax.device_put((ids, mask), rows), jax.random.key(3))], [*answered(many, spread)]
jax.tree.map(equal, ours, expected)
for leaf in jax.tree.leaves(ours[0]):
    assert leaf.sharding.device_set == {jax.devices()[0]} or leaf.sharding.mesh == mesh, leaf.sharding
print("equal")
"""


def test_a_model_on_a_mesh_writes_the_same(tmp_path: Path):
    assert on_devices(PROGRAM, tmp_path, count=4, timeout=600) == "equal"


@pytest.mark.parametrize("mesh_is", ["set", "not"])
def test_a_model_on_explicit_axes_writes_the_same(mesh_is: str, tmp_path: Path):
    assert on_devices(EXPLICIT, tmp_path, mesh_is, count=4, timeout=600) == "equal"
