"""Small models and their batches for training, the same on both sides: drawn by numpy, from names and shapes alone."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

STEPS = 20
RATE, WARMUP, DECAY, MOST, SMOOTHING = 2e-3, 4, 0.1, 1.0, 0.1
"""Learning rate, steps of warm-up, weight decay, greatest norm of gradients, and T5's share of smoothing."""
RECORDED = Path(__file__).with_name("recorded")
IGNORED = -100


@dataclasses.dataclass(frozen=True)
class Case:
    """A class of models, its config, and what its batches hold.

    labels: "row", "token" (of a causal model) or "target" (of a decoder beside an encoder).
    """

    cls: str
    config: Mapping[str, Any]
    labels: str
    words: int = 48
    smoothing: float = 0.0

    def batch(self, step: int, rows: int = 6, length: int = 10) -> dict[str, np.ndarray]:
        """Rows of several lengths with their labels; of a causal model the first label of some does not count."""
        rng = np.random.default_rng([zlib.crc32(self.cls.encode()), step])
        ids = rng.integers(3, self.words, (rows, length))
        mask = (np.arange(length) < rng.integers(length // 2, length + 1, (rows, 1))).astype(np.int32)
        if self.labels == "row":
            labels = rng.integers(0, 3, rows)
        elif self.labels == "token":
            labels = np.where(mask == 1, ids, IGNORED)
            labels[::2, 0] = IGNORED
        else:
            target = rng.integers(3, self.words, (rows, 7))
            labels = np.where(np.arange(7) < rng.integers(3, 8, (rows, 1)), target, IGNORED)
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}


CASES = {
    "bert": Case(
        "BertForSequenceClassification",
        {
            "vocab_size": 48,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 24,
            "max_position_embeddings": 16,
            "num_labels": 3,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
        "row",
    ),
    "gpt2": Case(
        "GPT2LMHeadModel",
        {
            "vocab_size": 48,
            "n_embd": 16,
            "n_layer": 2,
            "n_head": 2,
            "n_positions": 16,
            "resid_pdrop": 0.0,
            "embd_pdrop": 0.0,
            "attn_pdrop": 0.0,
        },
        "token",
    ),
    "llama": Case(
        "LlamaForCausalLM",
        {
            "vocab_size": 48,
            "hidden_size": 16,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "intermediate_size": 24,
            "max_position_embeddings": 16,
        },
        "token",
    ),
    "t5": Case(
        "T5ForConditionalGeneration",
        {
            "vocab_size": 48,
            "d_model": 16,
            "d_kv": 8,
            "d_ff": 24,
            "num_layers": 2,
            "num_heads": 2,
            "dropout_rate": 0.0,
            "decoder_start_token_id": 0,
        },
        "target",
        smoothing=SMOOTHING,
    ),
}


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array that training starts from, by its Hub name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return rng.normal(0.0, 0.1, shape).astype(np.float32) + ("norm" in name.lower() and name.endswith("weight"))


SHAPES = {"weight": (5, 4), "bias": (4,), "table": (6, 3)}
"""Arrays for optimizers alone."""


def array(name: str, step: int) -> np.ndarray:
    """The gradient of one of `SHAPES` at a step; of step -1 its start."""
    return np.random.default_rng([step + 1, *name.encode()]).normal(0.0, 1.0, SHAPES[name]).astype(np.float32)
