"""RoBERTa (Liu et al. 2019, arXiv 1907.11692): BERT with fairseq's positions, and heads of its own.

Its twins are made in the last lines: XLM-RoBERTa (Conneau et al. 2019, arXiv 1911.02116), CamemBERT (Martin et al.
2019, arXiv 1911.03894) and data2vec for text (Baevski et al. 2022, arXiv 2202.03555) differ in vocabulary and training.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..batch import SEGMENTED
from ..config import Config, Rate, Size, Token
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
from ..sizes import CountedSizes, EitherWay


class RobertaConfig(
    EitherWay,
    CountedSizes,
    Config,
    model_type="roberta",
    allowed={**EitherWay.allowed, **CountedSizes.allowed},
):
    """Sizes and rates of a RoBERTa model; the defaults are torch Transformers', not those of roberta-base."""

    vocab_size: Size = 50265
    classifier_dropout: Rate | None = None
    pad_token_id: Token = 1


def body(c: RobertaConfig) -> declare.Tree:
    """The encoder's arrays."""
    return embeddings(c, c.hidden_size) | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer(c))}


def encode(params: Any, c: RobertaConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = embedded(params, c, inputs, inputs.counted(c.pad_token_id), sites)
    through = block(c, self_attention(c, visible(inputs.mask)))
    return run(through, params["layers"], x, ask=ask, sites=sites)


def directed(c: RobertaConfig) -> declare.Tree:
    """The arrays of layers that are read in one direction."""
    return embeddings(c, c.hidden_size) | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", directed_layer(c))}


def decode(params: Any, c: RobertaConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order = Causal.of(inputs)
    x = embedded(params, c, inputs, order.positions + c.pad_token_id + 1, sites)
    return post_norm.decode(params, c, inputs, order, x, ask, sites)


class RobertaModel(
    tasks.Encoder, config=RobertaConfig, prefix="roberta", network=Network(heads.with_pooler(body), encode)
):
    """The encoder with its pooler, without a head."""


class RobertaForMaskedLM(tasks.MaskedLM, base=RobertaModel, parameters=body, head=named_heads.lm_head()):
    """Scores of every word at every place."""


class RobertaForCausalLM(
    tasks.DirectedLM,
    base=RobertaModel,
    network=Network(directed, decode=decode, cells=keys_values),
    accepts=SEGMENTED,
    head=named_heads.lm_head(),
):
    """Scores of every word to follow each token, of a RoBERTa that reads in one direction: config.is_decoder."""


class RobertaForSequenceClassification(
    tasks.SequenceClassification, base=RobertaModel, parameters=body, head=named_heads.classification_head()
):
    """One set of scores a text."""


class RobertaForTokenClassification(tasks.TokenClassification, base=RobertaModel, parameters=body):
    """One set of scores a token."""


class RobertaForQuestionAnswering(tasks.QuestionAnswering, base=RobertaModel, parameters=body):
    """Where in a context the answer starts and ends."""


class RobertaForMultipleChoice(
    tasks.MultipleChoice, base=RobertaModel, head=heads.pooled(rate=heads.hidden_rate, labels=1)
):
    """Which of several continuations fits best."""


class XLMRobertaConfig(RobertaConfig, model_type="xlm-roberta"):
    """Sizes and rates of an XLM-RoBERTa (Conneau et al. 2020, arXiv 1911.02116), a RoBERTa for a hundred languages."""

    vocab_size: Size = 30522


class XLMRobertaModel(RobertaModel, config=XLMRobertaConfig, prefix="roberta"):
    """The encoder with its pooler, without a head."""


class XLMRobertaForMaskedLM(RobertaForMaskedLM, base=XLMRobertaModel):
    """Scores of every word at every place."""


class XLMRobertaForCausalLM(RobertaForCausalLM, base=XLMRobertaModel, accepts=SEGMENTED):
    """Scores of every word to follow each token, of layers that are read in one direction: config.is_decoder."""


class XLMRobertaForSequenceClassification(RobertaForSequenceClassification, base=XLMRobertaModel):
    """One set of scores a text."""


class XLMRobertaForTokenClassification(RobertaForTokenClassification, base=XLMRobertaModel):
    """One set of scores a token."""


class XLMRobertaForQuestionAnswering(RobertaForQuestionAnswering, base=XLMRobertaModel):
    """Where in a context the answer starts and ends."""


class XLMRobertaForMultipleChoice(RobertaForMultipleChoice, base=XLMRobertaModel):
    """Which of several continuations fits best."""


class CamembertConfig(RobertaConfig, model_type="camembert"):
    """Sizes and rates of a CamemBERT (Martin et al. 2020, arXiv 1911.03894), which is a RoBERTa for French."""

    vocab_size: Size = 30522


class CamembertModel(RobertaModel, config=CamembertConfig, prefix="roberta"):
    """The encoder with its pooler, without a head."""


class CamembertForMaskedLM(RobertaForMaskedLM, base=CamembertModel):
    """Scores of every word at every place."""


class CamembertForCausalLM(RobertaForCausalLM, base=CamembertModel, accepts=SEGMENTED):
    """Scores of every word to follow each token, of layers that are read in one direction: config.is_decoder."""


class CamembertForSequenceClassification(RobertaForSequenceClassification, base=CamembertModel):
    """One set of scores a text."""


class CamembertForTokenClassification(RobertaForTokenClassification, base=CamembertModel):
    """One set of scores a token."""


class CamembertForQuestionAnswering(RobertaForQuestionAnswering, base=CamembertModel):
    """Where in a context the answer starts and ends."""


class CamembertForMultipleChoice(RobertaForMultipleChoice, base=CamembertModel):
    """Which of several continuations fits best."""


class Data2VecTextConfig(RobertaConfig, model_type="data2vec-text"):
    """Sizes and rates of a data2vec (Baevski et al. 2022, arXiv 2202.03555) for text, which is a RoBERTa."""

    vocab_size: Size = 30522


class Data2VecTextModel(RobertaModel, config=Data2VecTextConfig, prefix="data2vec_text"):
    """The encoder with its pooler, without a head."""


class Data2VecTextForMaskedLM(RobertaForMaskedLM, base=Data2VecTextModel):
    """Scores of every word at every place."""


class Data2VecTextForCausalLM(RobertaForCausalLM, base=Data2VecTextModel, accepts=SEGMENTED):
    """Scores of every word to follow each token, of layers that are read in one direction: config.is_decoder."""


class Data2VecTextForSequenceClassification(RobertaForSequenceClassification, base=Data2VecTextModel):
    """One set of scores a text."""


class Data2VecTextForTokenClassification(RobertaForTokenClassification, base=Data2VecTextModel):
    """One set of scores a token."""


class Data2VecTextForQuestionAnswering(RobertaForQuestionAnswering, base=Data2VecTextModel):
    """Where in a context the answer starts and ends."""


class Data2VecTextForMultipleChoice(RobertaForMultipleChoice, base=Data2VecTextModel):
    """Which of several continuations fits best."""
