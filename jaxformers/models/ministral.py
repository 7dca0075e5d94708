"""Ministral (Mistral AI 2024, "Un Ministral, des Ministraux"): Mistral in which each layer sees a window or all."""

from __future__ import annotations

from typing import Any

from .. import tasks
from ..layers.causal import Causal
from ..layers.decoder import (
    SLIDING,
    check_kinds,
    gated,
    keys_values,
    norms_first,
    root_mean_square,
    rotary_attention,
    run_decoder,
    windows,
)
from ..layers.embedding import embed_tokens
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from .mistral import MistralConfig, parameters


class MinistralConfig(MistralConfig, model_type="ministral"):
    """Mistral's sizes, and layer_types: which layers see a window; None: all."""

    layer_types: tuple[str, ...] | None = None

    def check(self) -> None:
        """Llama's rules, and a kind for each layer."""
        super().check()
        check_kinds(self)


def decode(params: Any, c: MinistralConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm, count = Causal.of(inputs), root_mean_square(c.rms_norm_eps), c.num_hidden_layers
    block = norms_first(rotary_attention(c, order), gated(c.hidden_act), norm)
    x, seen = embed_tokens(params["word"], inputs), windows(c.layer_types or [SLIDING] * count, c.sliding_window)
    return run_decoder(order, block, params, x, seen, ask=ask, sites=sites, norm=norm)


class MinistralModel(
    tasks.Decoder, config=MinistralConfig, network=Network(parameters, decode=decode, cells=keys_values)
):
    """The model without a head."""


class MinistralForCausalLM(tasks.CausalLM, base=MinistralModel):
    """Scores of every word to follow each token."""


class MinistralForSequenceClassification(tasks.SequenceClassification, base=MinistralModel):
    """One set of scores a text, from its last token."""


class MinistralForTokenClassification(tasks.TokenClassification, base=MinistralModel):
    """One set of scores a token."""


class MinistralForQuestionAnswering(tasks.QuestionAnswering, base=MinistralModel):
    """Where in a context the answer starts and ends."""
