"""Apertus (Swiss AI 2025, arXiv 2509.14233): Llama with norms of heads, and a plain network whose activation learns its
own shape in each layer.
"""

from __future__ import annotations

from typing import Any

import jax

from .. import declare, tasks
from ..config import Config, Epsilon, Size, Token
from ..layers import rotation, xielu
from ..layers.causal import Causal
from ..layers.decoder import keys_values, normed, norms_first, root_mean_square, rotated, run_decoder
from ..layers.decoder_arrays import head_norms, model_arrays, projections, up_down
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import RotarySizes

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "original_max_position_embeddings": 8192,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
}
"""How the published models stretch their rotation."""


class ApertusConfig(
    RotarySizes,
    Config,
    model_type="apertus",
    allowed={"hidden_act": ("xielu",), "mlp_bias": (False,), "post_norm": (False,), "qk_norm": (True,)},
    ignores=("hidden_dropout",),
):
    """Llama's sizes; the defaults are those of the model with 8 billion parameters."""

    vocab_size: Size = 131072
    intermediate_size: Size = 14336
    hidden_act: str = "xielu"
    max_position_embeddings: Size = 65536
    rope_theta: float = 12_000_000.0
    rope_scaling: dict | None = LLAMA3
    rms_norm_eps: Epsilon = 1e-5
    attention_bias: bool = False
    pad_token_id: Token | None = 3


def parameters(c: ApertusConfig) -> declare.Tree:
    """The model's arrays."""
    d, heads = c.hidden_size, (c.num_attention_heads, kv_heads(c), head_dim(c))
    layer = {
        "attention_norm": declare.rms_norm(d, "attention_layernorm"),
        **projections(d, *heads, bias=c.attention_bias, out_bias=c.attention_bias),
        **head_norms(c),
        "ffn_norm": declare.rms_norm(d, "feedforward_layernorm"),
        **up_down(d, c.intermediate_size),
        "act": declare.under("mlp.act_fn", xielu.arrays()),
    }
    return model_arrays(c, layer)


def feed(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
    """The network of one layer."""
    return linear(p["down"], xielu.xielu(p["act"], linear(p["up"], x)), like=x)


def decode(params: Any, c: ApertusConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    cos_sin = rotation.rotation(c, head_dim(c)).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), heads=normed(norm), rate=c.attention_dropout)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, norms_first(mix, feed, norm), params, x, ask=ask, sites=sites, norm=norm)


class ApertusModel(tasks.Decoder, config=ApertusConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class ApertusForCausalLM(tasks.CausalLM, base=ApertusModel):
    """Scores of every word to follow each token."""


class ApertusForTokenClassification(tasks.TokenClassification, base=ApertusModel):
    """One set of scores a token."""
