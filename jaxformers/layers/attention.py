"""Attention: which tokens see which, projections into heads, and the weighted sum."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from . import flash
from .flash import Band
from .linear import linear
from .product import einsum, explicit_sharding, matmul
from .sites import PLAIN, Sites

QKV = ("query", "key", "value")


def attention(dim: int, *names: str) -> declare.Tree:
    """Arrays of the four projections; `names` are the Hub's for query, key, value and output."""
    projections = {
        ours: declare.linear(dim, dim, name, ("embed", "heads")) for ours, name in zip(QKV, names[:3], strict=True)
    }
    return declare.together("qkv", projections) | {"out": declare.linear(dim, dim, names[3], ("heads", "embed"))}


def visible(mask: jax.Array | None) -> jax.Array | None:
    """A mask [B, S] or [B, T, S], true or non-zero where a key may be seen, as booleans [B, 1, 1 or T, S]."""
    if mask is None:
        return None
    return mask.astype(bool)[:, None, None, :] if mask.ndim == 2 else mask.astype(bool)[:, None]


def project(p: Any, x: jax.Array, head_dim: int, keys: int | None = None) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Queries [B, T, H, d], keys and values [B, T, K, d] of x [B, T, D], in one product where `prepare` has fused it.

    keys: how many heads K of keys and of values there are; None: as many as of queries.
    """
    heads = lambda y: y.reshape(*y.shape[:-1], -1, head_dim)  # noqa: E731
    if "qkv" not in p:
        q, k, v = (heads(linear(p[name], x)) for name in QKV)
        return q, k, v
    fused = heads(linear(p["qkv"], x))
    keys = keys or fused.shape[-2] // 3
    q, k, v = jnp.split(fused, [fused.shape[-2] - 2 * keys, fused.shape[-2] - keys], axis=-2)
    return q, k, v


def merge(x: jax.Array) -> jax.Array:
    """Heads [B, T, H, D/H] side by side again: [B, T, D]."""
    return x.reshape(*x.shape[:-2], -1)


def attend(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    seen: jax.Array | None,
    *,
    bias: jax.Array | None = None,
    scale: float | None = None,
    rate: float = 0.0,
    sites: Sites = PLAIN,
    band: Band | None = None,
) -> jax.Array:
    """`weighed` for arrays with the tokens first, as projections give them.

    q [B, T, H, d], k and v [B, S, K, d]. Returns the context [B, T, H, d]. A band need not be told of a mask [B, 1, 1,
    S].
    """
    q, k, v = jnp.swapaxes(q, 1, 2), k.transpose(0, 2, 3, 1), jnp.swapaxes(v, 1, 2)
    if band is None and seen is not None and seen.shape == (q.shape[0], 1, 1, k.shape[3]):
        band = Band(seen[:, 0, 0].astype(jnp.int32))
    context = weighed(q, k, v, seen, bias=bias, scale=scale, rate=rate, sites=sites, band=band)
    return jnp.swapaxes(context, 1, 2)


def through_out(p: Any, context: jax.Array, like: jax.Array, sites: Sites) -> jax.Array:
    """What attention gives [B, T, D]: its context [B, T, H * d] through the output projection."""
    return linear(p["out"], sites("attention_heads", context), like=like)


def weighed(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    seen: jax.Array | None,
    *,
    bias: jax.Array | None = None,
    sinks: jax.Array | None = None,
    scale: float | None = None,
    cap: float | None = None,
    rate: float = 0.0,
    sites: Sites = PLAIN,
    used: jax.Array | None = None,
    band: Band | None = None,
) -> jax.Array:
    """Scaled dot-product attention (Vaswani et al. 2017), softmax in float32.

    q [B, H, T, d], k [B, K, d, S] and v [B, K, S, e], K a divisor of H: each of their heads serves H / K neighbours of
    the queries' (Ainslie et al. 2023, arXiv 2305.13245). seen broadcastable to [B, H, T, S] or None for all, and so is
    the bias that is added to the scores. sinks [H]: a score for each head that takes its share of attention and gives
    nothing (GPT-OSS). scale: on the scores, None: 1 / sqrt(d). cap: scores are bent to stay within -cap and cap (Gemma
    2). used: how many keys, from the first on, any query may see; None: all. band: what `seen` says, where it has that
    structure. Returns the context [B, H, T, e]. A query that sees no key gets the mean of all values, as in the
    reference, so that nothing becomes NaN; with `used`, the mean of some.

    The probabilities [B, H, T, S] are the site "attention_weights". Where nobody reads or replaces them and the scores
    are larger than a CPU's caches, they are computed there in parts, of rows or of heads, and as far as keys are used:
    about twice as fast. A gradient keeps none of them, and computes the parts again. On TPU a fused kernel takes their
    place, where there is a band and all else is plain (`layers.flash`); what a query at padding gets is then another
    nothing.
    """
    sinks = None if sinks is None else sinks[None, :, None, None]
    at_once = functools.partial(_weighed, scale=scale, cap=cap, rate=rate, sites=sites)
    sizes = (*q.shape[:3], k.shape[3])
    known = all(isinstance(size, int) for size in sizes)  # an exported program's may be symbols
    untouched = not sites.taps("attention_weights")
    dropping = rate != 0.0 and sites.key is not None
    fused: dict[str, Any] = {}
    if known and untouched and not dropping and bias is None and sinks is None and flash.fits(band, q, k, v):
        assert band is not None
        fused["tpu"] = lambda q, k, v, *rest: flash.attention(q, k, v, band, scale=scale, cap=cap)
    if known and untouched and explicit_sharding(q) is None and math.prod(sizes) > 2 * _CACHED:
        reaching = at_once if used is None else _up_to(used, k.shape[3], at_once)
        in_parts = _in_cached_parts(reaching, q, k)
        number = jnp.arange(math.prod(sizes[:2])).reshape(*sizes[:2], 1, 1) if dropping else None
        return jax.lax.platform_dependent(q, k, v, seen, bias, sinks, number, cpu=in_parts, default=at_once, **fused)
    if fused:
        return jax.lax.platform_dependent(q, k, v, seen, bias, sinks, None, default=at_once, **fused)
    return at_once(q, k, v, seen, bias, sinks, None)


_CACHED = 3 * 2**18  # scores that stay in the caches of one core: see tests/benchmarks/layers.py


def _in_cached_parts(function: Callable[..., Any], q: jax.Array, k: jax.Array) -> Callable[..., Any]:
    """The function in parts of about `_CACHED` scores: of whole rows where they fit, else of the heads that share one
    head of keys, else, where these would take much memory, of single heads.
    """
    (rows, heads, new, _), (_, keys, _, slots) = q.shape, k.shape
    row, group = heads * new * slots, heads // keys * new * slots
    if row > _CACHED:
        function = _in_parts(function, 1, heads // keys) if group > 4 * _CACHED else function
        function = _in_parts(function, 1, keys)
    most = max(1, _CACHED // (row if row <= _CACHED else group))
    together = max(size for size in range(1, min(most, rows) + 1) if rows % size == 0)
    return _in_parts(function, 0, rows // together)


def _weighed(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    seen: jax.Array | None,
    bias: jax.Array | None,
    sinks: jax.Array | None,
    number: jax.Array | None,
    *,
    scale: float | None,
    cap: float | None,
    rate: float,
    sites: Sites,
) -> jax.Array:
    """`weighed`, all at once; sinks [1, H, 1, 1]. number [B, H, 1, 1]: which head of which row of a larger whole each
    is, so that every part of it has a dropout of its own.

    Keys transposed and the division after the second product: 1.4 to 2 times the speed of the textbook order on CPU,
    which is that of probabilities that somebody reads.
    """
    sites = sites if number is None else sites.part(number[0, 0, 0, 0])
    odds, total = _odds(q, k, seen, bias, sinks, scale=scale, cap=cap)
    if sites.taps("attention_weights"):
        odds, total = sites("attention_weights", (odds / total).astype(q.dtype), rate), jnp.ones((), total.dtype)
    else:
        odds = sites.drop("attention_weights", odds, rate)
    context = _product(_shared(odds.astype(v.dtype), k), v, total.dtype).reshape(*q.shape[:3], v.shape[-1]) / total
    return context.astype(q.dtype)


def _odds(
    q: jax.Array,
    k: jax.Array,
    seen: jax.Array | None,
    bias: jax.Array | None,
    sinks: jax.Array | None = None,
    *,
    scale: float | None = None,
    cap: float | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The probabilities [B, H, T, S] of `weighed` times their sums [B, H, T, 1], and these, in float32."""
    wide = jnp.promote_types(q.dtype, jnp.float32)
    q = q * (q.shape[-1] ** -0.5 if scale is None else scale)
    scores = _product(_shared(q, k), k, wide).reshape(*q.shape[:3], k.shape[-1])
    if cap is not None:
        scores = cap * jnp.tanh(scores / cap)
    if bias is not None:
        scores = scores + bias
    if seen is not None:
        scores = jnp.where(seen, scores, jnp.finfo(wide).min)
    most = scores.max(-1, keepdims=True)
    most = jax.lax.stop_gradient(most if sinks is None else jnp.maximum(most, sinks.astype(wide)))
    odds = jnp.exp(scores - most)
    total = odds.sum(-1, keepdims=True)
    return odds, total if sinks is None else total + jnp.exp(sinks.astype(wide) - most)


def _shared(x: jax.Array, k: jax.Array) -> jax.Array:
    """X [B, H, T, n] with the queries that share a head of keys k [B, K, d, S] as rows of one product."""
    return x.reshape(x.shape[0], k.shape[1], -1, x.shape[-1])


def probabilities(q: jax.Array, k: jax.Array, seen: jax.Array | None, bias: jax.Array | None = None) -> jax.Array:
    """By which queries q [B, T, H, d] take from keys k [B, S, K, d], as `attend` has the rest: [B, H, T, S].

    For attention in parts whose probabilities somebody reads, so that they have to be there all at once.
    """
    odds, total = _odds(jnp.swapaxes(q, 1, 2), k.transpose(0, 2, 3, 1), seen, bias)
    return (odds / total).astype(q.dtype)


def taken(odds: jax.Array, v: jax.Array) -> jax.Array:
    """What probabilities [B, H, T, S] take of values v [B, S, H, d]: [B, T, H, d]."""
    wide = jnp.promote_types(v.dtype, jnp.float32)
    return einsum("bhts,bshd->bthd", odds, v, wide).astype(v.dtype)


def _product(a: jax.Array, b: jax.Array, wide: Any) -> jax.Array:
    """A [..., m, k] by b [..., k, n] with sums of a wide type; a single row of a half type goes in twice."""
    if a.shape[-2] == 1 and b.dtype.itemsize < 4:
        return _product(jnp.repeat(a, 2, axis=-2), b, wide)[..., :1, :]
    return matmul(a, b, wide)


def _in_parts(function: Callable[..., Any], axis: int, count: int) -> Callable[..., Any]:
    """The function, computed for `count` equal parts of an axis one after the other; arrays with one entry there go to
    all.
    """

    def parted(*arrays: jax.Array | None) -> Any:
        split = [x is not None and x.shape[axis] > 1 for x in arrays]

        def part(given: list[jax.Array]) -> Any:
            rest = iter(given)
            return function(*(next(rest) if own else x for x, own in zip(arrays, split, strict=True)))

        def cut(x: jax.Array) -> jax.Array:
            return jnp.moveaxis(x.reshape(*x.shape[:axis], count, -1, *x.shape[axis + 1 :]), axis, 0)

        def join(x: jax.Array) -> jax.Array:
            return jnp.moveaxis(x, 0, axis).reshape(*x.shape[1 : axis + 1], -1, *x.shape[axis + 2 :])

        parts = [cut(x) for x, own in zip(arrays, split, strict=True) if own and x is not None]
        return jax.tree.map(join, jax.lax.map(jax.checkpoint(part), parts))  # a gradient keeps no scores either

    return function if count == 1 else parted


def _up_to(used: jax.Array, slots: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function of the first one, two, three or four quarters of the keys, as many as hold all that are used.

    Under `vmap` all four are computed.
    """
    widths = [slots * quarter // 4 for quarter in (1, 2, 3, 4)]

    def first(width: int, q: jax.Array, k: jax.Array, v: jax.Array, *rest: jax.Array | None) -> Any:
        rest = tuple(x if x is None or x.shape[-1] == 1 else x[..., :width] for x in rest)
        return function(q, k[..., :width], v[..., :width, :], *rest)

    branches = [functools.partial(first, width) for width in widths]
    quarter = (used > jnp.asarray(widths[:-1])).sum()
    return lambda *arrays: jax.lax.switch(quarter, branches, *arrays)


GROUPS = {"qkv": QKV, "gate_up": ("gate", "up")}
"""The products that `prepare` makes: of which dense layers, in which order."""


def prepare(params: Any, declaration: declare.Tree) -> Any:
    """A tree in which the dense layers of each declared group are one: fewer, larger products.

    Those of which only some have a bias, or that are not all kept alike, stay as they are, and so do those that have
    low-rank additions.

    Args:
        params: listed or stacked.
        declaration: of these arrays, laid out as they are (`declare.like`).
    """
    if isinstance(declaration, list | tuple):
        return type(declaration)(prepare(*pair) for pair in zip(params, declaration, strict=True))
    if not isinstance(declaration, dict):
        return params
    children = {name: prepare(params[name], part) for name, part in declaration.items()}
    for fused, names in GROUPS.items():
        parts = [part for name in names if isinstance(part := declaration.get(name), dict)]
        weights = [part["weight"] for part in parts if "weight" in part]
        together = [weight.group for weight in weights if declare.is_param(weight)] == [fused] * len(names)
        if together and _alike([children[name] for name in names]):
            children[fused] = _joined([children.pop(name) for name in names])
    return children


def _alike(parts: Sequence[Any]) -> bool:
    """Whether dense layers have the same arrays, and weights of one kind."""
    return len({(*sorted(part), type(part["weight"])) for part in parts}) == 1


def _joined(parts: Sequence[Any]) -> Any:
    """One dense layer, stacked over layers or not, with the outputs of several behind each other."""
    outputs = parts[0]["bias"].ndim - 1 if "bias" in parts[0] else jax.tree.leaves(parts[0])[0].ndim - 2
    return jax.tree.map(lambda *arrays: jnp.concatenate(arrays, axis=outputs), *parts)
