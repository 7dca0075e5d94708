"""One batch as users give it: the Hub's keywords, lists or arrays, read as our inputs and checked on the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from .layers.inputs import Inputs, Want

# The Hub's keywords for a batch, in the order of positional arguments, and our fields.
FIELDS = {
    "input_ids": "ids",
    "attention_mask": "mask",
    "token_type_ids": "types",
    "position_ids": "positions",
    "inputs_embeds": "embeds",
}


def read(cls: Any, args: Sequence[Any], keywords: Mapping[str, Any]) -> tuple[Inputs, dict[str, jax.Array], Want]:
    """The Hub's keywords as our inputs: arrays of 32 bits, whatever the caller's lists or arrays held."""
    if len(args) > len(cls.accepts):
        raise TypeError(f"{cls.__name__} takes at most {len(cls.accepts)} arrays in order: {', '.join(cls.accepts)}")
    keywords = {**dict(zip(cls.accepts, args, strict=False)), **keywords}
    flags = {name: bool(keywords.pop(f"output_{name}", None)) for name in ("hidden_states", "attentions")}
    for name in keywords:
        if name not in cls.accepts and name not in cls.labels:
            raise TypeError(
                f"{cls.__name__} takes no {name!r}; it takes {', '.join((*cls.accepts, *cls.labels))}, "
                "output_hidden_states, output_attentions, return_dict"
            )
    arrays = {name: _array(name, value) for name, value in keywords.items() if value is not None}
    if ("input_ids" in arrays) == ("inputs_embeds" in arrays):
        raise ValueError(f"{cls.__name__}: pass either input_ids or inputs_embeds")
    labels = {name: arrays[name] for name in cls.labels if name in arrays}
    return Inputs(**{FIELDS[name]: arrays[name] for name in cls.accepts if name in arrays}), labels, Want(**flags)


def check(cls: Any, c: Any, batch: Inputs, labels: Mapping[str, Any]) -> None:
    """Refuse what would compute nonsense silently; values are looked at on the host only."""
    owner = cls.__name__
    tokens = batch.ids if batch.ids is not None else batch.embeds
    assert tokens is not None
    shape = tokens.shape if batch.ids is not None else tokens.shape[:-1]
    axes = "batch, seq" if cls.axes == 2 else "batch, choices, seq"
    if len(shape) != cls.axes:
        raise ValueError(f"{owner}: input_ids must be [{axes}], found {len(shape)} axes {tuple(tokens.shape)}")
    if 0 in shape:
        raise ValueError(f"{owner}: input_ids [{axes}] is empty: {tuple(shape)}")
    longest = getattr(c, "max_position_embeddings", None)
    if longest is not None and shape[-1] > longest:
        raise ValueError(
            f"{owner}: {shape[-1]} tokens in a row, the model has {longest} positions: "
            "tokenize with truncation=True, or pass shorter texts"
        )
    for name, array, bound in (
        ("input_ids", batch.ids, c.vocab_size),
        ("token_type_ids", batch.types, getattr(c, "type_vocab_size", None)),
        ("position_ids", batch.positions, longest),
        ("attention_mask", batch.mask, None),
    ):
        if array is None:
            continue
        if array.shape != shape and not (name == "attention_mask" and array.shape[: len(shape)] == shape):
            raise ValueError(f"{owner}: {name} has shape {tuple(array.shape)}, input_ids {tuple(shape)}")
        if bound is not None:
            _check_range(owner, name, array, bound)
    for name, array in labels.items():
        if array.shape[:1] != shape[:1]:
            raise ValueError(f"{owner}: {name} has {array.shape[:1]} rows, input_ids {shape[0]}")
        limit = cls.labels[name]
        if limit is not None and np.issubdtype(array.dtype, np.integer) and not _takes_values(cls, c):
            _check_range(owner, name, array, getattr(c, limit) if isinstance(limit, str) else limit, ignored=-100)


def _takes_values(cls: Any, c: Any) -> bool:
    """Whether whole-number labels of a classifier are values or indicators rather than classes."""
    kind = c.problem_type
    single = kind in (None, "single_label_classification") and (kind is not None or c.num_labels > 1)
    return cls.task == "SequenceClassification" and not single


def _array(name: str, value: Any) -> Any:
    """`value` as an array of 32 bits; jax arrays and tracers as they are."""
    if isinstance(value, jax.Array):
        return value
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"{name}: the rows have different lengths; tokenize with padding=True") from None
    if array.dtype == object or array.dtype.kind in "USM":
        raise ValueError(f"{name}: expected numbers, found {array.dtype}; tokenize with return_tensors='np'")
    if array.dtype.kind in "iu":
        if array.size and (array.max() > 2**31 - 1 or array.min() < -(2**31)):
            raise ValueError(f"{name}: {array.max()} does not fit into 32 bits")
        return array.astype(np.int32)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _check_range(owner: str, name: str, array: Any, bound: int, *, ignored: int | None = None) -> None:
    """Refuse values outside 0 to bound - 1; an index out of range reads another row or nothing, without a word."""
    if not isinstance(array, np.ndarray):
        return
    wrong = (array < 0) | (array >= bound)
    if ignored is not None:
        wrong &= array != ignored
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise ValueError(f"{owner}: {name}{list(place)} is {array[place]}, allowed are 0 to {bound - 1}")
