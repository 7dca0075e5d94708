"""The toys of `cases.py` as checkpoints, and the files that PEFT wrote for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.training.cases import CASES as MODELS
from tests.training.test_step import model_of

from .cases import RECORDED


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint for each model."""
    folder = tmp_path_factory.mktemp("bases")
    for name, case in MODELS.items():
        model_of(case, folder / name)
    return folder


@pytest.fixture(scope="session")
def base(checkpoints: Path) -> Callable[..., Any]:
    """A model by the name of its case; keywords as of `from_pretrained`."""

    def read(name: str, **options: Any) -> Any:
        import jaxformers

        return getattr(jaxformers, MODELS[name].cls).from_pretrained(checkpoints / name, **options)

    return read


@pytest.fixture
def theirs(tmp_path: Path) -> Callable[[str], Path]:
    """A folder with what PEFT wrote for a case."""

    def put(name: str) -> Path:
        found, folder = np.load(RECORDED / f"{name}.npz"), tmp_path / f"theirs_{name}"
        folder.mkdir()
        arrays = {key.removeprefix("file."): found[key] for key in found.files if key.startswith("file.")}
        save_file(arrays, folder / "adapter_model.safetensors", {"format": "pt"})
        (folder / "adapter_config.json").write_text(str(found["config"]))
        return folder

    return put
