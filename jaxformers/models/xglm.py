"""XGLM (Lin et al. 2021, arXiv 2112.10668): fairseq's decoder with positions that are computed."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Depth, Endless, Rate, Size, Token
from ..declare import repeat
from ..layers.activation import ACTIVATIONS
from ..layers.causal import Causal
from ..layers.decoder import dropped, keys_values, norms_first, plain, run_decoder, standardised
from ..layers.fairseq import EPSILON, OFFSET, layer_arrays
from ..layers.gpt import attention, in_blocks, scaled, sines
from ..layers.inputs import Ask, Inputs
from ..layers.post_norm import check_heads
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network


class XGLMConfig(
    Endless,
    Config,
    model_type="xglm",
    aliases={"num_attention_heads": "attention_heads", "hidden_size": "d_model", "num_hidden_layers": "num_layers"},
    allowed={"activation_function": ACTIVATIONS},
    ignores=("init_std", "layerdrop"),
):
    """Sizes and rates of an XGLM; the defaults are those of the one with 564 million parameters.

    scale_embedding: whether word vectors are multiplied by the root of their width.
    """

    vocab_size: Size = 256008
    max_position_embeddings: Size = 2048
    d_model: Size = 1024
    ffn_dim: Size = 4096
    num_layers: Depth = 24
    attention_heads: Size = 16
    activation_function: str = "gelu"
    dropout: Rate = 0.1
    attention_dropout: Rate = 0.1
    activation_dropout: Rate = 0.0
    scale_embedding: bool = True
    pad_token_id: Token | None = 1

    def check(self) -> None:
        """Heads share the width evenly, and it has as many sines as cosines."""
        check_heads(self)
        if self.d_model % 2 or self.d_model < 4:
            raise ValueError(f"XGLMConfig: d_model={self.d_model} must be even, and 4 at least")


def parameters(c: XGLMConfig) -> declare.Tree:
    """The model's arrays."""
    return {
        "word": declare.embedding(c.vocab_size, c.d_model, "embed_tokens", "vocab", zero_row=c.pad_token_id),
        "layers": repeat(c.num_layers, "layers.{}", layer_arrays(c, c.ffn_dim)),
        "final_norm": declare.layer_norm(c.d_model, "layer_norm"),
    }


def decode(params: Any, c: XGLMConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), standardised(EPSILON)
    mix = attention(order, in_blocks(c.d_model // c.attention_heads), rate=c.attention_dropout)
    feed = plain(c.activation_function, c.activation_dropout)
    block = norms_first(mix, feed, norm, dropped(attention=c.dropout, ffn=c.dropout))
    places, count = order.positions + OFFSET, c.d_model // 2
    waves = sines(places, 10_000.0 ** (-jnp.arange(count, dtype=jnp.float32) / (count - 1)))
    waves = jnp.where((places == c.pad_token_id)[..., None], 0, waves) if c.pad_token_id is not None else waves
    x = scaled(params, inputs, c.d_model**0.5 if c.scale_embedding else 1.0)
    x = sites.drop("embeddings", x + waves.astype(x.dtype), c.dropout)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class XGLMModel(tasks.Decoder, config=XGLMConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class XGLMForCausalLM(tasks.CausalLM, base=XGLMModel):
    """Scores of every word to follow each token."""
