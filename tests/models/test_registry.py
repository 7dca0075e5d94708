"""What every class promises beside torch's numbers: padding changes nothing, and JAX's transformations work.

Walks `jaxformers/models/`, so a new architecture is tested by existing; weights and batches are those of the parity
suite. Tasks and heads are shared, so BERT shows them all, and every other architecture one head.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import jaxformers
from jaxformers import declare
from jaxformers.batch import FIELDS
from jaxformers.layers.inputs import Inputs
from jaxformers.layers.run import stack, unstack

from . import golden
from .architectures import ARCHITECTURES
from .registry import LIMIT, each, faults, labels_of, load, one_by_one, shown

EACH = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=kind.marks, id=name) for kind in each() for name in shown(str(kind.id))]
)
SHORT = 7  # tokens of a row before it is padded
SCANNED = "bert albert deberta-v2 modernbert xlnet llama gemma2 mixtral gpt_oss gpt_neo".split()
"""Of the core architectures those whose layers differ from each other or carry more than a state."""


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
    """One number on which every entry of every output has its own influence."""
    leaves = [
        jnp.where(jnp.abs(leaf) < 1e30, leaf, 0).ravel() for leaf in jax.tree.leaves(out)
    ]  # but not of masked ones
    return sum(jnp.vdot(leaf, jnp.cos(1.0 + jnp.arange(leaf.size))) for leaf in leaves)


@EACH
@pytest.mark.usefixtures("optimised")
def test_compiled_gives_the_recorded_answers(name: str, model: Any):
    ours, case = model(name)
    plain = case.calls["plain"]
    assert not faults(ours(**plain.inputs), plain)


@EACH
def test_padding_is_neutral(name: str, model: Any):
    """A row gives the same alone, padded on the right, and on the left with the positions of its tokens."""
    ours, case = model(name)
    if not ours.neutral:
        pytest.skip("the architecture's own padding is seen")
    inputs = {key: array for key, array in case.calls["plain"].inputs.items() if array.ndim > 1}  # one a token
    row = {key: array.reshape(-1, array.shape[-1])[0] for key, array in inputs.items()}
    length = len(row["input_ids"])
    pad = length - SHORT
    assert pad > 0
    choices = (1,) * (ours.axes - 2)

    def rows(*rows: np.ndarray) -> np.ndarray:
        return np.stack(rows).reshape(len(rows), *choices, -1)

    alone = {key: rows(array[:SHORT]) for key, array in row.items()}
    padded = {}
    last = ours.config.pad_token_id if "SequenceClassification" in name else None  # some take the last that is no pad
    for key, array in row.items():  # what stands there must not matter
        padding = np.full(pad, {"input_ids": 3 if last is None else last, "attention_mask": 0}.get(key, 1))
        padded[key] = rows(np.r_[array[:SHORT], padding], np.r_[padding, array[:SHORT]])
    places, none = np.arange(SHORT), np.zeros(pad)
    if "position_ids" in ours.accepts:  # else distances alone count
        alone["position_ids"] = rows(places).astype(np.int32)
        padded["position_ids"] = rows(np.r_[places, none], np.r_[none, places]).astype(np.int32)
    asked = {"output_hidden_states": True, "output_attentions": True}
    one, both = one_by_one(ours, **alone, **asked), one_by_one(ours, **padded, **asked)
    close(jax.tree.map(lambda x: _cut(x[0], slice(SHORT), length), both), jax.tree.map(lambda x: x[0], one), 1e-5)
    # Of a row padded on the left only tokens' outputs: the first place, which heads of whole rows read, is padding.
    for ours_left, alone_left in zip(*map(jax.tree.leaves, (both, one)), strict=True):
        if ours_left.shape != (2, *alone_left.shape[1:]):
            close(_cut(ours_left[1], slice(pad, None), length), alone_left[0], 1e-5)


@EACH
def test_packing_is_neutral(name: str, model: Any):
    """Two texts give the same in one row as each alone."""
    ours, case = model(name)
    if not ours.packs or ours.axes > 2:
        pytest.skip("its texts go in one a row")
    inputs = {key: array for key, array in case.calls["plain"].inputs.items() if array.ndim > 1}  # one a token
    inputs.pop("attention_mask")
    sizes = (SHORT, SHORT - 1)
    first, second = ({key: array[i : i + 1, :size] for key, array in inputs.items()} for i, size in enumerate(sizes))
    row = {
        FIELDS[key]: np.concatenate([first[key], second[key], np.ones((1, 2))], axis=1).astype(np.int32)
        for key in inputs
    }
    texts = np.repeat([1, 2, 0], (*sizes, 2))[None].astype(np.int32)
    packed = Inputs(**row, texts=texts, starts=np.array([0, SHORT])).separated()
    with jax.disable_jit():
        both = type(ours).forward(ours.params, ours.config, packed)
    start = 0
    for i, text in enumerate((first, second)):
        for key, alone in one_by_one(ours, **text).items():
            x = both[key][:, start : start + sizes[i]] if both[key].ndim > 1 and len(both[key]) == 1 else both[key][i]
            close(x.reshape(alone.shape), alone, 1e-5)
        start += sizes[i]


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
    with jax.disable_jit():
        close(stacked(**first.inputs, **first.flags), ours(**first.inputs, **first.flags), 1e-5)
    stacked.save_pretrained(tmp_path / "ours")
    saved = safetensors.numpy.load_file(tmp_path / "ours" / "model.safetensors")
    for key, array in case.written().items():
        np.testing.assert_array_equal(saved[key], array)


@EACH
def test_gradients(name: str, model: Any):
    """Every array has a gradient, and it is the slope."""
    ours, case = model(name)
    inputs = {**case.calls["plain"].inputs, **labels_of(case)}
    loss = jax.jit(jax.value_and_grad(lambda p: total(ours.apply(p, **inputs))))
    _, gradient = loss(ours.params)
    declared = dict(declare.walk(type(ours).declaration(ours.config)))
    idle = ARCHITECTURES[case.model_type].idle
    for path, g in jax.tree_util.tree_leaves_with_path(gradient):
        where = jax.tree_util.keystr(path, simple=True, separator=".")
        assert np.isfinite(g).all(), where
        # The same added to all keys moves every score of a query alike: attention does not see a key's bias.
        param = declared[where]
        ignored = where.endswith("key.bias") or param.role == "buffer" or param.name.endswith(idle)
        assert ignored or np.abs(g).max() > 1e-6, where
    gradient = jax.tree.map(np.asarray, gradient)
    length = np.sqrt(sum(float(np.vdot(g, g)) for g in jax.tree.leaves(gradient)))
    moved = lambda size: jax.tree.map(  # noqa: E731
        lambda p, g: np.asarray(p) + np.float32(size / length) * g, ours.params, gradient
    )
    slope = (float(loss(moved(3e-4))[0]) - float(loss(moved(-3e-4))[0])) / 6e-4
    assert slope == pytest.approx(length, rel=1e-2)


@EACH
def test_vmap_over_models_and_batches(name: str, model: Any):
    ours, case = model(name)
    inputs = case.calls["plain"].inputs
    other = jax.tree.map(lambda x: x * np.float32(0.9), ours)
    turned = {key: array[::-1] for key, array in inputs.items()}
    pair = lambda *x: jnp.stack(x)  # noqa: E731
    models, batches = jax.tree.map(pair, ours, other), jax.tree.map(pair, dict(inputs), turned)
    out = jax.vmap(lambda m, x: m.apply(m.params, **x))(models, batches)
    close(jax.tree.map(lambda x: x[0], out), one_by_one(ours, **inputs))
    close(jax.tree.map(lambda x: x[1], out), one_by_one(other, **turned))


@EACH
def test_a_key_turns_dropout_on(name: str, model: Any):
    ours, case = model(name)
    off = [field for field, value in ours.config.to_dict().items() if "drop" in field and value == 0]  # by default
    ours = ours.replace(config=ours.config.replace(**dict.fromkeys(off, 0.1)))
    inputs = case.calls["plain"].inputs
    plain, again = (ours.apply(ours.params, **inputs) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, plain, again)
    one, same, other = (ours.apply(ours.params, **inputs, key=jax.random.key(i)) for i in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, one, same)
    for a, b in ((one, plain), (one, other)):
        assert all(np.abs(x - y).max() > 1e-3 for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(one))


@EACH
def test_bfloat16_weights_give_nearly_the_same(name: str, tmp_path: Path):
    case = golden.cases()[name]
    plain = case.calls["plain"]
    half, _ = load(case, case.write(tmp_path), dtype="bfloat16")
    out = one_by_one(half, **plain.inputs)
    assert {x.dtype for x in jax.tree.leaves(out)} == {jnp.dtype(jnp.bfloat16)}
    wide = jax.tree.map(lambda x: x.astype(jnp.float32), out)
    routed = "router" in str(jax.tree.structure(half.params))  # where two experts are nearly equal, the other is chosen
    assert not faults(wide, plain, 0.5 if routed else 0.1)


@pytest.mark.parametrize("name", ["ConvBertModel-groups", "SqueezeBertModel"])
def test_groups_of_half_types_compile(name: str, tmp_path: Path):
    """CPUs have products of half types in some forms alone, and which it is shows in a whole program."""
    case = golden.cases()[name]
    half, _ = load(case, case.write(tmp_path), dtype="bfloat16")
    out = jax.tree.map(lambda x: x.astype(jnp.float32), half(**case.calls["plain"].inputs))
    assert not faults(out, case.calls["plain"], 0.1)


WIDE = {
    "convbert": {"depthwise"},
    "deberta": {"mix_scores", "mix_odds"},
    "funnel": {"distance", "segments", "content_bias", "distance_bias", "segment_bias"},
    "nystromformer": {"convolution"},
    "xlnet": {"to_query", "to_key", "to_value", "from_context", "word_bias", "distance_bias", "segment_bias"}
    | {"distance", "segments"},
}
"""By `model_type`: what of the layers stays as it is under dtype="int8", as docs/compatibility.md says."""


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_int8_is_what_layers_multiply_with(kind: str):
    """A matrix of a layer that stays wide costs memory that the user thinks saved."""
    for case in golden.cases().values():
        cls = getattr(jaxformers, case.cls)
        if case.model_type != kind or issubclass(cls.base, jaxformers.tasks.Decoder):
            continue
        config = cls.config_class.from_dict(dict(case.config))
        wide = {
            path
            for path, param in declare.walk(cls.declaration(config))
            if sum(size > 1 for size in param.shape) > 1 and param.role != "matrix"
        }
        of_layers = {path for path in wide if path.count(".") > 1 and not path.startswith(("head.", "entities."))}
        assert {path.rpartition(".")[2] for path in of_layers} <= WIDE.get(kind, set()) | {"table"}


@pytest.mark.parametrize(
    "name", ["ModernBertModel", "SqueezeBertModel", "ConvBertModel-groups", "FunnelModel", "DebertaModel-talking"]
)
def test_int8_weights_give_nearly_the_same(name: str, tmp_path: Path):
    case = golden.cases()[name]
    whole, _ = load(case, case.write(tmp_path), dtype="int8")
    out = whole(**case.calls["plain"].inputs)
    assert not faults(out, case.calls["plain"], 0.2)
    assert faults(out, case.calls["plain"], 1e-3)


@EACH
def test_export_round_trips(name: str, model: Any):
    """A model that was exported and read back answers the same, without its Python code."""
    ours, case = model(name)
    plain = case.calls["plain"]
    exported = jax.export.export(jax.jit(lambda params, inputs: ours.apply(params, **inputs).to_tuple()))
    again = jax.export.deserialize(exported(ours.params, dict(plain.inputs)).serialize())
    values = again.call(ours.params, dict(plain.inputs))
    assert not faults(dict(zip(plain.outputs, values, strict=True)), plain)


@pytest.mark.parametrize("kind", each())
def test_export_takes_models_and_gives_outputs(kind: str, model: Any):
    ours, case = model(ARCHITECTURES[kind].named("Model"))
    plain = case.calls["plain"]
    exported = jax.export.export(jax.jit(lambda model, inputs: model(**inputs)))(ours, dict(plain.inputs))
    again = jax.export.deserialize(exported.serialize())
    assert not faults(again.call(ours, dict(plain.inputs)), plain)


@pytest.mark.parametrize("kind", [kind for kind in each() if kind.marks or kind.id in SCANNED])
def test_a_compiled_step_through_stacked_layers(kind: str, model: Any):
    """Loss and gradient of a whole program that scans, against the same operation by operation over listed layers."""
    architecture = ARCHITECTURES[kind]
    ours, case = model(architecture.named(architecture.heads.split()[-1]))
    inputs = {**case.calls["plain"].inputs, **labels_of(case)}
    stacked = ours.replace(params={**ours.params, "layers": stack(ours.params["layers"])})
    step = jax.value_and_grad(lambda m: total(m.apply(m.params, **inputs)))
    (listed, one), (scanned, two) = step(ours), jax.jit(step)(stacked)
    close(scanned, listed, 1e-4)  # a sum of terms that nearly cancel
    two = two.replace(params={**two.params, "layers": unstack(two.params["layers"])})
    flat = lambda tree: jnp.concatenate([x.ravel() for x in jax.tree.leaves(tree)])  # noqa: E731
    close(flat(two), flat(one))


@pytest.mark.parametrize("kind", each())
def test_every_class_on_a_mesh_and_under_pmap(kind: str, tmp_path: Path):
    """In a process of its own: the number of devices is fixed when jax starts."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.models.on_devices", str(tmp_path), kind],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        env={"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": "8", "PATH": "", "PYTHONPATH": ":".join(sys.path)},
    )
    lines = done.stdout.splitlines()
    assert lines, done.stderr[-2000:]
    assert not [line for line in lines if not line.endswith(": equal")], done.stderr[-2000:]
    assert done.returncode == 0, done.stderr[-2000:]
