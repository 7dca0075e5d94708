"""What tests of generation share."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture
def exact() -> Iterator[None]:
    """Float32 as float32, on every machine."""
    with jax.default_matmul_precision("highest"):
        yield
