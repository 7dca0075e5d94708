"""XLM-RoBERTa-XL (Goyal et al. 2021, arXiv 2105.00572): RoBERTa with its norms inside the residual branches, and none
after the embeddings.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Rate, Size, Token
from ..declare import repeat
from ..layers import heads, named_heads
from ..layers.attention import attention, visible
from ..layers.inputs import Ask, Inputs
from ..layers.norm import layer_norm
from ..layers.post_norm import embeddings, self_attention, summed
from ..layers.pre_norm import block
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import CountedSizes


class XLMRobertaXLConfig(CountedSizes, Config, model_type="xlm-roberta-xl"):
    """RoBERTa's sizes and rates; the defaults are xlm-roberta-xl's."""

    vocab_size: Size = 250880
    hidden_size: Size = 2560
    num_hidden_layers: Depth = 36
    num_attention_heads: Size = 32
    intermediate_size: Size = 10240
    max_position_embeddings: Size = 514
    type_vocab_size: Size = 1
    layer_norm_eps: Epsilon = 1e-5
    classifier_dropout: Rate | None = None
    pad_token_id: Token = 1


def body(c: XLMRobertaXLConfig) -> declare.Tree:
    """The encoder's arrays; "final_norm" follows the last layer."""
    d = c.hidden_size
    layer = {
        **attention(d, "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
        "attention_norm": declare.layer_norm(d, "attention.self_attn_layer_norm"),
        "up": declare.linear(d, c.intermediate_size, "intermediate.dense", ("embed", "mlp")),
        "down": declare.linear(c.intermediate_size, d, "output.dense", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "LayerNorm"),
    }
    tables = embeddings(c, d)
    del tables["norm"]
    return tables | {
        "layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer),
        "final_norm": declare.layer_norm(d, "encoder.LayerNorm"),
    }


def encode(params: Any, c: XLMRobertaXLConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = sites.drop("embeddings", summed(params, inputs, inputs.counted(c.pad_token_id)), c.hidden_dropout_prob)
    through = block(c, self_attention(c, visible(inputs.mask)))
    encoded = run(through, params["layers"], x, ask=ask, sites=sites)
    return encoded.normed(layer_norm(params["final_norm"], encoded.state, c.layer_norm_eps))


class XLMRobertaXLModel(
    tasks.Encoder, config=XLMRobertaXLConfig, prefix="roberta", network=Network(heads.with_pooler(body), encode)
):
    """The encoder with its pooler, without a head."""


class XLMRobertaXLForMaskedLM(tasks.MaskedLM, base=XLMRobertaXLModel, parameters=body, head=named_heads.lm_head()):
    """Scores of every word at every place."""


class XLMRobertaXLForSequenceClassification(
    tasks.SequenceClassification, base=XLMRobertaXLModel, parameters=body, head=named_heads.classification_head()
):
    """One set of scores a text."""


class XLMRobertaXLForTokenClassification(
    tasks.TokenClassification,
    base=XLMRobertaXLModel,
    parameters=body,
    head=heads.each_token(rate=heads.classifier_rate),
):
    """One set of scores a token."""


class XLMRobertaXLForQuestionAnswering(tasks.QuestionAnswering, base=XLMRobertaXLModel, parameters=body):
    """Where in a context the answer starts and ends."""


class XLMRobertaXLForMultipleChoice(
    tasks.MultipleChoice, base=XLMRobertaXLModel, head=heads.pooled(rate=heads.hidden_rate, labels=1)
):
    """Which of several continuations fits best."""
