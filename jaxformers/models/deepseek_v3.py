"""DeepSeek-V3 and R1 (DeepSeek-AI 2024, arXiv 2412.19437): DeepSeek-V2 whose experts are scored each for itself, with a
correction that balances how often each is chosen.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Depth, Repeats, Size
from ..declare import Param
from ..layers import experts, latent, sparse
from ..layers.causal import Causal
from ..layers.decoder import norms_first, root_mean_square, run_decoder
from ..layers.decoder_arrays import model_arrays
from ..layers.embedding import embed_tokens
from ..layers.inputs import Ask, Inputs
from ..layers.rotation import rotate_half, rotate_interleaved
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import LatentSizes


class DeepseekV3Config(
    LatentSizes,
    Config,
    model_type="deepseek_v3",
    aliases={"num_local_experts": "n_routed_experts", "num_mtp_layers": "num_nextn_predict_layers"},
    allowed={
        "mlp_bias": (False,),
        "scoring_func": ("sigmoid",),
        "topk_method": ("noaux_tc",),
        "moe_layer_freq": (1,),
    },
):
    """Sizes and rates of a DeepSeek-V3; norm_topk_prob: whether shares sum to routed_scaling_factor; rope_interleave:
    whether pairs that positions turn are neighbours.
    """

    vocab_size: Size = 129280
    hidden_size: Size = 7168
    intermediate_size: Size = 18432
    num_hidden_layers: Depth = 61
    num_attention_heads: Size = 128
    num_key_value_heads: Size | None = 128
    max_position_embeddings: Size = 4096
    first_k_dense_replace: Depth = 3
    n_routed_experts: Repeats = 256
    n_shared_experts: Repeats = 1
    num_experts_per_tok: Repeats = 8
    moe_intermediate_size: Size = 2048
    n_group: Repeats | None = 8
    topk_group: Repeats | None = 4
    routed_scaling_factor: float = 2.5
    norm_topk_prob: bool = True
    rope_interleave: bool = True


def parameters(c: DeepseekV3Config) -> declare.Tree:
    """The model's arrays; of the correction small differences count."""
    name = "gate.e_score_correction_bias"
    correction = Param((c.n_routed_experts,), (None,), name, "buffer", declare.zeros, dtype="float32")
    each = [latent.attention_arrays(c) | feed for feed in sparse.after_first(c, {"correction": correction})]
    return model_arrays(c, {}) | {"layers": declare.numbered("layers.{}", each)}


def corrected_route(c: Any) -> experts.Route:
    """Experts by corrected scores, their shares by plain ones; a group is worth its two best experts."""

    def route(p: Any, scores: jax.Array) -> tuple[jax.Array, jax.Array]:
        every = jax.nn.sigmoid(scores)
        two = lambda group: jax.lax.top_k(group, min(2, group.shape[-1]))[0].sum(-1)  # noqa: E731
        best = experts.of_best_groups(every + p["correction"], *c.groups, worth=two)
        chosen = jax.lax.top_k(best, c.num_experts_per_tok)[1]
        shares = jnp.take_along_axis(every, chosen, axis=-1)
        total = shares.sum(-1, keepdims=True) + 1e-20 if c.norm_topk_prob else 1.0
        return chosen, shares / total * c.routed_scaling_factor

    return route


def decode(params: Any, c: DeepseekV3Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    rotate = rotate_interleaved if c.rope_interleave else rotate_half
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    block = norms_first(latent.attention(c, order, rotate), sparse.beside_shared(c, corrected_route(c)), norm)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class DeepseekV3Model(
    tasks.Decoder, config=DeepseekV3Config, network=Network(parameters, decode=decode, cells=latent.cells)
):
    """The model without a head."""


class DeepseekV3ForCausalLM(tasks.CausalLM, base=DeepseekV3Model):
    """Scores of every word to follow each token."""


class DeepseekV3ForSequenceClassification(tasks.SequenceClassification, base=DeepseekV3Model):
    """One set of scores a text, from its last token."""


class DeepseekV3ForTokenClassification(tasks.TokenClassification, base=DeepseekV3Model):
    """One set of scores a token."""
