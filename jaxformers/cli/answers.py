"""How answers of pipelines read on a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_WRITTEN = ("generated_text", "generated_token_ids")


def line(answer: Any) -> str:
    """One answer of any task as one line: what it says without names and quotes, numbers with four digits.

    Arrays and nested lists of numbers, such as features, are told by their shape and first numbers.
    """
    if isinstance(answer, dict):
        return "  ".join(line(value) for value in answer.values())
    if isinstance(answer, list) and answer and isinstance(answer[0], dict):
        return ", ".join(line(entry) for entry in answer)
    if isinstance(answer, list | np.ndarray) and len(answer):
        numbers = np.asarray(answer, dtype=object if isinstance(answer[0], str) else None)
        if numbers.dtype.kind in "fiu":
            shown = " ".join(f"{number:.4f}" for number in numbers.ravel()[:4])
            return f"{list(numbers.shape)} {shown}{' …' if numbers.size > 4 else ''}"
    return f"{answer:.4f}" if isinstance(answer, float) else " ".join(str(answer).split())


def written(answer: Sequence[Mapping[str, Any]]) -> str:
    """What was written on one prompt, as it is: of chats the last message; an empty line between several. Scores beside
    it are for JSON.
    """
    return "\n\n".join(_text(entry[name]) for entry in answer for name in _WRITTEN if name in entry)


def _text(value: Any) -> str:
    """A text; the last message of a chat; or ids."""
    if isinstance(value, str):
        return value
    if isinstance(value[0], Mapping):
        return str(value[-1]["content"])
    return " ".join(map(str, value))


def as_json(answer: Any) -> str:
    """One answer as one line of JSON; arrays as nested lists."""
    return json.dumps(answer, ensure_ascii=False, default=lambda value: np.asarray(value).tolist())


def short(value: Any) -> str:
    """`repr(value)` with long fractions cut to four digits."""
    with np.printoptions(precision=4, suppress=True, threshold=32, edgeitems=4, linewidth=100):
        text = str(np.asarray(value)) if hasattr(value, "__array__") else repr(value)
    return re.sub(r"\d+\.\d{5,}(e[+-]?\d+)?", lambda number: f"{float(number[0]):.4g}", text)
