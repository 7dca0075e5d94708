"""Pairs of texts, and which of them a model may learn from: packages are either learnt from or held out, whole."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence


@dataclasses.dataclass(frozen=True)
class Pair:
    """A text and what is to be written for it."""

    source: str
    target: str


@dataclasses.dataclass(frozen=True)
class Pairs:
    """All pairs by what they may be used for."""

    train: list[Pair]
    validation: list[Pair]
    held_out: list[Pair]
    counts: dict[str, int]  # of the packages that are learnt from, each with what it adds


def words(text: str) -> str:
    """A text without case and punctuation: those that agree in it count as the same."""
    return " ".join(re.findall(r"\w+", text.lower()))


def split(packages: Iterable[tuple[str, Iterable[Pair]]], validation: Sequence[str], held_out: Sequence[str]) -> Pairs:
    """Pairs of packages, each source once; of those set aside no source that stands in any that is learnt from.

    Args:
        packages: the name of each with its version, as in "thonny-5.0.1", and its pairs.
        validation: names, in lower case and without version, of packages by which sizes and steps are chosen.
        held_out: names of those on which the result is measured.

    Raises:
        ValueError: one that is set aside has no pairs.
    """
    learnt: dict[str, Pair] = {}
    aside: dict[str, dict[str, Pair]] = {name: {} for name in (*validation, *held_out)}
    counts = {}
    for name, pairs in packages:
        into = aside.get(name.partition("-")[0].lower(), learnt)
        before = len(into)
        for pair in pairs:
            into.setdefault(words(pair.source), pair)
        if into is learnt and len(into) > before:
            counts[name] = len(into) - before
    if absent := [name for name, found in aside.items() if not found]:
        raise ValueError(f"nothing found of {', '.join(absent)}: download all that is listed")
    tested, chosen = (_unseen([aside[name] for name in names], learnt) for names in (held_out, validation))
    return Pairs(list(learnt.values()), chosen, tested, counts)


def _unseen(packages: Iterable[Mapping[str, Pair]], learnt: Mapping[str, Pair]) -> list[Pair]:
    found: dict[str, Pair] = {}
    for package in packages:
        found |= {key: pair for key, pair in package.items() if key not in learnt and key not in found}
    return list(found.values())
