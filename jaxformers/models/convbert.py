"""ConvBERT (Jiang et al. 2020, arXiv 2008.02496): half of the heads of each layer are convolutions, whose weights each
place makes from its own surroundings. Embeddings and heads are ELECTRA's.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Rate, Size, Token
from ..declare import Param, repeat, under
from ..layers import heads, named_heads
from ..layers.activation import ACTIVATIONS
from ..layers.attention import QKV, attend, merge, project, visible
from ..layers.convolution import convolve
from ..layers.grouped import grouped
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.post_norm import Feed, Mix, block, embedded, embeddings
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import BertSizes


class ConvBertConfig(
    BertSizes,
    Config,
    model_type="convbert",
    allowed={
        "summary_type": ("last",),
        "summary_use_proj": (False,),
        "summary_activation": (None,),
    },
):
    """Sizes and rates of a ConvBERT model; the defaults are conv-bert-base's.

    head_ratio: of so many heads one is left, the rest are convolutions. num_groups: of the feed-forward networks.
    """

    embedding_size: Size = 768
    head_ratio: Size = 2
    conv_kernel_size: Size = 9
    num_groups: Size = 1
    classifier_dropout: Rate | None = None
    pad_token_id: Token | None = 1

    @property
    def heads(self) -> int:
        """Heads that attend, and as many that convolve."""
        return max(self.num_attention_heads // self.head_ratio, 1)

    def check(self) -> None:
        """Heads share half of the width evenly, groups share all widths, and a kernel has a middle."""
        if self.hidden_size % (2 * self.heads):
            raise ValueError(
                f"ConvBertConfig: half of hidden_size={self.hidden_size} is no multiple of the {self.heads} heads that "
                f"num_attention_heads={self.num_attention_heads} and head_ratio={self.head_ratio} leave"
            )
        if self.hidden_size % self.num_groups or self.intermediate_size % self.num_groups:
            raise ValueError(
                f"ConvBertConfig: hidden_size={self.hidden_size} and intermediate_size={self.intermediate_size} must "
                f"be multiples of num_groups={self.num_groups}"
            )
        if self.conv_kernel_size % 2 == 0:
            raise ValueError(f"ConvBertConfig: conv_kernel_size={self.conv_kernel_size} must be odd")


def parameters(c: ConvBertConfig) -> declare.Tree:
    """The encoder's arrays; the embeddings are projected where they are of another width."""
    d, half = c.hidden_size, c.hidden_size // 2

    def dense(d_in: int, d_out: int, name: str, axes: tuple[str, str]) -> declare.Tree:
        if c.num_groups == 1:
            return declare.linear(d_in, d_out, name, axes)
        shape = (c.num_groups, d_out // c.num_groups, d_in // c.num_groups)
        return {
            "blocks": Param(shape, (None, *axes[::-1]), f"{name}.weight", "matrix", layout="transposed"),
            "bias": declare.vector(d_out, f"{name}.bias", axes[1]),
        }

    layer = {
        **under(
            "attention.self",
            {
                **declare.together("qkv", {name: declare.linear(d, half, name, ("embed", "heads")) for name in QKV}),
                "around": under(  # what is around each place, to be multiplied with its query
                    "key_conv_attn_layer",
                    {
                        "depthwise": Param(
                            (d, 1, c.conv_kernel_size), ("embed", None, None), "depthwise.weight", "kernel"
                        ),
                        "weight": Param((half, d), ("heads", "embed"), "pointwise.weight", "matrix", layout="squeezed"),
                        "bias": Param((half,), ("heads",), "bias", "bias", declare.zeros, layout="squeezed"),
                    },
                ),
                "kernel": declare.linear(half, c.heads * c.conv_kernel_size, "conv_kernel_layer"),
                "convolved": declare.linear(d, half, "conv_out_layer", ("embed", "heads")),
            },
        ),
        "out": declare.linear(d, d, "attention.output.dense", ("heads", "embed")),
        "attention_norm": declare.layer_norm(d, "attention.output.LayerNorm"),
        "up": dense(d, c.intermediate_size, "intermediate.dense", ("embed", "mlp")),
        "down": dense(c.intermediate_size, d, "output.dense", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "output.LayerNorm"),
    }
    tree = embeddings(c, c.embedding_size)
    if c.embedding_size != d:
        tree["project"] = declare.projection(c.embedding_size, d, "embeddings_project")
    return tree | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer)}


def mixed_attention(c: ConvBertConfig, seen: jax.Array | None) -> Mix:
    """One half of the width by attention, the other by convolutions whose weights come from query and surroundings."""
    width = c.hidden_size // 2 // c.heads

    def mix(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = project(p, x, width)
        context = attend(q, k, v, seen, rate=c.attention_probs_dropout_prob, sites=sites)
        around = linear(p["around"], convolve(x, p["around"]["depthwise"][:, 0].T))
        kernel = linear(p["kernel"], around * merge(q)).reshape(*x.shape[:2], c.heads, c.conv_kernel_size)
        kernel = jax.nn.softmax(kernel.astype(jnp.promote_types(x.dtype, jnp.float32)))
        convolved = linear(p["convolved"], x).reshape(v.shape)
        convolved = convolve(convolved, jnp.moveaxis(kernel, -1, 0)[..., None])
        return merge(jnp.concatenate([context, convolved], axis=2))

    return mix


def dense(p: Any, x: jax.Array, like: jax.Array | None = None) -> jax.Array:
    """A layer of the feed-forward network: in groups where its arrays are."""
    return grouped(p, x) if "blocks" in p else linear(p, x, like)


def grouped_feed(c: ConvBertConfig) -> Feed:
    """The feed-forward network, in groups where the config has several."""
    return lambda p, x: dense(p["down"], ACTIVATIONS[c.hidden_act](dense(p["up"], x)), like=x)


def encode(params: Any, c: ConvBertConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = embedded(params, c, inputs, inputs.places, sites)
    if "project" in params:
        x = linear(params["project"], x)
    through = block(c, mixed_attention(c, visible(inputs.mask)), grouped_feed(c))
    return run(through, params["layers"], x, ask=ask, sites=sites)


class ConvBertModel(
    tasks.Encoder, config=ConvBertConfig, prefix="convbert", network=Network(parameters, encode), neutral=False
):
    """The encoder without a head. Convolutions see padding."""


class ConvBertForMaskedLM(tasks.MaskedLM, base=ConvBertModel, head=named_heads.generator()):
    """Scores of every word at every place."""


class ConvBertForSequenceClassification(
    tasks.SequenceClassification,
    base=ConvBertModel,
    head=named_heads.classification_head("hidden_act"),
):
    """One set of scores a text."""


class ConvBertForTokenClassification(tasks.TokenClassification, base=ConvBertModel):
    """One set of scores a token."""


class ConvBertForQuestionAnswering(tasks.QuestionAnswering, base=ConvBertModel):
    """Where in a context the answer starts and ends."""


class ConvBertForMultipleChoice(tasks.MultipleChoice, base=ConvBertModel, head=heads.last_place(labels=1)):
    """Which of several continuations fits best, by its last place."""
