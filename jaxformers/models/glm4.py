"""GLM-4 of 2025 (GLM-4-0414 and GLM-Z1, Z.ai): GLM with norms after attention and network too."""

from __future__ import annotations

from typing import Any

from .. import declare
from ..layers import rotation
from ..layers.causal import Causal
from ..layers.decoder import decoded, gated, keys_values, norms_around, root_mean_square, rotated
from ..layers.dropout import Drop, no_drop
from ..layers.embedding import embed_tokens
from ..layers.inputs import Inputs, Want
from ..layers.rotation import neighbours
from ..layers.run import Encoded
from ..twins import family
from . import glm
from .glm import GlmConfig
from .llama import around, keys, width


class Glm4Config(GlmConfig, model_type="glm4"):
    """GLM's sizes."""


def parameters(c: Glm4Config) -> declare.Tree:
    """The model's arrays."""
    after = {
        "attention_post_norm": declare.rms_norm(c.hidden_size, "post_self_attn_layernorm"),
        "ffn_post_norm": declare.rms_norm(c.hidden_size, "post_mlp_layernorm"),
    }
    return around(c, glm.layer(c) | after)


def decode(params: Any, c: Glm4Config, inputs: Inputs, want: Want = Want(), drop: Drop = no_drop) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    turns = rotation.rotation(c, rotation.part(c, width(c))).turns(order.positions, order.reach)
    mix = rotated(order, turns, width(c), keys(c), turn=neighbours, rate=c.attention_dropout)
    block = norms_around(mix, gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    return decoded(order, block, params, x, drop.each(c.num_hidden_layers), want=want, norm=norm)


family(
    globals(),
    "Glm4",
    Glm4Config,
    parameters,
    decode,
    keys_values,
    tasks="CausalLM SequenceClassification TokenClassification",
)
