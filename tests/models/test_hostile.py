"""A config.json with one wrong field: every architecture loads and runs, or says at once what is wrong."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import jax
import pytest

import jaxformers

from . import golden
from .architectures import ARCHITECTURES
from .registry import each

VALUES = (0, -1, 3, 1.5, 10**9, 2**63, math.nan, "x", None, True, [], [0], [10**9], ["x"], {}, {"a": 1})


def said_of(case: golden.Golden, folder: Path) -> str:
    """What the error says in which a folder ends, nothing where it loads and runs."""
    try:
        model = getattr(jaxformers, case.cls).from_pretrained(folder)
        # Traced and not run: what is too large to compute is known from its shapes.
        jax.eval_shape(lambda p: model.apply(p, **case.calls["plain"].inputs), model.params)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", each())
def test_each_field_is_checked(kind: str, tmp_path: Path) -> None:
    case = golden.cases()[next(name for name, _ in ARCHITECTURES[kind].cases())]
    folder = case.write(tmp_path / "model")
    sound = json.loads((folder / "config.json").read_text())
    refused = 0
    for field in getattr(jaxformers, case.cls).config_class._hints:
        # One value for each layer too, so that it is the value that is judged.
        layers = len(sound[field]) if isinstance(sound.get(field), list) else 1
        for value in (*VALUES, *([x] * layers for x in (10**9, -1, "x"))):
            (folder / "config.json").write_text(json.dumps({**sound, field: value}))
            start = time.thread_time()
            said = said_of(case, folder)
            assert time.thread_time() - start < 5, (field, value)
            assert not said or 20 < len(said) < 2000, (field, value)
            assert "\n" not in said, (field, value)
            refused += bool(said)
    assert refused > 20
