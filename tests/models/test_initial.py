"""Random models start as torch Transformers' do: the same mean and standard deviation of every array."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxformers
from jaxformers import declare

from . import seq2seq, seq2seq_further
from .architectures import ARCHITECTURES
from .seq2seq import Case, starting

RECORDED = json.loads((Path(__file__).parent / "initial.json").read_text())
SEEDS = 6


def recorded(kind: str, name: str) -> dict[str, list[float]]:
    """What was recorded of a class: tensors of the base model, with and without its prefix, and its own."""
    cls = getattr(jaxformers, name)
    base = RECORDED[kind].get(ARCHITECTURES[kind].named("Model"), {})
    names = {f"{prefix}.{key}".lstrip("."): value for key, value in base.items() for prefix in ("", *cls.prefixes)}
    bare = {key.removeprefix(f"{p}."): v for key, v in base.items() for p in cls.prefixes}
    return names | bare | RECORDED[kind][name]


@pytest.mark.parametrize("kind", list(ARCHITECTURES))
def test_arrays_start_as_the_references_do(kind: str) -> None:
    """Six seeds each; what differs by more than both samples' errors is a wrong initialiser."""
    faults: dict[str, str] = {}
    compared: set[tuple[str, str]] = set()
    for name, case in ARCHITECTURES[kind].cases():
        if case.variant or "-" in name:
            continue
        cls, told = getattr(jaxformers, name), recorded(kind, name)
        config = cls.config_class(**{**ARCHITECTURES[kind].config, **case.config})
        faults |= differing(cls, config, told, compared)
    assert not faults
    assert len(compared) > 5


@pytest.mark.parametrize("case", starting((*seq2seq.CASES, *seq2seq_further.CASES)), ids=lambda case: case.cls)
def test_encoder_decoders_start_as_the_references_do(case: Case) -> None:
    cls, compared = getattr(jaxformers, case.cls), set()
    assert not differing(cls, cls.config_class(**case.config), RECORDED["seq2seq"][case.cls], compared)
    assert len(compared) == len(list(declare.walk(cls.declaration(cls.config_class(**case.config)))))


def differing(cls: Any, config: Any, told: dict[str, list[float]], compared: set[tuple[str, str]]) -> dict[str, str]:
    """What of a class starts otherwise than what was recorded, but for what has been compared before."""
    faults = {}
    for path, param in declare.walk(cls.declaration(config)):
        spelt = [alias.replace("{}", "0") for alias in (param.name, *param.aliases)]
        theirs = next((told[alias] for alias in spelt if alias in told), None)
        if (path, str(param.init)) in compared or theirs is None:
            continue
        compared.add((path, str(param.init)))
        drawn = [np.asarray(declare.init_one(param, jax.random.key(seed))) for seed in range(SEEDS)]
        mean, std, size = np.mean(drawn), np.std(drawn), SEEDS * math.prod(param.shape)
        error = 6 * max(std, theirs[1]) / math.sqrt(size) + 1e-6 + 0.005 * abs(theirs[0])  # of three digits
        if abs(mean - theirs[0]) > error or abs(std - theirs[1]) > error + 0.01 * std:
            faults[f"{cls.__name__}.{path}"] = f"{mean:.3g} ± {std:.3g}, torch {theirs[0]} ± {theirs[1]}"
    return faults
