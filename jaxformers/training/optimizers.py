"""Optimizers by the names that torch Transformers has for them, made of optax."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from optax import contrib

from .. import declare
from ..declare import Tree
from . import parts
from .schedules import Schedule


class RateState(NamedTuple):
    """steps: int32 [] made. rate_factor: float32 [] what the schedule is multiplied by (`with_rate_factor`).
    learning_rate: float32 [] of the last step.
    """

    steps: jax.Array
    rate_factor: jax.Array
    learning_rate: jax.Array


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What all optimizers are made from.

    rate: the learning rate by step. weight_decay: how much. decays: params → a tree of bools, which of them are
    decayed. matrices: likewise, which are weights of dense layers within layers. b1, b2: decay of the mean of gradients
    and of their squares. eps: is added to divisors.
    """

    rate: Schedule
    weight_decay: float
    decays: Callable[[Tree], Tree]
    matrices: Callable[[Tree], Tree]
    b1: float
    b2: float
    eps: float

    def decay(self) -> optax.GradientTransformation:
        """Adds weights to updates, as many times as the decay is."""
        return optax.add_decayed_weights(self.weight_decay, mask=self.decays)

    def decoupled(self, *direction: optax.GradientTransformation) -> optax.GradientTransformation:
        """A direction, from which weights decay apart (Loshchilov and Hutter 2017, arXiv 1711.05101)."""
        return optax.chain(*direction, self.decay(), by_rate(self.rate))

    def coupled(self, *direction: optax.GradientTransformation) -> optax.GradientTransformation:
        """A direction in which the decay is a part of the gradient, as in torch's plain optimizers."""
        return optax.chain(self.decay(), *direction, by_rate(self.rate))


def optimizer(
    name: str,
    learning_rate: float | Schedule,
    declaration: Tree,
    *,
    weight_decay: float = 0.0,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    **options: Any,
) -> optax.GradientTransformation:
    """An optimizer by its name, with what torch's does at the same settings.

    optimizer("adamw_torch", schedule("linear", 5e-5, steps=1000), model.laid_out, weight_decay=0.01)

    Args:
        name: as in `TrainingArguments(optim=...)`.
        learning_rate: a number, or a schedule.
        declaration: of the params, layers as they lie (`model.laid_out`): biases and norms are not decayed.
        weight_decay: how much weights are drawn to zero.
        b1: of Adam and its relatives.
        b2: likewise.
        eps: likewise.
        **options: of the optimizer: `momentum`, `nesterov` of sgd; `alpha`, `momentum` of rmsprop; `alpha`, `b3` of
            ademamix; `momentum`, `ns_steps`, `rms` of muon.

    Raises:
        ValueError: an unknown name.
        TypeError: an option that the optimizer does not have.
    """
    if name not in _MADE:
        raise ValueError(f"no optimizer is called {name!r}; there are {', '.join(_MADE)}")
    known = [word for word, of in inspect.signature(_MADE[name]).parameters.items() if of.kind is of.KEYWORD_ONLY]
    if unknown := [option for option in options if option not in known]:
        raise TypeError(f"optimizer {name!r} has no {unknown[0]!r}; it has {', '.join(known) or 'no options'}")
    matrices = frozenset(path for path, param in declare.walk(declaration) if param.role == "matrix")
    numbers = (weight_decay, b1, b2, eps)
    return _optimizer(name, learning_rate, parts.decayed(declaration), matrices, numbers, tuple(options.items()))


@functools.lru_cache(maxsize=32)  # what is equal is the same object, and so the same program
def _optimizer(
    name: str,
    learning_rate: float | Schedule,
    plain: frozenset[str],
    matrices: frozenset[str],
    numbers: tuple[float, float, float, float],
    options: tuple[tuple[str, Any], ...],
) -> optax.GradientTransformation:
    rate = learning_rate if callable(learning_rate) else optax.constant_schedule(learning_rate)
    recipe = Recipe(
        rate,
        numbers[0],
        lambda params: parts.mask(params, plain),
        lambda params: parts.mask(params, matrices),
        *numbers[1:],
    )
    return _MADE[name](recipe, **dict(options))


def by_rate(rate: Schedule) -> optax.GradientTransformation:
    """Updates against their direction by the learning rate, which the state tells."""

    def start(params: Tree) -> RateState:
        del params
        return RateState(jnp.int32(0), jnp.float32(1.0), jnp.float32(rate(jnp.int32(0))))

    def update(updates: Tree, state: RateState, params: Tree = None) -> tuple[Tree, RateState]:
        del params
        now = jnp.float32(rate(state.steps)) * state.rate_factor
        return jax.tree.map(lambda u: (-now * u).astype(u.dtype), updates), RateState(
            optax.safe_increment(state.steps), state.rate_factor, now
        )

    return optax.GradientTransformation(start, update)


def with_rate_factor(opt_state: Any, factor: float) -> Any:
    """The state of an optimizer of ours, whose schedule is multiplied by a factor from now on."""
    given = optax.tree.get(opt_state, "rate_factor")
    return optax.tree.set(opt_state, rate_factor=jnp.full_like(given, factor))


def evaluation_params(opt_state: Any, params: Tree) -> Tree:
    """The params to evaluate and to save: those of schedule-free optimizers are another mean than what is trained.

    Args:
        opt_state: of `State`.
        params: of `State`.
    """
    is_averaging = lambda x: isinstance(x, contrib.ScheduleFreeState)  # noqa: E731
    found = [x for x in jax.tree.leaves(opt_state, is_leaf=is_averaging) if is_averaging(x)]
    if not found:
        return params
    state = found[0]
    own, others = parts.split(params, frozenset(declare.keystr(path) for path, _ in _leaves(state.z)))
    return parts.joined(contrib.schedule_free_eval_params(state, own), others)


def _leaves(tree: Tree) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_leaves_with_path(tree)


# -- by name ----------------------------------------------------------------------------------------------------------


def _adamw(r: Recipe) -> optax.GradientTransformation:
    return r.decoupled(optax.scale_by_adam(r.b1, r.b2, r.eps))


def _adafactor(r: Recipe) -> optax.GradientTransformation:
    factored = optax.scale_by_factored_rms(min_dim_size_to_factor=1)
    return r.decoupled(factored, optax.clip_by_block_rms(1.0))


def _lion(r: Recipe) -> optax.GradientTransformation:
    return r.decoupled(optax.scale_by_lion(r.b1, r.b2))


def _ademamix(r: Recipe, *, alpha: float = 5.0, b3: float = 0.9999) -> optax.GradientTransformation:
    return r.decoupled(contrib.scale_by_ademamix(r.b1, r.b2, b3, alpha, r.eps))


def _sgd(r: Recipe, *, momentum: float = 0.0, nesterov: bool = False) -> optax.GradientTransformation:
    return r.coupled(*([optax.trace(momentum, nesterov)] if momentum else []))


def _adagrad(r: Recipe) -> optax.GradientTransformation:
    return r.coupled(optax.scale_by_rss(initial_accumulator_value=0.0, eps=0.0))


def _rmsprop(r: Recipe, *, alpha: float = 0.99, momentum: float = 0.0) -> optax.GradientTransformation:
    scaled = optax.scale_by_rms(alpha, r.eps, eps_in_sqrt=False)
    return r.coupled(scaled, *([optax.trace(momentum)] if momentum else []))


def _schedule_free_adamw(r: Recipe) -> optax.GradientTransformation:
    scaled = optax.scale_by_rms(r.b2, r.eps, eps_in_sqrt=False, bias_correction=True)
    return contrib.schedule_free(r.decoupled(scaled), r.rate, r.b1)


def _schedule_free_sgd(r: Recipe, *, momentum: float = 0.9) -> optax.GradientTransformation:
    return contrib.schedule_free(r.coupled(), r.rate, momentum)


def _muon(r: Recipe, *, momentum: float = 0.95, ns_steps: int = 5, rms: float = 0.2) -> optax.GradientTransformation:
    """Weights of dense layers [..., out, in] by Muon (Jordan et al. 2024), at the size of Adam's updates (Liu et al.
    2025, arXiv 2502.16982), all else by Adam.
    """
    axes = lambda tree: jax.tree.map(lambda _: contrib.MuonDimensionNumbers(-1, -2), tree)  # noqa: E731
    turned = contrib.scale_by_muon(ns_steps=ns_steps, beta=momentum, weight_dimension_numbers=axes)
    sized = optax.stateless(lambda u, _: jax.tree.map(lambda x: x * rms * math.sqrt(max(x.shape[-2:])), u))
    each = {"muon": optax.chain(turned, sized), "adam": optax.scale_by_adam(r.b1, r.b2, r.eps)}
    names = lambda params: jax.tree.map(lambda own: "muon" if own else "adam", r.matrices(params))  # noqa: E731
    return r.decoupled(optax.partition(each, names))


_MADE: dict[str, Callable[..., optax.GradientTransformation]] = {
    "adamw_torch": _adamw,
    "adamw_torch_fused": _adamw,
    "adamw": _adamw,
    "adamw_torch_xla": _adamw,
    "adamw_torch_npu_fused": _adamw,
    "adamw_apex_fused": _adamw,
    "adamw_hf": _adamw,
    "paged_adamw_32bit": _adamw,
    "paged_adamw": _adamw,
    "adafactor": _adafactor,
    "lion": _lion,
    "lion_32bit": _lion,
    "paged_lion_32bit": _lion,
    "ademamix": _ademamix,
    "paged_ademamix_32bit": _ademamix,
    "sgd": _sgd,
    "adagrad": _adagrad,
    "rmsprop": _rmsprop,
    "rmsprop_bnb_32bit": _rmsprop,
    "schedule_free_adamw": _schedule_free_adamw,
    "schedule_free_sgd": _schedule_free_sgd,
    "muon": _muon,
}

NAMES: tuple[str, ...] = tuple(_MADE)
"""What there is by name."""
