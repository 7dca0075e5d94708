"""Every class on explicit axes of a mesh of 8 devices, and under `pmap`: run by `test_registry.py` in a process of its
own.

JAX_PLATFORMS=cpu JAX_NUM_CPU_DEVICES=8 python -m tests.models.on_devices FOLDER [model_type ...]
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from . import golden
from .architectures import ARCHITECTURES
from .registry import faults, load, shown

MESH = {"dp": 2, "fsdp": 2, "tp": 2}


def check(name: str, folder: Path) -> str:
    """A class with its arrays and its batch spread over the mesh: the recorded answers; "" or what is wrong."""
    case = golden.cases()[name]
    plain = case.calls["plain"]
    mesh = jax.make_mesh(tuple(MESH.values()), tuple(MESH))
    model, _ = load(case, case.write(folder / name), mesh=mesh)
    spread = [leaf for leaf in jax.tree.leaves(model) if not leaf.sharding.is_fully_replicated]
    batch = jax.device_put(dict(plain.inputs), jax.NamedSharding(mesh, jax.P("dp")))
    return "no array is spread" if not spread else str(faults(model(**batch), plain) or "")


def check_pmap(name: str, folder: Path) -> str:
    """Each half of a batch on a device of its own."""
    case = golden.cases()[name]
    plain = case.calls["plain"]
    model: Any
    model, _ = load(case, case.write(folder / name))
    halves = {key: array.reshape(2, -1, *array.shape[1:]) for key, array in plain.inputs.items()}
    out = jax.pmap(lambda m, x: m.apply(m.params, **x), in_axes=(None, 0), devices=jax.devices()[:2])(model, halves)
    joined = jax.tree.map(lambda x: np.asarray(x).reshape(-1, *x.shape[2:]), out)
    return str(faults(joined, plain) or "")


def main(folder: Path, kinds: list[str]) -> int:
    """Check the classes of some architectures; the number that failed."""
    jax.config.update("jax_default_matmul_precision", "highest")
    jax.config.update("jax_disable_most_optimizations", True)  # the programs run once
    assert jax.device_count() == 8, jax.devices()
    failed = 0
    for kind in kinds or ARCHITECTURES:
        names = shown(kind)
        for name, wrong in [(name, check(name, folder)) for name in names] + [
            (names[-1], check_pmap(names[-1], folder))
        ]:
            failed += bool(wrong)
            print(f"{name}: {wrong or 'equal'}")
    return failed


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
