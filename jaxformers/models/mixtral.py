"""Mixtral (Jiang et al. 2024, arXiv 2401.04088): Mistral whose feed-forward networks are eight, of which a
router chooses two for each token.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Epsilon, Repeats, Window
from ..layers import experts
from ..layers.causal import FULL, Causal
from ..layers.decoder import keys_values, norms_first, root_mean_square, rotary_attention, run_decoder
from ..layers.decoder_arrays import attention_arrays, model_arrays
from ..layers.embedding import embed_tokens
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from .mistral import MistralConfig


class MixtralConfig(
    MistralConfig,
    model_type="mixtral",
    aliases={"num_experts": "num_local_experts"},
    ignores=("output_router_logits", "router_aux_loss_coef", "router_jitter_noise"),
):
    """Mistral's sizes, and num_local_experts: networks of a layer; num_experts_per_tok: those of a token. The loss is
    that of the words alone, whatever output_router_logits and router_aux_loss_coef say.
    """

    rms_norm_eps: Epsilon = 1e-5
    rope_theta: float = 1_000_000.0
    sliding_window: Window | None = None
    num_local_experts: Repeats = 8
    num_experts_per_tok: Repeats = 2

    def check(self) -> None:
        """Llama's rules, and as many experts as a token goes to."""
        super().check()
        experts.check(self, "num_local_experts")


def parameters(c: MixtralConfig) -> declare.Tree:
    """The model's arrays."""
    d, count = c.hidden_size, c.num_local_experts
    each = experts.one_by_one(count, d, c.intermediate_size, "experts.{}", ("w1", "w3", "w2"))
    mixture = {"router": experts.router(d, count, "gate"), "experts": each}
    return model_arrays(c, attention_arrays(c) | declare.under("block_sparse_moe", mixture))


def decode(params: Any, c: MixtralConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    feed = experts.mixture(experts.best(c.num_experts_per_tok), experts.halves(c.hidden_act))
    x = embed_tokens(params["word"], inputs)
    seen = [c.sliding_window or FULL] * c.num_hidden_layers
    block = norms_first(rotary_attention(c, order), feed, norm)
    return run_decoder(order, block, params, x, seen, ask=ask, sites=sites, norm=norm)


class MixtralModel(tasks.Decoder, config=MixtralConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class MixtralForCausalLM(tasks.CausalLM, base=MixtralModel):
    """Scores of every word to follow each token."""


class MixtralForSequenceClassification(tasks.SequenceClassification, base=MixtralModel):
    """One set of scores a text, from its last token."""


class MixtralForTokenClassification(tasks.TokenClassification, base=MixtralModel):
    """One set of scores a token."""


class MixtralForQuestionAnswering(tasks.QuestionAnswering, base=MixtralModel, prefix="model"):
    """Where in a context the answer starts and ends."""
