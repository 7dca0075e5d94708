"""Phi 3 and 4 (Abdin et al. 2024, arXiv 2404.14219): Llama with one projection for queries, keys and values and one for
gate and up, windows, and rotations whose every pair is stretched by a factor of its own.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Epsilon, Rate, Size, Token, Window
from ..layers import rotation
from ..layers.causal import FULL, Causal
from ..layers.decoder import dropped, gated, keys_values, norms_first, root_mean_square, rotated, run_decoder
from ..layers.decoder_arrays import fused_gate_up, model_arrays
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import PartlyRotarySizes


class Phi3Config(
    PartlyRotarySizes,
    Config,
    model_type="phi3",
    allowed={
        "attention_bias": (False,),
        "mlp_bias": (False,),
        "full_attn_mod": (1,),
        "interpolate_factor": (1,),
    },
):
    """Sizes and rates of a Phi 3; the defaults are those of the mini with 4096 tokens.

    original_max_position_embeddings: rows of training; longer ones are rotated otherwise where rope_scaling says so.
    sliding_window: how many tokens each sees, itself included; None: all before it.
    """

    vocab_size: Size = 32064
    hidden_size: Size = 3072
    intermediate_size: Size = 8192
    max_position_embeddings: Size = 4096
    original_max_position_embeddings: Size = 4096
    rms_norm_eps: Epsilon = 1e-5
    partial_rotary_factor: Rate = 1.0
    resid_pdrop: Rate = 0.0
    embd_pdrop: Rate = 0.0
    sliding_window: Window | None = None
    pad_token_id: Token | None = 32000


def parameters(c: Phi3Config) -> declare.Tree:
    """The model's arrays."""
    d, heads, inner = c.hidden_size, c.num_attention_heads, c.intermediate_size
    all_heads = (heads + 2 * kv_heads(c)) * head_dim(c)
    layer = {
        "attention_norm": declare.rms_norm(d, "input_layernorm"),
        "qkv": declare.linear(d, all_heads, "self_attn.qkv_proj", ("embed", "heads"), bias=False),
        "out": declare.linear(heads * head_dim(c), d, "self_attn.o_proj", ("heads", "embed"), bias=False),
        "ffn_norm": declare.rms_norm(d, "post_attention_layernorm"),
        **fused_gate_up(d, inner),
    }
    return model_arrays(c, layer)


def decode(params: Any, c: Phi3Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    cos_sin = rotation.rotation(c, rotation.part(c, head_dim(c))).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), rate=c.attention_dropout)
    block = norms_first(mix, gated(c.hidden_act), norm, dropped(attention=c.resid_pdrop, ffn=c.resid_pdrop))
    x = sites.drop("embeddings", embed_tokens(params["word"], inputs), c.embd_pdrop)
    seen = [c.sliding_window or FULL] * c.num_hidden_layers
    return run_decoder(order, block, params, x, seen, ask=ask, sites=sites, norm=norm)


class Phi3Model(tasks.Decoder, config=Phi3Config, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class Phi3ForCausalLM(tasks.CausalLM, base=Phi3Model):
    """Scores of every word to follow each token."""


class Phi3ForSequenceClassification(tasks.SequenceClassification, base=Phi3Model):
    """One set of scores a text, from its last token."""


class Phi3ForTokenClassification(tasks.TokenClassification, base=Phi3Model):
    """One set of scores a token."""
