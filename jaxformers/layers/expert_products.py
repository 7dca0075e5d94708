"""The products of experts' networks, in the ways that are fast for few tokens and for many, on CPU and elsewhere.

Each takes the arrays of all experts as `experts.experts` does, tokens x [N, D], and of each token the chosen experts
[N, k] and their shares [N, k], and gives [N, D] float32.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from ..placement.constraints import layout_of
from .product import einsum, matmul, narrow_gradients
from .weight import Weight

Gate = Callable[..., jax.Array]
"""What a network's first product [..., 2F], or its first two [..., F], become: [..., F]."""

_ROWS = (8, 64)  # tokens of an expert at a time on CPU, least and most


def _network(p: Any, x: jax.Array, gate: Gate, product: Callable[[Any, jax.Array], jax.Array]) -> jax.Array:
    """Tokens x [..., D] through networks: [..., D] float32."""
    return product(p["down"], _opened(p, x, gate, product))


def _opened(p: Any, x: jax.Array, gate: Gate, product: Callable[[Any, jax.Array], jax.Array]) -> jax.Array:
    """What stands between a network's products [..., F]."""
    return gate(*(product(p[name], x).astype(x.dtype) for name in ("gate_up", "gate", "up") if name in p))


def _count(p: Any) -> int:
    """How many experts there are."""
    return jax.tree.leaves(p["down"])[0].shape[0]


def _product(p: Any, x: jax.Array) -> jax.Array:
    """X [..., in] by one weight [out, in]: [..., out] float32. A vector goes in as it is: see `each`."""
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


def gathered(gate: Gate, p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array) -> jax.Array:
    """Each token with the arrays of its own experts."""
    apply = lambda p, x: _network(p, x, gate, _product)  # noqa: E731
    own = jax.tree.map(lambda array: array[chosen], p)
    y = jax.vmap(jax.vmap(apply, (0, None)))(own, x)
    return (y * shares[..., None]).sum(1)


def dense(gate: Gate, p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array) -> jax.Array:
    """All experts for all tokens at once, of which those that a token has not chosen have no share: every weight is
    read once, where it lies.
    """
    given = jnp.where(chosen[..., None] == jnp.arange(_count(p)), shares[..., None], 0).sum(1)  # [N, E]
    down = p["down"]
    if isinstance(down["weight"], Weight):
        apply = lambda p, x: _network(p, x, gate, _product)  # noqa: E731
        return jnp.einsum("end,ne->nd", jax.vmap(apply, (0, None))(p, x), given)
    wide = jnp.promote_types(x.dtype, jnp.float32)

    def product(p: Any, x: jax.Array) -> jax.Array:
        y = einsum("nd,efd->nef", x, p["weight"], wide)
        return y + p["bias"] if "bias" in p else y

    opened = _opened(p, x, gate, product)
    opened = (opened.astype(wide) * given[..., None]).astype(x.dtype)
    y = einsum("nef,edf->nd", opened, down["weight"], wide)
    return y + given @ down["bias"] if "bias" in down else y


def ragged(gate: Gate, p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array) -> jax.Array:
    """The tokens in the order of their experts, in one product for all."""
    order, sizes = _sorted(chosen, _count(p))
    return _joined(_in_order(gate, p, x, chosen.shape[1], chosen, order, sizes), order, shares)


def _in_order(
    gate: Gate, p: Any, x: jax.Array, each: int, chosen: jax.Array, order: jax.Array, sizes: jax.Array
) -> jax.Array:
    """What experts give to tokens in the order of these [N * each, D]; `sizes` [E] of the first are each one's."""
    expert = chosen.reshape(-1)[order]
    axes = jax.lax.RaggedDotDimensionNumbers(
        dot_dimension_numbers=(((1,), (2,)), ((), ())), lhs_ragged_dimensions=[0], rhs_group_dimensions=[0]
    )

    def product(p: Any, x: jax.Array) -> jax.Array:
        weight = p["weight"]
        weight = weight.widened(x.dtype) if isinstance(weight, Weight) else weight
        wide = jnp.promote_types(x.dtype, jnp.float32)
        x, weight, groups = _alike(x, weight, sizes)
        multiply = lambda x, weight, sums, groups: jax.lax.ragged_dot_general(  # noqa: E731
            x, weight, groups, axes, preferred_element_type=sums
        )
        y = narrow_gradients(multiply, x, weight, wide, groups)
        return y + p["bias"][expert] if "bias" in p else y

    return _network(p, x[order // each], gate, product)


# -- on meshes that divide experts ------------------------------------------------------------------------------------


class Apart(NamedTuple):
    """How experts lie on a mesh that divides them. experts, inner: axes of the mesh that divide experts, and the
    numbers within their networks. specs: of their arrays, whole but for these.
    """

    mesh: Any
    experts: tuple[str, ...]
    inner: tuple[str, ...]
    specs: Any


def divided(p: Any) -> Apart | None:
    """How experts lie where a mesh divides them; None: it does not, or they are kept in fewer bits."""
    if any(isinstance(own["weight"], Weight) for own in p.values()):
        return None
    layouts = {name: layout_of(own["weight"], _DOWN if name == "down" else _OPEN) for name, own in p.items()}
    first = layouts["down"]
    if first is None or first.spec[0] is None:
        return None
    # Halves of one product would each be on half of the devices.
    inner = None if "gate_up" in p else first.spec[_DOWN.index("mlp")]
    kept = {"expert": first.spec[0], "mlp": inner}
    spec = lambda axes: PartitionSpec(*(kept.get(name) for name in axes))  # noqa: E731
    specs = {}
    for name, own in p.items():
        axes = _DOWN if name == "down" else _OPEN
        specs[name] = {part: spec(axes if part == "weight" else axes[:2]) for part in own}
    return Apart(first.mesh, _names(first.spec[0]), _names(inner), specs)


_OPEN, _DOWN = ("expert", "mlp", "embed"), ("expert", "embed", "mlp")  # axes of weights, and without the last of biases


def _names(entry: Any) -> tuple[str, ...]:
    """The axes in an entry of a layout."""
    return () if entry is None else (entry,) if isinstance(entry, str) else tuple(entry)


def ragged_apart(apart: Apart, gate: Gate, p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array) -> jax.Array:
    """`ragged` on each device for the experts that it has, and the sum of what all devices give: no weight moves."""
    layout = layout_of(x, ("batch", None))
    rows = PartitionSpec(None if layout is None else layout.spec[0])

    def on_device(p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array) -> jax.Array:
        count = _count(p)
        own = chosen - jax.lax.axis_index(apart.experts) * count
        here = (own >= 0) & (own < count)
        order, sizes = _sorted(jnp.where(here, own, count), count)  # those of others are last
        if apart.inner and "bias" in p["down"]:  # which is added once
            first = jax.lax.axis_index(apart.inner) == 0
            p = p | {"down": p["down"] | {"bias": jnp.where(first, p["down"]["bias"], 0)}}
        y = _in_order(gate, p, x, chosen.shape[1], jnp.where(here, own, 0), order, sizes)
        y = jnp.where(here.reshape(-1)[order][:, None], y, 0)
        return jax.lax.psum(_joined(y, order, jnp.where(here, shares, 0)), (*apart.experts, *apart.inner))

    specs = (apart.specs, rows, rows, rows)
    return jax.shard_map(on_device, mesh=apart.mesh, in_specs=specs, out_specs=rows, check_vma=False)(
        p, x, chosen, shares
    )


# -- on CPU, where XLA computes ragged products with all weights ------------------------------------------------------


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def by_loops(gate: Gate, few: bool, p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array) -> jax.Array:
    return (each if few else in_groups)(gate, p, x, chosen, shares)


@by_loops.defjvp
def _of_all(gate: Gate, few: bool, primals: Any, tangents: Any) -> Any:
    """The loops have no gradient, or one that takes the memory of all experts for each token: what has is linear in the
    number of experts.
    """
    return by_loops(gate, few, *primals), jax.jvp(partial(every, gate), primals, tangents)[1]


def each(gate: Gate, p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array) -> jax.Array:
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


def in_groups(gate: Gate, p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array) -> jax.Array:
    """The tokens in the order of their experts, and some of an expert's at a time."""
    count = _count(p)
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


def every(gate: Gate, p: Any, x: jax.Array, chosen: jax.Array, shares: jax.Array) -> jax.Array:
    """All experts for all tokens, one after the other; a gradient keeps nothing but the tokens."""

    @jax.checkpoint
    def step(y: jax.Array, expert: tuple[jax.Array, Any]) -> tuple[jax.Array, None]:
        number, own = expert
        share = jnp.where(chosen == number, shares, 0).sum(-1, keepdims=True)
        return y + _network(own, x, gate, _product) * share, None

    count = _count(p)
    y, _ = jax.lax.scan(step, jnp.zeros(x.shape, shares.dtype), (jnp.arange(count), p))
    return y
