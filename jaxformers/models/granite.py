"""Granite 3 (IBM 2024, "Granite 3.0 Language Models"): Llama with a factor on embeddings, on scores, on what each layer
adds, and on the scores of words.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Positive
from ..layers import heads, rotation
from ..layers.causal import Causal
from ..layers.decoder import gated, keys_values, norms_first, root_mean_square, rotated, run_decoder, times
from ..layers.decoder_arrays import layer_arrays, model_arrays
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GatedSizes


class GraniteConfig(GatedSizes, Config, model_type="granite"):
    """Llama's sizes, and four factors; attention_multiplier stands for 1 / sqrt(numbers of a head)."""

    embedding_multiplier: float = 1.0
    attention_multiplier: float = 1.0
    residual_multiplier: float = 1.0
    logits_scaling: Positive = 1.0


def parameters(c: GraniteConfig) -> declare.Tree:
    """The model's arrays."""
    return model_arrays(c, layer_arrays(c))


def decode(params: Any, c: GraniteConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    cos_sin = rotation.rotation(c, head_dim(c)).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), scale=c.attention_multiplier, rate=c.attention_dropout)
    block = norms_first(mix, gated(c.hidden_act), norm, times(c.residual_multiplier))
    x = embed_tokens(params["word"], inputs) * c.embedding_multiplier
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class GraniteModel(tasks.Decoder, config=GraniteConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class GraniteForCausalLM(
    tasks.CausalLM, base=GraniteModel, head=heads.words("lm_head", last=lambda c, scores: scores / c.logits_scaling)
):
    """Scores of every word to follow each token."""
