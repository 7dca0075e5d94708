"""OLMo 2 (OLMo Team 2025, arXiv 2501.00656): Llama with norms after attention and network in place of those before, and
norms of queries and keys over all heads together.
"""

from __future__ import annotations

from typing import Any

import jax

from .. import declare, tasks
from ..config import Config, Epsilon, Size, Token
from ..layers import rotation
from ..layers.attention import merge
from ..layers.causal import Causal
from ..layers.decoder import (
    Heads,
    Norm,
    decoded,
    gate_up_down,
    gated,
    keys_values,
    norms_last,
    projections,
    root_mean_square,
    rotated,
)
from ..layers.dropout import Drop, no_drop
from ..layers.embedding import embed_tokens
from ..layers.inputs import Inputs, Want
from ..layers.run import Encoded
from ..network import Network
from .llama import Rotary, around, keys, width


class Olmo2Config(Rotary, Config, model_type="olmo2", allowed={"mlp_bias": (False,)}):
    """Llama's sizes."""

    vocab_size: Size = 50304
    rms_norm_eps: Epsilon = 1e-5
    attention_bias: bool = False
    pad_token_id: Token | None = 1


def parameters(c: Olmo2Config) -> declare.Tree:
    """The model's arrays."""
    d, heads = c.hidden_size, (c.num_attention_heads, keys(c), width(c))
    layer = {
        **projections(d, *heads, bias=c.attention_bias, out_bias=c.attention_bias),
        "query_norm": declare.rms_norm(heads[0] * width(c), "self_attn.q_norm", "heads"),
        "key_norm": declare.rms_norm(heads[1] * width(c), "self_attn.k_norm", "heads"),
        "attention_norm": declare.rms_norm(d, "post_attention_layernorm"),
        **gate_up_down(d, c.intermediate_size),
        "ffn_norm": declare.rms_norm(d, "post_feedforward_layernorm"),
    }
    return around(c, layer)


def normed_as_one(norm: Norm) -> Heads:
    """Queries and keys are normalised, all heads together."""

    def heads(p: Any, q: jax.Array, k: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        queries, keys = norm(p["query_norm"], merge(q)), norm(p["key_norm"], merge(k))
        return queries.reshape(q.shape), keys.reshape(k.shape), v

    return heads


def decode(params: Any, c: Olmo2Config, inputs: Inputs, want: Want = Want(), drop: Drop = no_drop) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    turns = rotation.rotation(c, width(c)).turns(order.positions, order.reach)
    mix = rotated(order, turns, width(c), keys(c), heads=normed_as_one(norm), rate=c.attention_dropout)
    block = norms_last(mix, gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    return decoded(order, block, params, x, drop.each(c.num_hidden_layers), want=want, norm=norm)


class Olmo2Model(tasks.Decoder, config=Olmo2Config, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class Olmo2ForCausalLM(tasks.CausalLM, base=Olmo2Model):
    """Scores of every word to follow each token."""


class Olmo2ForSequenceClassification(tasks.SequenceClassification, base=Olmo2Model):
    """One set of scores a text, from its last token."""
