"""From a tree of arrays to named tensors, by an architecture's declaration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jax

from .. import declare
from . import layout


class Named(Mapping[str, Any]):
    """The arrays of a tree by their Hub names, read from the device one at a time. Tied arrays have one name."""

    def __init__(self, params: declare.Tree, declaration: declare.Tree) -> None:
        arrays = dict(_by_path(params))
        self._arrays = {
            name: part for path, param in declare.walk(declaration) for name, part in layout.theirs(param, arrays[path])
        }

    def __getitem__(self, name: str) -> Any:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def _by_path(params: declare.Tree) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        yield jax.tree_util.keystr(path, simple=True, separator="."), leaf
