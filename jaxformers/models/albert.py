"""ALBERT (Lan et al. 2020, arXiv 1909.11942): BERT with narrow embeddings, whose layers share their arrays."""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Rate, Repeats, Size, Token
from ..declare import repeat, under
from ..layers import heads
from ..layers.activation import ACTIVATIONS
from ..layers.attention import attention, visible
from ..layers.dropout import Drop, no_drop
from ..layers.inputs import Inputs, Want
from ..layers.linear import linear
from ..layers.post_norm import block, check_heads, embedded, embeddings, self_attention
from ..layers.run import Encoded, reuse, run


class AlbertConfig(
    Config,
    model_type="albert",
    allowed={"hidden_act": ACTIVATIONS, "position_embedding_type": ("absolute",), "inner_group_num": (1,)},
):
    """Sizes and rates of an ALBERT model; the defaults are albert-xxlarge's."""

    vocab_size: Size = 30000
    embedding_size: Size = 128
    hidden_size: Size = 4096
    num_hidden_layers: Depth = 12
    num_hidden_groups: Repeats = 1
    num_attention_heads: Size = 64
    intermediate_size: Size = 16384
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: Rate = 0.0
    attention_probs_dropout_prob: Rate = 0.0
    max_position_embeddings: Size = 512
    type_vocab_size: Size = 2
    layer_norm_eps: Epsilon = 1e-12
    classifier_dropout_prob: Rate = 0.1
    pad_token_id: Token | None = 0

    def check(self) -> None:
        """Heads share the width evenly."""
        check_heads(self)


def body(c: AlbertConfig) -> declare.Tree:
    """The encoder's arrays: "layers" are the groups, each of which stands for several layers."""
    d = c.hidden_size
    group = {
        **under("attention", attention(d, "query", "key", "value", "dense")),
        "attention_norm": declare.layer_norm(d, "attention.LayerNorm"),
        "up": declare.linear(d, c.intermediate_size, "ffn", ("embed", "mlp")),
        "down": declare.linear(c.intermediate_size, d, "ffn_output", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "full_layer_layer_norm"),
    }
    return embeddings(c, c.embedding_size) | {
        "project": declare.linear(c.embedding_size, d, "encoder.embedding_hidden_mapping_in"),
        "layers": repeat(c.num_hidden_groups, "encoder.albert_layer_groups.{}.albert_layers.0", group),
    }


def with_pooler(c: AlbertConfig) -> declare.Tree:
    """The encoder's arrays and the pooler's."""
    return body(c) | {"pooler": declare.linear(c.hidden_size, c.hidden_size, "pooler")}


def encode(params: Any, c: AlbertConfig, inputs: Inputs, want: Want = Want(), drop: Drop = no_drop) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = linear(params["project"], embedded(params, c, inputs, inputs.places, drop))
    depth, groups = c.num_hidden_layers, c.num_hidden_groups
    through, layers = reuse(
        block(c, self_attention(c, visible(inputs.mask))),
        params["layers"],
        [layer * groups // depth for layer in range(depth)],
    )
    return run(through, layers, x, drop.each(depth), want=want)


def classifier_rate(c: AlbertConfig) -> float:
    """The dropout before a classifier."""
    return c.classifier_dropout_prob


words = heads.vocabulary(
    "predictions.dense",
    "predictions.LayerNorm",
    "predictions.decoder",
    bias="predictions.bias",
    width=lambda c: c.embedding_size,
)
in_order = heads.pooled("sop_classifier.classifier", rate=classifier_rate)


class AlbertModel(tasks.Encoder, config=AlbertConfig, prefix="albert", parameters=with_pooler, encode=encode):
    """The encoder with its pooler, without a head."""


class AlbertForPreTraining(tasks.OrderPreTraining, base=AlbertModel, head=heads.both(words, in_order)):
    """Masked words and the order of two segments, as ALBERT was trained."""


class AlbertForMaskedLM(tasks.MaskedLM, base=AlbertModel, parameters=body, head=words):
    """Scores of every word at every place."""


class AlbertForSequenceClassification(
    tasks.SequenceClassification, base=AlbertModel, head=heads.pooled(rate=classifier_rate)
):
    """One set of scores a text."""


class AlbertForTokenClassification(
    tasks.TokenClassification, base=AlbertModel, parameters=body, head=heads.each_token(rate=classifier_rate)
):
    """One set of scores a token."""


class AlbertForQuestionAnswering(tasks.QuestionAnswering, base=AlbertModel, parameters=body, head=heads.span()):
    """Where in a context the answer starts and ends."""


class AlbertForMultipleChoice(
    tasks.MultipleChoice, base=AlbertModel, head=heads.pooled(rate=classifier_rate, labels=1)
):
    """Which of several continuations fits best."""
