"""Saves of weights for kills.py: one file over shards, shards over shards of the same number, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from jaxformers import durable, hub
from jaxformers.checkpoint import weights

NAMES = ("a.weight", "b.weight", "c.weight")
SHARD = 600  # bytes: each array of 512 has a shard of its own


def save(folder: Path, generation: int) -> None:
    """Weights that all hold the generation; every third save is a single file."""
    arrays = {name: np.full((16, 8), generation, np.float32) for name in NAMES}
    with durable.Replacement(folder) as files:
        weights.write_weights(files, arrays, max_shard_size="5GB" if generation % 3 == 2 else SHARD)
        files.write("config.json", str(generation).encode())


def prepare(folder: Path) -> None:
    """Generation 0, sharded, with a torch file and a tokenizer beside it."""
    save(folder, 0)
    (folder / "pytorch_model.bin").write_bytes(b"an older save")
    (folder / "tokenizer.json").write_text("mine")


def generation_of(folder: Path) -> int:
    """What a load finds; an error if it is a mix."""
    source = hub.source_of(folder)
    tensors = weights.open_weights(source)
    found = {int(value) for name in NAMES for value in np.unique(tensors[name].read())}
    assert found == {int(source.file("config.json").read_text())}
    assert (folder / "tokenizer.json").read_text() == "mine"
    (generation,) = found
    return generation
