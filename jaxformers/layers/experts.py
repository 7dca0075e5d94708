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
from .activation import ACTIVATIONS
from .decoder import Feed
from .product import matmul, narrow_gradients
from .sites import Sites
from .weight import Weight

Gate = Callable[[jax.Array], jax.Array]
"""What a network's first product [..., 2F] becomes: [..., F]."""
Route = Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]]
"""(a router's arrays, its scores of tokens [N, E]) → the experts of each [N, k], and their shares [N, k] float32."""

_FEW = 4  # tokens of an expert, on average: up to so many it is faster to take each by itself (measured on x86)
_ROWS = (8, 64)  # tokens of an expert at a time, least and most


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

    def apply(both: jax.Array) -> jax.Array:
        gate, up = jnp.split(both, 2, axis=-1)
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

    Of few tokens, as in a step of writing, only the experts that they go to are read. On CPU a gradient takes all
    experts for all tokens: exact, but so much slower as there are more experts than a token goes to.
    """
    count = jax.tree.leaves(p["down"])[0].shape[0]
    size = chosen.shape[0]
    few = isinstance(size, int) and chosen.size <= _FEW * count  # of an exported program it may be a symbol
    return jax.lax.platform_dependent(
        p,
        x,
        chosen,
        shares,
        cpu=partial(_by_loops, gate, few),
        default=partial(_gathered if few else _ragged, gate),
    )


def _network(p: Any, x: jax.Array, gate: Gate, product: Callable[[Any, jax.Array], jax.Array]) -> jax.Array:
    """Tokens x [..., D] through networks: [..., D] float32."""
    opened = [product(p[name], x).astype(x.dtype) for name in ("gate_up", "gate", "up") if name in p]
    return product(p["down"], gate(jnp.concatenate(opened, axis=-1)))


def _product(p: Any, x: jax.Array) -> jax.Array:
    """X [..., in] by one weight [out, in]: [..., out] float32. A vector goes in as it is: see `_each`."""
    if isinstance(p["weight"], Weight):
        y = p["weight"].product(x)
    else:
        wide = jnp.promote_types(x.dtype, jnp.float32)
        y = matmul(x, p["weight"].T, wide)
    return y + p["bias"] if "bias" in p else y


def _one(p: Any, number: jax.Array) -> Any:
    """The arrays of one expert."""
    return jax.tree.map(lambda array: jax.lax.dynamic_index_in_dim(array, number, keepdims=False), p)


def _sorted(chosen: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """The places of `chosen` [N, k], flat, in the order of their experts, and how many each of these has [count]."""
    flat = chosen.reshape(-1)
    return jnp.argsort(flat), jnp.zeros(count, jnp.int32).at[flat].add(1)


def _joined(y: jax.Array, order: jax.Array, shares: jax.Array) -> jax.Array:
    """What the experts gave [N * k, D], in the order of these, as sums by shares [N, k] of each token: [N, D]."""
    back = jnp.zeros_like(order).at[order].set(jnp.arange(order.shape[0], dtype=order.dtype))
    return (y[back].reshape(*shares.shape, -1) * shares[..., None]).sum(1)


def _alike(*arrays: jax.Array) -> list[jax.Array]:
    """The arrays, with `vmap` over all of them where it is over one: it takes ragged products in no other way."""
    never = functools.reduce(operator.and_, (array.reshape(-1)[0] != 0 for array in arrays)) & False
    return [jnp.where(never, 0, array) for array in arrays]


# -- on accelerators --------------------------------------------------------------------------------------------------


def _gathered(gate: Gate, p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array) -> jax.Array:
    """Each token with the arrays of its own experts."""
    apply = lambda p, x: _network(p, x, gate, _product)  # noqa: E731
    own = jax.tree.map(lambda array: array[chosen], p)
    y = jax.vmap(jax.vmap(apply, (0, None)))(own, x)
    return (y * shares[..., None]).sum(1)


def _ragged(gate: Gate, p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array) -> jax.Array:
    """The tokens in the order of their experts, in one product for all."""
    order, sizes = _sorted(chosen, jax.tree.leaves(p["down"])[0].shape[0])
    expert = chosen.reshape(-1)[order]
    axes = jax.lax.RaggedDotDimensionNumbers(
        dot_dimension_numbers=(((1,), (2,)), ((), ())), lhs_ragged_dimensions=[0], rhs_group_dimensions=[0]
    )

    def product(p: Any, x: jax.Array) -> jax.Array:
        weight = p["weight"]
        weight = weight.widened(x.dtype) if isinstance(weight, Weight) else weight
        wide = jnp.promote_types(x.dtype, jnp.float32)
        x, weight, each = _alike(x, weight, sizes)
        ragged = lambda x, weight, sums: jax.lax.ragged_dot_general(  # noqa: E731
            x, weight, each, axes, preferred_element_type=sums
        )
        y = narrow_gradients(ragged, x, weight, wide)
        return y + p["bias"][expert] if "bias" in p else y

    return _joined(_network(p, x[order // chosen.shape[1]], gate, product), order, shares)


# -- on CPU, where XLA computes ragged products with all weights ------------------------------------------------------


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _by_loops(gate: Gate, few: bool, p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array) -> jax.Array:
    return (_each if few else _in_groups)(gate, p, x, chosen, shares)


@_by_loops.defjvp
def _of_all(gate: Gate, few: bool, primals: Any, tangents: Any) -> Any:
    """The loops have no gradient, or one that takes the memory of all experts for each token: what has is linear in the
    number of experts.
    """
    return _by_loops(gate, few, *primals), jax.jvp(partial(_every, gate), primals, tangents)[1]


def _each(gate: Gate, p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array) -> jax.Array:
    """One token and one of its experts at a time: a vector by a part of the weights where they lie, which is as fast as
    memory; with more rows XLA would copy the part first.
    """

    def step(_: None, pair: tuple[jax.Array, jax.Array]) -> tuple[None, jax.Array]:
        number, row = pair
        # Behind a condition, since XLA would widen half types before the loop, for all experts.
        answer = lambda: _network(_one(p, number), row, gate, _product)  # noqa: E731
        return None, jax.lax.cond(number >= 0, answer, lambda: jnp.zeros(x.shape[-1], shares.dtype))

    rows = jnp.repeat(x, chosen.shape[1], axis=0)
    _, y = jax.lax.scan(step, None, (chosen.reshape(-1), rows))
    return (y.reshape(*shares.shape, -1) * shares[..., None]).sum(1)


def _in_groups(gate: Gate, p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array) -> jax.Array:
    """The tokens in the order of their experts, and some of an expert's at a time."""
    count = jax.tree.leaves(p["down"])[0].shape[0]
    order, sizes = _sorted(chosen, count)
    rows = _ROWS[1]
    if isinstance(chosen.size, int):
        rows = min(max(1 << (chosen.size // count).bit_length(), _ROWS[0]), _ROWS[1])
    tokens = jnp.pad(x[order // chosen.shape[1]], ((0, rows), (0, 0)))

    def step(y: jax.Array, expert: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, None]:
        number, start, size = expert

        def group(y: jax.Array) -> jax.Array:
            own = _one(p, number)

            def some(i: jax.Array, y: jax.Array) -> jax.Array:
                """What rows behind the group's give is meaningless, and overwritten by the next expert's."""
                at = start + i * rows
                part = _network(own, jax.lax.dynamic_slice_in_dim(tokens, at, rows), gate, _product)
                return jax.lax.dynamic_update_slice_in_dim(y, part, at, 0)

            return jax.lax.fori_loop(0, (size + rows - 1) // rows, some, y)

        return jax.lax.cond(size > 0, group, lambda y: y, y), None

    none = jnp.zeros(tokens.shape, shares.dtype)
    y, _ = jax.lax.scan(step, none, (jnp.arange(count), jnp.cumsum(sizes) - sizes, sizes))
    return _joined(y[: order.shape[0]], order, shares)


def _every(gate: Gate, p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array) -> jax.Array:
    """All experts for all tokens, one after the other; a gradient keeps nothing but the tokens."""

    @jax.checkpoint
    def step(y: jax.Array, expert: tuple[jax.Array, Any]) -> tuple[jax.Array, None]:
        number, own = expert
        share = jnp.where(chosen == number, shares, 0).sum(-1, keepdims=True)
        return y + _network(own, x, gate, _product) * share, None

    count = jax.tree.leaves(p["down"])[0].shape[0]
    y, _ = jax.lax.scan(step, jnp.zeros(x.shape, shares.dtype), (jnp.arange(count), p))
    return y
