"""Ministral (Mistral AI 2024, "Un Ministral, des Ministraux"): Mistral in which each layer sees a window or all."""

from __future__ import annotations

from typing import Any

from ..layers import rotation
from ..layers.causal import Causal
from ..layers.decoder import (
    SLIDING,
    check_kinds,
    decoded,
    gated,
    keys_values,
    norms_first,
    root_mean_square,
    rotated,
    windows,
)
from ..layers.dropout import Drop, no_drop
from ..layers.embedding import embed_tokens
from ..layers.inputs import Inputs, Want
from ..layers.run import Encoded
from ..twins import family
from .llama import keys, parameters, width
from .mistral import MistralConfig


class MinistralConfig(MistralConfig, model_type="ministral"):
    """Mistral's sizes, and layer_types: which layers see a window; None: all."""

    layer_types: tuple[str, ...] | None = None

    def check(self) -> None:
        """Llama's rules, and a kind for each layer."""
        super().check()
        check_kinds(self)


def decode(params: Any, c: MinistralConfig, inputs: Inputs, want: Want = Want(), drop: Drop = no_drop) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm, count = Causal.of(inputs), root_mean_square(c.rms_norm_eps), c.num_hidden_layers
    turns = rotation.rotation(c, width(c)).turns(order.positions, order.reach)
    mix = rotated(order, turns, width(c), keys(c), rate=c.attention_dropout)
    block = norms_first(mix, gated(c.hidden_act), norm)
    x, seen = embed_tokens(params["word"], inputs), windows(c.layer_types or [SLIDING] * count, c.sliding_window)
    return decoded(order, block, params, x, drop.each(count), seen, want=want, norm=norm)


family(
    globals(),
    "Ministral",
    MinistralConfig,
    parameters,
    decode,
    keys_values,
    prefixes={"QuestionAnswering": "transformer"},
)
