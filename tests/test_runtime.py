"""The cache on disk is ours only where nobody named one; compilations are counted, and forbidden on demand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from jaxformers import runtime

SHOW = """
import jax
from jaxformers import runtime
runtime.enable_cache()
print(jax.config.jax_compilation_cache_dir)
"""


def shown(**variables: str) -> str:
    """The cache folder that a fresh process ends up with."""
    environment = {name: value for name, value in os.environ.items() if "CACHE" not in name}
    run = subprocess.run(
        [sys.executable, "-c", SHOW],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment | {"PYTHONPATH": ":".join(sys.path)} | variables,
    )
    return run.stdout.strip() or run.stderr


def test_whose_cache_it_is(tmp_path: Path) -> None:
    home, own = str(tmp_path / "home"), str(tmp_path / "own")
    assert shown(XDG_CACHE_HOME=home) == f"{home}/jaxformers/programs"
    assert shown(XDG_CACHE_HOME=home, JAXFORMERS_COMPILATION_CACHE="0") == "None"
    assert shown(XDG_CACHE_HOME=home, JAXFORMERS_COMPILATION_CACHE=own) == own
    assert shown(XDG_CACHE_HOME=home, JAX_COMPILATION_CACHE_DIR=own) == own
    (tmp_path / "file").write_text("")
    assert shown(XDG_CACHE_HOME=str(tmp_path / "file")) == "None", "a folder that cannot be made costs a word at most"


def test_compilations_count_programs_by_name() -> None:
    @jax.jit
    def jaxformers_counted(x: jax.Array) -> jax.Array:
        return x * 3 - 1

    enabled = jax.config.jax_enable_compilation_cache  # type: ignore[attr-defined]
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        before = runtime.compilations().get("jaxformers_counted", 0)
        for length in (2, 3, 2):
            jaxformers_counted(jnp.zeros(length))
        assert runtime.compilations()["jaxformers_counted"] == before + 2
        with runtime.forbid():
            jaxformers_counted(jnp.zeros(3))
            jax.jit(lambda x: x - 7)(jnp.zeros(5))  # the user's own programs are the user's business
            with pytest.raises(RuntimeError, match="jaxformers_counted was compiled"):
                jaxformers_counted(jnp.zeros(4))
        jaxformers_counted(jnp.zeros(6))
    finally:
        jax.config.update("jax_enable_compilation_cache", enabled)
