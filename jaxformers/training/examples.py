"""Examples as users give them: mappings, or objects with fields, that all have the same fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Example = dict[str, Any]


def mappings(features: Sequence[Any], places: Sequence[int] | None = None) -> list[Example]:
    """Each example as a dict of its own.

    Args:
        features: mappings, or objects whose attributes are the fields.
        places: which rows of the dataset they are, for messages; None: 0, 1, 2, …

    Raises:
        ValueError: there are none, one has no fields, or other fields than the first.
    """
    if not len(features):
        raise ValueError("there are no examples: a batch takes one at least")
    places = range(len(features)) if places is None else places
    examples = [_mapping(feature, place) for feature, place in zip(features, places, strict=True)]
    first = examples[0].keys()
    for example, place in zip(examples, places, strict=True):
        if example.keys() != first:
            raise ValueError(
                f"row {place} has {_difference(example, first)}, row {places[0]} has not the same fields: "
                f"{', '.join(sorted(first))}; give all rows the same"
            )
    return examples


def token_count(example: Example, name: str = "input_ids", place: int = 0) -> int:
    """How many tokens an example has: of choices, the longest.

    Raises:
        ValueError: there is no such field, or it is no list.
    """
    if name not in example:
        raise ValueError(f"row {place} has no {name}: it has {', '.join(map(str, example)) or 'no fields'}")
    tokens = example[name]
    if not hasattr(tokens, "__len__") or isinstance(tokens, str):
        raise ValueError(f"row {place}: {name} is {type(tokens).__name__}, expected a list of ids")
    nested = len(tokens) and hasattr(tokens[0], "__len__")
    return max(map(len, tokens)) if nested else len(tokens)


def _mapping(feature: Any, place: int) -> Example:
    if isinstance(feature, Mapping):
        return dict(feature)
    if hasattr(feature, "keys") and hasattr(feature, "__getitem__"):
        return {name: feature[name] for name in feature.keys()}  # noqa: SIM118 - no mapping by declaration
    if not hasattr(feature, "__dict__"):
        raise ValueError(f"row {place} is {type(feature).__name__}: expected a mapping from column names to values")
    return dict(vars(feature))


def _difference(example: Example, first: Any) -> str:
    """What an example has otherwise than the first."""
    if missing := sorted(first - example.keys()):
        return f"no {missing[0]}"
    return f"{min(example.keys() - first)} too"
