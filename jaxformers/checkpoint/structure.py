"""Whether params are those of a declaration, and whether there is room for them."""

from __future__ import annotations

import os
from typing import Any

import jax

from .. import declare
from ..layers import quantized


def check_structure(tree: declare.Tree, params: Any, owner: str) -> None:
    """Refuse params of other names or shapes; stacked layers are compared as such."""
    if not isinstance(params, dict):
        raise ValueError(f"{owner}: params must be a nested dict of arrays, found {type(params).__name__}")
    expected = declare.abstract(declare.like(tree, params))
    wanted, given = (
        {jax.tree_util.keystr(path, simple=True, separator="."): getattr(leaf, "shape", ()) for path, leaf in leaves}
        for leaves in (
            jax.tree_util.tree_leaves_with_path(tree, is_leaf=quantized.is_quantized) for tree in (expected, params)
        )
    )
    for path in sorted(wanted.keys() ^ given.keys()):
        fault = "lack" if path in wanted else "have, unlike the config's model,"
        raise ValueError(f"{owner}: params {fault} {path}")
    for path, shape in wanted.items():
        if given[path] != shape:
            raise ValueError(f"{owner}: params {path} have shape {given[path]}, the config asks for {shape}")


def check_room(needed: int, owner: str) -> None:
    """Refuse random weights that this machine's memory cannot hold, before the first is made."""
    if not hasattr(os, "sysconf"):  # not POSIX
        return
    room = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > room:
        raise ValueError(
            f"{owner}: random weights of this config take {needed / 2**30:,.1f} GiB, the machine has "
            f"{room / 2**30:,.1f} GiB: check the sizes in the config (hidden_size, vocab_size, layers, num_labels)"
        )
