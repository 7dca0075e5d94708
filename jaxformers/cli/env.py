"""Print versions, devices and settings, for bug reports."""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib import metadata
from typing import Any

_PACKAGES = ("jax", "jaxlib", "flax", "tokenizers", "huggingface_hub", "numpy", "libtpu")

# Variables that change what is computed, or from where it is loaded. None of them holds a secret.
_VARIABLES = (
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_OFFLINE",
    "JAXFORMERS_COMPILATION_CACHE",
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_ENABLE_X64",
    "JAX_PLATFORMS",
    "XLA_FLAGS",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    """Print one line per fact."""
    facts = collect()
    if options.json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f"{name:<{width}}  {fact}")


def collect() -> dict[str, Any]:
    """The facts by name; this initialises jax's devices."""
    from .. import __version__

    facts: dict[str, Any] = {"jaxformers": __version__, "Python": platform.python_version()}
    facts |= {package: _version(package) for package in _PACKAGES}
    facts |= {"platform": platform.platform(), "processors": os.cpu_count()}
    facts["devices"] = _devices()
    facts["compile cache"] = _cache()
    return facts | {name: os.environ[name] for name in _VARIABLES if name in os.environ}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _devices() -> str:
    """Kinds and numbers of devices, or why there are none: a broken driver is what the report is about."""
    import jax

    try:
        devices = jax.devices()
    except RuntimeError as error:
        return f"none ({' '.join(str(error).split())})"
    kinds = [" ".join(dict.fromkeys((device.platform, device.device_kind))) for device in devices]
    return ", ".join(f"{kinds.count(kind)} × {kind}" for kind in dict.fromkeys(kinds))


def _cache() -> str:
    """Where compiled programs would be kept: jax's own setting comes before ours."""
    import jax

    from .. import runtime

    named = getattr(jax.config, "jax_compilation_cache_dir", None) or os.environ.get("JAX_COMPILATION_CACHE_DIR")
    return str(named or runtime.cache_folder() or "off")
