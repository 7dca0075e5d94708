"""Llama 1 to 3 (Touvron et al. 2023, arXiv 2302.13971; Dubey et al. 2024, arXiv 2407.21783): rotary positions, norms by
the root mean square before attention and a gated network, fewer heads of keys than of queries.

Most decoders since are this one with a line changed: what they share stands in `layers/decoder.py`, its arrays in
`layers/decoder_arrays.py`, its fields in `sizes.py`.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config
from ..layers.causal import Causal
from ..layers.decoder import gated, keys_values, norms_first, root_mean_square, rotary_attention, run_decoder
from ..layers.decoder_arrays import layer_arrays, model_arrays
from ..layers.embedding import embed_tokens
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GatedSizes


class LlamaConfig(GatedSizes, Config, model_type="llama"):
    """Sizes and rates of a Llama model; the defaults are those of Llama 1 with 7 billion parameters."""


def parameters(c: LlamaConfig) -> declare.Tree:
    """The model's arrays."""
    return model_arrays(c, layer_arrays(c))


def decode(params: Any, c: LlamaConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    block = norms_first(rotary_attention(c, order), gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class LlamaModel(tasks.Decoder, config=LlamaConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class LlamaForCausalLM(tasks.CausalLM, base=LlamaModel):
    """Scores of every word to follow each token."""


class LlamaForSequenceClassification(tasks.SequenceClassification, base=LlamaModel):
    """One set of scores a text, from its last token."""


class LlamaForTokenClassification(tasks.TokenClassification, base=LlamaModel):
    """One set of scores a token."""


class LlamaForQuestionAnswering(tasks.QuestionAnswering, base=LlamaModel):
    """Where in a context the answer starts and ends."""
