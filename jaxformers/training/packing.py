"""Several texts in a row, for models that read in one direction: next to no padding, and one shape.

A row has `segment_ids` [T]: 1, 2, … where a token belongs to the row's first, second, … text, 0 at padding. A step
takes them out of the batch (`segments`), puts them into its inputs (`packed`), and calls `Inputs.separated` in its
program: then no text sees another, and positions restart with each. The label of each text's first token is -100, so
the loss needs no more: shifted by one, nothing counts that crosses from one text to the next.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from ..layers.inputs import Inputs
from ..layers.losses import IGNORED
from .examples import mappings, token_count


def first_fit_decreasing(sizes: Sequence[int] | np.ndarray, capacity: int) -> list[list[int]]:
    """Which items go together: each, the largest first, into the first row that has room for it.

    Args:
        sizes: of each item.
        capacity: of a row.

    Returns:
        Of each row the numbers of its items.

    Raises:
        ValueError: an item is larger than a row.
    """
    order = np.argsort(-np.asarray(sizes, np.int64), kind="stable")
    if len(order) and sizes[order[0]] > capacity:
        raise ValueError(
            f"row {order[0]} has {sizes[order[0]]} tokens, the rows that texts are packed into have {capacity}: "
            "truncate the texts, or cut them into parts"
        )
    leaves = 1 << max(len(order) - 1, 0).bit_length()
    room = [capacity] * (2 * leaves)  # a tree: a node has the most room of the rows below it
    rows: list[list[int]] = []
    for item in order.tolist():
        node = 1
        while node < leaves:
            node = 2 * node if room[2 * node] >= sizes[item] else 2 * node + 1
        if node - leaves == len(rows):
            rows.append([])
        rows[node - leaves].append(item)
        room[node] -= int(sizes[item])
        while node > 1:
            node //= 2
            room[node] = max(room[2 * node], room[2 * node + 1])
    return rows


def flattened(texts: Sequence[Mapping[str, Any]], separator: int = IGNORED) -> dict[str, np.ndarray]:
    """One row of tokenized texts: input_ids, labels, position_ids and segment_ids, [all tokens] each.

    Args:
        texts: with input_ids, and labels where these are others.
        separator: the label of each text's first token.

    Raises:
        ValueError: labels that are more or fewer than tokens.
    """
    ids = [np.asarray(text["input_ids"], np.int64) for text in texts]
    labels = [np.array(text.get("labels", text["input_ids"]), np.int64) for text in texts]
    for place, (own, label) in enumerate(zip(ids, labels, strict=True)):
        if own.shape != label.shape:
            raise ValueError(f"text {place} has {own.size} tokens and {label.size} labels: give each token one")
        label[:1] = separator
    return {
        "input_ids": np.concatenate(ids),
        "labels": np.concatenate(labels),
        "position_ids": np.concatenate([np.arange(len(own)) for own in ids]),
        "segment_ids": np.concatenate([np.full(len(own), i) for i, own in enumerate(ids, 1)]),
    }


@dataclasses.dataclass(frozen=True, init=False)
class PackedDataset(Sequence[dict[str, np.ndarray]]):
    """A dataset of texts as rows of one length that hold several each, for `default_data_collator`.

    Args:
        dataset: tokenized texts, with a length; all are looked at once.
        length: tokens of a row.
        pad_token_id: what stands where a row has no text; its label is -100.
        split: cut texts that are longer than a row into parts, which then do not see each other; else they are an
            error.

    Raises:
        ValueError: an empty dataset, no input_ids, or a text longer than a row.
    """

    dataset: Any
    length: int
    pad_token_id: int
    rows: tuple[tuple[tuple[int, int, int], ...], ...]  # of each its parts: number of the text, from, to

    def __init__(self, dataset: Any, length: int, pad_token_id: int = 0, *, split: bool = False) -> None:
        if length < 1:
            raise ValueError(f"length must be 1 token or more, found {length}")
        sizes = [token_count(mappings([dataset[i]], [i])[0], place=i) for i in range(len(dataset))]
        if not sum(sizes):
            raise ValueError("the dataset has no tokens: there is nothing to pack")
        span = length if split else max(sizes)
        parts = [
            (text, start, min(start + span, size)) for text, size in enumerate(sizes) for start in range(0, size, span)
        ]
        rows = first_fit_decreasing([end - start for _, start, end in parts], length)
        packed = tuple(tuple(parts[i] for i in row) for row in rows)
        for name, value in (("dataset", dataset), ("length", length), ("pad_token_id", pad_token_id), ("rows", packed)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        """Rows, each of which holds several texts."""
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        """One row, or of a slice the list of its rows: input_ids, labels, position_ids and segment_ids, [length]."""
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        texts = []
        for text, start, end in self.rows[index]:
            example = self.dataset[text]
            texts.append({name: example[name][start:end] for name in ("input_ids", "labels") if name in example})
        row, fillers = flattened(texts), {"input_ids": self.pad_token_id, "labels": IGNORED}
        extra = (0, self.length - len(row["input_ids"]))
        return {name: np.pad(array, extra, constant_values=fillers.get(name, 0)) for name, array in row.items()}

    @property
    def padding(self) -> float:
        """The share of all places that hold no token."""
        tokens = sum(end - start for row in self.rows for _, start, end in row)
        return 1 - tokens / (len(self) * self.length)


def starts(segment_ids: np.ndarray) -> np.ndarray:
    """Where texts begin, counted through all rows [N], of the texts' numbers [B, T]: `Inputs.starts`.

    For models that say something of each text; the loss of a causal one does not need them.
    """
    before = np.pad(segment_ids, ((0, 0), (1, 0)))[:, :-1]
    return np.flatnonzero((segment_ids != before) & (segment_ids != 0))


def segments(model: Any, batch: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """A batch as a call of the model takes it, and its segment_ids [B, T]; None where it has none.

    Args:
        model: the model, or its class.
        batch: arrays by name. Where texts are told apart position_ids say nothing new, and are left out.

    Raises:
        ValueError: the model cannot tell texts of a row apart, or another shape than that of the ids.
    """
    ids = batch.get("segment_ids")
    if ids is None:
        return dict(batch), None
    owner = getattr(model, "__name__", type(model).__name__)
    if not model.packs:
        raise ValueError(f"{owner}: texts in one row change each other's results, so rows must hold one text each")
    shape, expected = np.shape(ids), np.shape(batch["input_ids"]) if "input_ids" in batch else ()
    if shape != expected:
        raise ValueError(f"{owner}: segment_ids has shape {shape}, input_ids {expected}: each token has one")
    return {name: array for name, array in batch.items() if name not in ("segment_ids", "position_ids")}, ids


def packed(inputs: Inputs, segment_ids: jax.Array, starts: jax.Array | None = None) -> Inputs:
    """Inputs whose rows hold several texts; `separated` of these makes the mask, in the program that reads them.

    Args:
        inputs: of the batch.
        segment_ids: [B, T] the number of each token's text in its row from 1, 0 at padding.
        starts: [N] where texts begin, counted through all rows.
    """
    return dataclasses.replace(inputs, texts=segment_ids, starts=starts, positions=None)
