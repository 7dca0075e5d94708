"""How a training argument is declared: what its value may be, and what happens where torch has it and we do not."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

from ..generation import checks
from ..generation.checks import Check, Wrong

_PAIRS = "pairs such as 'momentum=0.9,nesterov=True', or a mapping"


# -- kinds ------------------------------------------------------------------------------------------------------------


def used(default: Any, check: Check, off: bool = False) -> Any:
    """An argument that training looks at; None stands for its default, or with `off` says that it is not wanted."""
    return dataclasses.field(default=default, metadata={"check": check, "off": off or default is None})


def quiet(default: Any, check: Check | None = None) -> Any:
    """An argument of torch's machinery, which changes no result: it is kept, and one line says that it does nothing."""
    return dataclasses.field(default=default, metadata={"check": check or kept, "off": default is None, "quiet": True})


def refused(default: Any, instead: str) -> Any:
    """An argument that would change results and is not here; whatever is not its default is an error.

    Args:
        default: torch's.
        instead: what to do, for the error.
    """

    def check(value: Any) -> Any:
        if value == default or not (value or default):
            return default
        raise Wrong(f"{default!r}; {instead}")

    return dataclasses.field(default=default, metadata={"check": check, "off": default is None})


# -- values -----------------------------------------------------------------------------------------------------------


def kept(value: Any) -> Any:
    """Anything."""
    return value


def one_of(*names: str) -> Check:
    """One of some names, or an enumeration's member of that value."""

    def check(value: Any) -> str:
        value = getattr(value, "value", value)
        if value not in names:
            raise Wrong(f"one of {', '.join(map(repr, names))}")
        return str(value)

    return check


def between(low: float, high: float, without_high: bool = False) -> Check:
    """A number from `low` to `high`."""

    def check(value: Any) -> float:
        value = checks.real(value)
        if not low <= value <= high or (without_high and value == high):
            raise Wrong(f"a number from {low:g} to {'below ' * without_high}{high:g}")
        return value

    return check


def from_zero(value: Any) -> float:
    """A number that is not negative."""
    if checks.real(value) < 0:
        raise Wrong("a number of 0 or more")
    return value


def steps(value: Any) -> float:
    """A number of steps, or below 1 a share of all."""
    value = from_zero(value)
    if value < 1 and value != 0:
        return value
    if value != int(value):
        raise Wrong("a whole number of steps, or a share of all steps below 1")
    return int(value)


def seed(value: Any) -> int:
    """What random numbers follow from."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
        raise Wrong("a whole number from 0, below 2**32")
    return value


def path(value: Any) -> str:
    """The name of a file or a folder."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise Wrong("a path")
    return os.fspath(value)


def options(value: Any) -> dict[str, Any]:
    """A mapping, or its JSON text."""
    try:
        value = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        value = None
    if not isinstance(value, Mapping):
        raise Wrong("a mapping, or the JSON text of one")
    return checks.plain_json(dict(value))


def pairs(value: Any) -> dict[str, Any]:
    """A mapping, or names and values in a text: "a=1,b=2". Numbers and truth values are read as such."""
    if isinstance(value, Mapping):
        return checks.plain_json(dict(value))
    if not isinstance(value, str):
        raise Wrong(_PAIRS)
    found = {}
    for pair in filter(None, value.replace(" ", "").split(",")):
        name, equals, said = pair.partition("=")
        if not (name and equals and said):
            raise Wrong(_PAIRS)
        found[name] = _read(said)
    return found


def _read(said: str) -> Any:
    """What a text without quotes means."""
    words = {"true": True, "false": False, "none": None}
    if said.lower() in words:
        return words[said.lower()]
    for kind in (int, float):
        try:
            return kind(said)
        except ValueError:
            continue
    return said


def seen_tokens(value: Any) -> str:
    """Of include_num_input_tokens_seen."""
    return {True: "all", False: "no"}[value] if isinstance(value, bool) else one_of("no", "all", "non_padding")(value)


def debugging(value: Any) -> tuple[str, ...]:
    """Of debug: names in one text or in a list."""
    names = value.split() if isinstance(value, str) else value
    return checks.many(one_of("underflow_overflow", "tpu_metrics_debug"), "a list of debugging options")(names)


def accelerator(value: Any) -> dict[str, Any]:
    """Of accelerator_config, whose split_batches would change what a batch is."""
    value = options(value)
    if value.get("split_batches"):
        raise Wrong("no split_batches: divide per_device_train_batch_size by the number of devices")
    return value
