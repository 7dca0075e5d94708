"""GLM-4 of 2024 (Team GLM 2024, arXiv 2406.12793): Llama with half of each head turned, in pairs of neighbours, and
gate and up as one.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Rate, Size, Token
from ..layers import rotation
from ..layers.causal import Causal
from ..layers.decoder import gated, keys_values, norms_first, root_mean_square, rotated, run_decoder
from ..layers.decoder_arrays import fused_gate_up, model_arrays, projections
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.rotation import rotate_interleaved
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import PartlyRotarySizes


class GlmConfig(PartlyRotarySizes, Config, model_type="glm", allowed={"mlp_bias": (False,)}):
    """Sizes and rates of a GLM-4; attention_bias: of queries, keys and values."""

    vocab_size: Size = 151552
    intermediate_size: Size = 13696
    num_hidden_layers: Depth = 40
    num_key_value_heads: Size | None = 2
    head_dim: Size | None = 128
    max_position_embeddings: Size = 131072
    partial_rotary_factor: Rate = 0.5
    rms_norm_eps: Epsilon = 1.5625e-07
    attention_bias: bool = True
    pad_token_id: Token | None = 151329


def layer(c: Any) -> declare.Tree:
    """A layer's arrays."""
    d = c.hidden_size
    return {
        "attention_norm": declare.rms_norm(d, "input_layernorm"),
        **projections(d, c.num_attention_heads, kv_heads(c), head_dim(c), bias=c.attention_bias),
        "ffn_norm": declare.rms_norm(d, "post_attention_layernorm"),
        **fused_gate_up(d, c.intermediate_size),
    }


def parameters(c: GlmConfig) -> declare.Tree:
    """The model's arrays."""
    return model_arrays(c, layer(c))


def decode(params: Any, c: GlmConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    cos_sin = rotation.rotation(c, rotation.part(c, head_dim(c))).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), rotate=rotate_interleaved, rate=c.attention_dropout)
    block = norms_first(mix, gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class GlmModel(tasks.Decoder, config=GlmConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class GlmForCausalLM(tasks.CausalLM, base=GlmModel):
    """Scores of every word to follow each token."""


class GlmForSequenceClassification(tasks.SequenceClassification, base=GlmModel):
    """One set of scores a text, from its last token."""


class GlmForTokenClassification(tasks.TokenClassification, base=GlmModel):
    """One set of scores a token."""
