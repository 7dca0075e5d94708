"""Gemma (Gemma Team 2024, arXiv 2403.08295): Llama with word vectors scaled up, norms whose scale is kept as what it is
above one, and heads of a width of their own.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Size, Token
from ..layers.activation import ACTIVATIONS
from ..layers.causal import Causal
from ..layers.decoder import gated, keys_values, norms_first, offset_root_mean_square, rotary_attention, run_decoder
from ..layers.decoder_arrays import gate_up_down, model_arrays, projections
from ..layers.embedding import embed_tokens, scaled_by_width
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GatedSizes


class GemmaConfig(
    GatedSizes,
    Config,
    model_type="gemma",
    allowed={
        "mlp_bias": (False,),
        "hidden_activation": (None, *ACTIVATIONS),
        "use_bidirectional_attention": (None, False),
    },
):
    """Llama's sizes; the defaults are those of the model with 7 billion parameters.

    hidden_activation: in place of hidden_act, which older files have wrong.
    """

    vocab_size: Size = 256000
    hidden_size: Size = 3072
    intermediate_size: Size = 24576
    num_hidden_layers: Size = 28
    num_attention_heads: Size = 16
    num_key_value_heads: Size | None = 16
    head_dim: Size | None = 256
    hidden_act: str = "gelu_pytorch_tanh"
    hidden_activation: str | None = None
    max_position_embeddings: Size = 8192
    pad_token_id: Token | None = 0
    tie_word_embeddings: bool = True


def layer(c: Any) -> declare.Tree:
    """A layer's arrays."""
    d, bias = c.hidden_size, c.attention_bias
    return {
        "attention_norm": declare.offset_norm(d, "input_layernorm"),
        **projections(d, c.num_attention_heads, kv_heads(c), head_dim(c), bias=bias, out_bias=bias),
        "ffn_norm": declare.offset_norm(d, "post_attention_layernorm"),
        **gate_up_down(d, c.intermediate_size),
    }


def parameters(c: GemmaConfig) -> declare.Tree:
    """The model's arrays."""
    return model_arrays(c, layer(c)) | {"final_norm": declare.offset_norm(c.hidden_size, "norm")}


def decode(params: Any, c: GemmaConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), offset_root_mean_square(c.rms_norm_eps)
    block = norms_first(rotary_attention(c, order), gated(c.hidden_activation or c.hidden_act), norm)
    x = scaled_by_width(embed_tokens(params["word"], inputs))
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class GemmaModel(tasks.Decoder, config=GemmaConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class GemmaForCausalLM(tasks.CausalLM, base=GemmaModel):
    """Scores of every word to follow each token."""


class GemmaForSequenceClassification(tasks.SequenceClassification, base=GemmaModel):
    """One set of scores a text, from its last token."""


class GemmaForTokenClassification(tasks.TokenClassification, base=GemmaModel):
    """One set of scores a token."""
