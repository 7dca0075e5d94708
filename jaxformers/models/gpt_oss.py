"""GPT-OSS (OpenAI 2025, arXiv 2508.10925): many gated networks with biases and bounds, a score for each head that takes
attention and gives nothing, and a window for every other layer.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Epsilon, Positive, Repeats, Size, Window
from ..declare import Param
from ..layers import experts, rotation
from ..layers.attention import project
from ..layers.causal import Causal
from ..layers.decoder import (
    SLIDING,
    WHOLE,
    check_kinds,
    keys_values,
    norms_first,
    root_mean_square,
    run_decoder,
    windows,
)
from ..layers.decoder_arrays import attention_arrays, model_arrays
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.rotation import rotate_half
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GatedSizes

YARN = {
    "rope_type": "yarn",
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": False,
    "original_max_position_embeddings": 4096,
}


class GptOssConfig(
    GatedSizes,
    Config,
    model_type="gpt_oss",
    aliases={"num_experts": "num_local_experts"},
    allowed={"mlp_bias": (False,), "hidden_act": ("silu",), "attention_bias": (True,)},
    ignores=("experts_per_token", "initial_context_length", "output_router_logits", "router_aux_loss_coef"),
):
    """Llama's sizes; the defaults are those of the model with 120 billion parameters.

    num_local_experts: networks of a layer; num_experts_per_tok: those of a token. layer_types: which layers see
    sliding_window tokens; None: the first, the third and so on. swiglu_limit: the largest that gates and what they let
    through may be; swiglu_alpha: how steep gates are. The loss is that of the words alone, whatever
    output_router_logits and router_aux_loss_coef say.
    """

    vocab_size: Size = 201088
    hidden_size: Size = 2880
    intermediate_size: Size = 2880
    num_hidden_layers: Size = 36
    num_attention_heads: Size = 64
    num_key_value_heads: Size | None = 8
    head_dim: Size | None = 64
    max_position_embeddings: Size = 131072
    rms_norm_eps: Epsilon = 1e-5
    rope_theta: float = 150_000.0
    rope_scaling: dict | None = YARN
    attention_bias: bool = True
    sliding_window: Window | None = 128
    layer_types: tuple[str, ...] | None = None
    num_local_experts: Repeats = 128
    num_experts_per_tok: Repeats = 4
    swiglu_limit: Positive = 7.0
    swiglu_alpha: float = 1.702

    def check(self) -> None:
        """Llama's rules, a kind for each layer, and as many experts as a token goes to."""
        super().check()
        check_kinds(self)
        experts.check(self, "num_local_experts")


def parameters(c: GptOssConfig) -> declare.Tree:
    """The model's arrays."""
    d, inner, count = c.hidden_size, c.intermediate_size, c.num_local_experts

    def stack(name: str, outputs: int, inputs: int, axes: tuple[str, str]) -> declare.Tree:
        weight = Param((count, outputs, inputs), ("expert", *axes), name, "matrix", layout="transposed")
        return {
            "weight": weight,
            "bias": Param((count, outputs), ("expert", axes[0]), f"{name}_bias", "bias", declare.zeros),
        }

    each = {
        "gate_up": stack("experts.gate_up_proj", 2 * inner, d, ("mlp", "embed")),
        "down": stack("experts.down_proj", d, inner, ("embed", "mlp")),
    }
    mixture = declare.under("mlp", {"router": experts.router(d, count, "router", bias=True), "experts": each})
    sinks = Param((c.num_attention_heads,), ("heads",), "self_attn.sinks", "bias")
    return model_arrays(c, attention_arrays(c) | mixture | {"sinks": sinks})


def bounded(limit: float, slope: float) -> experts.Gate:
    """Gates and what they let through [..., 2F], one after the other in turn: [..., F]."""

    def apply(both: jax.Array) -> jax.Array:
        wide = both.astype(jnp.promote_types(both.dtype, jnp.float32))
        gate, up = jnp.minimum(wide[..., 0::2], limit), jnp.clip(wide[..., 1::2], -limit, limit)
        return (gate * jax.nn.sigmoid(slope * gate) * (up + 1)).astype(both.dtype)

    return apply


def decode(params: Any, c: GptOssConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    cos_sin = rotation.rotation(c, head_dim(c)).cos_sin(order.positions, order.reach)

    def mix(p: Any, x: jax.Array, cell: Any, sites: Sites, window: Any) -> tuple[jax.Array, Any]:
        q, k, v = project(p, x, head_dim(c), kv_heads(c))
        q, k = rotate_half(q, cos_sin), rotate_half(k, cos_sin)
        return order.attend(q, k, v, cell, window=window, sinks=p["sinks"], rate=c.attention_dropout, sites=sites)

    feed = experts.mixture(experts.best(c.num_experts_per_tok), bounded(c.swiglu_limit, c.swiglu_alpha))
    kinds = c.layer_types or [SLIDING if i % 2 == 0 else WHOLE for i in range(c.num_hidden_layers)]
    seen = windows(kinds, c.sliding_window)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, norms_first(mix, feed, norm), params, x, seen, ask=ask, sites=sites, norm=norm)


class GptOssModel(tasks.Decoder, config=GptOssConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class GptOssForCausalLM(tasks.CausalLM, base=GptOssModel):
    """Scores of every word to follow each token."""


class GptOssForSequenceClassification(tasks.SequenceClassification, base=GptOssModel):
    """One set of scores a text, from its last token."""


class GptOssForTokenClassification(tasks.TokenClassification, base=GptOssModel):
    """One set of scores a token."""
