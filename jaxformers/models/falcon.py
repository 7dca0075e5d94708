"""Falcon (Almazrouei et al. 2023, arXiv 2311.16867): attention and the network side by side, few heads of keys; and its
first ones, on RefinedWeb (Penedo et al. 2023, arXiv 2306.01116), one after the other, with a penalty on distant tokens.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Depth, Endless, Epsilon, Rate, Size
from ..layers import alibi, heads, rotation
from ..layers.activation import ACTIVATIONS
from ..layers.causal import Causal
from ..layers.cells import keys_values
from ..layers.decoder import Mix, dropped, norms_first, plain, run_decoder, side_by_side, standardised
from ..layers.decoder_arrays import up_down
from ..layers.embedding import embed_tokens
from ..layers.gpt import attention, in_groups, model_arrays, rotated_heads
from ..layers.heads import token_rate
from ..layers.inputs import Ask, Inputs
from ..layers.post_norm import check_heads
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network


class FalconConfig(
    Endless,
    Config,
    model_type="falcon",
    aliases={"n_embed": "hidden_size"},
    allowed={"activation": ACTIVATIONS, "apply_residual_connection_post_layernorm": (False,)},
):
    """Sizes and rates of a Falcon; the defaults are those of the one with 7 billion parameters.

    new_decoder_architecture: num_kv_heads heads of keys, and a norm for each half of a layer unless
    num_ln_in_parallel_attn is 1. Without it: multi_query: one head of keys, else as many as of queries; parallel_attn:
    whether the halves of a layer read the same state. alibi: a penalty on distant tokens in place of a rotation.
    """

    vocab_size: Size = 65024
    hidden_size: Size = 4544
    num_hidden_layers: Depth = 32
    num_attention_heads: Size = 71
    num_ln_in_parallel_attn: int | None = None
    layer_norm_epsilon: Epsilon = 1e-5
    hidden_dropout: Rate = 0.0
    attention_dropout: Rate = 0.0
    num_kv_heads: Size | None = None
    alibi: bool = False
    new_decoder_architecture: bool = False
    multi_query: bool = True
    parallel_attn: bool = True
    bias: bool = False
    max_position_embeddings: Size = 2048
    rope_theta: float = 10_000.0
    rope_scaling: dict | None = None
    rope_parameters: dict | None = None
    ffn_hidden_size: Size | None = None
    activation: str = "gelu"

    @property
    def promised_row(self) -> int | None:
        """Rows of training, so much longer as a rotation is stretched; of a penalty, any number."""
        return None if self.alibi else rotation.promised(self)

    def check(self) -> None:
        """Heads share the width evenly, and norms are where the architecture has them."""
        check_heads(self)
        if self.num_attention_heads % keys(self):
            raise ValueError(
                f"FalconConfig: num_attention_heads={self.num_attention_heads} is no multiple of "
                f"num_kv_heads={self.num_kv_heads}"
            )
        if self.new_decoder_architecture and not self.parallel_attn:
            raise ValueError("FalconConfig: new_decoder_architecture goes with parallel_attn=True")
        if self.num_ln_in_parallel_attn not in (None, 1, 2 if self.new_decoder_architecture else 1):
            raise ValueError(
                f"FalconConfig: num_ln_in_parallel_attn={self.num_ln_in_parallel_attn}: a layer has one norm, or with "
                "new_decoder_architecture two"
            )
        if not self.alibi:
            rotation.check(self, width(self))


def width(c: FalconConfig) -> int:
    """Numbers of a head."""
    return c.hidden_size // c.num_attention_heads


def keys(c: FalconConfig) -> int:
    """Heads of keys and of values."""
    if c.new_decoder_architecture:
        return c.num_kv_heads or c.num_attention_heads
    return 1 if c.multi_query else c.num_attention_heads


def norms(c: FalconConfig) -> dict[str, str]:
    """The norms of a layer and their names in files."""
    if not c.parallel_attn:
        return {"attention_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
    if c.new_decoder_architecture and c.num_ln_in_parallel_attn != 1:
        return {"attention_norm": "ln_attn", "ffn_norm": "ln_mlp"}
    return {"attention_norm": "input_layernorm"}


def parameters(c: FalconConfig) -> declare.Tree:
    """The model's arrays."""
    d, fused = c.hidden_size, (c.num_attention_heads + 2 * keys(c)) * width(c)
    layer = {
        **{ours: declare.layer_norm(d, name) for ours, name in norms(c).items()},
        "qkv": declare.linear(d, fused, "self_attention.query_key_value", ("embed", "heads"), bias=c.bias),
        "out": declare.linear(d, d, "self_attention.dense", ("heads", "embed"), bias=c.bias),
        **up_down(d, c.ffn_hidden_size or 4 * d, names=("dense_h_to_4h", "dense_4h_to_h"), bias=c.bias),
    }
    return model_arrays(c, layer, "word_embeddings")


def cells(c: FalconConfig, rows: int, slots: int) -> declare.Tree:
    """What the layers keep."""
    return [keys_values(rows, slots, keys(c), width(c)) for _ in range(c.num_hidden_layers)]


def mixing(c: FalconConfig, order: Causal) -> Mix:
    """How tokens mix: with heads that are rotated_heads, or a penalty on distant tokens."""
    split = in_groups(width(c), keys(c))
    if not c.alibi:
        cos_sin = rotation.rotation(c, width(c)).cos_sin(order.positions, order.reach)
        return attention(order, rotated_heads(split, rotation.rotate_half, cos_sin), rate=c.attention_dropout)
    slopes = rounded(jnp.asarray(alibi.slopes(c.num_attention_heads)))
    bias = rounded(alibi.leaning(rounded(order.keys.astype(jnp.float32)), slopes)) * width(c) ** -0.5
    return attention(order, split, bias=bias, rate=c.attention_dropout)


def rounded(x: jax.Array) -> jax.Array:
    """Numbers as bfloat16 has them, in which its penalty was computed in training."""
    return jax.lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)


def decode(params: Any, c: FalconConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), standardised(c.layer_norm_epsilon)
    layer, rate = (side_by_side, c.hidden_dropout) if c.parallel_attn else (norms_first, c.attention_dropout)
    block = layer(mixing(c, order), plain(c.activation), norm, dropped(attention=rate, ffn=c.hidden_dropout))
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class FalconModel(
    tasks.Decoder, config=FalconConfig, prefix="transformer", network=Network(parameters, decode=decode, cells=cells)
):
    """The model without a head."""


class FalconForCausalLM(tasks.CausalLM, base=FalconModel):
    """Scores of every word to follow each token."""


class FalconForSequenceClassification(tasks.SequenceClassification, base=FalconModel):
    """One set of scores a text, from its last token."""


class FalconForTokenClassification(
    tasks.TokenClassification, base=FalconModel, head=heads.each_token("classifier", rate=token_rate)
):
    """One set of scores a token."""


class FalconForQuestionAnswering(tasks.QuestionAnswering, base=FalconModel):
    """Where in a context the answer starts and ends."""
