"""Which rotation a config asks for, and its application: positions by turning pairs of numbers (see `rotary`), which
may be stretched in one of several ways to rows longer than those of training.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

KINDS: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "linear": ("factor",),
    "dynamic": ("factor",),
    "yarn": ("factor",),
    "longrope": ("short_factor", "long_factor"),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}
"""The kinds of rotation, each with the numbers that it needs."""

CosSin = tuple[jax.Array, jax.Array]
"""Cosine and sine [B or 1, T, 1, n/2] of how far each pair is turned."""


@dataclasses.dataclass(frozen=True)
class Rotation:
    """How far a step turns each of n/2 pairs.

    steps: [n/2] angles of one step. gain: on all that is turned. longer: [n/2] the angles of rows that reach beyond
    `length`. stretch: (base, factor) where the base grows with what a row reaches beyond `length`.
    """

    steps: np.ndarray
    gain: float = 1.0
    length: int = 0
    longer: np.ndarray | None = None
    stretch: tuple[float, float] | None = None

    def cos_sin(self, positions: jax.Array, reach: jax.Array) -> CosSin:
        """Of tokens at positions [B or 1, T] in rows that reach so far [B or 1, T or 1]."""
        steps = jnp.asarray(self.steps)
        if self.longer is not None:
            steps = jnp.where(reach[..., None] > self.length, self.longer, steps)
        if self.stretch is not None:
            base, factor = self.stretch
            dim = 2 * len(self.steps)
            grown = factor * jnp.maximum(reach, self.length).astype(jnp.float32) / self.length - (factor - 1)
            bases = base * grown[..., None] ** (dim / (dim - 2))
            steps = bases ** (-jnp.arange(0, dim, 2, dtype=jnp.float32) / dim)
        angles = positions[..., None].astype(jnp.float32) * steps
        return jax.lax.platform_dependent(angles, cpu=partial(_alone, self.gain), default=partial(_cos_sin, self.gain))


def _cos_sin(gain: float, angles: jax.Array) -> CosSin:
    return jnp.cos(angles)[:, :, None] * gain, jnp.sin(angles)[:, :, None] * gain


def _alone(gain: float, angles: jax.Array) -> CosSin:
    """`_cos_sin` in a conditional, as nothing else keeps XLA's CPU from working them out in each layer, for each head.

    What it asks is true unless a config overflows, and then all is NaN.
    """
    wrong = jnp.full_like(angles, jnp.nan)[:, :, None]
    return jax.lax.cond(jnp.isfinite(angles).all(), lambda: _cos_sin(gain, angles), lambda: (wrong, wrong))


def rotation(c: Any, dim: int, *, base: float | None = None, told: Mapping[str, Any] | None = None) -> Rotation:
    """The rotation of a config, for the first `dim` numbers of a head.

    Args:
        c: a config with `rope_theta`, `max_position_embeddings`, and `rope_scaling` or `rope_parameters`.
        dim: how many numbers of a head are turned.
        base: in place of the config's.
        told: in place of the config's `rope_scaling`; {} for none.

    Source: Su et al. 2021, arXiv 2104.09864; "yarn" Peng et al. 2023, arXiv 2309.00071; "longrope" Ding et al. 2024,
    arXiv 2402.13753; "llama3" Dubey et al. 2024, arXiv 2407.21783; "dynamic" u/emozilla 2023.
    """
    told = scaling(c) if told is None else told
    base = theta(c) if base is None else base
    steps = _plain(base, dim)
    most = c.max_position_embeddings
    factor = told.get("factor", 1.0)
    match kind(told):
        case "linear":
            return Rotation(steps / np.float32(factor))
        case "dynamic":
            return Rotation(steps, length=most, stretch=(base, factor))
        case "yarn":
            return Rotation(_yarn(steps, base, told, most), _yarn_gain(told))
        case "longrope":
            return _longrope(c, steps, told)
        case "llama3":
            return Rotation(_llama3(steps, told))
    return Rotation(steps)


def _plain(base: float, dim: int) -> np.ndarray:
    return np.float32(1) / np.float32(base) ** (np.arange(0, dim, 2, dtype=np.float32) / np.float32(dim))


def scaling(c: Any) -> Mapping[str, Any]:
    """What a config says beside the base: older files in rope_scaling, newer ones in rope_parameters."""
    return getattr(c, "rope_parameters", None) or getattr(c, "rope_scaling", None) or {}


def theta(c: Any) -> float:
    """The base of a config's rotation; GPT-NeoX's files say rotary_emb_base."""
    told = (getattr(c, "rope_parameters", None) or {}).get("rope_theta")
    said = (told, getattr(c, "rope_theta", None), getattr(c, "rotary_emb_base", None))
    return float(next((base for base in said if base is not None), 10_000.0))


def part(c: Any, width: int) -> int:
    """How many of a head's numbers are rotated: a share that older files have beside what newer ones say together, and
    GPT-NeoX's as rotary_pct.
    """
    said = (scaling(c).get("partial_rotary_factor"), c.partial_rotary_factor, getattr(c, "rotary_pct", None))
    share = next((share for share in said if share is not None), 1.0)
    if not _positive(share) or share > 1:
        raise ValueError(f"{type(c).__name__}: partial_rotary_factor={str(share)[:60]} must be above 0, and 1 at most")
    return int(width * share)


def kind(told: Mapping[str, Any]) -> str:
    """The kind of rotation; "su" is the first name of "longrope"."""
    word = told.get("rope_type", told.get("type", "default"))
    return "longrope" if word == "su" else word


def promised(c: Any) -> int:
    """How many tokens of a row a config answers for: what it says, or where that is more the factor of a rotation times
    the rows of training, which are `max_position_embeddings` where it does not say more of these.
    """
    most = c.max_position_embeddings
    return int(max([most, *((told.get("factor") or 1) * _trained(c, told) for told in _each(c))]))


def switch_length(c: Any) -> int | None:
    """The length beyond which all tokens of a row are rotated by other angles ("longrope"); None: there is none."""
    return next((_trained(c, told) for told in _each(c) if kind(told) == "longrope"), None)


def steady(c: Any, length: int) -> int:
    """How many tokens a row of so many may get until the angles of all its tokens change."""
    limits = [
        _trained(c, told) if kind(told) == "longrope" else c.max_position_embeddings
        for told in _each(c)
        if kind(told) == "dynamic" or (kind(told) == "longrope" and length <= _trained(c, told))
    ]
    return max(0, min(limits, default=1 << 30) - length)


def _each(c: Any) -> list[Mapping[str, Any]]:
    """What a config says of each of its rotations: newer files may have one for each kind of layer."""
    told = scaling(c)
    return [inner for inner in told.values() if isinstance(inner, Mapping)] or [told]


def _trained(c: Any, told: Mapping[str, Any]) -> int:
    """The longest rows of training."""
    return _said_trained(c, told) or c.max_position_embeddings


def _said_trained(c: Any, told: Mapping[str, Any]) -> int | None:
    """What a config says of these beside `max_position_embeddings`."""
    name = "original_max_position_embeddings"
    return getattr(c, name, None) or told.get(name)


def check(c: Any, dim: int, field: str = "rope_scaling", told: Mapping[str, Any] | None = None) -> None:
    """Refuse heads without pairs, and rotations that are not known or lack their numbers.

    Raises:
        ValueError: naming the field and the number.
    """
    owner = type(c).__name__
    if dim < 2 or dim % 2:
        raise ValueError(f"{owner}: {dim} numbers of a head are to be rotated in pairs: check its width")
    told = scaling(c) if told is None else told
    if not isinstance(told, Mapping):
        raise ValueError(f"{owner}: {field}={told!r} must be an object")
    word = kind(told)
    if word not in KINDS:
        known = ", ".join(map(repr, KINDS))
        raise ValueError(f"{owner}: {field} has rope_type={str(word)[:60]!r}, supported: {known}")
    for name in KINDS[word]:
        if name not in told and not (word == "longrope" and name == "factor"):
            raise ValueError(f"{owner}: {field} of type {word!r} lacks {name!r}")
    for name, value in told.items():
        if word == "longrope" and name in KINDS[word]:
            if not isinstance(value, list | tuple) or len(value) != dim // 2 or not all(map(_positive, value)):
                raise ValueError(f"{owner}: {field}[{name!r}] must be {dim // 2} positive numbers, one a pair")
        elif name.startswith("mscale") and value not in (None, 0) and not _positive(value):
            raise ValueError(f"{owner}: {field}[{name!r}]={str(value)[:60]} must be a number, 0 or above")
        elif name in _NUMBERS and value is not None and not _positive(value):
            raise ValueError(f"{owner}: {field}[{name!r}]={str(value)[:60]} must be a positive number")
    if not _positive(theta(c)):
        raise ValueError(f"{owner}: rope_theta={theta(c)} must be a positive number")
    if word == "llama3" and told["low_freq_factor"] == told["high_freq_factor"]:
        raise ValueError(f"{owner}: {field}: low_freq_factor and high_freq_factor must differ")
    if word == "dynamic" and dim < 4:
        raise ValueError(f"{owner}: {field} of type 'dynamic' needs heads with 4 numbers or more to rotate")


_NUMBERS = frozenset(
    """
    factor low_freq_factor high_freq_factor original_max_position_embeddings beta_fast beta_slow attention_factor
    rope_theta
    """.split()
)


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e30


def _yarn(steps: np.ndarray, base: float, told: Mapping[str, Any], most: int) -> np.ndarray:
    """Fast pairs turn as before, slow ones `factor` times as slowly, those between in between."""
    dim = 2 * len(steps)
    length = told.get("original_max_position_embeddings") or most

    def pair(revolutions: float) -> float:  # the pair that turns so often within the rows of training
        return dim * math.log(length / (revolutions * 2 * math.pi)) / (2 * math.log(base))

    low, high = pair(told.get("beta_fast") or 32), pair(told.get("beta_slow") or 1)
    if told.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    slow = np.clip((np.arange(dim // 2, dtype=np.float32) - low) / ((high - low) or 0.001), 0, 1)
    return (steps / told["factor"] * slow + steps * (1 - slow)).astype(np.float32)


def _yarn_gain(told: Mapping[str, Any]) -> float:
    if told.get("attention_factor") is not None:
        return told["attention_factor"]

    def gain(strength: float) -> float:
        return 1.0 if told["factor"] <= 1 else 0.1 * strength * math.log(told["factor"]) + 1.0

    strength, of_all = told.get("mscale"), told.get("mscale_all_dim")
    return gain(strength) / gain(of_all) if strength and of_all else gain(1.0)


def _longrope(c: Any, steps: np.ndarray, told: Mapping[str, Any]) -> Rotation:
    """Each pair has a factor of its own, and another one in rows beyond the length of training."""
    own, length = getattr(c, "original_max_position_embeddings", None), _said_trained(c, told)
    factor = None if own else told.get("factor")
    factor = factor or (c.max_position_embeddings / length if length else 1.0)
    length = length or c.max_position_embeddings
    gain = told.get("attention_factor")
    if gain is None:
        gain = 1.0 if factor <= 1 else math.sqrt(1 + math.log(factor) / math.log(length))
    short, long = (steps / np.asarray(told[name], np.float32) for name in ("short_factor", "long_factor"))
    return Rotation(short, gain, length, long)


def _llama3(steps: np.ndarray, told: Mapping[str, Any]) -> np.ndarray:
    """Pairs that turn slowly are slowed down `factor` times, fast ones not, those between in between."""
    low, high = told["low_freq_factor"], told["high_freq_factor"]
    revolutions = told["original_max_position_embeddings"] * steps / (2 * np.pi)  # within the rows of training
    fast = np.clip((revolutions - low) / (high - low), 0, 1)
    return ((1 - fast) * steps / told["factor"] + fast * steps).astype(np.float32)


def rotate_half(x: jax.Array, cos_sin: CosSin) -> jax.Array:
    """Heads x [B, T, H, d] whose first n numbers are rotated in pairs of one of each half of them."""
    cosine, sine = cos_sin
    n = 2 * cosine.shape[-1]
    left, right = jnp.split(x[..., :n], 2, axis=-1)
    rotated = jnp.concatenate([left * cosine - right * sine, right * cosine + left * sine], axis=-1).astype(x.dtype)
    return rotated if n == x.shape[-1] else jnp.concatenate([rotated, x[..., n:]], axis=-1)


def rotate_interleaved(x: jax.Array, cos_sin: CosSin) -> jax.Array:
    """Heads x [B, T, H, d] whose first n numbers are rotated in pairs of neighbours."""
    cosine, sine = cos_sin
    n = 2 * cosine.shape[-1]
    left, right = x[..., 0:n:2], x[..., 1:n:2]
    rotated = jnp.stack([left * cosine - right * sine, right * cosine + left * sine], axis=-1)
    rotated = rotated.reshape(*x.shape[:-1], n).astype(x.dtype)
    return rotated if n == x.shape[-1] else jnp.concatenate([rotated, x[..., n:]], axis=-1)
