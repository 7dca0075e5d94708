"""What the value of a setting may be: functions that give it as it is kept, or say what was expected."""

from __future__ import annotations

import copy
import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Check = Callable[[Any], Any]


class Wrong(Exception):
    """A value that is not what was expected."""


def flag(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise Wrong("True or False")
    return value


def whole(low: int | None = None) -> Check:
    """A whole number of 32 bits, from `low` on."""

    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not -(2**31) <= value < 2**31:
            raise Wrong("a whole number")
        if low is not None and value < low:
            raise Wrong(f"a whole number from {low}")
        return value

    return check


def real(value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Wrong("a number")
    try:
        value = float(value)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise Wrong("a finite number")
    return value


def seconds(value: Any) -> float:
    """A time."""
    try:
        value = real(value)
    except Wrong:
        value = 0.0
    if value <= 0:
        raise Wrong("seconds, more than 0")
    return value


def text(value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise Wrong("text")
    return value


def many(item: Check, what: str, least: int = 0) -> Check:
    """A list, of at least so many."""

    def check(value: Any) -> tuple[Any, ...]:
        value = value.tolist() if isinstance(value, np.ndarray) else value
        if not isinstance(value, list | tuple) or len(value) < least:
            raise Wrong(what)
        try:
            return tuple(item(_plain(entry)) for entry in value)
        except Wrong:
            raise Wrong(what) from None

    return check


def either(*kinds: Check) -> Check:
    """What one of the checks takes."""

    def check(value: Any) -> Any:
        said = []
        for one in kinds:
            try:
                return one(value)
            except Wrong as wrong:
                said.append(str(wrong))
        raise Wrong(" or ".join(said))

    return check


def early(value: Any) -> Any:
    """Of early_stopping."""
    if not isinstance(value, bool) and value != "never":
        raise Wrong('True, False or "never"')
    return value


def decay(value: Any) -> tuple[int, float]:
    """Of exponential_decay_length_penalty."""
    what = "(how many new tokens first, a factor > 0 for each after them)"
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise Wrong(what)
    try:
        start, factor = whole()(_plain(value[0])), real(_plain(value[1]))
    except Wrong:
        raise Wrong(what) from None
    if factor <= 0:
        raise Wrong(what)
    return start, factor


def biases(value: Any) -> tuple[tuple[tuple[int, ...], float], ...]:
    """Of sequence_bias."""
    what = "{(id, ...): bias} or [[[id, ...], bias], ...], not empty, ids from 0"
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, list | tuple) or not pairs:
        raise Wrong(what)
    found: dict[tuple[int, ...], float] = {}
    for pair in pairs:
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise Wrong(what)
        try:
            found[many(whole(0), what, 1)(pair[0])] = real(_plain(pair[1]))
        except Wrong:
            raise Wrong(what) from None
    return tuple(found.items())


def plain_json(value: Any) -> Any:
    """Whatever JSON can hold, or an object that says how it is written."""
    value = value.to_dict() if hasattr(value, "to_dict") else value
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        raise Wrong("what JSON can hold") from None
    return copy.deepcopy(value)


def functions(name: str, listed: Any) -> None:
    """Of an argument, not a setting: a list of functions, or None.

    Raises:
        ValueError: it is something else.
    """
    if callable(listed):
        raise ValueError(f"{name} must be a list of functions: pass [{getattr(listed, '__name__', 'function')}]")
    if listed is not None and not (isinstance(listed, list | tuple) and all(map(callable, listed))):
        raise ValueError(f"{name}={listed!r:.60}: expected a list of functions")


def streamer(value: Any) -> None:
    """Of an argument, not a setting: what is told of tokens, or None.

    Raises:
        ValueError: it cannot be told.
    """
    if value is not None and not (hasattr(value, "put") and hasattr(value, "end")):
        raise ValueError(f"streamer={value!r:.60}: expected an object with put(ids) and end(), such as TextStreamer")


def _plain(value: Any) -> Any:
    """Numpy's and jax's single numbers as Python's."""
    if isinstance(value, np.generic) or (getattr(value, "shape", None) == () and hasattr(value, "item")):
        return value.item()
    return value


an_id = whole()
ids = many(an_id, "a list of whole numbers")
some_ids = either(an_id, ids)
texts = either(text, many(text, "a list of texts"))
word_lists = many(many(whole(0), "ids from 0", 1), "a list of lists of ids from 0, none of them empty", 1)


def setting(default: Any, check: Check, off: bool = False) -> Any:
    """A field; with `off`, None is a value of its own (not asked for) and not the default."""
    return dataclasses.field(default=default, metadata={"check": check, "off": off or default is None})


def checked(field: dataclasses.Field[Any], value: Any) -> Any:
    """A setting's value as it is kept."""
    value = _plain(value)
    if value is None:
        return None if field.metadata["off"] else field.default
    try:
        return field.metadata["check"](value)
    except Wrong as wrong:
        raise ValueError(f"{field.name}={shown(value)}: expected {wrong}") from None


def shown(value: Any) -> str:
    """A value in an error: one line of bounded length, whatever a file held."""
    try:
        said = repr(value)
    except (ValueError, RecursionError):
        said = f"<{type(value).__name__}>"
    return said if len(said) <= 80 else f"{said[:77]}..."
