"""EuroBERT (Boizard et al. 2025, arXiv 2503.05500): Llama's layers, in which every token sees the whole row."""

from __future__ import annotations

from typing import Any

import jax

from .. import declare, tasks
from ..config import Config, Depth, Endless, Epsilon, Rate, Size, Token
from ..layers import heads, rotary
from ..layers.activation import ACTIVATIONS
from ..layers.attention import attend, merge, project, through_out, visible
from ..layers.decoder_arrays import layer_arrays, model_arrays
from ..layers.embedding import embed_tokens
from ..layers.gated import opened
from ..layers.heads import Head
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.norm import rms_norm
from ..layers.run import Block, Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network


class EuroBertConfig(
    Endless,
    Config,
    model_type="eurobert",
    aliases={"clf_pooling": "classifier_pooling"},
    allowed={
        "hidden_act": ACTIVATIONS,
        "classifier_pooling": ("late", "bos", "mean"),
        "rope_scaling": (None,),
    },
):
    """Sizes and rates of an EuroBERT model; the defaults are EuroBERT-210m's.

    num_key_value_heads: heads of keys and values, each for the same number of queries; None: as many.
    classifier_pooling: a text's scores are the mean of its tokens' ("late"), or those of its tokens' mean, or of its
    first token ("bos").
    """

    vocab_size: Size = 128256
    hidden_size: Size = 768
    intermediate_size: Size = 3072
    num_hidden_layers: Depth = 12
    num_attention_heads: Size = 12
    num_key_value_heads: Size | None = None
    hidden_act: str = "silu"
    max_position_embeddings: Size = 8192
    rms_norm_eps: Epsilon = 1e-5
    rope_theta: float = 10_000.0
    rope_parameters: dict | None = None
    attention_bias: bool = False
    attention_dropout: Rate = 0.0
    mlp_bias: bool = False
    classifier_pooling: str = "late"
    head_dim: Size | None = None
    pad_token_id: Token | None = 128001
    tie_word_embeddings: bool = False

    def check(self) -> None:
        """Heads share the width evenly and have pairs to rotate, and keys' heads share those of queries."""
        rotary.check(self)
        if self.num_attention_heads % (self.num_key_value_heads or self.num_attention_heads):
            raise ValueError(
                f"EuroBertConfig: num_attention_heads={self.num_attention_heads} is no multiple of "
                f"num_key_value_heads={self.num_key_value_heads}"
            )


def parameters(c: EuroBertConfig) -> declare.Tree:
    """The encoder's arrays."""
    return model_arrays(c, layer_arrays(c))


def block(c: EuroBertConfig, inputs: Inputs) -> Block:
    """The layer as `run` takes it."""
    width = c.hidden_size // c.num_attention_heads
    angles, seen = rotary.angles(inputs.places, width, rotary.base(c)), visible(inputs.mask)

    def apply(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = project(p, rms_norm(p["attention_norm"], x, c.rms_norm_eps), width, c.num_key_value_heads)
        q, k = rotary.rotate(q, angles), rotary.rotate(k, angles)
        context = attend(q, k, v, seen, rate=c.attention_dropout, sites=sites)
        x = x + sites("attention", through_out(p, merge(context), x, sites))
        h = rms_norm(p["ffn_norm"], x, c.rms_norm_eps)
        return x + sites("ffn", linear(p["down"], opened(p, h, ACTIVATIONS[c.hidden_act]), like=x))

    return apply


def encode(params: Any, c: EuroBertConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = embed_tokens(params["word"], inputs)
    encoded = run(block(c, inputs), params["layers"], x, ask=ask, sites=sites)
    return encoded.normed(rms_norm(params["final_norm"], encoded.state, c.rms_norm_eps))


def of_text() -> Head:
    """Scores [B, num_labels] of a text, through a dense layer and GELU; the means are over its tokens."""

    def parameters(c: EuroBertConfig) -> declare.Tree:
        d = c.hidden_size
        return {"dense": declare.linear(d, d, "dense"), "classifier": declare.linear(d, c.num_labels, "classifier")}

    def forward(params: Any, c: EuroBertConfig, encoded: Encoded, sites: Sites) -> jax.Array:
        p = params["head"]
        scores = lambda x: linear(p["classifier"], ACTIVATIONS["gelu"](linear(p["dense"], x)))  # noqa: E731
        match c.classifier_pooling:
            case "late":
                return encoded.mean(scores(encoded.state))
            case "mean":
                return scores(encoded.mean(encoded.state))
            case _:
                return scores(encoded.first)

    return Head(parameters, forward)


class EuroBertModel(
    tasks.Encoder,
    config=EuroBertConfig,
    prefix="model",
    network=Network(parameters, encode),
    accepts=("input_ids", "attention_mask", "position_ids", "inputs_embeds"),
):
    """The encoder without a head."""


class EuroBertForMaskedLM(tasks.MaskedLM, base=EuroBertModel, head=heads.words("lm_head")):
    """Scores of every word at every place."""


class EuroBertForSequenceClassification(tasks.SequenceClassification, base=EuroBertModel, head=of_text()):
    """One set of scores a text."""


class EuroBertForTokenClassification(tasks.TokenClassification, base=EuroBertModel, head=heads.each_token()):
    """One set of scores a token."""
