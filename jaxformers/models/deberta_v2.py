"""DeBERTa-v2 and -v3 (He et al. 2020, arXiv 2006.03654; 2021, arXiv 2111.09543): DeBERTa with plain projections,
distances on a logarithmic scale, and a convolution beside the first layer.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Count, Depth, Limit, Size
from ..declare import Param, repeat
from ..layers import heads, named_heads
from ..layers.activation import ACTIVATIONS
from ..layers.attention import attention, merge, project
from ..layers.disentangled import disentangled, embedded, embeddings, furthest, kinds, rows, sees
from ..layers.embedding import embed
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.norm import layer_norm
from ..layers.post_norm import Mix, block
from ..layers.product import einsum
from ..layers.run import Encoded, either, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import DisentangledSizes


class DebertaV2Config(
    DisentangledSizes,
    Config,
    model_type="deberta-v2",
    allowed={
        "conv_act": ACTIVATIONS,
        "conv_groups": (1,),
    },
):
    """Sizes and rates of a DeBERTa-v2 model; the defaults are torch Transformers'.

    position_buckets: distances that have a row of the table, on a logarithmic scale; below 1: all up to
    max_relative_positions. share_att_key: distances go through the projections of tokens. norm_rel_ebd: "layer_norm"
    norms their table. conv_kernel_size: of the convolution; 0: there is none.
    """

    vocab_size: Size = 128100
    hidden_size: Size = 1536
    num_hidden_layers: Depth = 24
    num_attention_heads: Size = 24
    attention_head_size: Size | None = None
    intermediate_size: Size = 6144
    position_buckets: Limit = -1
    share_att_key: bool = False
    norm_rel_ebd: str = "none"
    conv_kernel_size: Count = 0
    conv_act: str = "tanh"

    def check(self) -> None:
        """Heads share the width evenly, and the rest is what the reference computes."""
        super().check()
        if self.attention_head_size not in (None, self.hidden_size // self.num_attention_heads):
            raise ValueError(
                f"DebertaV2Config: attention_head_size={self.attention_head_size} must be hidden_size="
                f"{self.hidden_size} over num_attention_heads={self.num_attention_heads}"
            )
        if not 0 <= self.conv_kernel_size < 1024 or (self.conv_kernel_size and self.conv_kernel_size % 2 == 0):
            raise ValueError(f"DebertaV2Config: conv_kernel_size={self.conv_kernel_size} must be odd, or 0 for none")
        if self.position_buckets > 0 and not 1 < self.position_buckets < 2 * furthest(self) - 2:
            raise ValueError(
                f"DebertaV2Config: position_buckets={self.position_buckets} must be 2 or more, and below twice the "
                f"{furthest(self)} distances"
            )


def span(c: DebertaV2Config) -> int:
    """How many rows of the table are for distances to either side."""
    return c.position_buckets if c.position_buckets > 0 else furthest(c)


def parameters(c: DebertaV2Config) -> declare.Tree:
    """The encoder's arrays."""
    d = c.hidden_size
    names = (f"attention.self.{name}_proj" for name in ("query", "key", "value"))
    layer = {
        **attention(d, *names, "attention.output.dense"),
        "attention_norm": declare.layer_norm(d, "attention.output.LayerNorm"),
        "up": declare.linear(d, c.intermediate_size, "intermediate.dense", ("embed", "mlp")),
        "down": declare.linear(c.intermediate_size, d, "output.dense", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "output.LayerNorm"),
    }
    tree = embeddings(c)
    if c.relative_attention:
        tree["distance"] = declare.embedding(2 * span(c), d, "encoder.rel_embeddings")
        if normed(c):
            tree["distance_norm"] = declare.layer_norm(d, "encoder.LayerNorm")
        for kind, name in () if c.share_att_key else (("c2p", "pos_key_proj"), ("p2c", "pos_query_proj")):
            if kind in kinds(c):
                layer[kind] = declare.linear(d, d, f"attention.self.{name}", ("embed", "heads"))
    if c.conv_kernel_size:
        tree["convolution"] = {
            "kernel": Param((d, d, c.conv_kernel_size), ("embed", None, None), "encoder.conv.conv.weight", "kernel"),
            "bias": declare.vector(d, "encoder.conv.conv.bias", "embed"),
            "norm": declare.layer_norm(d, "encoder.conv.LayerNorm"),
        }
    return tree | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer)}


def normed(c: DebertaV2Config) -> bool:
    """Whether the table of distances has a norm."""
    return "layer_norm" in [word.strip() for word in c.norm_rel_ebd.lower().split("|")]


def self_attention(c: DebertaV2Config, seen: jax.Array | None, distances: jax.Array | None) -> Mix:
    """Every token takes from others by what they are and by the vectors of `distances` [2T - 1, D]."""
    width = c.hidden_size // c.num_attention_heads

    def mix(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = project(p, x, width)
        parts = []
        if distances is not None:
            vectors = sites.drop("positions", distances, c.hidden_dropout_prob)
            if c.share_att_key:
                queries, keys, _ = project(p, vectors[None], width)
                found = {"c2p": keys[0], "p2c": queries[0]}
            else:
                found = {kind: linear(p[kind], vectors).reshape(-1, *q.shape[2:]) for kind in kinds(c)}
            parts = [(kind, found[kind]) for kind in kinds(c)]
        context = disentangled(q, k, v, seen, parts, rate=c.attention_probs_dropout_prob, sites=sites)
        return merge(context)

    return mix


def convolved(p: Any, c: DebertaV2Config, inputs: Inputs, x: jax.Array, after: jax.Array, sites: Sites) -> jax.Array:
    """What the first layer makes of x, `after`, with what a convolution over neighbours makes of it added."""
    real = inputs.segment_ids
    size = c.conv_kernel_size
    wide = jnp.promote_types(x.dtype, jnp.float32)
    around = jnp.pad(jnp.where((real != 0)[..., None], x, 0), [(0, 0), (size // 2, size // 2), (0, 0)])
    owners = jnp.pad(real, [(0, 0), (size // 2, size // 2)])
    total = p["bias"].astype(wide)
    for shift in range(size):
        window = slice(shift, shift + x.shape[1])
        near = jnp.where((owners[:, window] == real)[..., None], around[:, window], 0)
        kernel = p["kernel"][..., shift]
        total = total + einsum("bti,oi->bto", near, kernel, wide)
    total = jnp.where((real != 0)[..., None], total, 0).astype(x.dtype)
    h = ACTIVATIONS[c.conv_act](sites.drop("convolution", total, c.hidden_dropout_prob))
    return jnp.where((real != 0)[..., None], layer_norm(p["norm"], after + h, c.layer_norm_eps), 0)


def encode(params: Any, c: DebertaV2Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = embedded(params, c, inputs, sites)
    distances = None
    if "distance" in params:
        near = max(c.position_buckets, 0)
        table = params["distance"]
        if "distance_norm" in params:
            table = {"table": layer_norm(params["distance_norm"], table["table"], c.layer_norm_eps)}
        distances = embed(table, rows(x.shape[1], span(c), near, furthest(c)))
    through = block(c, self_attention(c, sees(inputs), distances))
    if "convolution" not in params:
        return run(through, params["layers"], x, ask=ask, sites=sites)

    def first(p: Any, h: jax.Array, sites: Sites, is_first: Any) -> jax.Array:
        after = through(p, h, sites)
        both = lambda: convolved(params["convolution"], c, inputs, x, after, sites)  # noqa: E731
        return either(is_first, both, lambda: after)

    which = [layer == 0 for layer in range(c.num_hidden_layers)]
    return run(first, params["layers"], x, which, ask=ask, sites=sites)


class DebertaV2Model(tasks.Encoder, config=DebertaV2Config, prefix="deberta", network=Network(parameters, encode)):
    """The encoder without a head."""


class DebertaV2ForMaskedLM(tasks.MaskedLM, base=DebertaV2Model, head=named_heads.legacy_predictions()):
    """Scores of every word at every place."""


class DebertaV2ForSequenceClassification(
    tasks.SequenceClassification, base=DebertaV2Model, head=named_heads.context_pooled()
):
    """One set of scores a text."""


class DebertaV2ForTokenClassification(
    tasks.TokenClassification, base=DebertaV2Model, head=heads.each_token(rate=heads.hidden_rate)
):
    """One set of scores a token."""


class DebertaV2ForQuestionAnswering(tasks.QuestionAnswering, base=DebertaV2Model):
    """Where in a context the answer starts and ends."""


class DebertaV2ForMultipleChoice(tasks.MultipleChoice, base=DebertaV2Model, head=named_heads.context_pooled(labels=1)):
    """Which of several continuations fits best."""
