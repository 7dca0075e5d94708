"""Nyströmformer (Xiong et al. 2021, arXiv 2102.03902): attention through landmarks (means of a row's segments)
and a convolution of the values beside it.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Epsilon, Size, Token
from ..declare import Param, repeat
from ..layers import heads, named_heads
from ..layers.attention import attend, merge, project, visible
from ..layers.convolution import convolve
from ..layers.inputs import Ask, Inputs
from ..layers.post_norm import Mix, block, embedded, embeddings, layer
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import BertSizes

_BEFORE = 2  # rows of the table of positions before the first token's
_STEPS = 6  # of the iteration towards an inverse


class NystromformerConfig(
    BertSizes,
    Config,
    model_type="nystromformer",
    allowed={
        "position_embedding_type": ("absolute",),
        "inv_coeff_init_option": (False,),
    },
):
    """Sizes and rates of a Nyströmformer model; the defaults are nystromformer-512's.

    num_landmarks: of a row of segment_means_seq_len tokens, no more and no less; where both are equal, as in the
    checkpoints on the Hub, attention is the plain one and rows are of any length. No conv_kernel_size: no convolution.
    """

    vocab_size: Size = 30000
    hidden_act: str = "gelu_new"
    max_position_embeddings: Size = 510
    segment_means_seq_len: Size = 64
    num_landmarks: Size = 64
    conv_kernel_size: Size | None = 65
    inv_coeff_init_option: bool = False
    layer_norm_eps: Epsilon = 1e-5
    pad_token_id: Token | None = 1

    def check(self) -> None:
        """Heads share the width evenly, landmarks the rows, and a kernel has a middle."""
        super().check()
        if self.segment_means_seq_len % self.num_landmarks:
            raise ValueError(
                f"NystromformerConfig: segment_means_seq_len={self.segment_means_seq_len} is no multiple of "
                f"num_landmarks={self.num_landmarks}"
            )
        if self.conv_kernel_size is not None and self.conv_kernel_size % 2 == 0:
            raise ValueError(f"NystromformerConfig: conv_kernel_size={self.conv_kernel_size} must be odd")


def parameters(c: NystromformerConfig) -> declare.Tree:
    """The encoder's arrays."""
    each = layer(c)
    if c.conv_kernel_size is not None:
        shape = (c.num_attention_heads, 1, c.conv_kernel_size, 1)
        each["convolution"] = Param(shape, ("heads", None, None, None), "attention.self.conv.weight", "kernel")
    rows = c.max_position_embeddings + _BEFORE
    return embeddings(c, c.hidden_size) | {
        "position": declare.embedding(rows, c.hidden_size, "embeddings.position_embeddings"),
        "layers": repeat(c.num_hidden_layers, "encoder.layer.{}", each),
    }


def inverse(x: jax.Array) -> jax.Array:
    """Nearly the pseudoinverse of matrices x [..., L, L] with rows that sum to 1 (section 3.2.2 of the paper).

    The start is scaled by the largest of all columns' sums, so the rows of a batch move each other's results.
    """
    one = jnp.eye(x.shape[-1], dtype=x.dtype)
    y = jnp.swapaxes(x, -1, -2) / x.sum(-2).max()
    for _ in range(_STEPS):
        xy = x @ y
        y = 0.25 * y @ (13 * one - xy @ (15 * one - xy @ (7 * one - xy)))
    return y


def through_landmarks(
    q: jax.Array, k: jax.Array, v: jax.Array, seen: jax.Array | None, count: int, sites: Sites
) -> jax.Array:
    """Attention in time linear in T: q, k and v [B, T, H, d] → context [B, T, H, d].

    Landmarks are means over padding too. The site "attention_weights" is what queries take from each of `count`
    landmarks [B, H, T, count], which are no probabilities.
    """
    wide = jnp.promote_types(q.dtype, jnp.float32)
    q, k, u = (jnp.swapaxes(x, 1, 2).astype(wide) for x in (q, k, v))
    q, k = q * q.shape[-1] ** -0.25, k * k.shape[-1] ** -0.25
    middle_q, middle_k = (x.reshape(*x.shape[:2], count, -1, x.shape[-1]).mean(3) for x in (q, k))
    scores = middle_q @ jnp.swapaxes(k, -1, -2)
    if seen is not None:
        scores = jnp.where(seen, scores, jnp.finfo(wide).min)
    between = jax.nn.softmax(middle_q @ jnp.swapaxes(middle_k, -1, -2))
    weights = jax.nn.softmax(q @ jnp.swapaxes(middle_k, -1, -2)) @ inverse(between)
    weights = sites("attention_weights", weights.astype(v.dtype)).astype(wide)
    context = weights @ (jax.nn.softmax(scores) @ u)
    return jnp.swapaxes(context, 1, 2).astype(v.dtype)


def nystrom_attention(c: NystromformerConfig, seen: jax.Array | None) -> Mix:
    """Attention, through landmarks or plain, plus a convolution of the values; no dropout within."""

    def mix(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = project(p, x, c.hidden_size // c.num_attention_heads)
        if c.num_landmarks == c.segment_means_seq_len:
            context = attend(q, k, v, seen, sites=sites)
        else:
            context = through_landmarks(q, k, v, seen, c.num_landmarks, sites)
        if "convolution" in p:
            context = context + convolve(v, p["convolution"][:, 0].swapaxes(0, 1))
        return merge(context)

    return mix


def encode(params: Any, c: NystromformerConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch.

    Raises:
        ValueError: rows of another length than the landmarks divide.
    """
    length = inputs.shape[1]
    if c.num_landmarks != c.segment_means_seq_len != length:
        raise ValueError(
            f"rows must have segment_means_seq_len={c.segment_means_seq_len} tokens, found {length}: tokenize with "
            f"padding='max_length', max_length={c.segment_means_seq_len}, truncation=True"
        )
    places = inputs.places + _BEFORE if inputs.positions is None else inputs.positions
    x = embedded(params, c, inputs, places, sites)
    through = block(c, nystrom_attention(c, visible(inputs.mask)))
    return run(through, params["layers"], x, ask=ask, sites=sites)


class NystromformerModel(
    tasks.Encoder,
    config=NystromformerConfig,
    prefix="nystromformer",
    network=Network(parameters, encode),
    neutral=False,
):
    """The encoder without a head. Convolutions and landmarks see padding."""


class NystromformerForMaskedLM(
    tasks.MaskedLM,
    base=NystromformerModel,
    head=named_heads.predictions(),
):
    """Scores of every word at every place."""


class NystromformerForSequenceClassification(
    tasks.SequenceClassification,
    base=NystromformerModel,
    head=named_heads.classification_head("hidden_act", rate=heads.hidden_rate),
):
    """One set of scores a text."""


class NystromformerForTokenClassification(
    tasks.TokenClassification, base=NystromformerModel, head=heads.each_token(rate=heads.hidden_rate)
):
    """One set of scores a token."""


class NystromformerForQuestionAnswering(tasks.QuestionAnswering, base=NystromformerModel):
    """Where in a context the answer starts and ends."""


class NystromformerForMultipleChoice(
    tasks.MultipleChoice,
    base=NystromformerModel,
    head=heads.first_token("pre_classifier", "relu", "classifier", labels=1),
):
    """Which of several continuations fits best."""
