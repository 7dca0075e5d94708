"""Qwen3-MoE (Yang et al. 2025, arXiv 2505.09388): Qwen3 whose feed-forward networks are many small ones, of which a
router chooses some for each token.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Repeats, Size, Window
from ..layers import experts, rotation, sparse
from ..layers.causal import FULL, Causal
from ..layers.decoder import keys_values, normed, norms_first, root_mean_square, rotated, run_decoder
from ..layers.decoder_arrays import attention_arrays, head_norms, model_arrays
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GatedSizes, SparseSizes


class Qwen3MoeConfig(
    SparseSizes,
    GatedSizes,
    Config,
    model_type="qwen3_moe",
    aliases={"num_local_experts": "num_experts"},
    allowed={"mlp_bias": (False,)},
    ignores=("output_router_logits", "router_aux_loss_coef"),
):
    """Qwen3's sizes; use_sliding_window: whether all layers see a window alone."""

    vocab_size: Size = 151936
    hidden_size: Size = 2048
    intermediate_size: Size = 6144
    num_hidden_layers: Size = 24
    num_key_value_heads: Size | None = 4
    max_position_embeddings: Size = 32768
    moe_intermediate_size: Size = 768
    num_experts: Repeats = 128
    num_experts_per_tok: Repeats = 8
    use_sliding_window: bool = False
    sliding_window: Window | None = 4096

    def check(self) -> None:
        """Llama's rules, and as many experts as a token goes to."""
        super().check()
        experts.check(self, "num_experts")


def parameters(c: Qwen3MoeConfig) -> declare.Tree:
    """The model's arrays."""
    each = [attention_arrays(c) | head_norms(c) | own for own in sparse.every_nth(c, {})]
    return model_arrays(c, {}) | {"layers": declare.numbered("layers.{}", each)}


def decode(params: Any, c: Qwen3MoeConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    cos_sin = rotation.rotation(c, head_dim(c)).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), heads=normed(norm), rate=c.attention_dropout)
    x = embed_tokens(params["word"], inputs)
    seen = [c.sliding_window or FULL if c.use_sliding_window else FULL] * c.num_hidden_layers
    return run_decoder(
        order, norms_first(mix, sparse.routed(c), norm), params, x, seen, ask=ask, sites=sites, norm=norm
    )


class Qwen3MoeModel(
    tasks.Decoder, config=Qwen3MoeConfig, network=Network(parameters, decode=decode, cells=keys_values)
):
    """The model without a head."""


class Qwen3MoeForCausalLM(tasks.CausalLM, base=Qwen3MoeModel):
    """Scores of every word to follow each token."""


class Qwen3MoeForSequenceClassification(tasks.SequenceClassification, base=Qwen3MoeModel):
    """One set of scores a text, from its last token."""


class Qwen3MoeForTokenClassification(tasks.TokenClassification, base=Qwen3MoeModel):
    """One set of scores a token."""


class Qwen3MoeForQuestionAnswering(tasks.QuestionAnswering, base=Qwen3MoeModel):
    """Where in a context the answer starts and ends."""
