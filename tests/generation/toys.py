"""A toy model that generates, and a plain way to do what the loops do."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import jaxformers

VOCAB = 53


def model(key: int = 0, **fields: Any) -> Any:
    """A Llama of toy size with random weights, large enough that its words differ."""
    config = jaxformers.LlamaConfig(
        **{
            "vocab_size": VOCAB,
            "hidden_size": 24,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "intermediate_size": 40,
            "max_position_embeddings": 512,
            "initializer_range": 0.4,
            "eos_token_id": None,
            "bos_token_id": 1,
            "pad_token_id": 0,
            **fields,
        }
    )
    return jaxformers.LlamaForCausalLM(config, key=jax.random.key(key))


def scores(model: Any, ids: list[int]) -> np.ndarray:
    """What follows a row [V], without a cache."""
    return np.asarray(model(np.array([ids + [0] * (-len(ids) % 16)])).logits[0, len(ids) - 1], np.float64)


def greedy(model: Any, ids: list[int], count: int, end: int | None = None) -> list[int]:
    """New tokens, one whole pass for each."""
    new: list[int] = []
    while len(new) < count and (not new or new[-1] != end):
        new.append(int(np.argmax(scores(model, [*ids, *new]))))
    return new


def prompts(*lengths: int, seed: int = 0) -> list[list[int]]:
    """Prompts without padding, ids from 3 on."""
    rng = np.random.RandomState(seed)
    return [rng.randint(3, VOCAB, n).tolist() for n in lengths]


def padded(rows: list[list[int]], side: str = "left") -> tuple[np.ndarray, np.ndarray]:
    """Ids and mask [B, T]."""
    width = max(map(len, rows))
    ids, mask = np.zeros((len(rows), width), np.int32), np.zeros((len(rows), width), np.int32)
    for i, row in enumerate(rows):
        part = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids[i, part], mask[i, part] = row, 1
    return ids, mask


def until(row: list[int], start: int, ends: list[int]) -> list[int]:
    """A row up to its first end behind `start`."""
    stop = next((i + 1 for i in range(start, len(row)) if row[i] in ends), len(row))
    return row[:stop]


def softmax(x: np.ndarray) -> np.ndarray:
    """Of float64 [V]."""
    odds = np.exp(x - x.max())
    return odds / odds.sum()


def log_softmax(x: Any) -> np.ndarray:
    """Of float32."""
    return np.asarray(jax.nn.log_softmax(jnp.asarray(x, jnp.float32)))
