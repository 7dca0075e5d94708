"""Persimmon (Adept 2023, "Releasing Persimmon-8B"): layer norms, a plain network of squared rectifiers, queries, keys
and values as one head by head, norms of queries and keys, and half of each head turned.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Rate, Size
from ..layers import gpt, rotation
from ..layers.causal import Causal
from ..layers.decoder import dropped, keys_values, normed, norms_first, plain, run_decoder, standardised
from ..layers.decoder_arrays import head_norms, model_arrays, up_down
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim
from ..layers.inputs import Ask, Inputs
from ..layers.rotation import rotate_half
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import PartlyRotarySizes


class PersimmonConfig(PartlyRotarySizes, Config, model_type="persimmon", allowed={"num_key_value_heads": (None,)}):
    """Sizes and rates of a Persimmon. qk_layernorm: queries and keys are normalised."""

    vocab_size: Size = 262144
    intermediate_size: Size = 16384
    num_hidden_layers: Depth = 36
    num_attention_heads: Size = 64
    hidden_act: str = "relu2"
    max_position_embeddings: Size = 16384
    layer_norm_eps: Epsilon = 1e-5
    rope_theta: float = 25_000.0
    qk_layernorm: bool = True
    hidden_dropout: Rate = 0.0


def parameters(c: PersimmonConfig) -> declare.Tree:
    """The model's arrays."""
    d = c.hidden_size
    layer = {
        "attention_norm": declare.layer_norm(d, "input_layernorm"),
        "qkv": declare.linear(d, 3 * d, "self_attn.query_key_value", ("embed", "heads")),
        **(head_norms(c, declare.layer_norm, ("q_layernorm", "k_layernorm")) if c.qk_layernorm else {}),
        "out": declare.linear(d, d, "self_attn.dense", ("heads", "embed")),
        "ffn_norm": declare.layer_norm(d, "post_attention_layernorm"),
        **up_down(d, c.intermediate_size, names=("dense_h_to_4h", "dense_4h_to_h"), bias=True),
    }
    return model_arrays(c, layer) | {"final_norm": declare.layer_norm(d, "final_layernorm")}


def decode(params: Any, c: PersimmonConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), standardised(c.layer_norm_eps)
    cos_sin = rotation.rotation(c, rotation.part(c, head_dim(c))).cos_sin(order.positions, order.reach)
    fused, heads = gpt.in_groups(head_dim(c), c.num_attention_heads), normed(norm)
    split = gpt.rotated_heads(lambda p, x: heads(p, *fused(p, x)), rotate_half, cos_sin)
    block = norms_first(
        gpt.attention(order, split, rate=c.attention_dropout), plain(c.hidden_act), norm, dropped(ffn=c.hidden_dropout)
    )
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class PersimmonModel(
    tasks.Decoder, config=PersimmonConfig, network=Network(parameters, decode=decode, cells=keys_values)
):
    """The model without a head."""


class PersimmonForCausalLM(tasks.CausalLM, base=PersimmonModel):
    """Scores of every word to follow each token."""


class PersimmonForSequenceClassification(tasks.SequenceClassification, base=PersimmonModel):
    """One set of scores a text, from its last token."""


class PersimmonForTokenClassification(tasks.TokenClassification, base=PersimmonModel):
    """One set of scores a token."""
