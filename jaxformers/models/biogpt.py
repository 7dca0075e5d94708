"""BioGPT (Luo et al. 2022, arXiv 2210.10341): fairseq's decoder with learned positions and scaled word vectors."""

from __future__ import annotations

import dataclasses
from typing import Any

from .. import declare, tasks
from ..config import Config, Depth, Rate, Size, Token
from ..declare import repeat
from ..layers import heads
from ..layers.causal import Causal
from ..layers.decoder import dropped, keys_values, norms_first, plain, run_decoder, standardised
from ..layers.embedding import embed
from ..layers.fairseq import EPSILON, OFFSET, layer_arrays
from ..layers.gpt import attention, in_blocks, scaled
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import UnsegmentedSizes


class BioGptConfig(UnsegmentedSizes, Config, model_type="biogpt", ignores=("layerdrop",)):
    """Sizes and rates of a BioGPT.

    scale_embedding: whether word vectors are multiplied by the root of their width. layer_norm_eps: is in files, and
    the norms have another one, as in training.
    """

    vocab_size: Size = 42384
    hidden_size: Size = 1024
    num_hidden_layers: Depth = 24
    num_attention_heads: Size = 16
    intermediate_size: Size = 4096
    activation_dropout: Rate = 0.0
    classifier_dropout: Rate | None = None
    max_position_embeddings: Size = 1024
    scale_embedding: bool = True
    pad_token_id: Token | None = 1


def parameters(c: BioGptConfig) -> declare.Tree:
    """The model's arrays."""
    d = c.hidden_size
    return {
        "word": declare.embedding(c.vocab_size, d, "embed_tokens", "vocab", zero_row=c.pad_token_id),
        "position": declare.embedding(c.max_position_embeddings + OFFSET, d, "embed_positions"),
        "layers": repeat(c.num_hidden_layers, "layers.{}", layer_arrays(c, c.intermediate_size)),
        "final_norm": declare.layer_norm(d, "layer_norm"),
    }


def decode(params: Any, c: BioGptConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache; the last of them before the last norm."""
    order, norm = Causal.of(inputs), standardised(EPSILON)
    mix = attention(order, in_blocks(c.hidden_size // c.num_attention_heads), rate=c.attention_probs_dropout_prob)
    added = dropped(attention=c.hidden_dropout_prob, ffn=c.hidden_dropout_prob)
    block = norms_first(mix, plain(c.hidden_act, c.activation_dropout), norm, added)
    x = scaled(params, inputs, c.hidden_size**0.5 if c.scale_embedding else 1.0)
    x = sites.drop("embeddings", x + embed(params["position"], order.positions + OFFSET), c.hidden_dropout_prob)
    encoded = run_decoder(order, block, params, x, ask=ask, sites=sites, norm=lambda p, x: x)
    return dataclasses.replace(encoded, state=norm(params["final_norm"], encoded.state))


class BioGptModel(
    tasks.Decoder, config=BioGptConfig, prefix="biogpt", network=Network(parameters, decode=decode, cells=keys_values)
):
    """The model without a head."""


class BioGptForCausalLM(tasks.CausalLM, base=BioGptModel, head=heads.words("output_projection")):
    """Scores of every word to follow each token."""


class BioGptForSequenceClassification(tasks.SequenceClassification, base=BioGptModel):
    """One set of scores a text, from its last token."""


class BioGptForTokenClassification(
    tasks.TokenClassification, base=BioGptModel, head=heads.each_token("classifier", rate=heads.classifier_rate)
):
    """One set of scores a token."""
