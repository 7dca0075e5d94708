"""The step of training: a pure function of a state and a batch, compiled once, on one device or a mesh of many."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import NamedSharding, PartitionSpec

from .. import batch as batches
from .. import declare, runtime
from ..bundle import Model
from ..config import Config
from ..declare import Tree
from ..generation.keys import key_of
from ..layers import losses
from ..layers.inputs import Ask, Inputs
from ..layers.losses import Loss, Sum
from ..layers.quantized import is_quantized
from ..layers.remat import policy_of
from ..layers.sites import PLAIN, Sites
from ..outputs import Output
from ..parallel import explicit
from . import packing, parts

Labels = Mapping[str, jax.Array]
LossFunction = Callable[[Output, Labels], Sum | Loss]
"""The output of a model and its labels → what the loss is the mean of: `losses.Sum(total, count)`.

Beside the labels there is `attention_mask` [B, T], where the batch has one.
"""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class State:
    """What training changes.

    params: the model's. opt_state: the optimizer's, for the arrays that are trained. key: what dropout draws by,
    together with the number of the step; None: no dropout. step: int32 [] steps made.
    """

    params: Tree
    opt_state: Any
    key: jax.Array | None
    step: jax.Array


@dataclasses.dataclass(frozen=True)
class TrainPlan:
    """What selects the program of a step; `TrainPlan.of` makes it.

    cls, config: of the model. optimizer: an optax transformation; the same object again, or it is another program.
    trained: paths of the arrays that change. accumulation: parts in which a batch is computed, one after another.
    max_grad_norm: the longest that all gradients together may be. compute_dtype: of forward and backward passes; None:
    that of the params. label_smoothing: see `losses.Loss.sums`. remat: policy by which gradients compute layers again.
    loss: in place of the task's own. skip_nonfinite: whether a step whose loss or gradients are not finite changes
    nothing but the count.
    """

    cls: type[Model]
    config: Config
    optimizer: optax.GradientTransformation
    trained: frozenset[str]
    accumulation: int = 1
    max_grad_norm: float | None = 1.0
    compute_dtype: str | None = None
    label_smoothing: float = 0.0
    remat: str | None = None
    loss: LossFunction | None = None
    skip_nonfinite: bool = False

    @classmethod
    def of(
        cls,
        model: Model,
        optimizer: optax.GradientTransformation,
        *,
        only: Sequence[str] | None = None,
        frozen: Sequence[str] = (),
        frozen_roles: Sequence[str] = (),
        accumulation: int = 1,
        max_grad_norm: float | None = 1.0,
        compute_dtype: Any = None,
        label_smoothing: float = 0.0,
        remat: bool | str | None = None,
        loss: LossFunction | None = None,
        skip_nonfinite: bool = False,
    ) -> Self:
        """The plan by which a model is trained.

        Args:
            model: says what is computed, and how its layers lie; its weights are not kept.
            optimizer: `training.optimizer(...)`, or any of optax.
            only: beginnings of the paths of what is trained alone ("head"); "*" within a part stands for anything.
                None: all arrays, or of a model with an adapter what belongs to it.
            frozen: likewise, of what is not trained ("word", "layers.0").
            frozen_roles: roles of arrays that are not trained (`declare.Role`).
            accumulation: parts of as many rows in which a batch is computed, so that fewer are in memory at once. The
                result is that of the whole batch, whatever the parts count.
            max_grad_norm: longer gradients are shortened to it; None: never.
            compute_dtype: "bfloat16": weights stay float32, and are rounded for the forward and backward pass.
            label_smoothing: the share of a label that is spread over all classes.
            remat: True, or a policy of `layers.remat`: less memory, more computation.
            loss: (output, labels) → `losses.Sum(total, count)` in place of the task's loss.
            skip_nonfinite: leave params and optimizer as they are where a loss or a gradient is not finite.

        Raises:
            ValueError: a value out of range, or nothing is trained.
        """
        if accumulation < 1 or not 0.0 <= label_smoothing < 1.0 or (max_grad_norm is not None and max_grad_norm <= 0):
            raise ValueError(
                f"accumulation={accumulation}, label_smoothing={label_smoothing}, max_grad_norm={max_grad_norm}: "
                "expected 1 or more, a share below 1, and a length above 0 or None"
            )
        only = model.trains if only is None else only
        paths = parts.trained(model.laid_out, only, frozen, frozen_roles)
        _check_weights(model, paths)
        return cls(
            type(model),
            model.config.bare(),
            optimizer,
            paths,
            accumulation,
            max_grad_norm,
            None if compute_dtype is None else jnp.dtype(compute_dtype).name,
            label_smoothing,
            policy_of(getattr(model.config, "gradient_checkpointing", None) if remat is None else remat, "TrainPlan"),
            loss,
            skip_nonfinite,
        )


def _check_weights(model: Model, paths: frozenset[str]) -> None:
    """Refuse to train what has no gradient."""
    leaves = jax.tree_util.tree_leaves_with_path(model.params, is_leaf=is_quantized)
    for path, leaf in leaves:
        name = declare.keystr(path)
        if name in paths and (is_quantized(leaf) or not jnp.issubdtype(leaf.dtype, jnp.floating)):
            raise ValueError(
                f"{type(model).__name__}: {name} is kept in fewer bits, and has no gradient: freeze it, or read the "
                'checkpoint with dtype="float32"'
            )


def init(plan: TrainPlan, params: Tree, key: jax.Array | int | None = 0) -> State:
    """The state before the first step.

    Args:
        plan: how it will be trained.
        params: what it starts from; they are copied, since a step gives the memory of its state to the next one.
        key: a random key, or a seed, for dropout; None: no dropout.

    Raises:
        ValueError: the plan is of a model whose arrays or layers lie otherwise.
    """
    there = {declare.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params)}
    if missing := sorted(plan.trained - there):
        raise ValueError(
            f"{plan.cls.__name__}: the plan trains {missing[0]}, which these params do not have: make it of the model "
            "that they belong to, with layers listed or stacked as there"
        )
    params = jax.tree.map(jnp.copy, explicit.to_automatic(params))
    own, others = parts.split(params, plan.trained)
    if plan.compute_dtype is not None:
        own = parts.replace_floats(own, jnp.float32)
    with explicit.automatic():
        state = State(parts.joined(own, others), plan.optimizer.init(own), key_of(key), jnp.int32(0))
    mesh = _mesh_of(params)
    return state if mesh is None else jax.tree.map(lambda x: jax.device_put(x, _layout_of(x, mesh)), state)


def _mesh_of(params: Tree) -> jax.sharding.Mesh | None:
    """The mesh of several devices on which params lie."""
    arrays = [x for x in jax.tree.leaves(params) if isinstance(x, jax.Array) and not isinstance(x, jax.core.Tracer)]
    layouts = [x.sharding for x in arrays]
    meshes = [one.mesh for one in layouts if isinstance(one, NamedSharding)]
    return next((mesh for mesh in meshes if isinstance(mesh, jax.sharding.Mesh) and mesh.size > 1), None)


def train_step(plan: TrainPlan, state: State, batch: Mapping[str, Any]) -> tuple[State, dict[str, jax.Array]]:
    """One step: a batch's gradients, and what the optimizer makes of them.

    The state that goes in is given up: its memory is that of the state which comes out.

    Args:
        plan: selects the program.
        state: of `init`, or of the step before.
        batch: `input_ids` [batch, seq] and the like, with labels, as in a call of the model. On a mesh rows lie as the
            caller has put them: `jax.device_put(batch, NamedSharding(mesh, P("dp")))`.

    Returns:
        The state after it, and by name: `loss`, the mean over all labels that count; `grad_norm` of all gradients
        before they are shortened; `learning_rate`, where the optimizer tells it; `counted`, the number of these labels;
        `finite`, whether loss and gradients are.

    Raises:
        TypeError, ValueError: as in a call, no labels, or rows that cannot be divided into `plan.accumulation` parts.
    """
    inputs, labels = read(plan, batch)
    if isinstance(state.step, jax.core.Tracer):  # a part of a larger program, whose mesh is its own affair
        return jaxformers_train_step(plan, None, state, inputs, labels)
    with explicit.automatic():
        inputs, labels = explicit.to_automatic((inputs, labels))
        return _train_step(plan, _layout(state), state, inputs, labels)


def read(plan: TrainPlan, batch: Mapping[str, Any]) -> tuple[Inputs, dict[str, jax.Array]]:
    """A batch as the model takes it, checked on the host; raises as `train_step` says."""
    inputs, labels = read_batch(plan.cls, plan.config, batch)
    missing = [name for name in plan.cls.labels if name not in labels]
    if plan.loss is None and (missing or not plan.cls.labels):
        wanted = ", ".join(missing) or "a loss of your own, TrainPlan.of(..., loss=)"
        raise ValueError(f"{plan.cls.__name__}: training needs {wanted} beside {', '.join(batch)}")
    rows = {np.shape(x)[0] for x in jax.tree.leaves((inputs, labels))}
    if len(rows) > 1 or min(rows) % plan.accumulation:
        found = " and ".join(map(str, sorted(rows)))
        raise ValueError(
            f"{plan.cls.__name__}: a batch of {found} rows cannot be divided into {plan.accumulation} parts"
        )
    return inputs, labels


def read_batch(cls: type[Model], config: Config, batch: Mapping[str, Any]) -> tuple[Inputs, dict[str, jax.Array]]:
    """A batch as a model of the class takes it, and the labels that are there; rows may hold several texts."""
    batch, owners = packing.segments(cls, batch)
    inputs, labels, _, _ = batches.read(cls, config, (), batch)
    batches.check(cls, config, inputs, labels)
    if inputs.cache is not None or (inputs.target is not None and inputs.target.cache is not None):
        raise ValueError(f"{cls.__name__}: past_key_values are for generation: leave them out of a batch of training")
    return (inputs if owners is None else packing.packed(inputs, owners)), labels


def _layout(state: State) -> tuple[NamedSharding, ...] | None:
    """How the leaves of a state lie on a mesh of several devices, which the next state does too."""
    mesh = _mesh_of(state.params)
    return None if mesh is None else tuple(_layout_of(x, mesh) for x in jax.tree.leaves(state))


def _layout_of(x: jax.Array, mesh: jax.sharding.Mesh) -> NamedSharding:
    """That of an array, written as jax writes it, or else the program would be compiled again for the second step."""
    spec = list(x.sharding.spec) if isinstance(x.sharding, NamedSharding) else []
    while spec and spec[-1] is None:
        spec.pop()
    return NamedSharding(mesh, PartitionSpec(*spec))


def jaxformers_train_step(
    plan: TrainPlan,
    layout: tuple[NamedSharding, ...] | None,
    state: State,
    inputs: Inputs,
    labels: dict[str, jax.Array],
) -> tuple[State, dict[str, jax.Array]]:
    """`train_step` of a checked batch; layout: of the leaves of the state, None: as they come."""
    runtime.note_shapes((inputs, labels))
    own, others = parts.split(state.params, plan.trained)
    key = None if state.key is None else jax.random.fold_in(state.key, state.step)
    loss, counted, grads = gradients(plan, own, others, inputs, labels, key)
    norm = optax.tree.norm(grads)
    finite = jnp.isfinite(loss) & jnp.isfinite(norm)
    if plan.max_grad_norm is not None:
        share = jnp.minimum(1.0, plan.max_grad_norm / (norm + 1e-6))
        grads = jax.tree.map(lambda g: (g * share).astype(g.dtype), grads)
    transform = optax.with_extra_args_support(plan.optimizer)
    updates, opt_state = transform.update(grads, state.opt_state, own, value=loss)
    changed = optax.apply_updates(own, updates), opt_state
    if plan.skip_nonfinite:
        keep = lambda new, old: jnp.where(finite, new, old)  # noqa: E731
        changed = jax.tree.map(keep, changed, (own, state.opt_state))
    after = State(parts.joined(changed[0], others), changed[1], state.key, state.step + 1)
    metrics = {"loss": loss, "grad_norm": norm, "counted": counted, "finite": finite}
    rate = optax.tree.get(opt_state, "learning_rate")
    return _laid_out(after, layout), metrics | ({} if rate is None else {"learning_rate": rate})


_train_step = jax.jit(jaxformers_train_step, static_argnums=(0, 1), donate_argnums=2)


def _laid_out(state: State, layout: tuple[NamedSharding, ...] | None) -> State:
    if layout is None:
        return state
    leaves, structure = jax.tree.flatten(state)
    placed = [jax.lax.with_sharding_constraint(x, own) for x, own in zip(leaves, layout, strict=True)]
    return jax.tree.unflatten(structure, placed)


def gradients(
    plan: TrainPlan, own: Tree, others: Tree, inputs: Inputs, labels: Labels, key: jax.Array | None
) -> tuple[jax.Array, jax.Array, Tree]:
    """The loss of a batch, the number of labels in it, and the gradients of the arrays that are trained.

    Each part's totals are divided by the counts of the whole batch, so that the sum over parts is the batch's loss.
    """
    kept = frozenset(path for path, param in declare.walk(_declared(plan, own, others)) if param.dtype is not None)
    narrow = parts.replace_floats(own, plan.compute_dtype, kept) if plan.compute_dtype else own
    others = parts.replace_floats(others, plan.compute_dtype, kept) if plan.compute_dtype else others

    def sums(narrow: Tree, part: tuple[Inputs, Labels], sites: Sites) -> tuple[Sum, ...]:
        return _sums(plan, parts.joined(narrow, others), *part, sites)

    def loss(narrow: Tree, part: Any, number: Any, counts: Any = None) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        sites = PLAIN if key is None else Sites(key=jax.random.fold_in(key, number))
        found = sums(narrow, part, sites)
        counts = [one.count for one in found] if counts is None else counts
        means = [Sum(one.total, count).mean() for one, count in zip(found, counts, strict=True)]
        return sum(means[1:], start=means[0]), tuple(counts)

    differentiate = jax.value_and_grad(loss, has_aux=True)
    widened = lambda tree: jax.tree.map(lambda g, x: g.astype(x.dtype), tree, own)  # noqa: E731
    if plan.accumulation == 1:
        (total, counts), grads = differentiate(narrow, (inputs, labels), 0)
        return total, sum(counts[1:], start=counts[0]), widened(grads)

    several = jax.tree.map(lambda x: _in_parts(x, plan.accumulation), (inputs, labels))
    each = jax.lax.map(lambda part: tuple(one.count for one in sums(narrow, part, PLAIN)), several)
    counts = tuple(count.sum() for count in each)

    def add(carried: tuple[jax.Array, Tree], one: tuple[jax.Array, Any]) -> tuple[tuple[jax.Array, Tree], None]:
        (part, _), grads = differentiate(narrow, one[1], one[0], counts)
        return (carried[0] + part, jax.tree.map(jnp.add, carried[1], widened(grads))), None

    start = jnp.float32(0.0), jax.tree.map(jnp.zeros_like, own)
    (total, grads), _ = jax.lax.scan(add, start, (jnp.arange(plan.accumulation), several))
    return total, sum(counts[1:], start=counts[0]), grads


def _declared(plan: TrainPlan, own: Tree, others: Tree) -> Tree:
    return declare.like(plan.cls.declaration(plan.config), parts.joined(own, others))


def _in_parts(x: jax.Array, count: int) -> jax.Array:
    """Rows [B, ...] as [count, B / count, ...]: every count-th is of one part, so that no row changes its device."""
    return jnp.swapaxes(x.reshape(x.shape[0] // count, count, *x.shape[1:]), 0, 1)


def own_loss(loss: LossFunction, output: Output, inputs: Inputs, labels: Labels) -> Sum | Loss:
    """A loss that takes the place of the task's."""
    beside = {} if inputs.mask is None else {"attention_mask": inputs.mask}
    return loss(losses.taken(output), {**beside, **labels})


def _sums(plan: TrainPlan, params: Tree, inputs: Inputs, labels: Labels, sites: Sites) -> tuple[Sum, ...]:
    """What the loss of a part of a batch is the mean of."""
    output, _ = plan.cls.scored(params, plan.config, inputs.separated(), labels, Ask(remat=plan.remat), sites)
    found = output.get("loss") if plan.loss is None else own_loss(plan.loss, output, inputs, labels)
    if isinstance(found, Loss):
        return found.sums(plan.label_smoothing)
    if isinstance(found, Sum):
        return (found,)
    raise TypeError(f"{plan.cls.__name__}: a loss of {type(found).__name__}: expected losses.Sum(total, count)")
