"""Toy models compile thousands of small programs, most of them alike: the workers of a run keep them for each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

KEPT = {
    "jax_compilation_cache_dir": "",
    "jax_persistent_cache_min_compile_time_secs": 0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}


@pytest.fixture(scope="module", autouse=True)
def kept_programs(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[None]:
    """Compiled programs are looked up in, and written to, a folder of this run."""
    base = tmp_path_factory.getbasetemp()
    run: Path = base.parent if hasattr(request.config, "workerinput") else base
    before = {name: getattr(jax.config, name) for name in KEPT}
    for name, value in (KEPT | {"jax_compilation_cache_dir": str(run / "programs")}).items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
