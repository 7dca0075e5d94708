"""Answers of torch's pipelines, call by call."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jaxformers import Pipeline, pipeline

from .calls import CASES

GOLDEN = json.loads(Path(__file__).with_name("golden.json").read_text())


@pytest.fixture(scope="module")
def pipes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pipeline]:
    return {
        name: pipeline(task, model=write(tmp_path_factory.mktemp(name))) for name, (task, write, _) in CASES.items()
    }


BY_WORD = ("first", "average", "max")


def glued(answer: Any) -> Any:
    """Entities without their spaces: torch leaves those between words of pieces out."""
    return [one | {"word": "".join(one["word"].split())} for one in answer]


def same(ours: Any, theirs: Any, where: str = "") -> None:
    """Equal, but for rounding in numbers."""
    if isinstance(theirs, float):
        assert math.isclose(ours, theirs, rel_tol=2e-4, abs_tol=1e-6), (where, ours, theirs)
    elif isinstance(theirs, Mapping):
        assert list(ours) == list(theirs), where
        for key in theirs:
            same(ours[key], theirs[key], f"{where}.{key}")
    elif isinstance(theirs, list):
        assert isinstance(ours, list), (where, ours)
        assert len(ours) == len(theirs), (where, ours, theirs)
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            same(a, b, f"{where}[{i}]")
    else:
        assert type(ours) is type(theirs), (where, ours, theirs)
        assert ours == theirs, where


@pytest.mark.parametrize(("name", "number"), [(name, i) for name, case in CASES.items() for i in range(len(case[2]))])
def test_answers_are_torchs(pipes: dict[str, Pipeline], name: str, number: int) -> None:
    assert len(GOLDEN[name]) == len(CASES[name][2]), "the calls changed: python -m tests.pipelines.record"
    args, keywords = CASES[name][2][number]
    ours, theirs = pipes[name](*args, **keywords), GOLDEN[name][number]
    if name == "token_classification_pieces" and keywords.get("aggregation_strategy") in BY_WORD:
        ours, theirs = (glued(answer) for answer in (ours, theirs))
    same(ours, theirs)
