"""Phi 1 to 2 (Li et al. 2023, arXiv 2309.05463): attention and a plain network side by side behind one layer norm, half
of each head turned, biases everywhere.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Rate, Size
from ..layers import heads, rotation
from ..layers.causal import Causal
from ..layers.decoder import dropped, keys_values, normed, plain, rotated, run_decoder, side_by_side, standardised
from ..layers.decoder_arrays import head_norms, model_arrays, projections, up_down
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import PartlyRotarySizes


class PhiConfig(PartlyRotarySizes, Config, model_type="phi"):
    """Sizes and rates of a Phi; the defaults are those of Phi 1. qk_layernorm: queries and keys are normalised."""

    vocab_size: Size = 51200
    hidden_size: Size = 2048
    intermediate_size: Size = 8192
    num_hidden_layers: Depth = 24
    hidden_act: str = "gelu_new"
    resid_pdrop: Rate = 0.0
    embd_pdrop: Rate = 0.0
    layer_norm_eps: Epsilon = 1e-5
    qk_layernorm: bool = False


def parameters(c: PhiConfig) -> declare.Tree:
    """The model's arrays."""
    d, names = c.hidden_size, ("q_proj", "k_proj", "v_proj", "dense")
    layer = {
        "attention_norm": declare.layer_norm(d, "input_layernorm"),
        **projections(d, c.num_attention_heads, kv_heads(c), head_dim(c), names=names, bias=True, out_bias=True),
        **(head_norms(c, declare.layer_norm, ("q_layernorm", "k_layernorm")) if c.qk_layernorm else {}),
        **up_down(d, c.intermediate_size, names=("fc1", "fc2"), bias=True),
    }
    return model_arrays(c, layer) | {"final_norm": declare.layer_norm(d, "final_layernorm")}


def decode(params: Any, c: PhiConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), standardised(c.layer_norm_eps)
    cos_sin = rotation.rotation(c, rotation.part(c, head_dim(c))).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), heads=normed(norm), rate=c.attention_dropout)
    block = side_by_side(mix, plain(c.hidden_act), norm, dropped(attention=c.resid_pdrop, ffn=c.resid_pdrop))
    x = sites.drop("embeddings", embed_tokens(params["word"], inputs), c.embd_pdrop)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class PhiModel(tasks.Decoder, config=PhiConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class PhiForCausalLM(tasks.CausalLM, base=PhiModel, head=heads.words("lm_head", bias=True)):
    """Scores of every word to follow each token."""


class PhiForSequenceClassification(tasks.SequenceClassification, base=PhiModel):
    """One set of scores a text, from its last token."""


class PhiForTokenClassification(tasks.TokenClassification, base=PhiModel):
    """One set of scores a token."""
