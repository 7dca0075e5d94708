"""Qwen2-MoE (Yang et al. 2024, arXiv 2407.10671; "Qwen1.5-MoE", Qwen Team 2024): Qwen2 whose feed-forward networks are
many small ones, of which a router chooses some for each token, and one that all share.
"""

from __future__ import annotations

from typing import Any

import jax

from .. import declare, tasks
from ..config import Config, Size, Window
from ..layers import experts, sparse
from ..layers.causal import Causal
from ..layers.decoder import gated, keys_values, norms_first, root_mean_square, rotary_attention, run_decoder
from ..layers.decoder_arrays import attention_arrays, gate_up_down, model_arrays, projections
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GatedSizes, SparseSizes


class Qwen2MoeConfig(
    SparseSizes,
    GatedSizes,
    Config,
    model_type="qwen2_moe",
    aliases={"num_local_experts": "num_experts"},
    allowed={"use_sliding_window": (False,), "attention_bias": (False,), "mlp_bias": (False,)},
    ignores=("output_router_logits", "router_aux_loss_coef"),
):
    """Qwen2's sizes, and shared_expert_intermediate_size: width of the expert that all tokens go to. No layer sees a
    window alone, whatever size one would have.
    """

    vocab_size: Size = 151936
    hidden_size: Size = 2048
    intermediate_size: Size = 5632
    num_hidden_layers: Size = 24
    num_attention_heads: Size = 16
    num_key_value_heads: Size | None = 16
    max_position_embeddings: Size = 32768
    shared_expert_intermediate_size: Size = 5632
    qkv_bias: bool = True
    sliding_window: Window | None = None
    max_window_layers: int = 28
    layer_types: tuple[str, ...] | None = None

    def check(self) -> None:
        """Llama's rules, and as many experts as a token goes to."""
        super().check()
        experts.check(self, "num_experts")


def parameters(c: Qwen2MoeConfig) -> declare.Tree:
    """The model's arrays."""
    d = c.hidden_size
    biased = attention_arrays(c) | projections(d, c.num_attention_heads, kv_heads(c), head_dim(c), bias=c.qkv_bias)
    shared = {
        "shared": gate_up_down(d, c.shared_expert_intermediate_size, prefix="shared_expert"),
        "shared_gate": declare.linear(d, 1, "shared_expert_gate", bias=False),
    }
    each = [biased | feed for feed in sparse.every_nth(c, shared)]
    return model_arrays(c, {}) | {"layers": declare.numbered("layers.{}", each)}


def decode(params: Any, c: Qwen2MoeConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    own = gated(c.hidden_act)

    def shared(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        return jax.nn.sigmoid(linear(p["shared_gate"], x)) * own(p["shared"], x, sites)

    x = embed_tokens(params["word"], inputs)
    block = norms_first(rotary_attention(c, order), sparse.routed(c, shared), norm)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class Qwen2MoeModel(
    tasks.Decoder, config=Qwen2MoeConfig, network=Network(parameters, decode=decode, cells=keys_values)
):
    """The model without a head."""


class Qwen2MoeForCausalLM(tasks.CausalLM, base=Qwen2MoeModel):
    """Scores of every word to follow each token."""


class Qwen2MoeForSequenceClassification(tasks.SequenceClassification, base=Qwen2MoeModel):
    """One set of scores a text, from its last token."""


class Qwen2MoeForTokenClassification(tasks.TokenClassification, base=Qwen2MoeModel):
    """One set of scores a token."""


class Qwen2MoeForQuestionAnswering(tasks.QuestionAnswering, base=Qwen2MoeModel, prefix="model"):
    """Where in a context the answer starts and ends."""
