"""Toy models that every room's tests share: small, quick to make, and with no array left at zero or one."""

from __future__ import annotations

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # two test workers would fight for one accelerator's memory

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import jax
import numpy as np
import pytest
from compiling import forget, quickly, settings, without_fusion_emitters

from jaxformers import BertConfig, BertForSequenceClassification, Config, declare

without_fusion_emitters()
hypothesis.settings.register_profile("plain", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("plain")

SIZES = {
    "vocab_size": 96,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}


def made(cls: type[Any], config: Config, seed: int = 0) -> Any:
    """A model whose arrays are all random, biases and norms too: none of them may be left out unnoticed."""
    rng = np.random.default_rng(seed)
    abstract = declare.abstract(cls.declaration(config))
    draw = lambda x: jax.numpy.asarray(rng.normal(0.0, 0.3, x.shape).astype(np.float32) + (len(x.shape) == 1))  # noqa: E731
    return cls(config, params=jax.tree.map(draw, abstract))


@pytest.fixture(scope="session")
def make() -> Callable[..., Any]:
    """`made`."""
    return made


@pytest.fixture(scope="session")
def toy_config() -> BertConfig:
    """A BERT of 2 layers, 4 heads, width 32, 96 words and 64 places."""
    return BertConfig(**SIZES, id2label={0: "BAD", 1: "GOOD"})


@pytest.fixture(scope="session")
def toy_model(toy_config: BertConfig) -> BertForSequenceClassification:
    """A classifier with two labels."""
    return made(BertForSequenceClassification, toy_config)


@pytest.fixture
def toy_folder(toy_model: BertForSequenceClassification, tmp_path: Path) -> Path:
    """The classifier as a checkpoint."""
    folder = tmp_path / "toy"
    toy_model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def kept_programs(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[None]:
    """Programs of toy models are thousands, most of them alike: they are compiled quickly, and a folder of the run
    keeps them for all its workers.

    A process forgets them at a module's end, or they would fill gigabytes and the kernel's table of mappings.
    """
    base = tmp_path_factory.getbasetemp()
    run: Path = base.parent if hasattr(request.config, "workerinput") else base
    with quickly(
        jax_compilation_cache_dir=str(run / "programs"),
        jax_persistent_cache_min_compile_time_secs=0,
        jax_persistent_cache_min_entry_size_bytes=-1,
        jax_compilation_cache_max_size=-1,
    ):
        yield


@pytest.fixture(autouse=True)
def room_for_programs() -> Iterator[None]:
    """A module of hundreds of models would fill the table before its end: each program takes a dozen mappings of
    65,530, and the process dies without a word when there are no more.
    """
    yield
    global ended
    ended += 1
    if ended % 50 == 0:
        forget()


ended = 0


@pytest.fixture
def optimised() -> Iterator[None]:
    """What the test compiles is compiled as users have it."""
    with settings(jax_disable_most_optimizations=False):
        yield


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Programs that the test starts can be interrupted: shells tell what they run in the background to ignore that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Heavy tests run when they are asked for by name."""
    if "heavy" in config.option.markexpr:
        return
    heavy = [item for item in items if item.get_closest_marker("heavy")]
    if heavy:
        config.hook.pytest_deselected(items=heavy)
        items[:] = [item for item in items if item not in heavy]
