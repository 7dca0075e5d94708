"""Steps of training against torch's, recorded by `record_steps.py`, and what a step promises beyond."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.extend.core
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import jaxformers
from jaxformers import declare, runtime, training
from jaxformers.layers.losses import Sum
from jaxformers.training import parts, step

from .cases import CASES, DECAY, MOST, RATE, RECORDED, STEPS, WARMUP, Case, drawn


def model_of(case: Case, folder: Path) -> Any:
    """The model of a case, from a checkpoint with its drawn weights."""
    cls = getattr(jaxformers, case.cls)
    config = cls.config_class.from_dict(dict(case.config))
    arrays = {}
    for _, param in declare.walk(cls.declaration(config)):
        shape = param.shape[::-1] if param.layout == "transposed" else param.shape
        arrays[param.name] = drawn(param.name, shape)
    folder.mkdir()
    save_file(arrays, folder / "model.safetensors")
    config.save_pretrained(folder)
    return cls.from_pretrained(folder)


def plan_of(case: Case, model: Any, **words: Any) -> training.TrainPlan:
    rate = training.schedule("linear", RATE, steps=STEPS, warmup_steps=WARMUP)
    own = training.optimizer("adamw_torch", rate, model.laid_out, weight_decay=DECAY)
    words = {"max_grad_norm": MOST, "label_smoothing": case.smoothing} | words
    return training.TrainPlan.of(model, own, **words)


@pytest.mark.parametrize("name", CASES)
def test_twenty_steps_are_torchs(name: str, tmp_path: Path) -> None:
    case, expected = CASES[name], np.load(RECORDED / f"{name}.npz")
    model = model_of(case, tmp_path / "start")
    plan = plan_of(case, model)
    state, found = training.init(plan, model.params), []
    runtime.compilations()
    for number in range(STEPS):
        before = jax.tree.leaves(state.params)[0]
        state, metrics = training.train_step(plan, state, case.batch(number))
        assert before.is_deleted()
        found.append({name: float(value) for name, value in metrics.items()})
        if number == 0:
            programs = runtime.compilations().get("jaxformers_train_step", 0)
    assert runtime.compilations().get("jaxformers_train_step", 0) == programs
    for metric in ("loss", "grad_norm", "learning_rate"):
        np.testing.assert_allclose(
            [one[metric] for one in found], expected[metric], rtol=2e-5, atol=2e-8, err_msg=metric
        )
    assert all(one["finite"] for one in found)
    model.replace(params=state.params).save_pretrained(tmp_path / "end")
    weights = load_file(tmp_path / "end" / "model.safetensors")
    for key in expected.files:
        if key.startswith("weights."):
            compare(key.removeprefix("weights."), weights, expected[key])


def compare(name: str, weights: dict[str, np.ndarray], expected: np.ndarray) -> None:
    """An array within 1e-4 of its greatest number. Biases of keys have no gradient but rounding's."""
    found = weights[name]
    if name.endswith("key.bias"):
        return
    if name.endswith("c_attn.bias"):
        found, expected = (np.delete(x, np.s_[len(x) // 3 : 2 * len(x) // 3]) for x in (found, expected))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max(), err_msg=name)


# -- parts of a batch, precision, dropout -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The models of the cases."""
    folder = tmp_path_factory.mktemp("models")
    return {name: model_of(case, folder / name) for name, case in CASES.items()}


def plain_plan(model: Any, **words: Any) -> training.TrainPlan:
    """A plan whose step shows the gradients: gradient descent with rate 1."""
    words = {"max_grad_norm": None} | words
    return training.TrainPlan.of(model, training.optimizer("sgd", 1.0, model.laid_out), **words)


def after_one(plan: training.TrainPlan, model: Any, batch: Any, **words: Any) -> tuple[Any, dict[str, Any]]:
    return training.train_step(plan, training.init(plan, model.params, **words), batch)


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5"])
def test_a_batch_in_parts_is_one_large_batch(name: str, models: dict[str, Any]) -> None:
    model, batch = models[name], CASES[name].batch(0)
    counts = [(batch["labels"][part::3] != -100).sum() for part in range(3)]
    assert name == "bert" or len(set(counts)) > 1
    words = {"label_smoothing": CASES[name].smoothing}
    whole, metrics = after_one(plain_plan(model, **words), model, batch)
    parted, same = after_one(plain_plan(model, accumulation=3, **words), model, batch)
    for metric, value in metrics.items():
        np.testing.assert_allclose(same[metric], value, rtol=2e-6, err_msg=metric)
    moved = max(float(abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, (whole, model)), strict=False))
    assert moved > 1e-3
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), whole.params, parted.params)


def test_terms_that_count_differently_are_divided_each_by_its_own(make: Any, toy_config: Any) -> None:
    model = make(jaxformers.BertForPreTraining, toy_config)
    rng = np.random.default_rng(0)
    ids = rng.integers(3, 90, (4, 8))
    labels = np.where(rng.random((4, 8)) < np.array([[0.1], [0.9], [0.3], [0.8]]), ids, -100)
    batch = {"input_ids": ids, "labels": labels, "next_sentence_label": np.array([0, 1, 1, 0])}
    _, metrics = after_one(plain_plan(model, accumulation=4), model, batch, key=None)
    np.testing.assert_allclose(metrics["loss"], model(**batch).loss, rtol=1e-5)
    assert metrics["counted"] == (labels != -100).sum() + 4


def test_counting_labels_first_computes_nothing_twice(models: dict[str, Any]) -> None:
    model, batch = models["bert"], CASES["bert"].batch(0)

    def flops(accumulation: int) -> float:
        plan = plain_plan(model, accumulation=accumulation)
        given = *step.read(plan, batch), None
        own, others = parts.split(model.params, plan.trained)
        found = jax.jit(lambda own: step.gradients(plan, own, others, *given)).lower(own).compile()
        return found.as_text().count(" dot(")

    # a loop's body is written once: as many products as for a batch at once, or fewer where XLA has joined some
    assert flops(3) <= flops(1)


def test_labels_of_a_causal_model_are_counted_after_the_shift(models: dict[str, Any]) -> None:
    batch = CASES["gpt2"].batch(0)
    _, metrics = after_one(plain_plan(models["gpt2"]), models["gpt2"], batch)
    assert metrics["counted"] == (batch["labels"][:, 1:] != -100).sum() != (batch["labels"] != -100).sum()


def products(jaxpr: Any) -> list[tuple[str, str, str]]:
    """The types of each product: its factors and its result."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            found.append(tuple(str(x.aval.dtype) for x in (*equation.invars, *equation.outvars)))
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            found += products(inner)
    return found


@pytest.mark.parametrize("name", ["bert", "llama"])
def test_bfloat16_computes_forward_and_backward_and_keeps_float32(name: str, models: dict[str, Any]) -> None:
    model, batch = models[name], CASES[name].batch(0)
    plan = plain_plan(model, compute_dtype="bfloat16")
    given = plan, None, training.init(plan, model.params), *step.read(plan, batch)
    kinds = products(jax.make_jaxpr(step.jaxformers_train_step, static_argnums=(0, 1))(*given))
    assert {kind[:2] for kind in kinds} <= {("bfloat16", "bfloat16"), ("float32", "float32")}
    wide = [kind for kind in kinds if kind[0] == "float32"]
    assert len(wide) <= 1, wide  # of positions and frequencies
    state, metrics = training.train_step(plan, *given[2:3], batch)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {np.dtype("float32")}
    _, wanted = after_one(plain_plan(model), model, batch)
    np.testing.assert_allclose(metrics["loss"], wanted["loss"], rtol=2e-2)
    np.testing.assert_allclose(metrics["grad_norm"], wanted["grad_norm"], rtol=5e-2)
    assert metrics["loss"].dtype == np.float32


def test_dropout_differs_by_step_and_by_part_and_is_off_without_a_key(make: Any, toy_config: Any) -> None:
    model = make(jaxformers.BertForSequenceClassification, toy_config)
    row = {"input_ids": np.full((2, 6), 7), "labels": np.array([1, 1])}
    still = training.TrainPlan.of(model, training.optimizer("sgd", 0.0, model.laid_out))

    def losses(plan: training.TrainPlan, key: Any) -> list[float]:
        state, found = training.init(plan, model.params, key), []
        for _ in range(3):
            state, metrics = training.train_step(plan, state, row)
            found.append(float(metrics["loss"]))
        return found

    assert len(set(losses(still, 0))) == 3
    assert losses(still, 0) == losses(still, 0) != losses(still, 1)
    assert set(losses(still, None)) == {float(model(**row).loss)}
    parted = training.TrainPlan.of(model, training.optimizer("sgd", 0.0, model.laid_out), accumulation=2)
    assert losses(parted, 0)[0] != losses(still, 0)[0]


# -- what changes, and what does not ----------------------------------------------------------------------------------


def test_frozen_arrays_stay_and_have_no_state(models: dict[str, Any]) -> None:
    model, batch = models["bert"], CASES["bert"].batch(0)
    own = training.optimizer("adamw", 1e-2, model.laid_out, weight_decay=0.1)
    plan = training.TrainPlan.of(model, own, only=("head", "pooler"))
    state, metrics = after_one(plan, model, batch)
    changed = {
        declare.keystr(path)
        for (path, new), old in zip(
            jax.tree_util.tree_leaves_with_path(state.params), jax.tree.leaves(model.params), strict=True
        )
        if (new != old).any()
    }
    assert changed == plan.trained
    assert {path.split(".")[0] for path in changed} == {"head", "pooler"}
    assert len([leaf for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim]) == 2 * len(plan.trained)
    assert 0 < metrics["grad_norm"] < after_one(plain_plan(model), model, batch)[1]["grad_norm"]


def test_quantised_weights_are_refused_unless_frozen(models: dict[str, Any], tmp_path: Path) -> None:
    models["llama"].save_pretrained(tmp_path)
    model = jaxformers.LlamaForCausalLM.from_pretrained(tmp_path, dtype="int8_weight_only")
    own = training.optimizer("sgd", 1.0, model.laid_out)
    with pytest.raises(ValueError, match="fewer bits"):
        training.TrainPlan.of(model, own)
    plan = training.TrainPlan.of(model, own, frozen_roles=("matrix", "unembedding"))
    state, metrics = after_one(plan, model, CASES["llama"].batch(0))
    assert metrics["finite"]
    assert len(jax.tree.leaves(state.params)) == len(jax.tree.leaves(model.params))


def test_steps_that_are_not_finite_are_told_and_skipped_when_asked(models: dict[str, Any]) -> None:
    model, batch = models["bert"], CASES["bert"].batch(0)
    broken = model.replace(params=jax.tree.map(lambda x: x * np.nan, model.params))
    for skip in (False, True):
        own = training.optimizer("adamw", 1e-2, model.laid_out)
        plan = training.TrainPlan.of(model, own, skip_nonfinite=skip)
        state, metrics = after_one(plan, broken, batch)
        assert not metrics["finite"]
        assert state.step == 1
        moments = [leaf for leaf in jax.tree.leaves(state.opt_state) if leaf.ndim]
        assert all(bool((leaf == 0).all()) for leaf in moments) == skip


def test_a_loss_of_ones_own(models: dict[str, Any]) -> None:
    model, batch = models["bert"], CASES["bert"].batch(0)

    def margin(output: Any, labels: Any) -> Sum:
        right = jax.nn.one_hot(labels["labels"], 3)
        each = jax.nn.relu(1.0 - output.logits * (2 * right - 1)).sum(-1)
        return Sum(each.sum(), each.size)

    _, metrics = after_one(plain_plan(model, loss=margin, accumulation=2), model, batch)
    found = margin(model(**batch), batch)
    np.testing.assert_allclose(metrics["loss"], found.total / found.count, rtol=1e-5)


def test_layers_may_be_stacked_and_computed_again(models: dict[str, Any], tmp_path: Path) -> None:
    model, batch = models["llama"], CASES["llama"].batch(0)
    model.save_pretrained(tmp_path)
    stacked = jaxformers.LlamaForCausalLM.from_pretrained(tmp_path, stacked=True)
    _, listed = after_one(plain_plan(model), model, batch)
    _, scanned = after_one(plain_plan(stacked, remat=True), stacked, batch)
    np.testing.assert_allclose(scanned["grad_norm"], listed["grad_norm"], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "change", "words", "says"),
    [
        ("bert", {"labels": None}, {}, "training needs labels"),
        ("bert", {"labels": np.array([0, 1, 2, 3, 0, 0])}, {}, "labels.* is 3"),
        ("bert", {"length": np.array([1])}, {}, "takes no 'length'"),
        ("bert", {}, {"accumulation": 4}, "6 rows cannot be divided into 4 parts"),
        ("bert", {}, {"accumulation": 0}, "accumulation=0"),
        ("bert", {}, {"remat": "some"}, "nothing_saveable"),
    ],
)
def test_bad_batches_are_refused_before_anything_compiles(
    name: str, change: dict[str, Any], words: dict[str, Any], says: str, models: dict[str, Any]
) -> None:
    model = models[name]

    def one() -> None:
        after_one(plain_plan(model, **words), model, CASES[name].batch(0) | change)

    with pytest.raises((TypeError, ValueError), match=says), runtime.forbid():
        one()


def test_the_step_may_be_a_part_of_a_larger_program(models: dict[str, Any]) -> None:
    model, batch = models["bert"], {name: jax.numpy.asarray(x) for name, x in CASES["bert"].batch(0).items()}
    plan = plan_of(CASES["bert"], model)

    @jax.jit
    def three(state: training.State) -> Any:
        again = lambda state, _: training.train_step(plan, state, batch)  # noqa: E731
        return jax.lax.scan(again, state, None, 3)

    state, metrics = three(training.init(plan, model.params))
    one = training.init(plan, model.params)
    for number in range(3):
        one, found = training.train_step(plan, one, batch)
        np.testing.assert_allclose(metrics["loss"][number], found["loss"], rtol=1e-5)
    assert state.step == one.step == 3


def test_a_plan_of_another_layout_is_refused(models: dict[str, Any], tmp_path: Path) -> None:
    models["llama"].save_pretrained(tmp_path)
    stacked = jaxformers.LlamaForCausalLM.from_pretrained(tmp_path, stacked=True)
    with pytest.raises(ValueError, match="listed or stacked"):
        training.init(plain_plan(models["llama"]), stacked.params)
