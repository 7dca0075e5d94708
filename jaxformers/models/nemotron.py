"""Nemotron and Minitron (Parmar et al. 2024, arXiv 2402.16819): Llama with layer norms whose scale is kept as what it
is above one, a plain network of squared rectifiers, and half of each head turned.
"""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Epsilon, Size
from ..layers import rotation
from ..layers.causal import Causal
from ..layers.decoder import keys_values, norms_first, plain, rotated, run_decoder
from ..layers.decoder_arrays import model_arrays, projections, up_down
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.norm import layer_norm
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import PartlyRotarySizes


class NemotronConfig(PartlyRotarySizes, Config, model_type="nemotron"):
    """Sizes and rates of a Nemotron; the defaults are those of the one with 15 billion parameters."""

    vocab_size: Size = 256000
    hidden_size: Size = 6144
    intermediate_size: Size = 24576
    num_attention_heads: Size = 48
    hidden_act: str = "relu2"
    max_position_embeddings: Size = 4096
    norm_eps: Epsilon = 1e-5
    attention_bias: bool = False
    mlp_bias: bool = False

    usual_range: ClassVar[float] = 0.0134


def offset_layer_norm(d: int, name: str) -> declare.Tree:
    """Arrays of a layer norm whose scale is kept as what it is above one."""
    scale = declare.Param((d,), ("embed",), f"{name}.weight", "norm", declare.ones)  # torch's too starts at twice one
    return {"offset": scale, "bias": declare.vector(d, f"{name}.bias", "embed")}


def parameters(c: NemotronConfig) -> declare.Tree:
    """The model's arrays."""
    d, heads = c.hidden_size, (c.num_attention_heads, kv_heads(c), head_dim(c))
    layer = {
        "attention_norm": offset_layer_norm(d, "input_layernorm"),
        **projections(d, *heads, bias=c.attention_bias, out_bias=c.attention_bias),
        "ffn_norm": offset_layer_norm(d, "post_attention_layernorm"),
        **up_down(d, c.intermediate_size, bias=c.mlp_bias),
    }
    return model_arrays(c, layer) | {"final_norm": offset_layer_norm(d, "norm")}


def decode(params: Any, c: NemotronConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""

    def norm(p: Any, x: jax.Array) -> jax.Array:
        scale = 1.0 + p["offset"].astype(jnp.promote_types(x.dtype, jnp.float32))
        return layer_norm({"scale": scale, "bias": p["bias"]}, x, c.norm_eps)

    order = Causal.of(inputs)
    cos_sin = rotation.rotation(c, rotation.part(c, head_dim(c))).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), rate=c.attention_dropout)
    block = norms_first(mix, plain(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class NemotronModel(
    tasks.Decoder, config=NemotronConfig, network=Network(parameters, decode=decode, cells=keys_values)
):
    """The model without a head."""


class NemotronForCausalLM(tasks.CausalLM, base=NemotronModel):
    """Scores of every word to follow each token."""


class NemotronForSequenceClassification(tasks.SequenceClassification, base=NemotronModel):
    """One set of scores a text, from its last token."""


class NemotronForTokenClassification(tasks.TokenClassification, base=NemotronModel):
    """One set of scores a token."""


class NemotronForQuestionAnswering(tasks.QuestionAnswering, base=NemotronModel):
    """Where in a context the answer starts and ends."""
