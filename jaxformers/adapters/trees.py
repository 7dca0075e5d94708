"""Adapters as they lie in the tree of a model: added, merged, taken off."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

from .. import declare
from ..checkpoint import load
from ..checkpoint.safetensors import Tensor
from ..declare import Tree
from ..layers.low_rank import LowRank, is_low_rank
from ..layers.quantized import is_quantized
from ..parallel import explicit


def only(tree: Tree, paths: frozenset[str]) -> Tree:
    """The tree with None in the places of all but the leaves at some paths."""
    kept = lambda path, leaf: leaf if declare.keystr(path) in paths else None  # noqa: E731
    return jax.tree_util.tree_map_with_path(kept, tree, is_leaf=declare.is_param)


def filled(params: Tree, tree: Tree, paths: frozenset[str], found: Mapping[str, Tensor], key: jax.Array) -> Tree:
    """Params with an adapter's arrays, each laid out as the weight that it is for.

    Args:
        params: of the model without it.
        tree: their declaration with the adapter's records (`targets.adapted`).
        paths: of the arrays that files have, or that are to be drawn.
        found: tensors by `Param.path`; what is not among them is drawn.
        key: chooses what is drawn.
    """
    wanted = only(tree, paths)
    arrays = load.fill(
        load.LoadPlan(found, load.Report()),
        _typed(wanted, params),
        dtype=None,
        key=key,
        shardings=_layouts(wanted, params),
    )

    def put(node: Any, base: Any, new: Any) -> Any:
        if isinstance(node, LowRank):
            return dataclasses.replace(node, base=base, down=new.down, up=new.up)
        return base if new is None else new

    return jax.tree.map(put, tree, params, arrays, is_leaf=_is_node)


def plain(params: Tree, paths: frozenset[str]) -> Tree:
    """Params in which weights at some paths that are kept in fewer bits are widened, so that they have gradients."""

    def widen(path: tuple[Any, ...], leaf: Any) -> Any:
        return leaf.widened() if is_quantized(leaf) and declare.keystr(path) in paths else leaf

    return jax.tree_util.tree_map_with_path(widen, params, is_leaf=is_quantized)


def merged(params: Tree) -> Tree:
    """Params with additions in the weights: those in fewer bits are rounded anew."""
    return _each(params, LowRank.merged)


def without(params: Tree) -> Tree:
    """Params without additions. Modules that were trained as a whole, and biases, stay as they are."""
    return _each(params, lambda leaf: leaf.base)


def sizes(params: Tree, paths: frozenset[str]) -> tuple[int, int]:
    """How many numbers there are at some paths, and in all; scales of weights in fewer bits do not count."""
    leaves = jax.tree_util.tree_leaves_with_path(params, is_leaf=is_quantized)
    counts = {declare.keystr(path): math.prod(leaf.shape) for path, leaf in leaves}
    return sum(count for path, count in counts.items() if path in paths), sum(counts.values())


def _each(params: Tree, change: Any) -> Tree:
    def convert(params: Tree) -> Tree:
        return jax.tree.map(lambda leaf: change(leaf) if is_low_rank(leaf) else leaf, params, is_leaf=is_low_rank)

    return explicit.call_on_host(convert, params)


def _is_node(leaf: Any) -> bool:
    return leaf is None or is_low_rank(leaf) or declare.is_param(leaf)


def _typed(wanted: Tree, params: Tree) -> Tree:
    """The records, those of arrays that the model has already with the types of these."""

    def typed(node: Any, base: Any) -> Any:
        return dataclasses.replace(node, dtype=str(base.dtype)) if declare.is_param(node) else node

    return jax.tree.map(typed, wanted, params, is_leaf=_is_node)


def _layouts(wanted: Tree, params: Tree) -> Tree | None:
    """Where arrays of an adapter lie: on the devices of the weights, those of additions as their ends do."""
    arrays = [x for x in jax.tree.leaves(params) if isinstance(x, jax.Array)]
    if not any(x.committed for x in arrays):
        return None

    def place(node: Any, base: Any) -> Any:
        if node is None:
            return None
        array = base.values if is_quantized(base) else base
        if declare.is_param(node):
            return array.sharding
        return dataclasses.replace(node, down=_end(array, -2), up=_end(array, -1))

    return jax.tree.map(place, wanted, params, is_leaf=_is_node)


def _end(array: jax.Array, axis: int) -> jax.sharding.Sharding:
    """The layout of a weight [..., out, in] with another axis in the place of one of its own."""
    if not isinstance(array.sharding, NamedSharding):
        return array.sharding
    spec = [*array.sharding.spec, *(None,) * (array.ndim - len(array.sharding.spec))]
    spec[axis] = None
    return NamedSharding(array.sharding.mesh, PartitionSpec(*spec))
