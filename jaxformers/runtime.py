"""The compilation cache on disk, and the count of what was compiled: the only state that the library keeps.

The cache is switched on at the first pipeline or command, never at import, and only where neither the environment nor
jax's own configuration names one. JAXFORMERS_COMPILATION_CACHE=0 leaves it off, any other value is its folder.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import logging
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

logger = logging.getLogger(__name__)

_VARIABLE = "JAXFORMERS_COMPILATION_CACHE"
_SIZE_CAP = 2 * 2**30  # bytes; jax removes what was used longest ago
_OURS = "jaxformers_"  # the names of our compiled functions begin so
_COMPILED = "/jax/core/compile/backend_compile_duration"
_HIT = "/jax/compilation_cache/cache_hits"
_LONG = 1.0  # seconds; a compiler that takes longer leaves hundreds of megabytes of free heap behind


def home() -> Path:
    """The folder of what the library keeps between processes."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "jaxformers"


def cache_folder() -> Path | None:
    """Where compiled programs are kept, None where JAXFORMERS_COMPILATION_CACHE turns the cache off."""
    asked = os.environ.get(_VARIABLE, "")
    if asked.lower() in ("0", "off", "false", "no"):
        return None
    if asked and asked.lower() not in ("1", "on", "true", "yes"):
        return Path(asked).expanduser()
    return home() / "programs"


def enable_cache() -> None:
    """Keep compiled programs on disk from now on, so that the next process compiles none of them again.

    Does nothing where the user has named a cache already, or where the folder cannot be written.
    """
    _ledger()
    if _setting("jax_compilation_cache_dir") is not None or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = cache_folder()
    if folder is None or not _setting("jax_enable_compilation_cache"):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(f"{folder} is not writable")
    except OSError as error:
        logger.info("compiled programs are not kept: %s", error)
        return
    jax.config.update("jax_compilation_cache_max_size", _SIZE_CAP)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    logger.info("compiled programs are kept in %s", folder)


def platform_of(params: Any) -> str:
    """The kind of device that arrays lie on: "cpu", "gpu", "tpu"."""
    leaf = next(leaf for leaf in jax.tree.leaves(params) if isinstance(leaf, jax.Array))
    return next(iter(leaf.devices())).platform


def note_shapes(inputs: Any) -> None:
    """Said by our functions while they are traced, so that `forbid` can name the shapes that it refuses."""
    shapes = (f"{leaf.dtype}{list(leaf.shape)}" for leaf in jax.tree.leaves(inputs))
    _ledger().here.shapes = ", ".join(dict.fromkeys(shapes))


def report() -> None:
    """Say once, at INFO, how long programs were compiled since the last report. Said at the end of a call."""
    ledger = _ledger()
    if ledger.seconds:
        with ledger.lock:
            seconds, ledger.seconds = ledger.seconds, []
        logger.info("compiled %d programs in %.1f s", len(seconds), sum(seconds))


def compilations() -> dict[str, int]:
    """How often each program has been compiled in this process since the first call of this function or of a pipeline.

    Programs that came from the cache on disk do not count.
    """
    with _ledger().lock:
        return dict(_ledger().counts)


@contextlib.contextmanager
def forbid() -> Iterator[None]:
    """Within it, compiling a program of the library is an error, in every thread.

    Raises:
        RuntimeError: a new shape or option needed a program that was not there.
    """
    ledger = _ledger()
    with ledger.lock:
        ledger.forbidden += 1
    try:
        yield
    finally:
        with ledger.lock:
            ledger.forbidden -= 1


class _Ledger:
    """Counts compilations from jax's own events."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.seconds: list[float] = []  # of our programs, since the last report
        self.forbidden = 0
        self.here = threading.local()
        jax.monitoring.register_event_listener(self.on_event)
        jax.monitoring.register_event_duration_secs_listener(self.on_duration)

    def on_event(self, event: str, **_: Any) -> None:
        if event == _HIT:
            self.here.hit = True  # of the program whose duration this thread reports next

    def on_duration(self, event: str, duration_secs: float, **facts: Any) -> None:
        if event != _COMPILED:
            return
        hit, self.here.hit = getattr(self.here, "hit", False), False
        if hit:
            return
        name = str(facts.get("fun_name", "?")).removeprefix("jit(").removesuffix(")")
        shapes, self.here.shapes = getattr(self.here, "shapes", "other shapes"), "other shapes"
        ours = name.startswith(_OURS)
        with self.lock:
            self.counts[name] += 1
            self.seconds += [duration_secs] if ours else []
        if duration_secs > _LONG:
            _trim_heap()
        if ours and self.forbidden:
            raise RuntimeError(
                f"{name} was compiled for {shapes} inside jaxformers.forbid(): run every shape that you need once "
                "before, or leave forbid() out"
            )


def _trim_heap() -> None:
    """Give freed memory back to the system, which glibc does not do by itself; others have no such call."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def _setting(name: str) -> Any:
    """A setting of jax as the calling thread sees it."""
    return getattr(jax.config, name)


@functools.cache
def _ledger() -> _Ledger:
    """The one ledger of the process; it listens from its first use on."""
    return _Ledger()


@dataclasses.dataclass(frozen=True)
class Surroundings:
    """The settings of jax that belong to a thread: read in the caller's, entered again in a worker's."""

    precision: str | None
    x64: bool
    device: Any
    mesh: Any

    @classmethod
    def here(cls) -> Surroundings:
        """Those of the calling thread."""
        mesh = jax.sharding.get_mesh()
        return cls(
            _setting("jax_default_matmul_precision"),
            _setting("jax_enable_x64"),
            _setting("jax_default_device"),
            None if mesh.empty else mesh,
        )

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Compute as the thread would that these were read in."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(jax.default_matmul_precision(self.precision))
            stack.enter_context(jax.enable_x64(self.x64))
            stack.enter_context(jax.default_device(self.device))
            if self.mesh is not None:
                stack.enter_context(jax.set_mesh(self.mesh))
            yield
