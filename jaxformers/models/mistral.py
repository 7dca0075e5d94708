"""Mistral (Jiang et al. 2023, arXiv 2310.06825): Llama whose tokens may see the last few thousand alone."""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Size, Window
from ..layers.causal import FULL, Causal
from ..layers.decoder import gated, keys_values, norms_first, root_mean_square, rotary_attention, run_decoder
from ..layers.decoder_arrays import layer_arrays, model_arrays
from ..layers.embedding import embed_tokens
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GatedSizes


class MistralConfig(
    GatedSizes, Config, model_type="mistral", allowed={"attention_bias": (False,), "mlp_bias": (False,)}
):
    """Llama's sizes, and sliding_window: how many tokens each sees, itself included; None: all before it."""

    intermediate_size: Size = 14336
    num_key_value_heads: Size | None = 8
    max_position_embeddings: Size = 4096 * 32
    sliding_window: Window | None = 4096


def parameters(c: MistralConfig) -> declare.Tree:
    """The model's arrays."""
    return model_arrays(c, layer_arrays(c))


def decode(params: Any, c: MistralConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    block = norms_first(rotary_attention(c, order), gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    seen = [c.sliding_window or FULL] * c.num_hidden_layers
    return run_decoder(order, block, params, x, seen, ask=ask, sites=sites, norm=norm)


class MistralModel(tasks.Decoder, config=MistralConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class MistralForCausalLM(tasks.CausalLM, base=MistralModel):
    """Scores of every word to follow each token."""


class MistralForSequenceClassification(tasks.SequenceClassification, base=MistralModel):
    """One set of scores a text, from its last token."""


class MistralForTokenClassification(tasks.TokenClassification, base=MistralModel):
    """One set of scores a token."""


class MistralForQuestionAnswering(tasks.QuestionAnswering, base=MistralModel, prefix="model"):
    """Where in a context the answer starts and ends."""
