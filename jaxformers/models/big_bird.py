"""BigBird (Zaheer et al. 2020, arXiv 2007.14062): BERT whose tokens, in long rows, see blocks: the first, the last, and
the three around them.

In training each block saw a few at random as well. The reference takes the first block in place of all of them when it
answers, so this block counts several times; what is here computes that, in training too.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import declare, outputs, tasks
from ..config import Config, Depth, Rate, Size, Token
from ..declare import repeat
from ..layers import heads, named_heads
from ..layers.activation import ACTIVATIONS
from ..layers.attention import QKV, attend, merge, probabilities, project, taken, visible
from ..layers.embedding import embed_tokens
from ..layers.heads import Head
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.norm import layer_norm
from ..layers.post_norm import Mix, block, embeddings, layer, self_attention, summed
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import BertSizes


class BigBirdConfig(
    BertSizes,
    Config,
    model_type="big_bird",
    allowed={
        "position_embedding_type": ("absolute",),
        "attention_type": ("block_sparse", "original_full"),
    },
):
    """Sizes and rates of a BigBird model; the defaults are bigbird-roberta-base's.

    attention_type: "original_full", or "block_sparse" with blocks of block_size tokens, which rows have that are longer
    than 5 + 2 * num_random_blocks blocks. sep_token_id: what ends a question.
    """

    vocab_size: Size = 50358
    hidden_act: str = "gelu_new"
    max_position_embeddings: Size = 4096
    attention_type: str = "block_sparse"
    block_size: Size = 64
    num_random_blocks: Depth = 3
    use_bias: bool = True
    rescale_embeddings: bool = False
    classifier_dropout: Rate | None = None
    sep_token_id: Token = 66

    def sparse(self, length: int) -> bool:
        """Whether tokens of rows of this length see blocks only."""
        blocks = 5 + 2 * self.num_random_blocks
        return self.attention_type == "block_sparse" and length > blocks * self.block_size


def body(c: BigBirdConfig) -> declare.Tree:
    """The encoder's arrays."""
    each = layer(c)
    if not c.use_bias:
        each |= {name: {"weight": each[name]["weight"]} for name in QKV}
    return embeddings(c, c.hidden_size) | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", each)}


def attend_blocks(
    q: jax.Array, k: jax.Array, v: jax.Array, real: jax.Array, size: int, first: int, *, rate: float, sites: Sites
) -> jax.Array:
    """Attention in time linear in T: q, k and v [B, T, H, d], real [B, T] → the context [B, T, H, d].

    The first and the last block of `size` tokens see and are seen by all, others see themselves and their neighbours.
    For these the first block counts `first` times; their probabilities [B, H, T, T], where somebody reads them, have it
    once.
    """
    length = q.shape[1]
    count = -(-length // size)
    spare = count * size - length
    q, k, v, real = (jnp.pad(x, [(0, 0), (0, spare)] + [(0, 0)] * (x.ndim - 2)) for x in (q, k, v, real))
    (rows, _, number, _), inner = q.shape, np.arange(1, count - 1)

    ends = np.array([0, count - 1])
    blocks = [x.reshape(rows, count, size, *x.shape[2:]) for x in (q, k, v, real)]
    outer = blocks[0][:, ends].reshape(rows, 2 * size, *q.shape[2:])

    near = np.stack([0 * inner, inner - 1, inner, inner + 1, 0 * inner + count - 1], axis=1)
    once = np.ones(near.shape, bool)
    once[0, 1] = once[-1, 3] = False  # the first block and the last one are neighbours there
    some = [x[:, near].reshape(-1, 5 * size, *x.shape[3:]) for x in blocks[1:]]
    seen = visible(some[2] & np.tile(once.repeat(size, axis=1), (rows, 1)))
    times = jnp.where(np.arange(5 * size) < size, math.log(first), 0.0)
    middle = blocks[0][:, 1:-1].reshape(-1, size, *q.shape[2:])

    if sites.taps("attention_weights"):
        weights = probabilities(middle, some[0], seen, times).reshape(rows, len(inner), number, size, 5, size)
        weights = weights.at[..., 0, :].divide(first)
        table = jnp.zeros((rows, number, count, size, count, size), weights.dtype)
        table = table.at[:, :, inner[:, None], :, near].add(weights.transpose(1, 4, 0, 2, 3, 5))
        whole = probabilities(outer, k, visible(real)).reshape(rows, number, 2, size, count, size)
        table = table.at[:, :, ends].set(whole).reshape(rows, number, count * size, count * size)
        table = sites("attention_weights", table[:, :, :length, :length], rate)
        several = table.at[:, :, size : size * (count - 1), :size].multiply(first)
        return jnp.where(real[:, :length, None, None], taken(several, v[:, :length]), 0)

    sides = attend(outer, k, v, visible(real), rate=rate, sites=sites)
    context = attend(middle, some[0], some[1], seen, bias=times, rate=rate, sites=sites)
    inside = context.reshape(rows, len(inner) * size, *q.shape[2:])
    whole = jnp.concatenate([sides[:, :size], inside, sides[:, size:]], axis=1)
    return jnp.where(real[:, :, None, None], whole, 0)[:, :length]


def block_attention(c: BigBirdConfig, real: jax.Array) -> Mix:
    """Attention by blocks; padding takes nothing."""

    def mix(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = project(p, x, c.hidden_size // c.num_attention_heads)
        rate = c.attention_probs_dropout_prob
        context = attend_blocks(q, k, v, real, c.block_size, 1 + c.num_random_blocks, rate=rate, sites=sites)
        return merge(context)

    return mix


def encode(params: Any, c: BigBirdConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch.

    Raises:
        ValueError: a mask [B, T, T] for rows so long that attention is by blocks.
    """
    if c.rescale_embeddings:
        scaled = embed_tokens(params["word"], inputs) * c.hidden_size**0.5
        inputs = dataclasses.replace(inputs, ids=None, embeds=scaled)
    x = sites.drop("embeddings", summed(params, inputs, inputs.places), c.hidden_dropout_prob)
    x = layer_norm(params["norm"], x, c.layer_norm_eps)
    mix = self_attention(c, visible(inputs.mask))
    if c.sparse(inputs.shape[1]):
        if inputs.mask is not None and inputs.mask.ndim == 3:
            raise ValueError("BigBird's attention by blocks takes an attention_mask [batch, seq]")
        mix = block_attention(c, jnp.ones(inputs.shape, bool) if inputs.mask is None else inputs.mask != 0)
    return run(block(c, mix), params["layers"], x, ask=ask, sites=sites)


def span() -> Head:
    """Two scores a token [B, T, 2], after one more feed-forward network."""

    def parameters(c: BigBirdConfig) -> declare.Tree:
        d, wide = c.hidden_size, c.intermediate_size
        return declare.under(
            "qa_classifier",
            {
                "up": declare.linear(d, wide, "intermediate.dense", ("embed", "mlp")),
                "down": declare.linear(wide, d, "output.dense", ("mlp", "embed")),
                "norm": declare.layer_norm(d, "output.LayerNorm"),
                "classifier": declare.linear(d, 2, "qa_outputs"),
            },
        )

    def forward(params: Any, c: BigBirdConfig, encoded: Encoded, sites: Sites) -> jax.Array:
        p, x = params["head"], encoded.state
        h = ACTIVATIONS[c.hidden_act](linear(p["up"], sites.drop("head", x, c.hidden_dropout_prob)))
        h = sites.drop("head_after", linear(p["down"], h, like=x), c.hidden_dropout_prob)
        return linear(p["classifier"], layer_norm(p["norm"], x + h, c.layer_norm_eps))

    return Head(parameters, forward)


_QUESTION = 1e6  # less than any score: what tokens of a question lose


class BigBirdModel(
    tasks.Encoder,
    config=BigBirdConfig,
    prefix="bert",
    network=Network(heads.with_pooler(body, "pooler"), encode),
    neutral=False,
):
    """The encoder with its pooler, without a head. Padding moves a row's last block, and how many blocks it has."""


class BigBirdForPreTraining(
    tasks.PreTraining, base=BigBirdModel, head=heads.both(named_heads.predictions(), named_heads.next_sentence())
):
    """Masked words and the next sentence."""


class BigBirdForMaskedLM(tasks.MaskedLM, base=BigBirdModel, head=named_heads.predictions()):
    """Scores of every word at every place."""


class BigBirdForSequenceClassification(
    tasks.SequenceClassification,
    base=BigBirdModel,
    head=named_heads.classification_head("hidden_act"),
):
    """One set of scores a text."""


class BigBirdForTokenClassification(tasks.TokenClassification, base=BigBirdModel):
    """One set of scores a token."""


class BigBirdForQuestionAnswering(tasks.QuestionAnswering, base=BigBirdModel, parameters=body, head=span()):
    """Where in a context the answer starts and ends.

    The question, up to the first separator, is no answer: but for a row's first token its scores lose a million. Where
    no segments are given, the question is the first and what follows the second.
    """

    @classmethod
    def arrange(cls, config: Any, inputs: Inputs, labels: tasks.Labels) -> Inputs:
        """What follows the question is the second segment."""
        if inputs.ids is None or inputs.types is not None:
            return inputs
        return dataclasses.replace(inputs, types=1 - asked(config, inputs.ids).astype(jnp.int32))

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: tasks.Labels, config: Any) -> outputs.Output:
        """Start and end scores [B, T] without the question's, and their loss where both labels are given."""
        if encoded.inputs.ids is not None:
            question = asked(config, encoded.inputs.ids) & (jnp.arange(scores.shape[1]) > 0)
            scores = scores - _QUESTION * question[..., None]
        return super().finish(scores, encoded, labels, config)


def asked(c: BigBirdConfig, ids: jax.Array) -> jax.Array:
    """Which tokens [B, T] are those of the question, up to the first separator."""
    return jnp.arange(ids.shape[1]) <= jnp.argmax(ids == c.sep_token_id, axis=1)[:, None]


class BigBirdForMultipleChoice(
    tasks.MultipleChoice, base=BigBirdModel, head=heads.pooled(rate=heads.hidden_rate, labels=1)
):
    """Which of several continuations fits best."""
