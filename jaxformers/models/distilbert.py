"""DistilBERT (Sanh et al. 2019, arXiv 1910.01108): BERT's encoder at half depth, without segments and pooler."""

from __future__ import annotations

from typing import Any, ClassVar

import jax

from .. import declare, tasks
from ..config import Config, Depth, Rate, Size, Token
from ..declare import repeat, under
from ..layers import heads
from ..layers.activation import ACTIVATIONS
from ..layers.attention import attend, attention, merge, project, through_out, visible
from ..layers.embedding import embed, embed_tokens
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.norm import layer_norm
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network


class DistilBertConfig(
    Config,
    model_type="distilbert",
    aliases={
        "hidden_size": "dim",
        "num_attention_heads": "n_heads",
        "num_hidden_layers": "n_layers",
        "intermediate_size": "hidden_dim",
        "hidden_act": "activation",
    },
    allowed={"activation": ACTIVATIONS},
    ignores=("tie_weights_",),
):
    """Sizes and rates of a DistilBERT model; the defaults are distilbert-base-uncased's."""

    vocab_size: Size = 30522
    max_position_embeddings: Size = 512
    sinusoidal_pos_embds: bool = False
    n_layers: Depth = 6
    n_heads: Size = 12
    dim: Size = 768
    hidden_dim: Size = 3072
    dropout: Rate = 0.1
    attention_dropout: Rate = 0.1
    activation: str = "gelu"
    qa_dropout: Rate = 0.1
    seq_classif_dropout: Rate = 0.2
    pad_token_id: Token | None = 0

    layer_norm_eps: ClassVar[float] = 1e-12

    def check(self) -> None:
        """Heads share the width evenly."""
        if self.dim % self.n_heads:
            raise ValueError(f"DistilBertConfig: dim={self.dim} is no multiple of n_heads={self.n_heads}")


def parameters(c: DistilBertConfig) -> declare.Tree:
    """The encoder's arrays."""
    layer = {
        **under("attention", attention(c.dim, "q_lin", "k_lin", "v_lin", "out_lin")),
        "attention_norm": declare.layer_norm(c.dim, "sa_layer_norm"),
        "up": declare.linear(c.dim, c.hidden_dim, "ffn.lin1", ("embed", "mlp")),
        "down": declare.linear(c.hidden_dim, c.dim, "ffn.lin2", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(c.dim, "output_layer_norm"),
    }
    role: declare.Role = "buffer" if c.sinusoidal_pos_embds else "table"
    init = declare.sinusoid if c.sinusoidal_pos_embds else None
    return under(
        "embeddings",
        {
            "word": declare.embedding(c.vocab_size, c.dim, "word_embeddings", "vocab", zero_row=c.pad_token_id),
            "position": declare.embedding(
                c.max_position_embeddings, c.dim, "position_embeddings", role=role, init=init
            ),
            "norm": declare.layer_norm(c.dim, "LayerNorm"),
        },
    ) | {"layers": repeat(c.n_layers, "transformer.layer.{}", layer)}


def encode(params: Any, c: DistilBertConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = embed_tokens(params["word"], inputs) + embed(params["position"], inputs.places)
    x = layer_norm(params["norm"], x, c.layer_norm_eps)
    x = sites.drop("embeddings", x, c.dropout)
    seen = visible(inputs.mask)

    def block(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = project(p, x, c.dim // c.n_heads)
        context = attend(q, k, v, seen, rate=c.attention_dropout, sites=sites)
        h = sites("attention", through_out(p, merge(context), x, sites))
        x = layer_norm(p["attention_norm"], x + h, c.layer_norm_eps)
        h = linear(p["down"], ACTIVATIONS[c.activation](linear(p["up"], x)), like=x)
        return layer_norm(p["ffn_norm"], x + sites("ffn", h, c.dropout), c.layer_norm_eps)

    return run(block, params["layers"], x, ask=ask, sites=sites)


def sequence_rate(c: DistilBertConfig) -> float:
    """The dropout before a classifier of whole texts."""
    return c.seq_classif_dropout


class DistilBertModel(
    tasks.Encoder,
    config=DistilBertConfig,
    prefix="distilbert",
    network=Network(parameters, encode),
    accepts=("input_ids", "attention_mask", "inputs_embeds", "position_ids"),
):
    """The encoder without a head."""


class DistilBertForMaskedLM(
    tasks.MaskedLM,
    base=DistilBertModel,
    head=heads.vocabulary("vocab_transform", "vocab_layer_norm", "vocab_projector", bias="vocab_projector.bias"),
):
    """Scores of every word at every place."""


class DistilBertForSequenceClassification(
    tasks.SequenceClassification,
    base=DistilBertModel,
    head=heads.first_token("pre_classifier", "relu", "classifier", rate=sequence_rate),
):
    """One set of scores a text."""


class DistilBertForTokenClassification(
    tasks.TokenClassification, base=DistilBertModel, head=heads.each_token(rate=lambda c: c.dropout)
):
    """One set of scores a token."""


class DistilBertForQuestionAnswering(
    tasks.QuestionAnswering, base=DistilBertModel, head=heads.span(rate=lambda c: c.qa_dropout)
):
    """Where in a context the answer starts and ends."""


class DistilBertForMultipleChoice(
    tasks.MultipleChoice,
    base=DistilBertModel,
    head=heads.first_token("pre_classifier", "relu", "classifier", rate=sequence_rate, labels=1),
):
    """Which of several continuations fits best."""
