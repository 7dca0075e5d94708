"""On every mesh a model computes, writes and learns what it does on one device."""

from __future__ import annotations

import json

import pytest
from devices import on_devices

from .on_meshes import FAMILIES, KINDS, MESHES

ALWAYS = {
    "bert": ("three explicit",),
    "llama": ("tensor automatic", "three explicit"),
    "mixtral": ("expert automatic",),
    "t5": ("fsdp automatic",),
}
"""What is tried in every run; the rest by hand."""


ELSEWHERE = {
    "llama": ("tensor automatic", "sequence automatic"),
    "mixtral": ("expert automatic", "three automatic"),
    "t5": ("three automatic",),
}
"""What is tried with caches and experts as on accelerators."""


def check(family: str, meshes: tuple[str, ...], **options: bool) -> None:
    call = ", ".join([*map(repr, (family, *meshes)), *(f"{name}={value}" for name, value in options.items())])
    told = json.loads(
        on_devices(f"from tests.meshes.on_meshes import main; main({call})", timeout=3000).splitlines()[-1]
    )
    assert told.keys() == {*meshes}
    for mesh, found in told.items():
        assert found["logits"] < 1e-4, (mesh, found)
        assert found["losses"] < 1e-4, (mesh, found)
        assert found["params"] < 1e-3, (mesh, found)  # of a rule by signs, after two steps of 1e-3
        assert found.get("ids", True), (mesh, found)
        assert found.get("beams", True), (mesh, found)
        if mesh.split()[0] in ("fsdp", "tensor"):
            assert found["share"] <= 0.14, (mesh, found)


@pytest.mark.parametrize(("family", "meshes"), ALWAYS.items(), ids=ALWAYS)
def test_a_mesh_gives_what_one_device_gives(family: str, meshes: tuple[str, ...]) -> None:
    check(family, meshes)


@pytest.mark.parametrize(("family", "meshes"), ELSEWHERE.items(), ids=ELSEWHERE)
def test_a_mesh_of_accelerators_gives_what_one_device_gives(family: str, meshes: tuple[str, ...]) -> None:
    check(family, meshes, as_elsewhere=True)


@pytest.mark.heavy
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_mesh_gives_what_one_device_gives(family: str, kind: str) -> None:
    check(family, tuple(f"{name} {kind}" for name in MESHES))
