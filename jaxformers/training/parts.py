"""Which arrays of a model are trained and which of them are decayed, by what the declaration says of them."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import Any

import jax

from .. import declare
from ..declare import Tree
from ..layers.quantized import is_quantized

_PLAIN = ("norm", "bias")  # of these no weight is decayed


def decayed(declaration: Tree) -> frozenset[str]:
    """The paths of the arrays that weight decay draws to zero: all but biases and norms, also tables."""
    return frozenset(path for path, param in declare.walk(declaration) if param.role not in _PLAIN)


def trained(
    declaration: Tree, only: Sequence[str] | None = None, frozen: Sequence[str] = (), frozen_roles: Sequence[str] = ()
) -> frozenset[str]:
    """The paths of the arrays that are trained: of those with a gradient, all that nobody freezes.

    Args:
        declaration: of the params, layers as they lie (`model.laid_out`).
        only: beginnings of paths, "*" within a part stands for anything: what is trained alone ("head").
        frozen: likewise, what is not ("word", "layers.0", "layers.*.attention_norm").
        frozen_roles: roles of arrays that are not (`declare.Role`).

    Raises:
        ValueError: a pattern or a role that no array has, or nothing is left.
    """
    roles = {path: param.role for path, param in declare.walk(declaration)}
    for role in frozen_roles:
        if role not in roles.values():
            there = ", ".join(dict.fromkeys(roles.values()))
            raise ValueError(f"frozen_roles: no array has the role {role!r}; there are {there}")
    whole = frozenset(only or ()).intersection(roles)  # of adapters there are hundreds
    begun = None if only is None else [pattern for pattern in only if pattern not in whole]
    for pattern in (*(begun or ()), *frozen):
        if not any(_begins(pattern, path) for path in roles):
            tops = dict.fromkeys(path.split(".")[0] for path in roles)
            raise ValueError(f"no array's path begins with {pattern!r}; paths begin with {', '.join(tops)}")
    chosen = frozenset(
        path
        for path, role in roles.items()
        if role != "buffer"
        and role not in frozen_roles
        and (begun is None or path in whole or any(_begins(pattern, path) for pattern in begun))
        and not any(_begins(pattern, path) for pattern in frozen)
    )
    if not chosen:
        raise ValueError("nothing is left to train: all arrays are frozen")
    return chosen


def _begins(pattern: str, path: str) -> bool:
    asked, parts = pattern.split("."), path.split(".")
    return len(asked) <= len(parts) and all(map(fnmatch.fnmatchcase, parts, asked))


def mask(tree: Tree, paths: frozenset[str]) -> Tree:
    """A tree of bools: whether an array's path is one of these."""
    return jax.tree_util.tree_map_with_path(lambda path, _: declare.keystr(path) in paths, tree)


def split(params: Tree, paths: frozenset[str]) -> tuple[Tree, Tree]:
    """The arrays at the paths and the others, each in the whole tree with None in the places of the rest."""
    chosen = mask(params, paths)
    return (
        jax.tree.map(lambda own, x: x if own else None, chosen, params),
        jax.tree.map(lambda own, x: None if own else x, chosen, params),
    )


def joined(first: Tree, second: Tree) -> Tree:
    """The inverse of `split`."""
    return jax.tree.map(lambda a, b: b if a is None else a, first, second, is_leaf=lambda x: x is None)


def replace_floats(tree: Tree, dtype: Any, but: frozenset[str] = frozenset()) -> Tree:
    """The tree with arrays of floats in a type, but for those at some paths, and for weights in fewer bits."""

    def cast(path: tuple[Any, ...], x: Any) -> Any:
        if is_quantized(x) or not jax.numpy.issubdtype(x.dtype, jax.numpy.floating):
            return x
        return x if declare.keystr(path) in but else x.astype(dtype)

    return jax.tree_util.tree_map_with_path(cast, tree, is_leaf=is_quantized)


def narrow(declaration: Tree, params: Tree, dtype: Any) -> Tree:
    """Params as a pass in `dtype` takes them: all floats but those that are declared to be wider."""
    tree = declare.like(declaration, params)
    wide = frozenset(path for path, param in declare.walk(tree) if param.dtype is not None)
    return replace_floats(params, dtype, wide)
