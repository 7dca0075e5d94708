"""RemBERT (Chung et al. 2021, arXiv 2010.12821): BERT with embeddings that are narrow at the input
and wide at the output.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..batch import SEGMENTED
from ..config import Config, Depth, Rate, Size
from ..declare import repeat
from ..layers import heads, post_norm
from ..layers.attention import visible
from ..layers.causal import Causal
from ..layers.decoder import keys_values
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.post_norm import block, directed_layer, embedded, embeddings, layer, self_attention
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import BertSizes, EitherWay


class RemBertConfig(
    EitherWay,
    BertSizes,
    Config,
    model_type="rembert",
    aliases={"embedding_size": "input_embedding_size"},
    allowed={**EitherWay.allowed, **BertSizes.allowed, "tie_word_embeddings": (False,)},
):
    """Sizes and rates of a RemBERT model; the defaults are google/rembert's."""

    vocab_size: Size = 250300
    hidden_size: Size = 1152
    num_hidden_layers: Depth = 32
    num_attention_heads: Size = 18
    input_embedding_size: Size = 256
    output_embedding_size: Size = 1664
    intermediate_size: Size = 4608
    hidden_dropout_prob: Rate = 0.0
    attention_probs_dropout_prob: Rate = 0.0
    classifier_dropout_prob: Rate = 0.1
    tie_word_embeddings: bool = False


def arrays(c: RemBertConfig, one: declare.Tree) -> declare.Tree:
    """The tables, what makes them as wide as the layers, and layers of which each has the arrays `one`."""
    return embeddings(c, c.input_embedding_size) | {
        "project": declare.projection(c.input_embedding_size, c.hidden_size, "encoder.embedding_hidden_mapping_in"),
        "layers": repeat(c.num_hidden_layers, "encoder.layer.{}", one),
    }


def body(c: RemBertConfig) -> declare.Tree:
    """The encoder's arrays."""
    return arrays(c, layer(c))


def directed(c: RemBertConfig) -> declare.Tree:
    """The arrays of layers that are read in one direction."""
    return arrays(c, directed_layer(c))


def encode(params: Any, c: RemBertConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = linear(params["project"], embedded(params, c, inputs, inputs.places, sites))
    through = block(c, self_attention(c, visible(inputs.mask)))
    return run(through, params["layers"], x, ask=ask, sites=sites)


def decode(params: Any, c: RemBertConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order = Causal.of(inputs)
    x = linear(params["project"], embedded(params, c, inputs, order.positions, sites))
    return post_norm.decode(params, c, inputs, order, x, ask, sites)


def classifier_rate(c: RemBertConfig) -> float:
    """The dropout before a classifier."""
    return c.classifier_dropout_prob


class RemBertModel(
    tasks.Encoder, config=RemBertConfig, prefix="rembert", network=Network(heads.with_pooler(body), encode)
):
    """The encoder with its pooler, without a head."""


predictions = heads.vocabulary(
    "cls.predictions.dense",
    "cls.predictions.LayerNorm",
    "cls.predictions.decoder",
    bias="cls.predictions.decoder.bias",
    width=lambda c: c.output_embedding_size,
)


class RemBertForMaskedLM(tasks.MaskedLM, base=RemBertModel, parameters=body, head=predictions):
    """Scores of every word at every place."""


class RemBertForCausalLM(
    tasks.DirectedLM,
    base=RemBertModel,
    network=Network(directed, decode=decode, cells=keys_values),
    accepts=SEGMENTED,
    head=predictions,
):
    """Scores of every word to follow each token, of layers that are read in one direction: config.is_decoder."""


class RemBertForSequenceClassification(
    tasks.SequenceClassification, base=RemBertModel, head=heads.pooled(rate=classifier_rate)
):
    """One set of scores a text."""


class RemBertForTokenClassification(
    tasks.TokenClassification, base=RemBertModel, parameters=body, head=heads.each_token(rate=classifier_rate)
):
    """One set of scores a token."""


class RemBertForQuestionAnswering(tasks.QuestionAnswering, base=RemBertModel, parameters=body):
    """Where in a context the answer starts and ends."""


class RemBertForMultipleChoice(
    tasks.MultipleChoice, base=RemBertModel, head=heads.pooled(rate=classifier_rate, labels=1)
):
    """Which of several continuations fits best."""
