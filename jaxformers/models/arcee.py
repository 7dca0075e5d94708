"""Arcee (Arcee AI 2025, "Announcing Arcee Foundation Models"): Llama with a plain network of squared rectifiers."""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Epsilon, Size
from ..layers.causal import Causal
from ..layers.decoder import keys_values, norms_first, plain, root_mean_square, rotary_attention, run_decoder
from ..layers.decoder_arrays import attention_arrays, model_arrays, up_down
from ..layers.embedding import embed_tokens
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GatedSizes


class ArceeConfig(GatedSizes, Config, model_type="arcee"):
    """Llama's sizes; the defaults are those of the model with 4.5 billion parameters."""

    hidden_size: Size = 2560
    intermediate_size: Size = 18432
    hidden_act: str = "relu2"
    max_position_embeddings: Size = 4096
    rms_norm_eps: Epsilon = 1e-5


def parameters(c: ArceeConfig) -> declare.Tree:
    """The model's arrays."""
    return model_arrays(c, attention_arrays(c) | up_down(c.hidden_size, c.intermediate_size, bias=c.mlp_bias))


def decode(params: Any, c: ArceeConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    block = norms_first(rotary_attention(c, order), plain(c.hidden_act), norm)
    return run_decoder(order, block, params, embed_tokens(params["word"], inputs), ask=ask, sites=sites, norm=norm)


class ArceeModel(tasks.Decoder, config=ArceeConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class ArceeForCausalLM(tasks.CausalLM, base=ArceeModel):
    """Scores of every word to follow each token."""


class ArceeForSequenceClassification(tasks.SequenceClassification, base=ArceeModel):
    """One set of scores a text, from its last token."""


class ArceeForTokenClassification(tasks.TokenClassification, base=ArceeModel):
    """One set of scores a token."""


class ArceeForQuestionAnswering(tasks.QuestionAnswering, base=ArceeModel):
    """Where in a context the answer starts and ends."""
