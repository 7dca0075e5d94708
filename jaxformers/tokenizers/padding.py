"""Padding of rows that were tokenized before: of lists and of arrays, of one mapping and of many."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any, Self

from .backend import Padding


@dataclasses.dataclass(frozen=True)
class Unpadded:
    """Tokenized rows as lists.

    Attributes:
        data: name → one value a row.
        ids_name: what the ids are called.
        single: whether one row was given, without a batch axis.
        tensors: "jax" or "np" if arrays were given, None for lists.
    """

    data: dict[str, list[Any]]
    ids_name: str
    single: bool
    tensors: str | None

    @classmethod
    def of(cls, given: Any, ids_name: str) -> Self:
        """From a mapping of one row or of many, or a list of mappings of one row.

        Raises:
            ValueError: no ids, or values of different numbers of rows.
        """
        if not isinstance(given, Mapping):
            examples = list(given)
            names = list(examples[0]) if examples and isinstance(examples[0], Mapping) else []
            try:
                given = {name: [example[name] for example in examples] for name in names}
            except (KeyError, TypeError):
                raise ValueError(f"pad takes mappings that all have the same names, the first has {names}") from None
        if ids_name not in given:
            raise ValueError(f"pad needs {ids_name}, found {list(given)}")
        kinds = {_kind(value) for value in given.values()}
        tensors = "jax" if "jax" in kinds else "np" if "np" in kinds else None
        data = {name: _lists(value) for name, value in given.items()}
        single = bool(data[ids_name]) and not isinstance(data[ids_name][0], list)
        if single:
            data = {name: [value] for name, value in data.items()}
        for name, value in data.items():
            if not isinstance(value, list) or len(value) != len(data[ids_name]):
                raise ValueError(f"{name} and {ids_name} have different numbers of rows")
        return cls(data, ids_name, single, tensors)

    def with_mask(self) -> Self:
        """With an attention mask, made where there is none."""
        mask = {"attention_mask": [[1] * len(row) for row in self.data[self.ids_name]]}
        return dataclasses.replace(self, data=self.data | (mask if "attention_mask" not in self.data else {}))

    def padded(self, padding: Padding | None) -> dict[str, Any]:
        """The values, those with one item a token brought to one length; no batch axis if none was given."""
        data = dict(self.data)
        if padding is not None:
            length = max(map(len, data[self.ids_name]), default=0) if padding.length is None else padding.length
            multiple = padding.pad_to_multiple_of or 1
            length = -(-length // multiple) * multiple
            fillers = {
                "attention_mask": 0,
                "token_type_ids": padding.pad_type_id,
                "special_tokens_mask": 1,
                "global_attention_mask": -1,  # LED's: padding is neither global nor local
            }
            for name, filler in (fillers | {self.ids_name: padding.pad_id}).items():
                if name in data:
                    data[name] = [_filled(row, filler, length, padding.direction) for row in data[name]]
        return {name: value[0] for name, value in data.items()} if self.single else data


def _kind(value: Any) -> str | None:
    """Whether a value, or the first of a list, is a "jax" or a "np" array; other arrays count as the latter."""
    if isinstance(value, list | tuple):
        return _kind(value[0]) if value else None
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(value, jax.Array):
        return "jax"
    return "np" if getattr(value, "ndim", 0) else None


def _lists(value: Any) -> Any:
    """Arrays, and arrays in lists, as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, list | tuple) and value and not isinstance(value[0], int | str):
        return [_lists(item) for item in value]
    return list(value) if isinstance(value, tuple) else value


def _filled(row: list[int], filler: int, length: int, direction: str) -> list[int]:
    added = [filler] * (length - len(row))
    return row + added if direction == "right" else added + row
