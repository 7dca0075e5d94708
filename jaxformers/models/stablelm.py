"""StableLM (Bellagente et al. 2024, arXiv 2402.17834): Llama with layer norms, a quarter of each head turned, and norms
that each head has for itself.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Epsilon, Rate, Size
from ..declare import Param
from ..layers import rotation
from ..layers.causal import Causal
from ..layers.decoder import (
    dropped,
    gated,
    keys_values,
    normed,
    norms_first,
    rotated,
    run_decoder,
    side_by_side,
    standardised,
)
from ..layers.decoder_arrays import gate_up_down, model_arrays, projections
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import PartlyRotarySizes


class StableLmConfig(PartlyRotarySizes, Config, model_type="stablelm", allowed={"mlp_bias": (False,)}):
    """Sizes and rates of a StableLM; the defaults are those of the one with 3 billion parameters.

    use_qkv_bias: of queries, keys and values. qk_layernorm: queries and keys are normalised, each head by a norm of its
    own. use_parallel_residual: attention and network read the same.
    """

    vocab_size: Size = 50304
    hidden_size: Size = 2560
    intermediate_size: Size = 6912
    num_key_value_heads: Size | None = 32
    max_position_embeddings: Size = 4096
    layer_norm_eps: Epsilon = 1e-5
    partial_rotary_factor: Rate = 0.25
    use_qkv_bias: bool = False
    qk_layernorm: bool = False
    use_parallel_residual: bool = False
    hidden_dropout: Rate = 0.0


def parameters(c: StableLmConfig) -> declare.Tree:
    """The model's arrays."""
    d, heads = c.hidden_size, (c.num_attention_heads, kv_heads(c), head_dim(c))

    def head_norms(name: str, count: int) -> declare.Tree:
        names = f"self_attn.{name}.norms.{{}}.weight"
        shape, axes = (count, head_dim(c)), ("heads", "head_dim")
        return {"scale": Param(shape, axes, names, "norm", declare.ones, layout="stacked")}

    norms = {"query_norm": head_norms("q_layernorm", heads[0]), "key_norm": head_norms("k_layernorm", heads[1])}
    layer = {
        "attention_norm": declare.layer_norm(d, "input_layernorm"),
        **projections(d, *heads, bias=c.use_qkv_bias),
        **(norms if c.qk_layernorm else {}),
        **gate_up_down(d, c.intermediate_size),
    }
    if not c.use_parallel_residual:
        layer["ffn_norm"] = declare.layer_norm(d, "post_attention_layernorm")
    return model_arrays(c, layer) | {"final_norm": declare.layer_norm(d, "norm")}


def decode(params: Any, c: StableLmConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), standardised(c.layer_norm_eps)
    cos_sin = rotation.rotation(c, rotation.part(c, head_dim(c))).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), heads=normed(norm), rate=c.attention_dropout)
    layer = side_by_side if c.use_parallel_residual else norms_first
    block = layer(mix, gated(c.hidden_act), norm, dropped(ffn=c.hidden_dropout))
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class StableLmModel(
    tasks.Decoder, config=StableLmConfig, network=Network(parameters, decode=decode, cells=keys_values)
):
    """The model without a head."""


class StableLmForCausalLM(tasks.CausalLM, base=StableLmModel):
    """Scores of every word to follow each token."""


class StableLmForSequenceClassification(tasks.SequenceClassification, base=StableLmModel):
    """One set of scores a text, from its last token."""


class StableLmForTokenClassification(tasks.TokenClassification, base=StableLmModel):
    """One set of scores a token."""
