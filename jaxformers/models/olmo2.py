"""OLMo 2 (OLMo Team 2025, arXiv 2501.00656): Llama with norms after attention and network in place of those before, and
norms of queries and keys over all heads together.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Epsilon, Size, Token
from ..layers import rotation
from ..layers.causal import Causal
from ..layers.decoder import (
    gated,
    keys_values,
    normed_as_one,
    norms_last,
    root_mean_square,
    rotated,
    run_decoder,
)
from ..layers.decoder_arrays import gate_up_down, joint_head_norms, model_arrays, projections
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import RotarySizes


class Olmo2Config(RotarySizes, Config, model_type="olmo2", allowed={"mlp_bias": (False,)}):
    """Llama's sizes."""

    vocab_size: Size = 50304
    rms_norm_eps: Epsilon = 1e-5
    attention_bias: bool = False
    pad_token_id: Token | None = 1


def parameters(c: Olmo2Config) -> declare.Tree:
    """The model's arrays."""
    d, heads = c.hidden_size, (c.num_attention_heads, kv_heads(c), head_dim(c))
    layer = {
        **projections(d, *heads, bias=c.attention_bias, out_bias=c.attention_bias),
        **joint_head_norms(c),
        "attention_norm": declare.rms_norm(d, "post_attention_layernorm"),
        **gate_up_down(d, c.intermediate_size),
        "ffn_norm": declare.rms_norm(d, "post_feedforward_layernorm"),
    }
    return model_arrays(c, layer)


def decode(params: Any, c: Olmo2Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    cos_sin = rotation.rotation(c, head_dim(c)).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), heads=normed_as_one(norm), rate=c.attention_dropout)
    block = norms_last(mix, gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class Olmo2Model(tasks.Decoder, config=Olmo2Config, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class Olmo2ForCausalLM(tasks.CausalLM, base=Olmo2Model):
    """Scores of every word to follow each token."""


class Olmo2ForSequenceClassification(tasks.SequenceClassification, base=Olmo2Model):
    """One set of scores a text, from its last token."""
