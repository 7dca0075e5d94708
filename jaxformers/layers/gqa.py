"""Grouped-query attention (Ainslie et al. 2023, arXiv 2305.13245): each head of keys and values serves as many heads of
queries. What a config with num_key_value_heads and head_dim says of it.
"""

from __future__ import annotations

from typing import Any


def head_dim(c: Any) -> int:
    """Numbers of a head."""
    return c.head_dim or c.hidden_size // c.num_attention_heads


def kv_heads(c: Any) -> int:
    """Heads of keys and of values."""
    return c.num_key_value_heads or c.num_attention_heads


def check_heads(c: Any) -> None:
    """Refuse heads that do not share the width, or the heads of keys, evenly.

    Raises:
        ValueError: naming the fields.
    """
    owner, heads = type(c).__name__, c.num_attention_heads
    if c.head_dim is None and c.hidden_size % heads:
        raise ValueError(f"{owner}: hidden_size={c.hidden_size} is no multiple of num_attention_heads={heads}")
    if heads % kv_heads(c):
        raise ValueError(f"{owner}: num_attention_heads={heads} is no multiple of num_key_value_heads={kv_heads(c)}")
