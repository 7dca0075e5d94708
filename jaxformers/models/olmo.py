"""OLMo (Groeneveld et al. 2024, arXiv 2402.00838): Llama with layer norms that have no arrays, and bounds on queries,
keys and values.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Size, Token
from ..layers import rotation
from ..layers.causal import Causal
from ..layers.decoder import gated, keys_values, norms_first, rotated, run_decoder, standardised
from ..layers.decoder_arrays import gate_up_down, model_arrays, projections
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import RotarySizes


class OlmoConfig(RotarySizes, Config, model_type="olmo", allowed={"mlp_bias": (False,)}):
    """Llama's sizes, and clip_qkv: the largest that queries, keys and values may be; None: any."""

    vocab_size: Size = 50304
    attention_bias: bool = False
    clip_qkv: float | None = None
    pad_token_id: Token | None = 1


def parameters(c: OlmoConfig) -> declare.Tree:
    """The model's arrays."""
    d, heads = c.hidden_size, (c.num_attention_heads, kv_heads(c), head_dim(c))
    layer = {
        "attention_norm": {},
        **projections(d, *heads, bias=c.attention_bias, out_bias=c.attention_bias),
        "ffn_norm": {},
        **gate_up_down(d, c.intermediate_size),
    }
    return model_arrays(c, layer) | {"final_norm": {}}


def decode(params: Any, c: OlmoConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""

    def bounded(p: Any, *heads: jax.Array) -> Any:
        return heads if c.clip_qkv is None else tuple(jnp.clip(x, -c.clip_qkv, c.clip_qkv) for x in heads)

    order, norm = Causal.of(inputs), standardised(1e-5)
    cos_sin = rotation.rotation(c, head_dim(c)).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), heads=bounded, rate=c.attention_dropout)
    block = norms_first(mix, gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class OlmoModel(tasks.Decoder, config=OlmoConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class OlmoForCausalLM(tasks.CausalLM, base=OlmoModel):
    """Scores of every word to follow each token."""


class OlmoForSequenceClassification(tasks.SequenceClassification, base=OlmoModel):
    """One set of scores a text, from its last token."""
