"""Learning rates by step, under the names that torch Transformers has for them, and reductions on plateaus."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp

Schedule = Callable[[jax.Array | int], jax.Array]
"""The number of a step, from 0, → its learning rate, float32 []. What optax takes as a schedule."""


@dataclasses.dataclass(frozen=True)
class Span:
    """What a schedule is stretched over.

    rate: the highest learning rate. warmup: steps in which it is reached. steps: all steps, with these; None: unknown.
    """

    rate: float
    warmup: int
    steps: int | None

    def risen(self, step: jax.Array) -> jax.Array:
        """The share of the warm-up that lies before a step."""
        return step / max(1, self.warmup)

    def passed(self, step: jax.Array) -> jax.Array:
        """The share of the steps after the warm-up that lies before a step."""
        return (step - self.warmup) / max(1, self.end - self.warmup)

    @property
    def end(self) -> int:
        """The number of all steps.

        Raises:
            ValueError: it is unknown.
        """
        if self.steps is None:
            raise ValueError("a schedule that ends needs to know when: pass steps=")
        return self.steps

    def floor(self, min_lr: float | None, min_lr_rate: float | None) -> float:
        """The lowest rate as a share of the highest, from either."""
        if (min_lr is None) == (min_lr_rate is None):
            raise ValueError(f"pass one of min_lr and min_lr_rate, found {min_lr!r} and {min_lr_rate!r}")
        return min_lr_rate if min_lr is None else min_lr / self.rate  # type: ignore[return-value]


def schedule(
    name: str,
    rate: float,
    *,
    steps: int | None = None,
    warmup_steps: float = 0,
    warmup_ratio: float = 0.0,
    **options: Any,
) -> Schedule:
    """A schedule by its name.

    schedule("cosine", 5e-5, steps=1000, warmup_ratio=0.1)

    Args:
        name: linear, cosine, cosine_with_restarts, polynomial, constant, constant_with_warmup, inverse_sqrt,
            cosine_with_min_lr, cosine_warmup_with_min_lr, warmup_stable_decay, or reduce_lr_on_plateau, which is
            constant until `Plateau` says otherwise.
        rate: the learning rate that is the highest.
        steps: how many there will be; schedules that end need it.
        warmup_steps: steps in which the rate rises from 0; below 1: a share of `steps`.
        warmup_ratio: the same as a share of `steps`, where warmup_steps is 0.
        **options: of the schedule, by the names of torch Transformers: `num_cycles`, `power`, `lr_end`, `timescale`,
            `min_lr`, `min_lr_rate`, `warmup_lr_rate`, `num_stable_steps`, `num_decay_steps`, `min_lr_ratio`,
            `warmup_type`, `decay_type`.

    Raises:
        ValueError: an unknown name or a value out of range, or `steps` is missing.
        TypeError: an option that the schedule does not have.
    """
    if name not in _FACTORS:
        raise ValueError(f"no schedule is called {name!r}; there are {', '.join(_FACTORS)}")
    factor = _FACTORS[name]
    known = [name for name, of in inspect.signature(factor).parameters.items() if of.kind is of.KEYWORD_ONLY]
    if unknown := [option for option in options if option not in known]:
        raise TypeError(f"schedule {name!r} has no {unknown[0]!r}; it has {', '.join(known) or 'no options'}")
    if not rate >= 0 or (steps is not None and steps < 1):
        raise ValueError(f"schedule {name!r}: expected a rate of 0 or more and 1 step or more, found {rate}, {steps}")
    return _schedule(name, Span(rate, _warmup(warmup_steps, warmup_ratio, steps), steps), tuple(options.items()))


@functools.lru_cache(maxsize=32)  # what is equal is the same object, and so the same program
def _schedule(name: str, span: Span, given: tuple[tuple[str, Any], ...]) -> Schedule:
    factor, options = _FACTORS[name], dict(given)
    factor(span, jnp.float32(0.0), **options)  # what is wrong is said here rather than in the first step
    return lambda step: jnp.float32(span.rate) * factor(span, jnp.asarray(step, jnp.float32), **options)


def _warmup(count: float, ratio: float, steps: int | None) -> int:
    """The number of steps of warm-up.

    Raises:
        ValueError: it is negative, or a share of an unknown number.
    """
    share = count if 0 < count < 1 else 0.0 if count else ratio
    if count < 0 or not 0 <= ratio <= 1:
        raise ValueError(f"warmup_steps={count}, warmup_ratio={ratio}: expected steps of 0 or more, or a share of 1")
    if not share:
        return int(count)
    if steps is None:
        raise ValueError(f"a warm-up of {share} of all steps: pass steps=")
    return math.ceil(share * steps)


# -- factors on the rate ----------------------------------------------------------------------------------------------


def _warmed(span: Span, step: jax.Array, later: jax.Array) -> jax.Array:
    return jnp.where(step < span.warmup, span.risen(step), later)


def _half_wave(turns: jax.Array) -> jax.Array:
    """From 1 to 0 while `turns` go from 0 to 0.5, and back."""
    return 0.5 * (1.0 + jnp.cos(2.0 * math.pi * turns))


def _constant(span: Span, step: jax.Array) -> jax.Array:
    return jnp.ones_like(step)


def _constant_with_warmup(span: Span, step: jax.Array) -> jax.Array:
    return _warmed(span, step, jnp.ones_like(step))


def _linear(span: Span, step: jax.Array) -> jax.Array:
    return _warmed(span, step, jnp.maximum(0.0, 1.0 - span.passed(step)))


def _cosine(span: Span, step: jax.Array, *, num_cycles: float = 0.5) -> jax.Array:
    return _warmed(span, step, _half_wave(num_cycles * span.passed(step)))


def _cosine_with_restarts(span: Span, step: jax.Array, *, num_cycles: int = 1) -> jax.Array:
    passed = span.passed(step)
    return _warmed(span, step, jnp.where(passed < 1.0, _half_wave(num_cycles * passed % 1.0 / 2.0), 0.0))


def _cosine_with_min_lr(
    span: Span,
    step: jax.Array,
    *,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> jax.Array:
    floor = span.floor(min_lr, min_lr_rate)
    return _warmed(span, step, floor + (1.0 - floor) * _half_wave(num_cycles * span.passed(step)))


def _cosine_warmup_with_min_lr(
    span: Span,
    step: jax.Array,
    *,
    num_cycles: float = 0.5,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> jax.Array:
    """Warm-up from `warmup_lr_rate`, without one from its first step on; all is one step ahead of the others."""
    floor = span.floor(min_lr, min_lr_rate)
    if warmup_lr_rate is None:
        rising = span.risen(step + 1.0)
    else:
        rising = warmup_lr_rate + (1.0 - warmup_lr_rate) * step / max(1, span.warmup - 1)
    falling = floor + (1.0 - floor) * _half_wave(num_cycles * span.passed(step + 1.0))
    return jnp.where(step < span.warmup, rising, jnp.maximum(0.0, falling))


def _polynomial(span: Span, step: jax.Array, *, lr_end: float = 1e-7, power: float = 1.0) -> jax.Array:
    if not lr_end < span.rate:
        raise ValueError(f"lr_end={lr_end}: expected less than the learning rate, {span.rate}")
    floor = lr_end / span.rate
    return _warmed(span, step, floor + (1.0 - floor) * jnp.clip(1.0 - span.passed(step), 0.0, 1.0) ** power)


def _inverse_sqrt(span: Span, step: jax.Array, *, timescale: int | None = None) -> jax.Array:
    scale = timescale or span.warmup or 10_000
    later = jnp.sqrt(scale / jnp.maximum(step - span.warmup + scale, 1.0))
    return _warmed(span, step, later)


_RAMPS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "linear": lambda share: share,
    "cosine": lambda share: 1.0 - _half_wave(share / 2.0),
    "1-sqrt": lambda share: 1.0 - jnp.sqrt(1.0 - share),
}
"""From 0 to 1, as warm-ups rise."""
_FALLS: dict[str, Callable[[jax.Array, float], jax.Array]] = {
    "linear": lambda share, cycles: 1.0 - share,
    "cosine": lambda share, cycles: _half_wave(cycles * share),
    "1-sqrt": lambda share, cycles: 1.0 - jnp.sqrt(share),
}
"""From 1 to 0, as decays fall."""


def _warmup_stable_decay(
    span: Span,
    step: jax.Array,
    *,
    num_decay_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0.0,
    num_cycles: float = 0.5,
) -> jax.Array:
    if num_decay_steps is None:
        raise ValueError("warmup_stable_decay: pass num_decay_steps, the steps in which the rate falls")
    for option, value, known in (("warmup_type", warmup_type, _RAMPS), ("decay_type", decay_type, _FALLS)):
        if value not in known:
            raise ValueError(f"{option}={value!r}: expected one of {', '.join(known)}")
    if num_stable_steps is None and span.steps is None:
        raise ValueError("warmup_stable_decay: pass steps= or num_stable_steps=")
    stable = span.end - span.warmup - num_decay_steps if num_stable_steps is None else num_stable_steps
    after = step - span.warmup - stable  # steps of decay
    rising = _RAMPS[warmup_type](jnp.clip(span.risen(step), 0.0, 1.0))
    falling = _FALLS[decay_type](jnp.clip(after / max(1, num_decay_steps), 0.0, 1.0), num_cycles)
    bent = jnp.where(step < span.warmup, rising, jnp.where(after < 0, 1.0, falling))
    bent = jnp.where(after >= num_decay_steps, 0.0, bent)
    return jnp.maximum(0.0, min_lr_ratio + (1.0 - min_lr_ratio) * bent)


_FACTORS: dict[str, Callable[..., jax.Array]] = {
    "linear": _linear,
    "cosine": _cosine,
    "cosine_with_restarts": _cosine_with_restarts,
    "polynomial": _polynomial,
    "constant": _constant,
    "constant_with_warmup": _constant_with_warmup,
    "inverse_sqrt": _inverse_sqrt,
    "reduce_lr_on_plateau": _constant,
    "cosine_with_min_lr": _cosine_with_min_lr,
    "cosine_warmup_with_min_lr": _cosine_warmup_with_min_lr,
    "warmup_stable_decay": _warmup_stable_decay,
}


# -- plateaus ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Level:
    """Where a `Plateau` stands. rate: the learning rate. bad: measurements in a row without a new best. cooling: how
    many are still not counted after a reduction.
    """

    rate: float
    best: float | None = None
    bad: int = 0
    cooling: int = 0


@dataclasses.dataclass(frozen=True)
class Plateau:
    """When a measurement has not become better for long, the learning rate is multiplied by `factor`.

    Values on the host; `optimizers.with_rate_factor` hands the result to a state.

    mode: whether small or large measurements are good. patience: how many that are no better are borne. threshold: by
    how much one must be better, as a share of the best ("rel") or as it is ("abs"). cooldown: how many do not count
    after a reduction. min_lr: the lowest rate. eps: smaller reductions are not made.
    """

    mode: Literal["min", "max"] = "min"
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: Literal["rel", "abs"] = "rel"
    cooldown: int = 0
    min_lr: float = 0.0
    eps: float = 1e-8

    def __post_init__(self) -> None:
        if self.mode not in ("min", "max") or self.threshold_mode not in ("rel", "abs"):
            raise ValueError(f"mode={self.mode!r}, threshold_mode={self.threshold_mode!r}: min or max, rel or abs")
        if not 0 < self.factor < 1:
            raise ValueError(f"factor={self.factor}: expected more than 0 and less than 1")

    def after(self, level: Level, measured: float) -> Level:
        """The level after one more measurement."""
        better = self._is_better(measured, level.best)
        bad = 0 if better or level.cooling else level.bad + 1
        cooling = max(0, level.cooling - 1)
        best = measured if better else level.best
        if bad <= self.patience:
            return Level(level.rate, best, bad, cooling)
        lower = max(level.rate * self.factor, self.min_lr)
        return Level(lower if level.rate - lower > self.eps else level.rate, best, 0, self.cooldown)

    def _is_better(self, measured: float, best: float | None) -> bool:
        if best is None:
            return not math.isnan(measured)
        gain = best - measured if self.mode == "min" else measured - best
        return gain > self.threshold * (best if self.threshold_mode == "rel" else 1.0)


NAMES: tuple[str, ...] = tuple(_FACTORS)
"""What there is by name."""
