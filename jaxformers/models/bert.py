"""BERT (Devlin et al. 2019, arXiv 1810.04805): a bidirectional encoder over word, position and segment embeddings."""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..batch import SEGMENTED
from ..config import Config, Rate
from ..declare import repeat
from ..layers import heads, named_heads, post_norm
from ..layers.attention import visible
from ..layers.causal import Causal
from ..layers.decoder import keys_values
from ..layers.inputs import Ask, Inputs
from ..layers.post_norm import block, directed_layer, embedded, embeddings, layer, self_attention
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import BertSizes, EitherWay


class BertConfig(
    EitherWay,
    BertSizes,
    Config,
    model_type="bert",
    allowed={**EitherWay.allowed, **BertSizes.allowed, "position_embedding_type": ("absolute",)},
    ignores=(
        "directionality",
        "pooler_fc_size",
        "pooler_num_attention_heads",
        "pooler_num_fc_layers",
        "pooler_size_per_head",
        "pooler_type",
    ),
):
    """Sizes and rates of a BERT model; the defaults are bert-base-uncased's."""

    classifier_dropout: Rate | None = None


def body(c: BertConfig) -> declare.Tree:
    """The encoder's arrays."""
    return embeddings(c, c.hidden_size) | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer(c))}


def encode(params: Any, c: BertConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = embedded(params, c, inputs, inputs.places, sites)
    through = block(c, self_attention(c, visible(inputs.mask)))
    return run(through, params["layers"], x, ask=ask, sites=sites)


def directed(c: BertConfig) -> declare.Tree:
    """The arrays of layers that are read in one direction."""
    return embeddings(c, c.hidden_size) | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", directed_layer(c))}


def decode(params: Any, c: BertConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order = Causal.of(inputs)
    x = embedded(params, c, inputs, order.positions, sites)
    return post_norm.decode(params, c, inputs, order, x, ask, sites)


class BertModel(tasks.Encoder, config=BertConfig, prefix="bert", network=Network(heads.with_pooler(body), encode)):
    """The encoder with its pooler, without a head."""


class BertForPreTraining(
    tasks.PreTraining, base=BertModel, head=heads.both(named_heads.predictions(), named_heads.next_sentence())
):
    """Masked words and the next sentence, as BERT was trained."""


class BertForMaskedLM(tasks.MaskedLM, base=BertModel, parameters=body, head=named_heads.predictions()):
    """Scores of every word at every place."""


class BertLMHeadModel(
    tasks.DirectedLM,
    base=BertModel,
    network=Network(directed, decode=decode, cells=keys_values),
    accepts=SEGMENTED,
    head=named_heads.predictions(),
):
    """Scores of every word to follow each token, of a BERT that reads in one direction: config.is_decoder."""


class BertForNextSentencePrediction(tasks.NextSentencePrediction, base=BertModel, head=named_heads.next_sentence()):
    """Whether the second text follows the first."""


class BertForSequenceClassification(
    tasks.SequenceClassification, base=BertModel, head=heads.pooled(rate=heads.classifier_rate)
):
    """One set of scores a text."""


class BertForTokenClassification(tasks.TokenClassification, base=BertModel, parameters=body):
    """One set of scores a token."""


class BertForQuestionAnswering(tasks.QuestionAnswering, base=BertModel, parameters=body):
    """Where in a context the answer starts and ends."""


class BertForMultipleChoice(
    tasks.MultipleChoice, base=BertModel, head=heads.pooled(rate=heads.classifier_rate, labels=1)
):
    """Which of several continuations fits best."""
