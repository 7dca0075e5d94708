"""ALBERT (Lan et al. 2020, arXiv 1909.11942): BERT with narrow embeddings, whose layers share their arrays."""

from __future__ import annotations

import dataclasses
from typing import Any

from .. import declare, tasks
from ..config import Config, Rate, Repeats, Size
from ..declare import repeat, under
from ..layers import heads
from ..layers.attention import attention, visible
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.post_norm import block, embedded, embeddings, self_attention
from ..layers.run import Encoded, reuse, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import BertSizes


class AlbertConfig(
    BertSizes,
    Config,
    model_type="albert",
    allowed={"position_embedding_type": ("absolute",)},
    ignores=("down_scale_factor", "gap_size", "layers_to_keep", "net_structure_type", "num_memory_blocks"),
):
    """Sizes and rates of an ALBERT model; the defaults are albert-xxlarge's.

    num_hidden_groups: each stands for its share of the num_hidden_layers. inner_group_num: layers of a group, which run
    one after another wherever it stands.
    """

    vocab_size: Size = 30000
    embedding_size: Size = 128
    hidden_size: Size = 4096
    num_hidden_groups: Repeats = 1
    inner_group_num: Repeats = 1
    num_attention_heads: Size = 64
    intermediate_size: Size = 16384
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: Rate = 0.0
    attention_probs_dropout_prob: Rate = 0.0
    classifier_dropout_prob: Rate = 0.1


def body(c: AlbertConfig) -> declare.Tree:
    """The encoder's arrays: "layers" are those of all groups, one behind another; each stands for several layers."""
    d = c.hidden_size
    layer = {
        **under("attention", attention(d, "query", "key", "value", "dense")),
        "attention_norm": declare.layer_norm(d, "attention.LayerNorm"),
        "up": declare.linear(d, c.intermediate_size, "ffn", ("embed", "mlp")),
        "down": declare.linear(c.intermediate_size, d, "ffn_output", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "full_layer_layer_norm"),
    }
    groups = [
        repeat(c.inner_group_num, f"encoder.albert_layer_groups.{group}.albert_layers.{{}}", layer)
        for group in range(c.num_hidden_groups)
    ]
    return embeddings(c, c.embedding_size) | {
        "project": declare.projection(c.embedding_size, d, "encoder.embedding_hidden_mapping_in"),
        "layers": [each for group in groups for each in group],
    }


def encode(params: Any, c: AlbertConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch: one for each run of a group, while all of its layers have attentions."""
    x = linear(params["project"], embedded(params, c, inputs, inputs.places, sites))
    depth, groups, inner = c.num_hidden_layers, c.num_hidden_groups, c.inner_group_num
    which = [layer * groups // depth * inner + own for layer in range(depth) for own in range(inner)]
    through, layers = reuse(block(c, self_attention(c, visible(inputs.mask))), params["layers"], which)
    encoded = run(through, layers, x, ask=ask, sites=sites)
    if encoded.hidden_states is None:
        return encoded
    return dataclasses.replace(encoded, hidden_states=encoded.hidden_states[::inner])


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


class AlbertModel(
    tasks.Encoder, config=AlbertConfig, prefix="albert", network=Network(heads.with_pooler(body, "pooler"), encode)
):
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


class AlbertForQuestionAnswering(tasks.QuestionAnswering, base=AlbertModel, parameters=body):
    """Where in a context the answer starts and ends."""


class AlbertForMultipleChoice(
    tasks.MultipleChoice, base=AlbertModel, head=heads.pooled(rate=classifier_rate, labels=1)
):
    """Which of several continuations fits best."""
