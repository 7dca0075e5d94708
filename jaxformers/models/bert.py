"""BERT (Devlin et al. 2019, arXiv 1810.04805): a bidirectional encoder over word, position and segment embeddings."""

from __future__ import annotations

from typing import Any

import jax

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Rate, Size, Token
from ..declare import repeat, under
from ..layers import heads
from ..layers.activation import ACTIVATIONS
from ..layers.attention import attend, attention, merge, project, visible
from ..layers.dropout import Drop, no_drop
from ..layers.embedding import embed, embed_tokens
from ..layers.inputs import Inputs, Want
from ..layers.linear import linear
from ..layers.norm import layer_norm
from ..layers.run import Encoded, run


class BertConfig(
    Config,
    model_type="bert",
    allowed={"hidden_act": ACTIVATIONS, "position_embedding_type": ("absolute",)},
):
    """Sizes and rates of a BERT model; the defaults are bert-base-uncased's."""

    vocab_size: Size = 30522
    hidden_size: Size = 768
    num_hidden_layers: Depth = 12
    num_attention_heads: Size = 12
    intermediate_size: Size = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: Rate = 0.1
    attention_probs_dropout_prob: Rate = 0.1
    max_position_embeddings: Size = 512
    type_vocab_size: Size = 2
    layer_norm_eps: Epsilon = 1e-12
    classifier_dropout: Rate | None = None
    pad_token_id: Token | None = 0

    def check(self) -> None:
        """Heads share the width evenly."""
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"BertConfig: hidden_size={self.hidden_size} is no multiple of "
                f"num_attention_heads={self.num_attention_heads}"
            )


def body(c: BertConfig) -> declare.Tree:
    """The encoder's arrays."""
    d = c.hidden_size
    layer = {
        **attention(d, "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
        "attention_norm": declare.layer_norm(d, "attention.output.LayerNorm"),
        "up": declare.linear(d, c.intermediate_size, "intermediate.dense", ("embed", "mlp")),
        "down": declare.linear(c.intermediate_size, d, "output.dense", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "output.LayerNorm"),
    }
    return under(
        "embeddings",
        {
            "word": declare.embedding(c.vocab_size, d, "word_embeddings", "vocab", zero_row=c.pad_token_id),
            "position": declare.embedding(c.max_position_embeddings, d, "position_embeddings"),
            "type": declare.embedding(c.type_vocab_size, d, "token_type_embeddings"),
            "norm": declare.layer_norm(d, "LayerNorm"),
        },
    ) | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer)}


def with_pooler(c: BertConfig) -> declare.Tree:
    """The encoder's arrays and the pooler's."""
    return body(c) | {"pooler": declare.linear(c.hidden_size, c.hidden_size, "pooler.dense")}


def encode(params: Any, c: BertConfig, inputs: Inputs, want: Want = Want(), drop: Drop = no_drop) -> Encoded:
    """Hidden states [B, T, D] of one batch, and where the tree has a pooler the pooled vectors [B, D]."""
    x = embed_tokens(params["word"], inputs)
    x = x + embed(params["position"], inputs.places) + embed(params["type"], inputs.segments)
    x = drop("embeddings", layer_norm(params["norm"], x, c.layer_norm_eps), c.hidden_dropout_prob)
    seen = visible(inputs.mask)

    def block(p: Any, x: jax.Array, drop: Drop) -> tuple[jax.Array, jax.Array]:
        q, k, v = project(p, x, c.hidden_size // c.num_attention_heads)
        context, weights = attend(q, k, v, seen, rate=c.attention_probs_dropout_prob, drop=drop)
        h = drop("attention", linear(p["out"], merge(context), like=x), c.hidden_dropout_prob)
        x = layer_norm(p["attention_norm"], x + h, c.layer_norm_eps)
        h = linear(p["down"], ACTIVATIONS[c.hidden_act](linear(p["up"], x)), like=x)
        x = layer_norm(p["ffn_norm"], x + drop("feed_forward", h, c.hidden_dropout_prob), c.layer_norm_eps)
        return x, weights

    encoded = run(block, params["layers"], x, drop.each(c.num_hidden_layers), want=want)
    return heads.pool(params["pooler"], encoded) if "pooler" in params else encoded


def classifier_rate(c: BertConfig) -> float:
    """The dropout before a classifier: its own where the config has one, else the hidden layers'."""
    return c.hidden_dropout_prob if c.classifier_dropout is None else c.classifier_dropout


words = heads.vocabulary(
    "cls.predictions.transform.dense",
    "cls.predictions.transform.LayerNorm",
    "cls.predictions.decoder",
    bias="cls.predictions.bias",
)
follows = heads.pooled("cls.seq_relationship", labels=2)


class BertModel(tasks.Encoder, config=BertConfig, prefix="bert", parameters=with_pooler, encode=encode):
    """The encoder with its pooler, without a head."""


class BertForPreTraining(tasks.PreTraining, base=BertModel, head=heads.both(words, follows)):
    """Masked words and the next sentence, as BERT was trained."""


class BertForMaskedLM(tasks.MaskedLM, base=BertModel, parameters=body, head=words):
    """Scores of every word at every place."""


class BertForNextSentencePrediction(tasks.NextSentencePrediction, base=BertModel, head=follows):
    """Whether the second text follows the first."""


class BertForSequenceClassification(
    tasks.SequenceClassification, base=BertModel, head=heads.pooled(rate=classifier_rate)
):
    """One set of scores a text."""


class BertForTokenClassification(
    tasks.TokenClassification, base=BertModel, parameters=body, head=heads.each_token(rate=classifier_rate)
):
    """One set of scores a token."""


class BertForQuestionAnswering(tasks.QuestionAnswering, base=BertModel, parameters=body, head=heads.span()):
    """Where in a context the answer starts and ends."""


class BertForMultipleChoice(tasks.MultipleChoice, base=BertModel, head=heads.pooled(rate=classifier_rate, labels=1)):
    """Which of several continuations fits best."""
