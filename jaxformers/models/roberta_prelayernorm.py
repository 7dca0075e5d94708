"""RoBERTa-PreLayerNorm (Ott et al. 2019, arXiv 1904.01038): RoBERTa with its norms inside the residual branches."""

from __future__ import annotations

import dataclasses
from typing import Any

from .. import declare, tasks
from ..config import Config, Rate, Size, Token
from ..declare import repeat
from ..layers import heads, named_heads
from ..layers.attention import attention, visible
from ..layers.inputs import Ask, Inputs
from ..layers.norm import layer_norm
from ..layers.post_norm import embedded, embeddings, self_attention
from ..layers.pre_norm import block
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import CountedSizes


class RobertaPreLayerNormConfig(CountedSizes, Config, model_type="roberta-prelayernorm"):
    """RoBERTa's sizes and rates."""

    vocab_size: Size = 50265
    classifier_dropout: Rate | None = None
    pad_token_id: Token = 1


def body(c: RobertaPreLayerNormConfig) -> declare.Tree:
    """The encoder's arrays; "final_norm" follows the last layer."""
    d = c.hidden_size
    layer = {
        **attention(d, "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
        "attention_norm": declare.layer_norm(d, "attention.LayerNorm"),
        "up": declare.linear(d, c.intermediate_size, "intermediate.dense", ("embed", "mlp")),
        "down": declare.linear(c.intermediate_size, d, "output.dense", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "intermediate.LayerNorm"),
    }
    return embeddings(c, d) | {
        "layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer),
        "final_norm": declare.layer_norm(d, "LayerNorm"),
    }


def encode(
    params: Any, c: RobertaPreLayerNormConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN
) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = embedded(params, c, inputs, inputs.counted(c.pad_token_id), sites)
    through = block(c, self_attention(c, visible(inputs.mask)))
    encoded = run(through, params["layers"], x, ask=ask, sites=sites)
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
