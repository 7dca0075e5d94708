"""GraniteMoe (IBM 2024, "Granite 3.0 Language Models"; Shen et al. 2024, arXiv 2408.13359): Granite whose feed-forward
networks are many, of which a router chooses some for each token.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Repeats
from ..declare import Param
from ..layers import experts, heads, rotation
from ..layers.causal import Causal
from ..layers.decoder import keys_values, norms_first, root_mean_square, rotated, run_decoder, times
from ..layers.decoder_arrays import attention_arrays, model_arrays
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from .granite import GraniteConfig


class GraniteMoeConfig(
    GraniteConfig,
    model_type="granitemoe",
    aliases={"num_experts": "num_local_experts"},
    allowed={"mlp_bias": (False,), "position_embedding_type": ("rope",)},
    ignores=("output_router_logits", "router_aux_loss_coef"),
):
    """Granite's sizes and factors; num_local_experts: networks of a layer; num_experts_per_tok: those of a token. The
    loss is that of the words alone, whatever output_router_logits and router_aux_loss_coef say.
    """

    num_local_experts: Repeats = 8
    num_experts_per_tok: Repeats = 2

    def check(self) -> None:
        """Llama's rules, and as many experts as a token goes to."""
        super().check()
        experts.check(self, "num_local_experts")


def parameters(c: GraniteMoeConfig) -> declare.Tree:
    """The model's arrays."""
    d, inner, count = c.hidden_size, c.intermediate_size, c.num_local_experts
    gate_up = Param((count, 2 * inner, d), ("expert", "mlp", "embed"), "input_linear.weight", "matrix")
    down = Param((count, d, inner), ("expert", "embed", "mlp"), "output_linear.weight", "matrix")
    mixture = {
        "router": experts.router(d, count, "router.layer"),
        "experts": {"gate_up": {"weight": gate_up}, "down": {"weight": down}},
    }
    return model_arrays(c, attention_arrays(c) | declare.under("block_sparse_moe", mixture))


def decode(params: Any, c: GraniteMoeConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    cos_sin = rotation.rotation(c, head_dim(c)).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), scale=c.attention_multiplier, rate=c.attention_dropout)
    feed = experts.mixture(experts.best(c.num_experts_per_tok), experts.halves(c.hidden_act))
    block = norms_first(mix, feed, norm, times(c.residual_multiplier))
    x = embed_tokens(params["word"], inputs) * c.embedding_multiplier
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class GraniteMoeModel(
    tasks.Decoder, config=GraniteMoeConfig, network=Network(parameters, decode=decode, cells=keys_values)
):
    """The model without a head."""


class GraniteMoeForCausalLM(
    tasks.CausalLM, base=GraniteMoeModel, head=heads.words("lm_head", last=lambda c, scores: scores / c.logits_scaling)
):
    """Scores of every word to follow each token."""
