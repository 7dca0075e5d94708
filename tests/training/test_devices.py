"""The same step on one device and on a mesh."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from devices import on_devices


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    """What `on_devices.py` prints."""
    return json.loads(on_devices("from tests.training.on_devices import main; main()", timeout=500).splitlines()[-1])


def test_losses_on_eight_devices_are_those_of_one(found: dict[str, Any]) -> None:
    for mesh in ("copies", "explicit"):
        np.testing.assert_allclose(found[mesh]["losses"], found["one"]["losses"], rtol=1e-5)
    assert len(set(found["one"]["losses"])) > 1


def test_copies_reduce_gradients_once_and_nothing_else(found: dict[str, Any]) -> None:
    copies = found["copies"]
    assert copies["gradients"] <= copies["reduced"] <= 1.05 * copies["gradients"]


def test_the_state_keeps_its_layout_and_one_program(found: dict[str, Any]) -> None:
    for mesh in ("one", "copies", "explicit"):
        assert found[mesh]["more_programs"] == 0
        assert found[mesh]["kept"]
    assert found["explicit"]["spread"] > 10


def test_the_trainer_on_a_mesh_does_what_it_does_on_one_device(found: dict[str, Any]) -> None:
    one, eight = found["trainer on one"], found["trainer on eight"]
    np.testing.assert_allclose(eight["losses"], one["losses"], rtol=1e-5)
    np.testing.assert_allclose(eight["evaluated"], one["evaluated"], rtol=1e-5)
    assert len(one["losses"]) == 4
    assert one["rows"] == eight["rows"] == 11
    assert eight["spread"] > 10
