"""Mixtures of experts (Shazeer et al. 2017, arXiv 1701.06538): of many gated networks each token goes through a few,
and no token is turned away however many want the same.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from ..declare import Param
from . import expert_products as products
from .activation import ACTIVATIONS
from .decoder import Feed
from .expert_products import Gate
from .sites import Sites

Route = Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]]
"""(a router's arrays, its scores of tokens [N, E]) → the experts of each [N, k], and their shares [N, k] float32."""

_FEW = 4  # tokens of an expert, on average: up to so many it is faster to take each by itself (measured on x86)
_COPIES = 3  # times that an accelerator moves the arrays of an expert to have a copy for a token


# -- declarations -----------------------------------------------------------------------------------------------------


def router(d: int, count: int, name: str, *, bias: bool = False) -> declare.Tree:
    """A router's arrays: what each expert is scored by."""
    return declare.linear(d, count, name, bias=bias, role="router")


def one_by_one(
    count: int, d: int, inner: int, name: str, parts: tuple[str, str, str] = ("gate_proj", "up_proj", "down_proj")
) -> declare.Tree:
    """Arrays of experts that files hold each under a name of its own; "{}" in `name` stands for its number."""

    def stack(part: str, outputs: int, inputs: int, axes: tuple[str, str]) -> declare.Tree:
        shape = (count, outputs, inputs)
        return {"weight": Param(shape, ("expert", *axes), f"{name}.{part}.weight", "matrix", layout="stacked")}

    gate, up, down = parts
    opened = {"gate": stack(gate, inner, d, ("mlp", "embed")), "up": stack(up, inner, d, ("mlp", "embed"))}
    return declare.together("gate_up", opened) | {"down": stack(down, d, inner, ("embed", "mlp"))}


def check(c: Any, count: str, chosen: str = "num_experts_per_tok") -> None:
    """Refuse a config whose tokens go to more experts than there are.

    Raises:
        ValueError: naming the fields.
    """
    if getattr(c, chosen) > getattr(c, count):
        owner = type(c).__name__
        raise ValueError(f"{owner}: {chosen}={getattr(c, chosen)} is above {count}={getattr(c, count)}")


# -- which experts ----------------------------------------------------------------------------------------------------


def scores(p: Any, x: jax.Array) -> jax.Array:
    """What a router gives each expert [..., E], float32: an error there is another expert."""
    y = jnp.matmul(x.astype(jnp.float32), p["weight"].astype(jnp.float32).T)
    return y + p["bias"] if "bias" in p else y


def best(k: int, *, normalised: bool = True) -> Route:
    """The k experts of the highest score, with shares by softmax: of these, or where not `normalised` of all."""

    def route(p: Any, every: jax.Array) -> tuple[jax.Array, jax.Array]:
        highest, chosen = jax.lax.top_k(every, k)
        total = jax.nn.logsumexp(highest if normalised else every, axis=-1, keepdims=True)
        return chosen, jnp.exp(highest - total)

    return route


def of_best_groups(every: jax.Array, count: int, kept: int, *, worth: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """Values [N, E] of experts in `count` groups of neighbours; -inf in all but the best `kept` of these.

    worth: [N, groups, E / groups] → what each group is worth [N, groups].
    """
    groups = every.reshape(len(every), count, -1)
    _, best = jax.lax.top_k(worth(groups), kept)
    seen = (best[:, :, None] == jnp.arange(count)).any(1)
    return jnp.where(seen[..., None], groups, -jnp.inf).reshape(every.shape)


# -- the networks -----------------------------------------------------------------------------------------------------


def halves(activation: str) -> Gate:
    """The gate first, then what it lets through."""

    def apply(*opened: jax.Array) -> jax.Array:
        gate, up = opened if len(opened) == 2 else jnp.split(opened[0], 2, axis=-1)
        return ACTIVATIONS[activation](gate) * up

    return apply


def mixture(route: Route, gate: Gate) -> Feed:
    """The feed-forward network of a layer with "router" and "experts"."""

    def feed(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        tokens = x.reshape(-1, x.shape[-1])
        every = scores(p["router"], tokens)
        every = sites("router", every.reshape(*x.shape[:-1], -1)).reshape(every.shape)
        y = experts(p["experts"], tokens, *route(p["router"], every), gate)
        return y.astype(x.dtype).reshape(x.shape)

    return feed


def together(*feeds: Feed) -> Feed:
    """The sum of what several networks give."""
    return lambda p, x, sites: functools.reduce(operator.add, (feed(p, x, sites) for feed in feeds))


def sparse_or_dense(sparse: Feed, dense: Feed) -> Feed:
    """Of layers of two kinds: those that have experts, and those that have one network."""
    return lambda p, x, sites: (sparse if "experts" in p else dense)(p, x, sites)


def experts(p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array, gate: Gate) -> jax.Array:
    """What the chosen experts make of tokens x [N, D], each with its share: [N, D] float32.

    p: "gate" and "up" [E, F, D], or "gate_up" [E, 2F, D], and "down" [E, D, F], each with "weight" and perhaps "bias";
    weights may be a `Weight`. chosen, shares: [N, k]. gate: see `Gate`.

    Of few tokens, as in a step of writing, only the experts that they go to are read, or on accelerators all of them,
    once. On CPU a gradient takes all experts for all tokens: exact, but so much slower as there are more experts than
    a token goes to.
    """
    count = jax.tree.leaves(p["down"])[0].shape[0]
    size = chosen.size if isinstance(chosen.shape[0], int) else None  # of an exported program it may be a symbol
    few = size is not None and size <= _FEW * count
    apart = products.divided(p)
    if not few:
        elsewhere = products.ragged if apart is None else partial(products.ragged_apart, apart)
    elif apart is None and size is not None and _COPIES * size <= count:
        elsewhere = products.gathered
    else:
        elsewhere = products.dense
    return jax.lax.platform_dependent(
        p, x, chosen, shares, cpu=partial(products.by_loops, gate, few), default=partial(elsewhere, gate)
    )
