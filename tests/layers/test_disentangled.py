"""Distances in attention, against the formulas written out in loops."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers import DebertaConfig, DebertaV2Config
from jaxformers.layers import disentangled


def test_sheared_scores_stand_where_their_distance_says() -> None:
    scores = np.random.RandomState(0).standard_normal((2, 3, 5, 9)).astype(np.float32)
    ours = np.asarray(disentangled.sheared(jnp.asarray(scores)))
    for t in range(5):
        for s in range(5):
            np.testing.assert_array_equal(ours[..., t, s], scores[..., t, s - t + 4])


def test_rows_count_from_behind_to_ahead_and_stop_at_the_last() -> None:
    assert disentangled.rows(4, 2).tolist() == [3, 3, 3, 2, 1, 0, 0]
    assert disentangled.rows(3, 8).tolist() == [10, 9, 8, 7, 6]


def test_log_buckets() -> None:
    def bucket(distance: int, near: int, furthest: int) -> int:
        middle = near // 2
        if abs(distance) <= middle:
            return distance
        scaled = math.log(abs(distance) / middle) / math.log((furthest - 1) / middle) * (middle - 1)
        return int(math.copysign(math.ceil(scaled) + middle, distance))

    distances = list(range(-400, 401))
    ours = disentangled.log_buckets(np.array(distances), 256, 512)
    assert ours.tolist() == [bucket(distance, 256, 512) for distance in distances]
    assert np.abs(disentangled.log_buckets(np.arange(-511, 512), 256, 512)).max() == 255


def test_kinds_of_scores() -> None:
    assert disentangled.kinds(DebertaConfig(pos_att_type="c2p|p2c")) == ("c2p", "p2c")
    assert disentangled.kinds(DebertaV2Config(pos_att_type=["P2C".lower()])) == ("p2c",)
    assert disentangled.kinds(DebertaConfig()) == ()
    with pytest.raises(ValueError, match=r"DebertaConfig: pos_att_type has \['p2p'\]"):
        DebertaConfig(pos_att_type="c2p|p2p")
