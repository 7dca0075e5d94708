"""DeepSeek-V2 (DeepSeek-AI 2024, arXiv 2405.04434): keys and values of all heads come from a few numbers of a token, of
which positions turn a part that all heads share; many small networks, of which a router chooses some for each token
among the best groups of them, beside some that all tokens go to.
"""

from __future__ import annotations

from typing import Any

import jax

from .. import declare, tasks
from ..config import Config
from ..layers import experts, latent, sparse
from ..layers.causal import Causal
from ..layers.decoder import norms_first, root_mean_square, run_decoder
from ..layers.decoder_arrays import model_arrays
from ..layers.embedding import embed_tokens
from ..layers.inputs import Ask, Inputs
from ..layers.rotation import rotate_interleaved
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import LatentSizes


class DeepseekV2Config(
    LatentSizes,
    Config,
    model_type="deepseek_v2",
    aliases={"num_experts": "n_routed_experts"},
    allowed={
        "mlp_bias": (False,),
        "norm_topk_prob": (False,),
        "scoring_func": ("softmax",),
        "topk_method": ("greedy", "group_limited_greedy"),
        "moe_layer_freq": (1,),
    },
):
    """Sizes and rates of a DeepSeek-V2; topk_method: experts are chosen among all, or among the best groups. The
    loss is that of the words alone, whatever aux_loss_alpha says.
    """

    topk_method: str = "greedy"

    @property
    def groups(self) -> tuple[int, int]:
        """One where experts are chosen among all."""
        return (1, 1) if self.topk_method == "greedy" else super().groups


def parameters(c: DeepseekV2Config) -> declare.Tree:
    """The model's arrays."""
    each = [latent.attention_arrays(c) | feed for feed in sparse.after_first(c, {})]
    return model_arrays(c, {}) | {"layers": declare.numbered("layers.{}", each)}


def softmax_route(c: Any) -> experts.Route:
    """Shares by softmax over all; a group is worth its best expert."""

    def route(p: Any, scores: jax.Array) -> tuple[jax.Array, jax.Array]:
        every = jax.nn.softmax(scores, axis=-1)
        best = experts.of_best_groups(every, *c.groups, worth=lambda group: group.max(-1))
        shares, chosen = jax.lax.top_k(best, c.num_experts_per_tok)
        return chosen, shares * c.routed_scaling_factor

    return route


def decode(params: Any, c: DeepseekV2Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    block = norms_first(latent.attention(c, order, rotate_interleaved), sparse.beside_shared(c, softmax_route(c)), norm)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class DeepseekV2Model(
    tasks.Decoder, config=DeepseekV2Config, network=Network(parameters, decode=decode, cells=latent.cells)
):
    """The model without a head."""


class DeepseekV2ForCausalLM(tasks.CausalLM, base=DeepseekV2Model):
    """Scores of every word to follow each token."""


class DeepseekV2ForSequenceClassification(tasks.SequenceClassification, base=DeepseekV2Model):
    """One set of scores a text, from its last token."""
