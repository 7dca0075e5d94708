"""GLM-4 of 2025 (GLM-4-0414 and GLM-Z1, Z.ai): GLM with norms after attention and network too."""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..layers import rotation
from ..layers.causal import Causal
from ..layers.decoder import gated, keys_values, norms_around, root_mean_square, rotated, run_decoder
from ..layers.decoder_arrays import model_arrays
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.rotation import rotate_interleaved
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from . import glm
from .glm import GlmConfig


class Glm4Config(GlmConfig, model_type="glm4"):
    """GLM's sizes."""


def parameters(c: Glm4Config) -> declare.Tree:
    """The model's arrays."""
    after = {
        "attention_post_norm": declare.rms_norm(c.hidden_size, "post_self_attn_layernorm"),
        "ffn_post_norm": declare.rms_norm(c.hidden_size, "post_mlp_layernorm"),
    }
    return model_arrays(c, glm.layer(c) | after)


def decode(params: Any, c: Glm4Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    cos_sin = rotation.rotation(c, rotation.part(c, head_dim(c))).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), rotate=rotate_interleaved, rate=c.attention_dropout)
    block = norms_around(mix, gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class Glm4Model(tasks.Decoder, config=Glm4Config, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class Glm4ForCausalLM(tasks.CausalLM, base=Glm4Model):
    """Scores of every word to follow each token."""


class Glm4ForSequenceClassification(tasks.SequenceClassification, base=Glm4Model):
    """One set of scores a text, from its last token."""


class Glm4ForTokenClassification(tasks.TokenClassification, base=Glm4Model):
    """One set of scores a token."""
