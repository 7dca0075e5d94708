"""Helium (Kyutai 2025, "Helium 1: a modular and multilingual LLM"): Llama with heads rotated in pairs of neighbours."""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Size, Token
from ..layers import rotation
from ..layers.causal import Causal
from ..layers.decoder import gated, keys_values, norms_first, root_mean_square, rotated, run_decoder
from ..layers.decoder_arrays import layer_arrays, model_arrays, projections
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.rotation import rotate_interleaved
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GatedSizes


class HeliumConfig(GatedSizes, Config, model_type="helium"):
    """Llama's sizes; attention_bias: of queries, keys and values."""

    vocab_size: Size = 48000
    hidden_size: Size = 2560
    intermediate_size: Size = 7040
    num_hidden_layers: Depth = 24
    num_attention_heads: Size = 20
    num_key_value_heads: Size | None = 20
    head_dim: Size | None = 128
    max_position_embeddings: Size = 4096
    rms_norm_eps: Epsilon = 1e-8
    rope_theta: float = 100_000.0
    pad_token_id: Token | None = 3

    def check(self) -> None:
        """Llama's rules, and heads that are together as wide as the layers."""
        super().check()
        if self.num_attention_heads * head_dim(self) != self.hidden_size:
            raise ValueError(
                f"HeliumConfig: num_attention_heads={self.num_attention_heads} times head_dim={self.head_dim} "
                f"is not hidden_size={self.hidden_size}"
            )


def parameters(c: HeliumConfig) -> declare.Tree:
    """The model's arrays."""
    biased = projections(c.hidden_size, c.num_attention_heads, kv_heads(c), head_dim(c), bias=c.attention_bias)
    return model_arrays(c, layer_arrays(c) | biased)


def decode(params: Any, c: Any, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    cos_sin = rotation.rotation(c, head_dim(c)).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), rotate=rotate_interleaved, rate=c.attention_dropout)
    block = norms_first(mix, gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class HeliumModel(tasks.Decoder, config=HeliumConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class HeliumForCausalLM(tasks.CausalLM, base=HeliumModel):
    """Scores of every word to follow each token."""


class HeliumForSequenceClassification(tasks.SequenceClassification, base=HeliumModel):
    """One set of scores a text, from its last token."""


class HeliumForTokenClassification(tasks.TokenClassification, base=HeliumModel):
    """One set of scores a token."""
