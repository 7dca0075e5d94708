"""MobileBERT (Sun et al. 2020, arXiv 2004.02984): a deep BERT whose layers work behind bottlenecks, with several small
feed-forward networks each and norms that are mere scales.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Depth, Rate, Repeats, Size
from ..declare import Param, repeat, under
from ..layers import heads, named_heads
from ..layers.activation import ACTIVATIONS
from ..layers.attention import attend, merge, through_out, visible
from ..layers.embedding import embed, embed_tokens
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear, unembed
from ..layers.norm import layer_norm
from ..layers.run import Block, Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import BertSizes


class MobileBertConfig(
    BertSizes,
    Config,
    model_type="mobilebert",
    allowed={"normalization_type": ("no_norm", "layer_norm")},
    ignores=("true_hidden_size",),
):
    """Sizes and rates of a MobileBERT model; the defaults are mobilebert-uncased's.

    trigram_input: a token enters with its neighbours. use_bottleneck: layers work at intra_bottleneck_size. Behind a
    bottleneck query, key and value are read from it with use_bottleneck_attention; otherwise the value is read from the
    whole width, and query and key with key_query_shared_bottleneck from a bottleneck of their own.
    """

    embedding_size: Size = 128
    hidden_size: Size = 512
    num_hidden_layers: Depth = 24
    num_attention_heads: Size = 4
    intermediate_size: Size = 512
    num_feedforward_networks: Repeats = 4
    hidden_act: str = "relu"
    hidden_dropout_prob: Rate = 0.0
    normalization_type: str = "no_norm"
    trigram_input: bool = True
    use_bottleneck: bool = True
    intra_bottleneck_size: Size = 128
    use_bottleneck_attention: bool = False
    key_query_shared_bottleneck: bool = True
    classifier_activation: bool = True
    classifier_dropout: Rate | None = None

    @property
    def width(self) -> int:
        """The width at which layers work."""
        return self.intra_bottleneck_size if self.use_bottleneck else self.hidden_size

    def check(self) -> None:
        """Heads share the width evenly, embeddings are no wider than layers, queries and keys have a fitting input."""
        if self.width % self.num_attention_heads:
            name = "intra_bottleneck_size" if self.use_bottleneck else "hidden_size"
            raise ValueError(
                f"MobileBertConfig: {name}={self.width} is no multiple of "
                f"num_attention_heads={self.num_attention_heads}"
            )
        if self.embedding_size > self.hidden_size:
            raise ValueError(
                f"MobileBertConfig: embedding_size={self.embedding_size} is above hidden_size={self.hidden_size}"
            )
        if not (self.use_bottleneck_attention or self.key_query_shared_bottleneck or self.width == self.hidden_size):
            raise ValueError(
                "MobileBertConfig: without use_bottleneck_attention and key_query_shared_bottleneck, "
                f"intra_bottleneck_size={self.width} must be hidden_size={self.hidden_size}"
            )


def body(c: MobileBertConfig) -> declare.Tree:
    """The encoder's arrays."""
    d, w = c.hidden_size, c.width

    def normed(d_in: int, d_out: int, name: str) -> declare.Tree:
        dense = declare.linear(d_in, d_out, f"{name}.dense")
        return dense | {"norm": declare.layer_norm(d_out, f"{name}.LayerNorm")}

    network = {
        "up": declare.linear(w, c.intermediate_size, "intermediate.dense", ("embed", "mlp")),
        "down": declare.linear(c.intermediate_size, w, "output.dense", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(w, "output.LayerNorm"),
    }
    layer = {
        "query": declare.linear(w, w, "attention.self.query", ("embed", "heads")),
        "key": declare.linear(w, w, "attention.self.key", ("embed", "heads")),
        "value": declare.linear(w if c.use_bottleneck_attention else d, w, "attention.self.value", ("embed", "heads")),
        "out": declare.linear(w, w, "attention.output.dense", ("heads", "embed")),
        "attention_norm": declare.layer_norm(w, "attention.output.LayerNorm"),
        "networks": repeat(c.num_feedforward_networks - 1, "ffn.{}", network),
        **network,
    }
    if c.use_bottleneck:
        layer["narrow"] = normed(d, w, "bottleneck.input")
        layer["widen"] = normed(w, d, "output.bottleneck")
        if c.key_query_shared_bottleneck:
            layer["narrow_match"] = normed(d, w, "bottleneck.attention")
    return under(
        "embeddings",
        {
            "word": declare.embedding(
                c.vocab_size, c.embedding_size, "word_embeddings", "vocab", zero_row=c.pad_token_id
            ),
            "position": declare.embedding(c.max_position_embeddings, d, "position_embeddings"),
            "type": declare.embedding(c.type_vocab_size, d, "token_type_embeddings"),
            "project": declare.projection(
                c.embedding_size * (3 if c.trigram_input else 1), d, "embedding_transformation"
            ),
            "norm": declare.layer_norm(d, "LayerNorm"),
        },
    ) | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer)}


def with_pooler(c: MobileBertConfig) -> declare.Tree:
    """The encoder's arrays and the pooler's, where it has any."""
    if not c.classifier_activation:
        return body(c)
    return body(c) | {"pooler": declare.projection(c.hidden_size, c.hidden_size, "pooler.dense")}


def norm(p: Any, c: MobileBertConfig, x: jax.Array, epsilon: float) -> jax.Array:
    """A layer norm, or its scale and bias alone."""
    if c.normalization_type == "layer_norm":
        return layer_norm(p, x, epsilon)
    return (x * p["scale"] + p["bias"]).astype(x.dtype)


_EPSILON = 1e-5  # of two norms that layer_norm_eps does not reach in the reference


def embedded(params: Any, c: MobileBertConfig, inputs: Inputs, sites: Sites) -> jax.Array:
    """What enters the first layer [B, T, D]: words with their neighbours, positions and segments."""
    x = embed_tokens(params["word"], inputs)
    if c.trigram_input:
        none = jnp.zeros_like(x[:, :1])
        after, before = (jnp.concatenate(pair, 1) for pair in ((x[:, 1:], none), (none, x[:, :-1])))
        x = jnp.concatenate([after, x, before], axis=2)
    if c.trigram_input or c.embedding_size != c.hidden_size:
        x = linear(params["project"], x)
    x = x + embed(params["position"], inputs.places) + embed(params["type"], inputs.segments)
    return sites.drop("embeddings", norm(params["norm"], c, x, _EPSILON), c.hidden_dropout_prob)


def block(c: MobileBertConfig, seen: jax.Array | None) -> Block:
    """The layer as `run` takes it: through bottlenecks attention, then the networks, then back to the whole width."""
    inside = 0.0 if c.use_bottleneck else c.hidden_dropout_prob

    def narrowed(p: Any, x: jax.Array) -> jax.Array:
        return norm(p["norm"], c, linear(p, x), c.layer_norm_eps)

    def split(x: jax.Array) -> jax.Array:
        return x.reshape(*x.shape[:2], c.num_attention_heads, -1)

    def network(p: Any, x: jax.Array) -> jax.Array:
        return linear(p["down"], ACTIVATIONS[c.hidden_act](linear(p["up"], x)), like=x)

    def apply(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        y = narrowed(p["narrow"], x) if c.use_bottleneck else x
        valued = y if c.use_bottleneck_attention else x
        matched = valued
        if "narrow_match" in p and not c.use_bottleneck_attention:
            matched = narrowed(p["narrow_match"], x)
        q, k = (split(linear(p[name], matched)) for name in ("query", "key"))
        v = split(linear(p["value"], valued))
        context = attend(q, k, v, seen, rate=c.attention_probs_dropout_prob, sites=sites)
        h = sites("attention", through_out(p, merge(context), y, sites), inside)
        y = norm(p["attention_norm"], c, y + h, c.layer_norm_eps)
        for own in p["networks"]:
            y = norm(own["ffn_norm"], c, y + network(own, y), c.layer_norm_eps)
        y = norm(p["ffn_norm"], c, y + sites("ffn", network(p, y), inside), _EPSILON)
        if not c.use_bottleneck:
            return y
        h = sites.drop("widen", linear(p["widen"], y, like=x), c.hidden_dropout_prob)
        return norm(p["widen"]["norm"], c, x + h, c.layer_norm_eps)

    return apply


def encode(params: Any, c: MobileBertConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch; where the pooler has no arrays also the first token's as `pooled`."""
    x = embedded(params, c, inputs, sites)
    encoded = run(block(c, visible(inputs.mask)), params["layers"], x, ask=ask, sites=sites)
    return encoded if c.classifier_activation else dataclasses.replace(encoded, pooled=encoded.first)


def vocabulary() -> heads.Head:
    """Scores [B, T, V] of every token: dense layer, activation, norm, then the narrow word table and one beside it."""

    def parameters(c: MobileBertConfig) -> declare.Tree:
        d, e = c.hidden_size, c.embedding_size
        tree = {
            "dense": declare.linear(d, d, "transform.dense"),
            "norm": declare.layer_norm(d, "transform.LayerNorm"),
            "rest": Param((d - e, c.vocab_size), ("embed", "vocab"), "dense.weight", "unembedding"),
            "bias": declare.tied(
                declare.vector(c.vocab_size, "bias", "vocab"), "decoder.bias", first=not c.tie_word_embeddings
            ),
        }
        if not c.tie_word_embeddings:
            tree["decoder"] = declare.embedding(c.vocab_size, e, "decoder", "vocab")
        return under("cls.predictions", tree)

    def forward(params: Any, c: MobileBertConfig, encoded: Encoded, sites: Sites) -> jax.Array:
        p = params["head"]
        x = ACTIVATIONS[c.hidden_act](linear(p["dense"], encoded.state))
        x = layer_norm(p["norm"], x, c.layer_norm_eps)
        table = p["decoder"] if "decoder" in p else params["word"]
        return unembed(table, x[..., : c.embedding_size]) + x[..., c.embedding_size :] @ p["rest"] + p["bias"]

    return heads.Head(parameters, forward, tied=("cls.predictions.decoder.weight",))


words = vocabulary()
follows = named_heads.next_sentence()


class MobileBertModel(
    tasks.Encoder, config=MobileBertConfig, prefix="mobilebert", network=Network(with_pooler, encode), neutral=False
):
    """The encoder with its pooler, without a head. The last token's neighbour is padding, where there is any."""


class MobileBertForPreTraining(tasks.PreTraining, base=MobileBertModel, head=heads.both(words, follows)):
    """Masked words and the next sentence, as MobileBERT was trained."""


class MobileBertForMaskedLM(tasks.MaskedLM, base=MobileBertModel, parameters=body, head=words):
    """Scores of every word at every place."""


class MobileBertForNextSentencePrediction(tasks.NextSentencePrediction, base=MobileBertModel, head=follows):
    """Whether the second text follows the first."""


class MobileBertForSequenceClassification(
    tasks.SequenceClassification, base=MobileBertModel, head=heads.pooled(rate=heads.classifier_rate)
):
    """One set of scores a text."""


class MobileBertForTokenClassification(tasks.TokenClassification, base=MobileBertModel, parameters=body):
    """One set of scores a token."""


class MobileBertForQuestionAnswering(tasks.QuestionAnswering, base=MobileBertModel, parameters=body):
    """Where in a context the answer starts and ends."""


class MobileBertForMultipleChoice(
    tasks.MultipleChoice, base=MobileBertModel, head=heads.pooled(rate=heads.classifier_rate, labels=1)
):
    """Which of several continuations fits best."""
