"""Gemma 2 (Gemma Team 2024, arXiv 2408.00118): Gemma with norms after both halves of a layer too, scores of attention
and of words that stay within bounds, and a window of tokens for every other layer.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Positive, Size, Token, Window
from ..layers import heads, rotation
from ..layers.activation import ACTIVATIONS
from ..layers.causal import Causal
from ..layers.decoder import (
    SLIDING,
    WHOLE,
    check_kinds,
    gated,
    keys_values,
    norms_around,
    offset_root_mean_square,
    rotated,
    run_decoder,
    windows,
)
from ..layers.decoder_arrays import gate_up_down, model_arrays, projections
from ..layers.embedding import embed_tokens, scaled_by_width
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GatedSizes


class Gemma2Config(
    GatedSizes,
    Config,
    model_type="gemma2",
    allowed={
        "mlp_bias": (False,),
        "hidden_act": (None, *ACTIVATIONS),
        "hidden_activation": ACTIVATIONS,
        "use_bidirectional_attention": (None, False),
    },
):
    """Gemma's sizes; the defaults are those of the model with 2 billion parameters.

    query_pre_attn_scalar: scores are divided by its root. sliding_window: how many tokens layers of that kind see.
    layer_types: the kind of each; None: the first, the third and so on see a window. *_logit_softcapping: a bound on
    the scores of attention and of words; None: none.
    """

    vocab_size: Size = 256000
    hidden_size: Size = 2304
    intermediate_size: Size = 9216
    num_hidden_layers: Size = 26
    num_attention_heads: Size = 8
    num_key_value_heads: Size | None = 4
    head_dim: Size | None = 256
    hidden_act: str = "gelu_pytorch_tanh"
    hidden_activation: str = "gelu_pytorch_tanh"
    max_position_embeddings: Size = 8192
    query_pre_attn_scalar: Positive = 256.0
    sliding_window: Window | None = 4096
    layer_types: tuple[str, ...] | None = None
    final_logit_softcapping: Positive | None = 30.0
    attn_logit_softcapping: Positive | None = 50.0
    pad_token_id: Token | None = 0
    tie_word_embeddings: bool = True

    def check(self) -> None:
        """Llama's rules, and a kind for each layer."""
        super().check()
        check_kinds(self)


def layer(c: Any) -> declare.Tree:
    """A layer's arrays."""
    d, bias = c.hidden_size, c.attention_bias
    return {
        "attention_norm": declare.offset_norm(d, "input_layernorm"),
        **projections(d, c.num_attention_heads, kv_heads(c), head_dim(c), bias=bias, out_bias=bias),
        "attention_post_norm": declare.offset_norm(d, "post_attention_layernorm"),
        "ffn_norm": declare.offset_norm(d, "pre_feedforward_layernorm"),
        **gate_up_down(d, c.intermediate_size),
        "ffn_post_norm": declare.offset_norm(d, "post_feedforward_layernorm"),
    }


def parameters(c: Gemma2Config) -> declare.Tree:
    """The model's arrays."""
    return model_arrays(c, layer(c)) | {"final_norm": declare.offset_norm(c.hidden_size, "norm")}


def decode(params: Any, c: Gemma2Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), offset_root_mean_square(c.rms_norm_eps)
    cos_sin = rotation.rotation(c, head_dim(c)).cos_sin(order.positions, order.reach)
    scale, cap = c.query_pre_attn_scalar**-0.5, c.attn_logit_softcapping
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), rate=c.attention_dropout, scale=scale, cap=cap)
    block = norms_around(mix, gated(c.hidden_activation), norm)
    x = scaled_by_width(embed_tokens(params["word"], inputs))
    kinds = c.layer_types or [SLIDING if i % 2 == 0 else WHOLE for i in range(c.num_hidden_layers)]
    return run_decoder(order, block, params, x, windows(kinds, c.sliding_window), ask=ask, sites=sites, norm=norm)


def capped(c: Any, scores: jax.Array) -> jax.Array:
    """Scores of words, bent to stay within the config's bound."""
    cap = c.final_logit_softcapping
    return scores if cap is None else cap * jnp.tanh(scores / cap)


class Gemma2Model(tasks.Decoder, config=Gemma2Config, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class Gemma2ForCausalLM(tasks.CausalLM, base=Gemma2Model, head=heads.words("lm_head", last=capped)):
    """Scores of every word to follow each token."""


class Gemma2ForSequenceClassification(tasks.SequenceClassification, base=Gemma2Model):
    """One set of scores a text, from its last token."""


class Gemma2ForTokenClassification(tasks.TokenClassification, base=Gemma2Model):
    """One set of scores a token."""
