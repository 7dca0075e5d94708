"""Which pieces translate which, counted from pairs: what a translator's word table begins with.

A table of random rows leaves it to the network to find out that "▁file" is "▁fichier". IBM's first model (Brown et al.
1993) finds it in seconds: every piece of a target comes from some piece of its source, and how probable each is follows
from all pairs together. So rows of targets are random, rows of sources are what they translate to, and the decoder has
little more to learn than where to look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from small_models import Row

ROUNDS = 5  # of expectation and maximisation
LEAST = 0.01  # what is less probable is left out


def translations(rows: Sequence[Row], words: int, rounds: int = ROUNDS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Links of pieces: of sources [L], of targets [L], and the probability of the second, given the first."""
    sides = [(row["input_ids"], row["labels"]) for row in rows]
    links = [(np.repeat(source, len(target)), np.tile(target, len(source))) for source, target in sides]
    shares = np.concatenate([np.tile(np.arange(len(target)), len(source)) for source, target in sides])
    starts = np.repeat(np.cumsum([0, *(len(target) for _, target in sides[:-1])]), [len(one) for one, _ in links])
    places = shares + starts  # of each link's piece of a target, among those of all rows
    kinds, which = np.unique(
        np.concatenate([source.astype(np.int64) * words + target for source, target in links]), return_inverse=True
    )
    sources, targets = np.divmod(kinds, words)
    probability = np.ones(len(kinds))
    for _ in range(rounds):
        each = probability[which]
        each /= np.bincount(places, each)[places]
        counted = np.bincount(which, each, len(kinds))
        probability = counted / np.bincount(sources, counted, words)[sources]
    return sources, targets, probability


def table(rows: Sequence[Row], words: int, width: int, seed: int) -> np.ndarray:
    """A word table [words, width] of rows with a root mean square of 1.

    A piece that both languages have is in between, by how often it stands on each side.
    """
    drawn = np.random.default_rng(seed).standard_normal((words, width))
    sources, targets, probability = translations(rows, words)
    meant = np.zeros_like(drawn)
    for i in np.flatnonzero(probability >= LEAST):
        meant[sources[i]] += probability[i] * drawn[targets[i]]
    read, written = (
        np.bincount(np.concatenate([row[side] for row in rows]), minlength=words)[:, None] + 1e-9
        for side in ("input_ids", "labels")
    )
    mixed = (read * meant + written * drawn) / (read + written)
    return (mixed / np.sqrt(np.square(mixed).mean(1, keepdims=True) + 1e-12)).astype(np.float32)


def begun(model: Any, table: np.ndarray) -> Any:
    """A model with a word table [words, width], whose decoder at first writes what its last layer looks at."""
    decoder = model.params["decoder"]
    *before, last = decoder["layers"]
    eye = jnp.eye(table.shape[1])
    cross = last["cross"] | {name: last["cross"][name] | {"weight": eye} for name in ("value", "out")}
    layers = [*before, last | {"cross": cross}]
    params = {"word": {"table": jnp.asarray(table)}, "decoder": decoder | {"layers": layers}}
    return model.replace(params=model.params | params)
