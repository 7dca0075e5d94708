"""Seed-OSS (ByteDance Seed 2025): Llama with biases on queries, keys and values, and dropout on what layers add."""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Depth, Rate, Size, Token
from ..layers.causal import Causal
from ..layers.decoder import dropped, gated, keys_values, norms_first, root_mean_square, rotary_attention, run_decoder
from ..layers.decoder_arrays import layer_arrays, model_arrays, projections
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GatedSizes


class SeedOssConfig(GatedSizes, Config, model_type="seed_oss"):
    """Llama's sizes; attention_bias: of queries, keys and values; attention_out_bias: of the projection after these."""

    vocab_size: Size = 155136
    intermediate_size: Size = 27648
    num_hidden_layers: Depth = 64
    num_attention_heads: Size = 80
    num_key_value_heads: Size | None = 8
    head_dim: Size | None = 128
    max_position_embeddings: Size = 524288
    attention_bias: bool = True
    attention_out_bias: bool = False
    attention_dropout: Rate = 0.1
    residual_dropout: Rate = 0.1
    pad_token_id: Token | None = 1


def parameters(c: SeedOssConfig) -> declare.Tree:
    """The model's arrays."""
    d, heads = c.hidden_size, (c.num_attention_heads, kv_heads(c), head_dim(c))
    biased = projections(d, *heads, bias=c.attention_bias, out_bias=c.attention_out_bias)
    return model_arrays(c, layer_arrays(c) | biased)


def decode(params: Any, c: SeedOssConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    rates = dropped(attention=c.residual_dropout, ffn=c.residual_dropout)
    block = norms_first(rotary_attention(c, order), gated(c.hidden_act), norm, rates)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class SeedOssModel(tasks.Decoder, config=SeedOssConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class SeedOssForCausalLM(tasks.CausalLM, base=SeedOssModel):
    """Scores of every word to follow each token."""


class SeedOssForSequenceClassification(tasks.SequenceClassification, base=SeedOssModel):
    """One set of scores a text, from its last token."""


class SeedOssForTokenClassification(tasks.TokenClassification, base=SeedOssModel):
    """One set of scores a token."""


class SeedOssForQuestionAnswering(tasks.QuestionAnswering, base=SeedOssModel):
    """Where in a context the answer starts and ends."""
