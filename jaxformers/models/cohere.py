"""Command R (Cohere 2024): attention and a gated network side by side behind one layer norm without bias, heads rotated
in pairs of neighbours, a factor on the scores of words.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Size, Token
from ..declare import Param
from ..layers import heads, rotation
from ..layers.causal import Causal
from ..layers.decoder import gated, keys_values, normed, rotated, run_decoder, side_by_side, standardised
from ..layers.decoder_arrays import gate_up_down, model_arrays, projections
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.rotation import rotate_interleaved
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import RotarySizes


class CohereConfig(
    RotarySizes, Config, model_type="cohere", allowed={"mlp_bias": (False,)}, ignores=("model_max_length", "n_ctx")
):
    """Sizes and rates of a Command R; use_qk_norm: queries and keys are normalised, with a scale for each head."""

    vocab_size: Size = 256000
    hidden_size: Size = 8192
    intermediate_size: Size = 22528
    num_hidden_layers: Depth = 40
    num_attention_heads: Size = 64
    max_position_embeddings: Size = 8192
    layer_norm_eps: Epsilon = 1e-5
    logit_scale: float = 0.0625
    attention_bias: bool = False
    use_qk_norm: bool = False
    pad_token_id: Token | None = 0
    tie_word_embeddings: bool = True


def parameters(c: CohereConfig) -> declare.Tree:
    """The model's arrays."""
    d, heads = c.hidden_size, (c.num_attention_heads, kv_heads(c), head_dim(c))

    def head_norm(name: str, count: int) -> declare.Tree:
        shape, axes = (count, head_dim(c)), ("heads", "head_dim")
        return {"scale": Param(shape, axes, f"self_attn.{name}.weight", "norm", declare.ones)}

    norms = {"query_norm": head_norm("q_norm", heads[0]), "key_norm": head_norm("k_norm", heads[1])}
    layer = {
        "attention_norm": declare.layer_norm(d, "input_layernorm", bias=False),
        **projections(d, *heads, bias=c.attention_bias, out_bias=c.attention_bias),
        **(norms if c.use_qk_norm else {}),
        **gate_up_down(d, c.intermediate_size),
    }
    return model_arrays(c, layer) | {"final_norm": declare.layer_norm(d, "norm", bias=False)}


def decode(params: Any, c: CohereConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), standardised(c.layer_norm_eps)
    cos_sin = rotation.rotation(c, head_dim(c)).cos_sin(order.positions, order.reach)
    mix = rotated(
        order,
        cos_sin,
        head_dim(c),
        kv_heads(c),
        rotate=rotate_interleaved,
        heads=normed(norm),
        rate=c.attention_dropout,
    )
    block = side_by_side(mix, gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


SCALED = heads.words("lm_head", last=lambda c, scores: scores * c.logit_scale)


class CohereModel(tasks.Decoder, config=CohereConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class CohereForCausalLM(tasks.CausalLM, base=CohereModel, head=SCALED):
    """Scores of every word to follow each token."""
