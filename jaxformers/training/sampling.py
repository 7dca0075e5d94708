"""The order in which an epoch reads its rows."""

from __future__ import annotations

from typing import Literal

import numpy as np

Sampling = Literal["random", "sequential", "group_by_length"]
SAMPLINGS: tuple[Sampling, ...] = ("random", "sequential", "group_by_length")

_MOST_BATCHES = 100  # that are sorted together
_FEWEST_GROUPS = 2  # or each epoch of a small dataset would have the same batches


def order(rows: int, sampling: Sampling, batch: int, lengths: np.ndarray | None, seed: int, epoch: int) -> np.ndarray:
    """The numbers of all rows [rows], as an epoch reads them; the same for the same seed and epoch.

    Args:
        rows: of the dataset.
        sampling: "random", "sequential" (as they lie), or "group_by_length": those of a batch are about as long.
        batch: rows of one step, on all processes.
        lengths: [rows] tokens of each row, for "group_by_length".
        seed: of the run.
        epoch: from 0.
    """
    if sampling == "sequential":
        return np.arange(rows)
    rng = np.random.default_rng((seed, epoch))
    if sampling == "random" or lengths is None:
        return rng.permutation(rows)
    return _grouped(rows, batch, lengths, rng)


def _grouped(rows: int, batch: int, lengths: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Of up to 100 batches of random rows at a time, the rows sorted by length, and the batches in random order.

    The batch with the longest row comes first, so that what does not fit into memory fails at once.
    """
    shuffled = rng.permutation(rows)
    count = -(-rows // batch)
    groups = min(count, max(_FEWEST_GROUPS, -(-count // _MOST_BATCHES)))
    span = batch * -(-count // groups)
    batches: list[np.ndarray] = []
    for start in range(0, rows, span):
        part = shuffled[start : start + span]
        part = part[np.argsort(-lengths[part], kind="stable")]
        pieces = [part[i : i + batch] for i in range(0, len(part), batch)]
        batches += [pieces[i] for i in rng.permutation(len(pieces))]
    whole = [piece for piece in batches if len(piece) == batch]
    rest = [piece for piece in batches if len(piece) < batch]
    if whole:
        longest = max(range(len(whole)), key=lambda i: lengths[whole[i]].max())
        whole[0], whole[longest] = whole[longest], whole[0]
    return np.concatenate([*whole, *rest])
