"""JAX's settings for what tests compile."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import Any

import jax
import jaxlib.version
import pytest
from jax.experimental.compilation_cache import compilation_cache


@contextlib.contextmanager
def settings(**values: Any) -> Iterator[None]:
    """Settings that hold for a while; those of the cache on disk too, which JAX reads once."""
    before = {name: jax.config.values[name] for name in values}
    for name, value in values.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


@contextlib.contextmanager
def quickly(**values: Any) -> Iterator[None]:
    """Programs that run for milliseconds: compiled in half the time, forgotten at the end, as there are thousands."""
    with settings(jax_disable_most_optimizations=True, **values):
        yield
    forget()


def forget() -> None:
    """Let go of every program that the process holds; those on disk are read again."""
    jax.clear_caches()
    gc.collect()


def without_fusion_emitters() -> None:
    """Let this process, and none that it starts, compile a fifth faster, where XLA has a flag for it."""
    if jaxlib.version.__version_info__ >= (0, 11):  # an unknown flag ends the process
        return
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false", prepend=" ")
        jax.jit(lambda x: x + 1)(0)  # flags are read once, with the first program
