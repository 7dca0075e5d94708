"""RoBERTa-PreLayerNorm (Ott et al. 2019, arXiv 1904.01038): RoBERTa with its norms inside the residual branches."""

from __future__ import annotations

import dataclasses
from typing import Any

from .. import declare, tasks
from ..batch import SEGMENTED
from ..config import Config, Rate, Size, Token
from ..declare import repeat
from ..layers import heads, named_heads, pre_norm
from ..layers.attention import visible
from ..layers.causal import Causal
from ..layers.decoder import keys_values
from ..layers.inputs import Ask, Inputs
from ..layers.norm import layer_norm
from ..layers.post_norm import embedded, embeddings, self_attention
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import CountedSizes, EitherWay


class RobertaPreLayerNormConfig(
    EitherWay,
    CountedSizes,
    Config,
    model_type="roberta-prelayernorm",
    allowed={**EitherWay.allowed, **CountedSizes.allowed},
):
    """RoBERTa's sizes and rates."""

    vocab_size: Size = 50265
    classifier_dropout: Rate | None = None
    pad_token_id: Token = 1


NORMS = {"attention_norm": "LayerNorm", "ffn_norm": "intermediate.LayerNorm"}
"""Names of the norms before a layer's halves."""


def arrays(c: RobertaPreLayerNormConfig, one: declare.Tree) -> declare.Tree:
    """The tables, layers of which each has the arrays `one`, and the norm that follows the last."""
    d = c.hidden_size
    return embeddings(c, d) | {
        "layers": repeat(c.num_hidden_layers, "encoder.layer.{}", one),
        "final_norm": declare.layer_norm(d, "LayerNorm"),
    }


def body(c: RobertaPreLayerNormConfig) -> declare.Tree:
    """The encoder's arrays."""
    return arrays(c, pre_norm.layer(c, **NORMS))


def directed(c: RobertaPreLayerNormConfig) -> declare.Tree:
    """The arrays of layers that are read in one direction."""
    return arrays(c, pre_norm.directed_layer(c, **NORMS))


def encode(
    params: Any, c: RobertaPreLayerNormConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN
) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = embedded(params, c, inputs, inputs.counted(c.pad_token_id), sites)
    through = pre_norm.block(c, self_attention(c, visible(inputs.mask)))
    return normed(params, c, run(through, params["layers"], x, ask=ask, sites=sites))


def decode(
    params: Any, c: RobertaPreLayerNormConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN
) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order = Causal.of(inputs)
    x = embedded(params, c, inputs, order.positions + c.pad_token_id + 1, sites)
    return normed(params, c, pre_norm.decode(params, c, inputs, order, x, ask, sites))


def normed(params: Any, c: RobertaPreLayerNormConfig, encoded: Encoded) -> Encoded:
    """What the last norm makes of the result; hidden states are those before it."""
    state = layer_norm(params["final_norm"], encoded.state, c.layer_norm_eps)
    return dataclasses.replace(encoded, state=state)


class RobertaPreLayerNormModel(
    tasks.Encoder,
    config=RobertaPreLayerNormConfig,
    prefix="roberta_prelayernorm",
    network=Network(heads.with_pooler(body), encode),
):
    """The encoder with its pooler, without a head."""


class RobertaPreLayerNormForMaskedLM(
    tasks.MaskedLM, base=RobertaPreLayerNormModel, parameters=body, head=named_heads.lm_head()
):
    """Scores of every word at every place."""


class RobertaPreLayerNormForCausalLM(
    tasks.DirectedLM,
    base=RobertaPreLayerNormModel,
    network=Network(directed, decode=decode, cells=keys_values),
    accepts=SEGMENTED,
    head=named_heads.lm_head(),
):
    """Scores of every word to follow each token, of layers that are read in one direction: config.is_decoder."""


class RobertaPreLayerNormForSequenceClassification(
    tasks.SequenceClassification, base=RobertaPreLayerNormModel, parameters=body, head=named_heads.classification_head()
):
    """One set of scores a text."""


class RobertaPreLayerNormForTokenClassification(
    tasks.TokenClassification,
    base=RobertaPreLayerNormModel,
    parameters=body,
    head=heads.each_token(rate=heads.classifier_rate),
):
    """One set of scores a token."""


class RobertaPreLayerNormForQuestionAnswering(tasks.QuestionAnswering, base=RobertaPreLayerNormModel, parameters=body):
    """Where in a context the answer starts and ends."""


class RobertaPreLayerNormForMultipleChoice(
    tasks.MultipleChoice,
    base=RobertaPreLayerNormModel,
    head=heads.pooled(rate=heads.hidden_rate, labels=1),
):
    """Which of several continuations fits best."""
