"""OLMoE (Muennighoff et al. 2024, arXiv 2409.02060): many small feed-forward networks, of which a router chooses
some for each token, and norms of queries and keys over all heads together.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Epsilon, Repeats, Size, Token
from ..layers import experts, rotation
from ..layers.causal import Causal
from ..layers.decoder import keys_values, normed_as_one, norms_first, root_mean_square, rotated, run_decoder
from ..layers.decoder_arrays import attention_arrays, joint_head_norms, model_arrays
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GatedSizes


class OlmoeConfig(
    GatedSizes,
    Config,
    model_type="olmoe",
    aliases={"num_local_experts": "num_experts"},
    allowed={"mlp_bias": (False,)},
    ignores=("output_router_logits", "router_aux_loss_coef"),
):
    """Llama's sizes; num_experts: networks of a layer; num_experts_per_tok: those of a token; norm_topk_prob: whether
    their shares sum to one; clip_qkv: the largest that queries, keys and values may be; None: any. The loss is that of
    the words alone, whatever output_router_logits and router_aux_loss_coef say.
    """

    vocab_size: Size = 50304
    hidden_size: Size = 2048
    intermediate_size: Size = 2048
    num_hidden_layers: Size = 16
    num_attention_heads: Size = 16
    max_position_embeddings: Size = 4096
    rms_norm_eps: Epsilon = 1e-5
    pad_token_id: Token | None = 1
    clip_qkv: float | None = None
    num_experts: Repeats = 64
    num_experts_per_tok: Repeats = 8
    norm_topk_prob: bool = False

    def check(self) -> None:
        """Llama's rules, and as many experts as a token goes to."""
        super().check()
        experts.check(self, "num_experts")


def parameters(c: OlmoeConfig) -> declare.Tree:
    """The model's arrays."""
    d, count = c.hidden_size, c.num_experts
    each = experts.one_by_one(count, d, c.intermediate_size, "experts.{}")
    sparse = declare.under("mlp", {"router": experts.router(d, count, "gate"), "experts": each})
    return model_arrays(c, attention_arrays(c) | joint_head_norms(c) | sparse)


def decode(params: Any, c: OlmoeConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    cos_sin = rotation.rotation(c, head_dim(c)).cos_sin(order.positions, order.reach)
    as_one = normed_as_one(norm)

    def heads(p: Any, *heads: jax.Array) -> Any:
        made = as_one(p, *heads)
        return made if c.clip_qkv is None else tuple(jnp.clip(x, -c.clip_qkv, c.clip_qkv) for x in made)

    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), heads=heads, rate=c.attention_dropout)
    chosen = experts.best(c.num_experts_per_tok, normalised=c.norm_topk_prob)
    block = norms_first(mix, experts.mixture(chosen, experts.halves(c.hidden_act)), norm)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class OlmoeModel(tasks.Decoder, config=OlmoeConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class OlmoeForCausalLM(tasks.CausalLM, base=OlmoeModel):
    """Scores of every word to follow each token."""
