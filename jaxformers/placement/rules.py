"""The table of logical axes: which axes of a mesh divide weights, cells and batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

Rules = Mapping[str, Sequence[str | tuple[str, ...]]]
"""Logical axis → axes of the mesh, best first; a tuple stands for several that divide it together."""

AXES = ("data", "fsdp", "tensor", "sequence", "expert")
"""What axes of a mesh are called. data: rows. fsdp: rows and weights. tensor: heads, networks, words. sequence: slots
of the cache. expert: experts."""

ALIASES: Mapping[str, str] = {"dp": "data", "batch": "data", "tp": "tensor", "model": "tensor", "ep": "expert"}
"""Other names of these axes."""

# `fsdp` before `data`: the other way round XLA (jax 0.10) loses track of which rows a device has where weights
# are divided among `fsdp` and `tensor`, and gradients are wrong without a word: see tests/meshes.
_ROWS = (("fsdp", "data"), "data", "fsdp")
_SLOTS = ("sequence", "tensor")
_INNER = ("tensor", "fsdp")

RULES: Rules = {
    # batches, activations and cells
    "batch": _ROWS,
    "lookups": ("data",),
    "columns": ("fsdp",),
    "tokens": ("sequence",),
    "source": _ROWS,
    "length": _SLOTS,
    "ring": _SLOTS,
    "source_length": _SLOTS,
    # cells and weights
    "kv_heads": _INNER,
    # weights
    "heads": _INNER,
    "head_dim": _INNER,
    "mlp": _INNER,
    "vocab": _INNER,
    "source_vocab": _INNER,
    "latent": _INNER,
    "out": _INNER,
    "embed": ("fsdp", "tensor"),
    "expert": ("expert",),
}
"""What `shardings` goes by where no other rules are given.

"tokens" are those of an activation, "lookups" and "columns" the rows and numbers of vectors that have just been taken
from a table, whose columns `fsdp` divides.

An axis of the mesh divides one axis of an array at most. The first choices of all of an array's axes come before all
second ones, so a vocabulary that `tensor` does not divide leaves it to the "embed" of its table.
"""


def meaning(name: str) -> str:
    """What an axis of a mesh is, whichever of its names it has."""
    return ALIASES.get(name, name)


def named(wanted: str | tuple[str, ...], mesh_axes: Iterable[str]) -> tuple[str, ...]:
    """The axes of a mesh that an entry of the rules means, in the entry's order."""
    entries = (wanted,) if isinstance(wanted, str) else wanted
    axes = tuple(mesh_axes)
    return tuple(axis for entry in entries for axis in axes if meaning(axis) == meaning(entry))


def row_axes(mesh_axes: Iterable[str], rules: Rules = RULES) -> tuple[str, ...]:
    """The axes of a mesh among which the rows of a batch are divided: the first choice for "batch"."""
    return named(rules["batch"][0], mesh_axes) if rules.get("batch") else ()
