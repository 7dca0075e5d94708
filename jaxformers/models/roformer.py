"""RoFormer (Su et al. 2021, arXiv 2104.09864): BERT's encoder where queries and keys are rotated by their positions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Size
from ..declare import repeat
from ..layers import heads, named_heads
from ..layers.attention import attend, merge, project, visible
from ..layers.embedding import embed
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.post_norm import Mix, block, embedded, embeddings, layer
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import BertSizes


class RoFormerConfig(
    BertSizes,
    Config,
    model_type="roformer",
    allowed={
        "summary_type": ("last",),
        "summary_use_proj": (False,),
        "summary_activation": (None,),
    },
):
    """Sizes and rates of a RoFormer model; the defaults are roformer_chinese_base's. `rotary_value`: values as well."""

    vocab_size: Size = 50000
    embedding_size: Size | None = None
    max_position_embeddings: Size = 1536
    rotary_value: bool = False

    def check(self) -> None:
        """Heads share the width evenly, and have pairs to rotate."""
        super().check()
        if self.hidden_size // self.num_attention_heads % 2:
            raise ValueError(
                f"RoFormerConfig: hidden_size={self.hidden_size} over num_attention_heads={self.num_attention_heads} "
                "gives heads of odd width, which rotation does not take"
            )


def width(c: RoFormerConfig) -> int:
    """The width of the embeddings: the layers' where the config says nothing."""
    return c.embedding_size or c.hidden_size


def parameters(c: RoFormerConfig) -> declare.Tree:
    """The encoder's arrays; "angles" holds sines and cosines [positions, D/H], which files carry."""
    tree = embeddings(c, width(c))
    del tree["position"]
    if width(c) != c.hidden_size:
        tree["project"] = declare.projection(width(c), c.hidden_size, "embeddings_project")
    shape = (c.max_position_embeddings, c.hidden_size // c.num_attention_heads)
    angles = declare.Param(shape, (None, None), "encoder.embed_positions.weight", "buffer", declare.sines_then_cosines)
    return tree | {
        "angles": {"table": angles},
        "layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer(c)),
    }


def rotate(x: jax.Array, angles: jax.Array) -> jax.Array:
    """Heads [B, T, H, d] whose neighbouring pairs are rotated by angles [B or 1, T, d], sines first, then cosines."""
    sine, cosine = jnp.split(angles[:, :, None], 2, axis=-1)
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = jnp.stack([even * cosine - odd * sine, odd * cosine + even * sine], axis=-1)
    return turned.reshape(x.shape)


def rotary_attention(c: RoFormerConfig, seen: jax.Array | None, angles: jax.Array) -> Mix:
    """Attention whose scores depend on how far query and key are apart."""

    def mix(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = project(p, x, c.hidden_size // c.num_attention_heads)
        q, k, v = rotate(q, angles), rotate(k, angles), rotate(v, angles) if c.rotary_value else v
        context = attend(q, k, v, seen, rate=c.attention_probs_dropout_prob, sites=sites)
        return merge(context)

    return mix


def encode(params: Any, c: RoFormerConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = embedded(params, c, inputs, inputs.places, sites)
    if "project" in params:
        x = linear(params["project"], x)
    angles = jax.lax.stop_gradient(embed(params["angles"], inputs.places))
    through = block(c, rotary_attention(c, visible(inputs.mask), angles))
    return run(through, params["layers"], x, ask=ask, sites=sites)


class RoFormerModel(tasks.Encoder, config=RoFormerConfig, prefix="roformer", network=Network(parameters, encode)):
    """The encoder without a head."""


class RoFormerForMaskedLM(
    tasks.MaskedLM,
    base=RoFormerModel,
    head=named_heads.predictions(width=width),
):
    """Scores of every word at every place."""


class RoFormerForSequenceClassification(
    tasks.SequenceClassification,
    base=RoFormerModel,
    head=named_heads.classification_head("hidden_act", rate=heads.hidden_rate),
):
    """One set of scores a text."""


class RoFormerForTokenClassification(
    tasks.TokenClassification, base=RoFormerModel, head=heads.each_token(rate=heads.hidden_rate)
):
    """One set of scores a token."""


class RoFormerForQuestionAnswering(tasks.QuestionAnswering, base=RoFormerModel):
    """Where in a context the answer starts and ends."""


class RoFormerForMultipleChoice(
    tasks.MultipleChoice, base=RoFormerModel, head=heads.last_place(labels=1), neutral=False
):
    """Which of several continuations fits best, by its last place."""
