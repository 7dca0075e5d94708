"""How near texts are to those that people wrote: chrF for translations, ROUGE for summaries."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

ORDERS = 6  # the longest runs of characters in chrF
RECALL = 2  # how many times as much recall counts there


def chrf(answers: Sequence[str], references: Sequence[str]) -> float:
    """chrF2 of a corpus, 0 to 100 (Popović 2015): runs of up to six characters, without spaces, in common."""
    precisions, recalls = [], []
    for order in range(1, ORDERS + 1):
        common = written = wanted = 0
        for answer, reference in zip(answers, references, strict=True):
            mine, theirs = _runs("".join(answer.split()), order), _runs("".join(reference.split()), order)
            common += (mine & theirs).total()
            written += mine.total() if theirs else 0  # a reference without runs of this length says nothing of them
            wanted += theirs.total()
        if written and wanted:
            precisions.append(common / written)
            recalls.append(common / wanted)
    return 100 * _f(sum(precisions), sum(recalls), RECALL) / max(1, len(precisions))


def rouge(answers: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """The mean F1, 0 to 100, of words (1), pairs of words (2) and the longest common subsequence (L) (Lin 2004)."""
    totals = {"rouge1": 0.0, "rouge2": 0.0, "rougeL": 0.0}
    for answer, reference in zip(answers, references, strict=True):
        mine, theirs = (re.findall(r"[a-z0-9]+", text.lower()) for text in (answer, reference))
        for order in (1, 2):
            a, b = _runs(mine, order), _runs(theirs, order)
            totals[f"rouge{order}"] += _share((a & b).total(), a.total(), b.total())
        totals["rougeL"] += _share(_common(mine, theirs), len(mine), len(theirs))
    return {name: 100 * total / max(1, len(answers)) for name, total in totals.items()}


def translation(answers: Sequence[str], references: Sequence[str]) -> str:
    """The chrF in words."""
    return f"chrF {chrf(answers, references):.1f}"


def summary(answers: Sequence[str], references: Sequence[str]) -> str:
    """The ROUGE in words."""
    return ", ".join(f"{name} {value:.1f}" for name, value in rouge(answers, references).items())


def _runs(items: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(items[i : i + order]) for i in range(len(items) - order + 1))


def _f(precision: float, recall: float, beta: float) -> float:
    both = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / both if both else 0.0


def _share(common: int, written: int, wanted: int) -> float:
    return _f(common / written, common / wanted, 1) if written and wanted else 0.0


def _common(a: Sequence[str], b: Sequence[str]) -> int:
    """The length of the longest subsequence that both have."""
    row = [0] * (len(b) + 1)
    for item in a:
        before = 0
        for i, other in enumerate(b, 1):
            before, row[i] = row[i], before + 1 if item == other else max(row[i], row[i - 1])
    return row[-1]
