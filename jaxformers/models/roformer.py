"""RoFormer (Su et al. 2021, arXiv 2104.09864): BERT's encoder where queries and keys are rotated by their positions."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..batch import SEGMENTED
from ..config import Config, Size
from ..declare import repeat
from ..layers import heads, named_heads, post_norm
from ..layers.attention import attend, merge, project, visible
from ..layers.causal import Causal
from ..layers.decoder import keys_values
from ..layers.embedding import embed
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.post_norm import Mix, Turn, block, directed_layer, embedded, embeddings, layer
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import BertSizes, EitherWay


class RoFormerConfig(
    EitherWay,
    BertSizes,
    Config,
    model_type="roformer",
    allowed={
        **EitherWay.allowed,
        **BertSizes.allowed,
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


def arrays(c: RoFormerConfig, one: declare.Tree) -> declare.Tree:
    """The tables, and layers of which each has the arrays `one`.

    "angles" holds sines and cosines [positions, D/H], which files carry.
    """
    tree = embeddings(c, width(c))
    del tree["position"]
    if width(c) != c.hidden_size:
        tree["project"] = declare.projection(width(c), c.hidden_size, "embeddings_project")
    shape = (c.max_position_embeddings, c.hidden_size // c.num_attention_heads)
    name, axes = "encoder.embed_positions.weight", (None, "embed")
    angles = declare.Param(shape, axes, name, "buffer", declare.sines_then_cosines)
    return tree | {
        "angles": {"table": angles},
        "layers": repeat(c.num_hidden_layers, "encoder.layer.{}", one),
    }


def body(c: RoFormerConfig) -> declare.Tree:
    """The encoder's arrays."""
    return arrays(c, layer(c))


def directed(c: RoFormerConfig) -> declare.Tree:
    """The arrays of layers that are read in one direction."""
    return arrays(c, directed_layer(c))


def rotate(x: jax.Array, angles: jax.Array) -> jax.Array:
    """Heads [B, T, H, d] whose neighbouring pairs are rotated by angles [B or 1, T, d], sines first, then cosines."""
    sine, cosine = jnp.split(angles[:, :, None], 2, axis=-1)
    even, odd = x[..., 0::2], x[..., 1::2]
    turned = jnp.stack([even * cosine - odd * sine, odd * cosine + even * sine], axis=-1)
    return turned.reshape(x.shape)


def rotated(params: Any, c: RoFormerConfig, places: jax.Array) -> Turn:
    """How queries and keys, and where the config says so values, turn at places [B or 1, T]."""
    angles = jax.lax.stop_gradient(embed(params["angles"], places))
    return lambda q, k, v: (rotate(q, angles), rotate(k, angles), rotate(v, angles) if c.rotary_value else v)


def rotary_attention(c: RoFormerConfig, seen: jax.Array | None, turn: Turn) -> Mix:
    """Attention whose scores depend on how far query and key are apart."""

    def mix(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = turn(*project(p, x, c.hidden_size // c.num_attention_heads))
        context = attend(q, k, v, seen, rate=c.attention_probs_dropout_prob, sites=sites)
        return merge(context)

    return mix


def encode(params: Any, c: RoFormerConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = entering(params, c, inputs, inputs.places, sites)
    through = block(c, rotary_attention(c, visible(inputs.mask), rotated(params, c, inputs.places)))
    return run(through, params["layers"], x, ask=ask, sites=sites)


def decode(params: Any, c: RoFormerConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order = Causal.of(inputs)
    x = entering(params, c, inputs, order.positions, sites)
    return post_norm.decode(params, c, inputs, order, x, ask, sites, rotated(params, c, order.positions))


def entering(params: Any, c: RoFormerConfig, inputs: Inputs, places: jax.Array, sites: Sites) -> jax.Array:
    """What enters the first layer [B, T, D]."""
    x = embedded(params, c, inputs, places, sites)
    return linear(params["project"], x) if "project" in params else x


class RoFormerModel(tasks.Encoder, config=RoFormerConfig, prefix="roformer", network=Network(body, encode)):
    """The encoder without a head."""


class RoFormerForMaskedLM(
    tasks.MaskedLM,
    base=RoFormerModel,
    head=named_heads.predictions(width=width),
):
    """Scores of every word at every place."""


class RoFormerForCausalLM(
    tasks.DirectedLM,
    base=RoFormerModel,
    network=Network(directed, decode=decode, cells=keys_values),
    accepts=SEGMENTED,
    head=named_heads.predictions(width=width),
):
    """Scores of every word to follow each token, of layers that are read in one direction: config.is_decoder."""


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
