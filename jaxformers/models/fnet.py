"""FNet (Lee-Thorp et al. 2021, arXiv 2105.03824): BERT with Fourier transforms in place of attention."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Rate, Size, Token
from ..declare import repeat
from ..layers import heads, named_heads
from ..layers.activation import ACTIVATIONS
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.norm import layer_norm
from ..layers.post_norm import embeddings, summed
from ..layers.run import Block, Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network


class FNetConfig(
    Config,
    model_type="fnet",
    allowed={"hidden_act": ACTIVATIONS, "use_tpu_fourier_optimizations": (False,)},
    ignores=("tpu_short_seq_length",),
):
    """Sizes and rates of an FNet model; the defaults are fnet-base's."""

    vocab_size: Size = 32000
    hidden_size: Size = 768
    num_hidden_layers: Depth = 12
    intermediate_size: Size = 3072
    hidden_act: str = "gelu_new"
    hidden_dropout_prob: Rate = 0.1
    max_position_embeddings: Size = 512
    type_vocab_size: Size = 4
    layer_norm_eps: Epsilon = 1e-12
    use_tpu_fourier_optimizations: bool = False
    pad_token_id: Token | None = 3


def parameters(c: FNetConfig) -> declare.Tree:
    """The encoder's arrays and the pooler's."""
    d = c.hidden_size
    layer = {
        "fourier_norm": declare.layer_norm(d, "fourier.output.LayerNorm"),
        "up": declare.linear(d, c.intermediate_size, "intermediate.dense", ("embed", "mlp")),
        "down": declare.linear(c.intermediate_size, d, "output.dense", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "output.LayerNorm"),
    }
    return embeddings(c, d) | {
        "project": declare.projection(d, d, "embeddings.projection"),
        "layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer),
        "pooler": declare.projection(d, d, "pooler.dense"),
    }


def fourier(x: jax.Array) -> jax.Array:
    """The real part of the transform of x [B, T, D] along the row and along the width."""
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return jnp.fft.fft2(wide, axes=(1, 2)).real.astype(x.dtype)


def block(c: FNetConfig) -> Block:
    """The layer as `run` takes it; it has no probabilities."""

    def apply(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        x = layer_norm(p["fourier_norm"], x + sites("attention", fourier(x)), c.layer_norm_eps)
        h = linear(p["down"], ACTIVATIONS[c.hidden_act](linear(p["up"], x)), like=x)
        return layer_norm(p["ffn_norm"], x + sites("ffn", h, c.hidden_dropout_prob), c.layer_norm_eps)

    return apply


def encode(params: Any, c: FNetConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch.

    Raises:
        ValueError: attentions are wanted.
    """
    if ask.attentions:
        raise ValueError("FNet has no attentions: leave output_attentions out")
    x = layer_norm(params["norm"], summed(params, inputs, inputs.places), c.layer_norm_eps)
    x = sites.drop("embeddings", linear(params["project"], x), c.hidden_dropout_prob)
    return run(block(c), params["layers"], x, ask=ask, sites=sites)


class FNetModel(
    tasks.Encoder,
    config=FNetConfig,
    prefix="fnet",
    network=Network(parameters, encode),
    accepts=("input_ids", "token_type_ids", "position_ids", "inputs_embeds"),
    neutral=False,
):
    """The encoder with its pooler, without a head. Nothing hides padding; with every head stands the pooler."""


class FNetForPreTraining(
    tasks.PreTraining, base=FNetModel, head=heads.both(named_heads.predictions(), named_heads.next_sentence())
):
    """Masked words and the next sentence, as FNet was trained."""


class FNetForMaskedLM(tasks.MaskedLM, base=FNetModel, head=named_heads.predictions()):
    """Scores of every word at every place."""


class FNetForNextSentencePrediction(tasks.NextSentencePrediction, base=FNetModel, head=named_heads.next_sentence()):
    """Whether the second text follows the first."""


class FNetForSequenceClassification(
    tasks.SequenceClassification, base=FNetModel, head=heads.pooled(rate=heads.hidden_rate)
):
    """One set of scores a text."""


class FNetForTokenClassification(
    tasks.TokenClassification, base=FNetModel, head=heads.each_token(rate=heads.hidden_rate)
):
    """One set of scores a token."""


class FNetForQuestionAnswering(tasks.QuestionAnswering, base=FNetModel):
    """Where in a context the answer starts and ends."""


class FNetForMultipleChoice(tasks.MultipleChoice, base=FNetModel, head=heads.pooled(rate=heads.hidden_rate, labels=1)):
    """Which of several continuations fits best."""
