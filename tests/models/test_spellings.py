"""What older and newer files say in different words about layers and rotations: the answers are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

import jaxformers

from .architectures import LLAMA
from .registry import one_by_one

IN_TURN = ["sliding_attention", "full_attention"] * 2
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 6}
LONG = {"short_factor": [1.0, 1.5, 2.0], "long_factor": [2.0, 3.0, 5.0]}
SIZES = {**LLAMA, "num_hidden_layers": 4, "sliding_window": 3}


@pytest.mark.parametrize(
    ("prefix", "older", "newer"),
    [
        ("Cohere2", {"sliding_window_pattern": 2}, {"layer_types": IN_TURN}),
        ("Exaone4", {"sliding_window_pattern": 2}, {"layer_types": IN_TURN, "sliding_window_pattern": "LG"}),
        ("Exaone4", {"sliding_window": None}, {"sliding_window": 100, "layer_types": ["sliding_attention"] * 4}),
        ("Ministral", {}, {"layer_types": ["sliding_attention"] * 4}),
        (
            "SmolLM3",
            {"no_rope_layer_interval": 2, "use_sliding_window": True},
            {"no_rope_layers": [1, 0] * 2, "layer_types": IN_TURN[::-1]},
        ),
        (
            "Olmo3",
            {"rope_theta": 900.0, "rope_scaling": YARN},
            {
                "layer_types": ["sliding_attention"] * 3 + ["full_attention"],
                "rope_parameters": {
                    "sliding_attention": {"rope_theta": 900.0},
                    "full_attention": {**YARN, "rope_theta": 900.0},
                },
            },
        ),
        (
            "Phi3",
            {
                "rope_scaling": {"type": "su", **LONG},
                "original_max_position_embeddings": 6,
                "partial_rotary_factor": 0.75,
            },
            {
                "rope_parameters": {"rope_type": "longrope", **LONG, "partial_rotary_factor": 0.75},
                "original_max_position_embeddings": 6,
            },
        ),
    ],
)
def test_older_and_newer_files_mean_the_same(prefix: str, older: Mapping[str, Any], newer: Mapping[str, Any]):
    config, model = getattr(jaxformers, f"{prefix}Config"), getattr(jaxformers, f"{prefix}Model")
    ids = np.random.RandomState(0).randint(5, SIZES["vocab_size"], (2, 11))
    first, second, other = (
        one_by_one(model(config(**{**SIZES, **said})), input_ids=ids)[0]
        for said in (older, newer, {**newer, "rope_theta": 7.0, "rope_parameters": None, "rope_scaling": None})
    )
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert abs(first - other).max() > 1e-3, "what is said of layers changes nothing"


@pytest.mark.parametrize(
    ("prefix", "said", "why"),
    [
        ("Exaone4", {"sliding_window_pattern": "LLLG"}, "layer_types"),
        ("SmolLM3", {"no_rope_layers": [1, 0, 1]}, "no_rope_layers"),
        ("Helium", {"head_dim": 12}, "head_dim"),
        ("Phi", {"rope_parameters": {"partial_rotary_factor": 2.0}}, "partial_rotary_factor"),
        ("Cohere2", {"use_qk_norm": True}, "use_qk_norm"),
    ],
)
def test_what_is_not_meant_is_refused_by_name(prefix: str, said: Mapping[str, Any], why: str):
    with pytest.raises(ValueError, match=f"{prefix}Config.*{why}"):
        getattr(jaxformers, f"{prefix}Config")(**{**SIZES, **said})
