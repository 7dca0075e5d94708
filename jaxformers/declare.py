"""What an array is, said once: shape, logical axes, initialiser, name in the Hub's files.

An architecture declares its arrays as a tree (nested dicts and lists) of `Param` records. From that one tree come, by
`jax.tree.map`: random weights (`init`), the shapes without memory (`abstract`), the shardings, and the way to and from
checkpoints. Nouns here declare arrays; the verbs that compute with them live in `layers/` under the same names.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp

Init = Literal["normal", "zeros", "ones", "sinusoid", "sines_then_cosines", "frequencies"]
"""How random weights are made; "normal" has the standard deviation `initializer_range` of the config."""
Layout = Literal["plain", "transposed", "squeezed", "stacked"]
"""How files hold an array: as it is; a matrix, or each of several, as its transpose; with one axis more, the last, of
length 1; each entry of the first axis under a name of its own, in which "{}" stands for its number."""
Tree = Any
"""Nested dicts and lists with one kind of leaf."""


@dataclasses.dataclass(frozen=True)
class Param:
    """One array of a model.

    shape: its lengths, as the Hub stores it.
    axes: the logical name of each axis ("vocab", "embed", "heads", "mlp", …; None: never sharded).
    name: its name in Hub checkpoints, without the base model's prefix until `under` adds the path.
    init: how random weights are made.
    zero_row: the row of a table that starts at zero.
    aliases: older or tied names, tried in order when `name` is absent; a file that has several of them loads one.
    aliases_first: whether they are tried before `name`: where a file has both, they count.
    layout: how files hold it.
    dtype: the type that it always has; None: that of the model.
    """

    shape: tuple[int, ...]
    axes: tuple[str | None, ...]
    name: str
    init: Init = "normal"
    aliases: tuple[str, ...] = ()
    aliases_first: bool = False
    zero_row: int | None = None
    layout: Layout = "plain"
    dtype: str | None = None


def is_param(leaf: object) -> bool:
    """Whether a node of a declaration is a record rather than a branch."""
    return isinstance(leaf, Param)


# -- nouns ------------------------------------------------------------------------------------------------------------


def linear(
    d_in: int, d_out: int, name: str, axes: tuple[str | None, str | None] = ("embed", None), *, bias: bool = True
) -> Tree:
    """A dense layer: weight [d_out, d_in] (the Hub's layout) and bias [d_out]. `axes` names input, then output."""
    weight = {"weight": Param((d_out, d_in), axes[::-1], f"{name}.weight")}
    return weight | ({"bias": Param((d_out,), (axes[1],), f"{name}.bias", "zeros")} if bias else {})


def embedding(
    rows: int, dim: int, name: str, axis: str | None = None, *, zero_row: int | None = None, init: Init = "normal"
) -> Tree:
    """A table [rows, dim]. `zero_row` (the padding token's) starts at zero."""
    return {"table": Param((rows, dim), (axis, "embed"), f"{name}.weight", init, zero_row=zero_row)}


def layer_norm(dim: int, name: str, axis: str | None = "embed", *, bias: bool = True) -> Tree:
    """Scale and shift [dim] of a layer norm; checkpoints of TensorFlow's time call them gamma and beta."""
    scale = {"scale": Param((dim,), (axis,), f"{name}.weight", "ones", aliases=(f"{name}.gamma",))}
    shift = {"bias": Param((dim,), (axis,), f"{name}.bias", "zeros", aliases=(f"{name}.beta",))}
    return scale | shift if bias else scale


def rms_norm(dim: int, name: str, axis: str | None = "embed") -> Tree:
    """Scale [dim] of a norm by the root mean square."""
    return {"scale": Param((dim,), (axis,), f"{name}.weight", "ones")}


def offset_norm(dim: int, name: str, axis: str | None = "embed") -> Tree:
    """What the scale [dim] of a norm by the root mean square is above one."""
    return {"offset": Param((dim,), (axis,), f"{name}.weight", "zeros")}


def transposed(tree: Tree) -> Tree:
    """The arrays of a dense layer whose weight files hold as [d_in, d_out], as GPT-2 does."""
    return tree | {"weight": dataclasses.replace(tree["weight"], layout="transposed")}


def vector(dim: int, name: str, axis: str | None = None) -> Param:
    """A bare array [dim] that starts at zero."""
    return Param((dim,), (axis,), name, "zeros")


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


def tied(param: Param, *names: str, first: bool = False) -> Param:
    """The record with further full names, under which files may hold the same array a second time; `first`: what they
    hold counts where it is another.
    """
    return dataclasses.replace(param, aliases=tuple(dict.fromkeys((*param.aliases, *names))), aliases_first=first)


# -- uses -------------------------------------------------------------------------------------------------------------


def walk(tree: Tree) -> Iterator[tuple[str, Param]]:
    """Each record with its path in our tree ("layers.0.query.weight")."""
    for path, param in jax.tree_util.tree_leaves_with_path(tree, is_leaf=is_param):
        yield jax.tree_util.keystr(path, simple=True, separator="."), param


def abstract(tree: Tree, dtype: Any = jnp.float32) -> Tree:
    """The tree of `jax.ShapeDtypeStruct`: all that planning, sharding and compiling need, without memory."""
    return jax.tree.map(lambda p: jax.ShapeDtypeStruct(p.shape, p.dtype or dtype), tree, is_leaf=is_param)


def init(tree: Tree, key: jax.Array, *, std: float = 0.02, dtype: Any = jnp.float32) -> Tree:
    """Random weights. Each array's key is folded in by its path, so a new array does not change the others."""

    def make(path: tuple[Any, ...], param: Param) -> jax.Array:
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        return init_one(param, key_of(key, name), std=std, dtype=param.dtype or dtype)

    return jax.tree_util.tree_map_with_path(make, tree, is_leaf=is_param)


def key_of(key: jax.Array, path: str) -> jax.Array:
    """The random key of the array at a path."""
    return jax.random.fold_in(key, zlib.crc32(path.encode()))


def init_one(param: Param, key: jax.Array, *, std: float = 0.02, dtype: Any = jnp.float32) -> jax.Array:
    """One array by its initialiser."""
    match param.init:
        case "zeros":
            return jnp.zeros(param.shape, dtype)
        case "ones":
            return jnp.ones(param.shape, dtype)
        case "sinusoid":
            return sinusoid(*param.shape).astype(dtype)
        case "sines_then_cosines":
            table = sinusoid(*param.shape)
            return jnp.concatenate([table[:, 0::2], table[:, 1::2]], axis=1).astype(dtype)
        case "frequencies":
            return frequencies(*param.shape).astype(dtype)
    drawn = std * jax.random.normal(key, param.shape, jnp.float32)
    if param.zero_row is not None:
        drawn = drawn.at[param.zero_row].set(0.0)
    return drawn.astype(dtype)


def frequencies(count: int) -> jax.Array:
    """How far a step turns each of `count` pairs [count], from 1 downwards (Su et al. 2021, arXiv 2104.09864)."""
    return 10_000.0 ** (-jnp.arange(count, dtype=jnp.float32) / count)


def sinusoid(rows: int, dim: int) -> jax.Array:
    """Sines on even and cosines on odd columns [rows, dim] (Vaswani et al. 2017, section 3.5)."""
    angle = jnp.arange(rows)[:, None] / 10_000 ** (2 * (jnp.arange(dim) // 2) / dim)
    return jnp.where(jnp.arange(dim) % 2 == 0, jnp.sin(angle), jnp.cos(angle))


def size(tree: Tree) -> int:
    """The number of parameters that a declaration asks for."""
    return sum(math.prod(param.shape) for _, param in walk(tree))
