"""Phi 1 to 2 (Li et al. 2023, arXiv 2309.05463): attention and a plain network side by side behind one layer norm, half
of each head turned, biases everywhere.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Rate, Size
from ..layers import heads, rotation
from ..layers.causal import Causal
from ..layers.decoder import (
    decoded,
    dropped,
    keys_values,
    normed,
    plain,
    projections,
    rotated,
    side_by_side,
    standardised,
    up_down,
)
from ..layers.dropout import Drop, no_drop
from ..layers.embedding import embed_tokens
from ..layers.inputs import Inputs, Want
from ..layers.run import Encoded
from ..network import Network
from .llama import Rotary, around, check_heads, keys, width


class Partly(Rotary):
    """Fields of decoders that turn the first numbers of each head alone; partial_rotary_factor: the share of them."""

    partial_rotary_factor: Rate = 0.5

    def check(self) -> None:
        """Heads of keys share those of queries, and have pairs to rotate."""
        check_heads(self)
        rotation.check(self, rotation.part(self, width(self)))


class PhiConfig(Partly, Config, model_type="phi"):
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
        **projections(d, c.num_attention_heads, keys(c), width(c), names=names, bias=True, out_bias=True),
        **(head_norms(c) if c.qk_layernorm else {}),
        **up_down(d, c.intermediate_size, names=("fc1", "fc2"), bias=True),
    }
    return around(c, layer) | {"final_norm": declare.layer_norm(d, "final_layernorm")}


def head_norms(c: Any) -> declare.Tree:
    """Norms of queries and of keys, which all heads share."""
    names = {"query_norm": "q_layernorm", "key_norm": "k_layernorm"}
    return {ours: declare.layer_norm(width(c), f"self_attn.{name}", axis=None) for ours, name in names.items()}


def decode(params: Any, c: PhiConfig, inputs: Inputs, want: Want = Want(), drop: Drop = no_drop) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), standardised(c.layer_norm_eps)
    turns = rotation.rotation(c, rotation.part(c, width(c))).turns(order.positions, order.reach)
    mix = rotated(order, turns, width(c), keys(c), heads=normed(norm), rate=c.attention_dropout)
    block = side_by_side(mix, plain(c.hidden_act), norm, dropped(attention=c.resid_pdrop, ffn=c.resid_pdrop))
    x = drop("embeddings", embed_tokens(params["word"], inputs), c.embd_pdrop)
    return decoded(order, block, params, x, drop.each(c.num_hidden_layers), want=want, norm=norm)


class PhiModel(tasks.Decoder, config=PhiConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class PhiForCausalLM(tasks.CausalLM, base=PhiModel, head=heads.words("lm_head", bias=True)):
    """Scores of every word to follow each token."""


class PhiForSequenceClassification(tasks.SequenceClassification, base=PhiModel):
    """One set of scores a text, from its last token."""


class PhiForTokenClassification(tasks.TokenClassification, base=PhiModel):
    """One set of scores a token."""
