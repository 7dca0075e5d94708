"""Qwen3 (Yang et al. 2025, arXiv 2505.09388): Llama whose queries and keys are normalised head by head."""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Size
from ..layers import rotation
from ..layers.causal import Causal
from ..layers.decoder import gated, keys_values, normed, norms_first, root_mean_square, rotated, run_decoder
from ..layers.decoder_arrays import head_norms, layer_arrays, model_arrays
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from .qwen2 import Qwen2Config, seen


class Qwen3Config(Qwen2Config, model_type="qwen3"):
    """Qwen2's sizes, with heads of a width of their own."""

    head_dim: Size | None = 128


def parameters(c: Qwen3Config) -> declare.Tree:
    """The model's arrays."""
    return model_arrays(c, layer_arrays(c) | head_norms(c))


def decode(params: Any, c: Qwen3Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    cos_sin = rotation.rotation(c, head_dim(c)).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), heads=normed(norm), rate=c.attention_dropout)
    block = norms_first(mix, gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, seen(c), ask=ask, sites=sites, norm=norm)


class Qwen3Model(tasks.Decoder, config=Qwen3Config, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class Qwen3ForCausalLM(tasks.CausalLM, base=Qwen3Model):
    """Scores of every word to follow each token."""


class Qwen3ForSequenceClassification(tasks.SequenceClassification, base=Qwen3Model):
    """One set of scores a text, from its last token."""


class Qwen3ForTokenClassification(tasks.TokenClassification, base=Qwen3Model):
    """One set of scores a token."""


class Qwen3ForQuestionAnswering(tasks.QuestionAnswering, base=Qwen3Model):
    """Where in a context the answer starts and ends."""
