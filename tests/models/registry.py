"""Every model class of the package, found by walking `jaxformers/models/`: what the suites here go through."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import jaxformers
from jaxformers import models

from . import golden
from .architectures import ARCHITECTURES

LIMIT = 2e-5
"""On errors in float32 at matrix precision "highest": seen are 3e-6 at most; a wrong epsilon of a norm shows above."""

CORE = frozenset(
    "bert albert convbert squeezebert deberta-v2 modernbert xlnet longformer xmod llama gemma2 mixtral gpt_oss gpt_neo "
    "bloom falcon".split()
)
"""Architectures of which the suites ask everything; what the others' layers put together, these have. Of the others
they ask torch's numbers, and the rest with `-m heavy`.
"""


def heavy(kind: str) -> list[pytest.MarkDecorator]:
    """The marks of what is asked of an architecture beside torch's numbers."""
    return [] if kind in CORE else [pytest.mark.heavy]


def classes() -> dict[str, type[jaxformers.Model]]:
    """The classes by name, in the order of the files."""
    files = [
        importlib.import_module(f"{models.__name__}.{info.name}") for info in pkgutil.iter_modules(models.__path__)
    ]
    return {
        name: value
        for file in files
        for name, value in vars(file).items()
        if inspect.isclass(value) and issubclass(value, jaxformers.Model) and value.__module__ == file.__name__
    }


def shown(kind: str) -> list[str]:
    """The classes of an architecture that show what is not its own: all of BERT's, else one, the last of its heads."""
    architecture = ARCHITECTURES[kind]
    heads = architecture.heads.split()
    return [architecture.named(head) for head in (heads if kind == "bert" else heads[-1:])]


def each() -> list[Any]:
    """The architectures as parameters of tests, all but the core ones with `-m heavy` alone."""
    return [pytest.param(kind, marks=heavy(kind), id=kind) for kind in ARCHITECTURES]


def load(case: golden.Golden, folder: Path, **options: Any) -> tuple[Any, dict[str, Any]]:
    """The model in a checkpoint of a case, and the report on its names."""
    return getattr(jaxformers, case.cls).from_pretrained(folder, output_loading_info=True, **options)


def faults(out: Any, call: golden.Call, limit: float = LIMIT) -> dict[str, Any]:
    """Where outputs are not those recorded: the output's name → its error, its shape, or other outputs' names."""
    if list(out) != list(call.outputs):
        return {"outputs": list(out)}
    found: dict[str, Any] = {}
    for key, theirs in call.outputs.items():
        ours, recorded = (out[key], theirs) if isinstance(theirs, tuple) else ([out[key]], [theirs])
        if len(ours) != len(recorded):
            found[key] = len(ours)
        for i, (a, b) in enumerate(zip(ours, recorded, strict=False)):
            if isinstance(b, np.ndarray):
                error = golden.error(a, b, call.real)
                if not error < limit:
                    found[f"{key}[{i}]"] = error
            elif a.shape != b:
                found[f"{key}[{i}]"] = a.shape
    return found


def worst(out: Any, call: golden.Call) -> float:
    """The largest error of an output."""
    errors = [e for e in faults(out, call, -1.0).values() if isinstance(e, float)]
    return max(errors, default=0.0)


def one_by_one(model: Any, **inputs: Any) -> Any:
    """A call that runs operation by operation: toy models share what is compiled, so it costs milliseconds."""
    with jax.disable_jit():
        return model(**inputs)


def labels_of(case: golden.Golden) -> Mapping[str, np.ndarray]:
    """The labels that belong to the case's plain call; none for a base model."""
    first = next(iter(case.calls.values()))
    return {name: array for name, array in first.inputs.items() if name not in case.calls["plain"].inputs}
