"""XLNet (Yang et al. 2019, arXiv 1906.08237) as an encoder: attention by content, by distance (Dai et al. 2019, arXiv
1901.02860) and by whether two tokens are of one segment. Of whole rows: no memory of earlier ones, no orders of tokens.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Limit, Rate, Size, Token
from ..declare import Param, repeat, under
from ..layers import heads
from ..layers.activation import ACTIVATIONS
from ..layers.attention import attend, merge, visible
from ..layers.embedding import embed_tokens
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.norm import layer_norm
from ..layers.post_norm import check_heads
from ..layers.product import einsum
from ..layers.relative import look_around, sines_then_cosines
from ..layers.run import Block, Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network


class XLNetConfig(
    Config,
    model_type="xlnet",
    aliases={
        "hidden_size": "d_model",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
        "n_token": "vocab_size",
    },
    allowed={
        "ff_activation": ACTIVATIONS,
        "attn_type": ("bi",),
        "bi_data": (False,),
        "summary_type": ("last",),
        "summary_use_proj": (True,),
        "summary_proj_to_labels": (False,),
        "summary_activation": ("tanh",),
        "untie_r": (True, False),
        "same_length": (False, True),
    },
    ignores=("start_n_top", "end_n_top", "mem_len", "reuse_len", "use_mems_eval", "use_mems_train"),
):
    """Sizes and rates of an XLNet model; the defaults are xlnet-large-cased's.

    clamp_len: the furthest distance, where it is positive.
    """

    vocab_size: Size = 32000
    d_model: Size = 1024
    n_layer: Depth = 24
    n_head: Size = 16
    d_inner: Size = 4096
    ff_activation: str = "gelu"
    layer_norm_eps: Epsilon = 1e-12
    dropout: Rate = 0.1
    clamp_len: Limit = -1
    d_head: Size | None = None
    summary_last_dropout: Rate = 0.1
    pad_token_id: Token | None = 5

    def check(self) -> None:
        """Heads share the width evenly, and pairs of sine and cosine do too."""
        check_heads(self)
        if self.d_head not in (None, self.d_model // self.n_head) or self.d_model % 2:
            raise ValueError(f"XLNetConfig: d_model={self.d_model} must be even, and n_head times d_head={self.d_head}")


def parameters(c: XLNetConfig) -> declare.Tree:
    """The encoder's arrays; projections are [d_model, heads, width of a head]."""
    d, shape = c.d_model, (c.n_head, c.d_model // c.n_head)

    def projection(name: str) -> Param:
        return Param((d, *shape), ("embed", "heads", "head_dim"), name, "kernel")

    attention = {
        **{ours: projection(theirs) for ours, theirs in zip(PROJECTIONS, "qkvor", strict=True)},
        "word_bias": Param(shape, ("heads", "head_dim"), "r_w_bias", "bias"),
        "distance_bias": Param(shape, ("heads", "head_dim"), "r_r_bias", "bias"),
        "segment_bias": Param(shape, ("heads", "head_dim"), "r_s_bias", "bias"),
        "segments": Param((2, *shape), (None, "heads", "head_dim"), "seg_embed", "table"),
        "attention_norm": declare.layer_norm(d, "layer_norm"),
    }
    feed = {
        "up": declare.linear(d, c.d_inner, "layer_1", ("embed", "mlp")),
        "down": declare.linear(c.d_inner, d, "layer_2", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "layer_norm"),
    }
    return {
        "word": declare.embedding(c.vocab_size, d, "word_embedding", "vocab"),
        "mask": Param((1, 1, d), (None, None, "embed"), "mask_emb", "table"),  # of its training, and for nothing else
        "layers": repeat(c.n_layer, "layer.{}", under("rel_attn", attention) | under("ff", feed)),
    }


PROJECTIONS = ("to_query", "to_key", "to_value", "from_context", "distance")


def distances(c: XLNetConfig, length: int) -> jax.Array:
    """Sines and cosines [2T - 1, D] of how far a key is behind its query, T - 1 first."""
    behind = jnp.arange(length - 1, -length, -1, dtype=jnp.float32)
    if c.clamp_len > 0:
        behind = jnp.clip(behind, -c.clamp_len, c.clamp_len)
    return sines_then_cosines(behind, c.d_model)


def block(c: XLNetConfig, inputs: Inputs, sites: Sites) -> Block:
    """The layer as `run` takes it."""
    length = inputs.shape[1]
    seen = visible(inputs.mask)
    seen = None if seen is None else seen | jnp.eye(length, dtype=bool)  # padding sees itself
    far = sites.drop("distances", distances(c, length), c.dropout)
    other = None if inputs.types is None else inputs.types[:, :, None] != inputs.types[:, None, :]

    def apply(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        wide = jnp.promote_types(x.dtype, jnp.float32)

        def project(name: str, x: jax.Array) -> jax.Array:
            return einsum("...m,mhd->...hd", x, p[name], wide).astype(x.dtype)

        q, k, v = (project(name, x) for name in PROJECTIONS[:3])
        bias = look_around(p, q, far, other)
        context = attend(q + p["word_bias"], k, v, seen, bias=bias, rate=c.dropout, sites=sites)
        context = sites("attention_heads", merge(context)).reshape(context.shape)
        h = einsum("bthd,mhd->btm", context, p["from_context"], wide).astype(x.dtype)
        x = layer_norm(p["attention_norm"], x + sites("attention", h, c.dropout), c.layer_norm_eps)
        h = sites.drop("inner", ACTIVATIONS[c.ff_activation](linear(p["up"], x)), c.dropout)
        h = sites("ffn", linear(p["down"], h, like=x), c.dropout)
        return layer_norm(p["ffn_norm"], x + h, c.layer_norm_eps)

    return apply


def encode(params: Any, c: XLNetConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = sites.drop("embeddings", embed_tokens(params["word"], inputs), c.dropout)
    return run(block(c, inputs, sites), params["layers"], x, ask=ask, sites=sites)


def summary(labels: int | None = None) -> heads.Head:
    """Scores [B, labels] of what stands last in a row, through a dense layer; `labels` None: as the config says."""

    def parameters(c: XLNetConfig) -> declare.Tree:
        return {
            "dense": declare.linear(c.d_model, c.d_model, "sequence_summary.summary"),
            "classifier": declare.linear(c.d_model, labels or c.num_labels, "logits_proj"),
        }

    def forward(params: Any, c: XLNetConfig, encoded: Encoded, sites: Sites) -> jax.Array:
        p = params["head"]
        x = jnp.tanh(linear(p["dense"], encoded.state[:, -1]))
        return linear(p["classifier"], sites.drop("head", x, c.summary_last_dropout))

    return heads.Head(parameters, forward)


class XLNetModel(
    tasks.Encoder,
    config=XLNetConfig,
    prefix="transformer",
    network=Network(parameters, encode),
    accepts=("input_ids", "attention_mask", "token_type_ids", "inputs_embeds"),
):
    """The encoder without a head."""


class XLNetForSequenceClassification(tasks.SequenceClassification, base=XLNetModel, head=summary(), neutral=False):
    """One set of scores a text, by its last place: pad on the left."""


class XLNetForTokenClassification(tasks.TokenClassification, base=XLNetModel, head=heads.each_token()):
    """One set of scores a token."""


class XLNetForQuestionAnsweringSimple(tasks.QuestionAnswering, base=XLNetModel):
    """Where in a context the answer starts and ends."""


class XLNetForMultipleChoice(tasks.MultipleChoice, base=XLNetModel, head=summary(1), neutral=False):
    """Which of several continuations fits best, by its last place: pad on the left."""
