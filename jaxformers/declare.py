"""What an array is, said once: shape, logical axes, initialiser, name in the Hub's files.

An architecture declares its arrays as a tree (nested dicts and lists) of `Param` records. From that one tree come, by
`jax.tree.map`: random weights (`init`), the shapes without memory (`abstract`), the shardings, and the way to and from
checkpoints. Nouns here declare arrays; the verbs that compute with them live in `layers/` under the same names.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

Init = Callable[[jax.Array, tuple[int, ...], Any], jax.Array]
"""(key, shape, dtype) → the array that training starts from."""
Role = Literal["matrix", "projection", "unembedding", "table", "kernel", "norm", "bias", "router", "buffer", "adapter"]
"""What an array does. matrix: a dense layer's weight within a layer, or each expert's. projection: that of a dense
layer outside the layers: between embeddings and layers, of poolers and heads. unembedding: a table that gives scores of
words, whether or not they are looked up in it too. table: vectors by number. kernel: any other factor, as of
convolutions. norm: a norm's scale and bias. bias: what is added. router: what chooses experts. buffer: what has no
gradient. adapter: a factor of what is added to a weight.
"""
Layout = Literal["plain", "transposed", "squeezed", "stacked"]
"""How files hold an array: as it is; a matrix, or each of several, as its transpose; with one axis more, the last, of
length 1; each entry of the first axis under a name of its own, in which "{}" stands for its number."""
Tree = Any
"""Nested dicts and lists with one kind of leaf."""


@dataclasses.dataclass(frozen=True)
class Param:
    """One array of a model, or of what its layers keep of tokens.

    shape: its lengths here; `layout` says how files differ.
    axes: the logical name of each axis ("vocab", "embed", "heads", "mlp", …: `parallel.RULES`; None: never sharded).
    name: its name in Hub checkpoints, without the base model's prefix until `under` adds the path.
    role: what it does: quantising, fusing, weight decay and adapters go by it.
    init: how random weights are made; None: normally distributed, as the config says for all (`resolved`).
    aliases: older or tied names, tried in order when `name` is absent; a file that has several of them loads one.
    aliases_first: whether they are tried before `name`: where a file has both, they count.
    zero_row: the row of a table that starts at zero.
    layout: how files hold it.
    dtype: the type that it always has; None: that of the model.
    group: the name of the one product that the dense layers of a group may be made into, since they read the same.
    heads: how many heads the numbers along its axis "heads" or "kv_heads" are of, which a mesh divides whole.
    path: its place in the tree in which layers are listed; random keys go by it (`resolved`).
    entries: of what `stacked` has made, the records along the first axis.
    """

    shape: tuple[int, ...]
    axes: tuple[str | None, ...]
    name: str
    role: Role
    init: Init | None = None
    aliases: tuple[str, ...] = ()
    aliases_first: bool = False
    zero_row: int | None = None
    layout: Layout = "plain"
    dtype: str | None = None
    group: str | None = None
    heads: int | None = None
    path: str = ""
    entries: tuple[Param, ...] = ()

    @property
    def records(self) -> tuple[Param, ...]:
        """What files hold of it: its entries, or itself."""
        return self.entries or (self,)

    @property
    def units(self) -> tuple[int, ...]:
        """Into how many parts each axis may be divided: of heads, as many as there are."""
        heads = self.heads
        return tuple(
            heads if heads and name in ("heads", "kv_heads") else length
            for length, name in zip(self.shape, self.axes, strict=True)
        )


def is_param(leaf: object) -> bool:
    """Whether a node of a declaration is a record rather than a branch."""
    return isinstance(leaf, Param)


# -- initialisers -----------------------------------------------------------------------------------------------------


def zeros(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Zeros."""
    return jnp.zeros(shape, dtype)


def ones(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Ones."""
    return jnp.ones(shape, dtype)


@dataclasses.dataclass(frozen=True)
class Normal:
    """Normally distributed around zero, with standard deviation `std`, and nothing beyond `cut` times it."""

    std: float
    cut: float | None = None

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """See `Init`."""
        if self.cut is None:
            return (self.std * jax.random.normal(key, shape, jnp.float32)).astype(dtype)
        return (self.std * jax.random.truncated_normal(key, -self.cut, self.cut, shape, jnp.float32)).astype(dtype)


@dataclasses.dataclass(frozen=True)
class Uniform:
    """Uniformly distributed from `low` to `high`."""

    low: float
    high: float

    def __call__(self, key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
        """See `Init`."""
        return jax.random.uniform(key, shape, jnp.float32, self.low, self.high).astype(dtype)


def by_fans(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Normally distributed, as a dense layer's inputs and outputs say (Glorot and Bengio 2010, without its factor)."""
    return Normal((shape[-1] + shape[-2]) ** -0.5)(key, shape, dtype)


def sinusoid(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """Sines on even and cosines on odd columns [rows, dim] (Vaswani et al. 2017, section 3.5)."""
    rows, dim = shape
    angle = jnp.arange(rows)[:, None] / 10_000 ** (2 * (jnp.arange(dim) // 2) / dim)
    return jnp.where(jnp.arange(dim) % 2 == 0, jnp.sin(angle), jnp.cos(angle)).astype(dtype)


def sines_then_cosines(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """`sinusoid` with the sines of all frequencies first."""
    table = sinusoid(key, shape, jnp.float32)
    return jnp.concatenate([table[:, 0::2], table[:, 1::2]], axis=1).astype(dtype)


def turning(key: jax.Array, shape: tuple[int, ...], dtype: Any) -> jax.Array:
    """`frequencies` of as many pairs as the array has numbers."""
    return frequencies(*shape).astype(dtype)


def frequencies(count: int) -> jax.Array:
    """How far a step turns each of `count` pairs [count], from 1 downwards (Su et al. 2021, arXiv 2104.09864)."""
    return 10_000.0 ** (-jnp.arange(count, dtype=jnp.float32) / count)


# -- nouns ------------------------------------------------------------------------------------------------------------


def linear(
    d_in: int,
    d_out: int,
    name: str,
    axes: tuple[str | None, str | None] = ("embed", "out"),
    *,
    bias: bool = True,
    role: Role = "matrix",
    init: Init | None = None,
    heads: int | None = None,
) -> Tree:
    """A dense layer: weight [d_out, d_in] (the Hub's layout) and bias [d_out]. `axes` names input, then output."""
    tree = {"weight": Param((d_out, d_in), axes[::-1], f"{name}.weight", role, init, heads=heads)}
    if bias:
        tree["bias"] = Param((d_out,), (axes[1],), f"{name}.bias", "bias", zeros, heads=heads)
    return tree


def projection(
    d_in: int, d_out: int, name: str, axes: tuple[str | None, str | None] = ("embed", "out"), *, bias: bool = True
) -> Tree:
    """A dense layer that stands outside the layers."""
    return linear(d_in, d_out, name, axes, bias=bias, role="projection")


def embedding(
    rows: int,
    dim: int,
    name: str,
    axis: str | None = None,
    *,
    zero_row: int | None = None,
    role: Role = "table",
    init: Init | None = None,
) -> Tree:
    """A table [rows, dim]. `zero_row` (the padding token's) starts at zero."""
    return {"table": Param((rows, dim), (axis, "embed"), f"{name}.weight", role, init, zero_row=zero_row)}


def layer_norm(dim: int, name: str, axis: str | None = "embed", *, bias: bool = True) -> Tree:
    """Scale and shift [dim] of a layer norm; checkpoints of TensorFlow's time call them gamma and beta."""
    scale = {"scale": Param((dim,), (axis,), f"{name}.weight", "norm", ones, aliases=(f"{name}.gamma",))}
    shift = {"bias": Param((dim,), (axis,), f"{name}.bias", "norm", zeros, aliases=(f"{name}.beta",))}
    return scale | shift if bias else scale


def rms_norm(dim: int, name: str, axis: str | None = "embed") -> Tree:
    """Scale [dim] of a norm by the root mean square."""
    return {"scale": Param((dim,), (axis,), f"{name}.weight", "norm", ones)}


def offset_norm(dim: int, name: str, axis: str | None = "embed") -> Tree:
    """What the scale [dim] of a norm by the root mean square is above one."""
    return {"offset": Param((dim,), (axis,), f"{name}.weight", "norm", zeros)}


def transposed(tree: Tree) -> Tree:
    """The arrays of a dense layer whose weight files hold as [d_in, d_out], as GPT-2 does."""
    return tree | {"weight": dataclasses.replace(tree["weight"], layout="transposed")}


def vector(dim: int, name: str, axis: str | None = None) -> Param:
    """A bare bias [dim]."""
    return Param((dim,), (axis,), name, "bias", zeros)


# -- composition ------------------------------------------------------------------------------------------------------


def under(prefix: str, tree: Tree) -> Tree:
    """The tree with `prefix.` before every name and alias; an empty prefix changes nothing."""
    if not prefix:
        return tree

    def rename(p: Param) -> Param:
        return dataclasses.replace(
            p, name=f"{prefix}.{p.name}", aliases=tuple(f"{prefix}.{alias}" for alias in p.aliases)
        )

    return jax.tree.map(rename, tree, is_leaf=is_param)


def repeat(count: int, pattern: str, tree: Tree) -> list[Tree]:
    """A list of `count` equal layers; `pattern.format(i)` stands before the names of layer i."""
    return numbered(pattern, [tree] * count)


def numbered(pattern: str, trees: Sequence[Tree]) -> list[Tree]:
    """A list of layers; `pattern.format(i)` stands before the names of layer i."""
    return [under(pattern.format(i), tree) for i, tree in enumerate(trees)]


def tied(param: Param, *names: str, first: bool = False, role: Role | None = None) -> Param:
    """The record with further full names, under which files may hold the same array a second time, for that role;
    `first`: what they hold counts where it is another.
    """
    aliases = tuple(dict.fromkeys((*param.aliases, *names)))
    return dataclasses.replace(param, aliases=aliases, aliases_first=first, role=role or param.role)


def of_heads(count: int, tree: Tree) -> Tree:
    """The tree in which arrays of heads that do not say how many they are of have so many."""

    def counted(p: Param) -> Param:
        lengths = [n for n, name in zip(p.shape, p.axes, strict=True) if name in ("heads", "kv_heads")]
        unsaid = p.heads is None and lengths and not any(n % count for n in lengths)
        return dataclasses.replace(p, heads=count) if unsaid else p

    return jax.tree.map(counted, tree, is_leaf=is_param)


def together(group: str, tree: Tree) -> Tree:
    """Dense layers that read the same, so that `attention.prepare` may make one product of them."""
    return jax.tree.map(lambda p: dataclasses.replace(p, group=group), tree, is_leaf=is_param)


def outside(tree: Tree) -> Tree:
    """The arrays of a head: its dense layers stand outside the layers, and its tables give scores of words."""
    roles: dict[Role, Role] = {"matrix": "projection", "table": "unembedding"}
    there = lambda p: dataclasses.replace(p, role=roles.get(p.role, p.role))  # noqa: E731
    return jax.tree.map(there, tree, is_leaf=is_param)


def resolved(tree: Tree, initializer: Callable[[Param], Init] = lambda param: Normal(0.02)) -> Tree:
    """The tree with each record's path, and a way to draw for those that say none."""

    def settle(path: tuple[Any, ...], p: Param) -> Param:
        return dataclasses.replace(p, path=p.path or keystr(path), init=p.init or initializer(p))

    return jax.tree_util.tree_map_with_path(settle, tree, is_leaf=is_param)


def stacked(tree: Tree) -> Tree:
    """The tree in which each list of layers is one entry, whose arrays have an axis "layers" in front.

    Of layers that differ in their arrays it is a tuple of such entries, one for each run of equal ones.
    """
    if isinstance(tree, dict):
        return {name: stacked(part) for name, part in tree.items()}
    if not isinstance(tree, list):
        return tree
    shapes = lambda layer: jax.tree.map(lambda p: (p.shape, p.dtype), layer, is_leaf=is_param)  # noqa: E731
    runs = [_one(list(run)) for _, run in itertools.groupby(tree, shapes)]
    return runs[0] if len(runs) == 1 else tuple(runs)


def in_runs(layers: Sequence[Tree], counts: Sequence[int]) -> Tree:
    """As `stacked` of a list, with runs of so many layers; a single one is no tuple."""
    ends = list(itertools.accumulate(counts))
    runs = [_one(list(layers[end - count : end])) for end, count in zip(ends, counts, strict=True)]
    return runs[0] if len(runs) == 1 else tuple(runs)


def _one(layers: list[Tree]) -> Tree:
    """Equal layers as one entry."""

    def stack(*entries: Param) -> Param:
        first = entries[0]
        shape, axes = (len(entries), *first.shape), ("layers", *first.axes)
        return dataclasses.replace(first, shape=shape, axes=axes, entries=entries, layout="plain", zero_row=None)

    return jax.tree.map(stack, *layers, is_leaf=is_param)


def like(tree: Tree, params: Tree) -> Tree:
    """The declaration with lists of layers stacked where those of params are, and with the records of additions
    (`layers.low_rank`) where params have some.
    """
    if isinstance(tree, dict) and isinstance(params, dict):
        return {name: like(part, params[name]) if name in params else part for name, part in tree.items()}
    if isinstance(tree, list) and not isinstance(params, list):
        return like(stacked(tree), params)
    if isinstance(tree, list | tuple) and isinstance(params, list | tuple):
        return type(tree)([*map(like, tree, params), *tree[len(params) :]])
    return params.laid_out(tree) if is_param(tree) and hasattr(params, "laid_out") else tree


# -- uses -------------------------------------------------------------------------------------------------------------


def keystr(path: tuple[Any, ...]) -> str:
    """A path in a tree as text ("layers.0.query.weight")."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def walk(tree: Tree) -> Iterator[tuple[str, Param]]:
    """Each record with its path in our tree."""
    for path, param in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_param):
        yield keystr(path), param


def abstract(tree: Tree, dtype: Any = jnp.float32) -> Tree:
    """The tree of `jax.ShapeDtypeStruct`: all that planning, sharding and compiling need, without memory."""
    return jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype or dtype), tree, is_leaf=is_param)


def init(tree: Tree, key: jax.Array, *, dtype: Any = jnp.float32) -> Tree:
    """Random weights. Each array's key is folded in by its path, so a new array does not change the others."""
    return jax.tree.map(lambda p: init_one(p, key, dtype=dtype), resolved(tree), is_leaf=is_param)


def key_of(key: jax.Array, path: str) -> jax.Array:
    """The random key of the array at a path."""
    return jax.random.fold_in(key, zlib.crc32(path.encode()))


def init_one(param: Param, key: jax.Array, *, dtype: Any = jnp.float32) -> jax.Array:
    """The array of a resolved record, from the key of the whole model."""
    if param.entries:
        return jnp.stack([init_one(entry, key, dtype=dtype) for entry in param.entries])
    assert param.init is not None
    drawn = param.init(key_of(key, param.path), param.shape, param.dtype or dtype)
    return drawn if param.zero_row is None else drawn.at[param.zero_row].set(0.0)


def size(tree: Tree) -> int:
    """The number of parameters that a declaration asks for."""
    return sum(math.prod(param.shape) for _, param in walk(tree))
