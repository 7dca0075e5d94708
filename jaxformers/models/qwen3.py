"""Qwen3 (Yang et al. 2025, arXiv 2505.09388): Llama whose queries and keys are normalised head by head."""

from __future__ import annotations

from typing import Any

import jax

from .. import declare
from ..config import Size
from ..layers import rotation
from ..layers.attention import project
from ..layers.causal import FULL, Causal
from ..layers.decoder import Mix, decoded, gated, keys_values, norms_first, root_mean_square
from ..layers.dropout import Drop, no_drop
from ..layers.embedding import embed_tokens
from ..layers.inputs import Inputs, Want
from ..layers.norm import rms_norm
from ..layers.rotation import Turns, halves
from ..layers.run import Encoded
from ..twins import family
from . import llama
from .llama import around, keys, width
from .qwen2 import Qwen2Config, seen


class Qwen3Config(Qwen2Config, model_type="qwen3"):
    """Qwen2's sizes, with heads of a width of their own."""

    head_dim: Size | None = 128


def parameters(c: Qwen3Config) -> declare.Tree:
    """The model's arrays."""
    norms = {
        "query_norm": declare.rms_norm(width(c), "self_attn.q_norm", axis=None),
        "key_norm": declare.rms_norm(width(c), "self_attn.k_norm", axis=None),
    }
    return around(c, llama.layer(c) | norms)


def normed_heads(c: Any, order: Causal, turns: Turns, *, rate: float = 0.0) -> Mix:
    """`decoder.rotated` with norms of queries and keys before they are turned."""

    def mix(p: Any, x: jax.Array, cell: Any, drop: Drop, window: Any = FULL) -> tuple[jax.Array, jax.Array, Any]:
        q, k, v = project(p, x, width(c), keys(c))
        q, k = rms_norm(p["query_norm"], q, c.rms_norm_eps), rms_norm(p["key_norm"], k, c.rms_norm_eps)
        return order.attend(halves(q, turns), halves(k, turns), v, cell, window=window, rate=rate, drop=drop)

    return mix


def decode(params: Any, c: Qwen3Config, inputs: Inputs, want: Want = Want(), drop: Drop = no_drop) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    turns = rotation.rotation(c, width(c)).turns(order.positions, order.reach)
    block = norms_first(normed_heads(c, order, turns, rate=c.attention_dropout), gated(c.hidden_act), norm)
    x, each = embed_tokens(params["word"], inputs), drop.each(c.num_hidden_layers)
    return decoded(order, block, params, x, each, seen(c), want=want, norm=norm)


family(globals(), "Qwen3", Qwen3Config, parameters, decode, keys_values, prefixes={"QuestionAnswering": "transformer"})
