"""Toy models whose rotations depend on how long a row is, of which both halves of a test know the weights."""

from __future__ import annotations

from typing import Any

import numpy as np

VOCAB, TRAINED, NEW = 67, 24, 12

_SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "tie_word_embeddings": False,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": 0,
}
_FACTORS = {"short_factor": [1.0, 1.2, 1.5], "long_factor": [2.5, 4.0, 9.0]}

MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "phi3": (
        "Phi3",
        {
            **_SIZES,
            "partial_rotary_factor": 0.75,
            "max_position_embeddings": 4 * TRAINED,
            "original_max_position_embeddings": TRAINED,
            "rope_scaling": {"type": "longrope", **_FACTORS},
        },
    ),
    "llama": (
        "Llama",
        {
            **_SIZES,
            "head_dim": 6,
            "max_position_embeddings": 4 * TRAINED,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 10_000.0,
                "original_max_position_embeddings": TRAINED,
                "factor": 4.0,
                **_FACTORS,
            },
        },
    ),
    "dynamic": (
        "Llama",
        {
            **_SIZES,
            "max_position_embeddings": TRAINED,
            "rope_scaling": {"rope_type": "dynamic", "factor": 3.0},
        },
    ),
}
"""By name the prefix of its classes, and its config; the first two have other rotations in rows beyond TRAINED."""

LENGTHS = (17, 23, 24, 25, 40)


def prompts() -> list[list[int]]:
    """Prompts that stand on both sides of TRAINED, and come to the other one."""
    rng = np.random.RandomState(7)
    return [rng.randint(5, VOCAB, length).tolist() for length in LENGTHS]
