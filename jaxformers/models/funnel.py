"""Funnel Transformer (Dai et al. 2020, arXiv 2006.03236): blocks of layers over ever shorter rows, each half of the one
before, and a decoder that brings the last one back to a vector a token. The base models leave the decoder out.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Rate, Repeats, Size, Token
from ..declare import Param, repeat
from ..layers import heads, named_heads
from ..layers.activation import ACTIVATIONS
from ..layers.attention import attend, merge, through_out, visible
from ..layers.embedding import embed_tokens
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.norm import layer_norm
from ..layers.pooling import Level, pooled, pooled_states, spread
from ..layers.relative import look_around, sines_then_cosines
from ..layers.run import Block, Encoded, listed, run
from ..layers.sites import PLAIN, Sites
from ..network import Network

_FIRST = 2  # the segment of a text's first token, which is of every other's segment too


class FunnelConfig(
    Config,
    model_type="funnel",
    aliases={"hidden_size": "d_model", "num_attention_heads": "n_head"},
    allowed={
        "hidden_act": ACTIVATIONS,
        "pooling_type": ("mean", "max"),
        "attention_type": ("relative_shift", "factorized"),
    },
    ignores=("initializer_std",),
):
    """Sizes and rates of a Funnel model; the defaults are funnel-transformer/small's but for the decoder's dropout.

    block_sizes: layers of each block; block_repeats: how often each of them runs. separate_cls: the first token is a
    segment and a place of its own. truncate_seq: pooling leaves out what is last, so that lengths stay even.
    pool_q_only: a block's first layer still looks at the longer row. attention_type: two ways to compute the same.
    """

    vocab_size: Size = 30522
    block_sizes: tuple[Repeats, ...] = (4, 4, 4)
    block_repeats: tuple[Repeats, ...] | None = None
    num_decoder_layers: Depth = 2
    d_model: Size = 768
    n_head: Size = 12
    d_head: Size = 64
    d_inner: Size = 3072
    hidden_act: str = "gelu_new"
    hidden_dropout: Rate = 0.1
    attention_dropout: Rate = 0.1
    activation_dropout: Rate = 0.0
    layer_norm_eps: Epsilon = 1e-9
    pooling_type: str = "mean"
    separate_cls: bool = True
    truncate_seq: bool = True
    pool_q_only: bool = True
    pad_token_id: Token | None = None

    usual_range: ClassVar[float] = 0.1

    def check(self) -> None:
        """There are blocks, and a number of repeats for each; vectors of distances are pairs."""
        if not self.block_sizes or len(self.repeats) != len(self.block_sizes):
            raise ValueError(
                f"FunnelConfig: block_repeats={self.block_repeats} has not one number for each of "
                f"block_sizes={self.block_sizes}, or there is no block"
            )
        if self.d_model % 2:
            raise ValueError(f"FunnelConfig: d_model={self.d_model} must be even")

    def initializer(self, param: Param) -> declare.Init:
        """Dense layers by their sizes, words widely, and what each head has of its own above zero."""
        match param.role:
            case "matrix" | "projection":
                return declare.by_fans
            case "table" | "unembedding" if "vocab" in param.axes:
                return declare.Normal(1.0)
        return declare.Uniform(0.0, self.spread)

    @property
    def repeats(self) -> tuple[int, ...]:
        """How often the layers of each block run."""
        return (1,) * len(self.block_sizes) if self.block_repeats is None else self.block_repeats


def layer(c: FunnelConfig) -> declare.Tree:
    """One layer's arrays."""
    d, n, width = c.d_model, c.n_head, c.d_head

    def per_head(name: str) -> Param:
        return Param((n, width), ("heads", "head_dim"), f"attention.{name}", "bias")

    axes = ("embed", "heads")
    return {
        "query": declare.linear(d, n * width, "attention.q_head", axes, bias=False),
        "key": declare.linear(d, n * width, "attention.k_head", axes),
        "value": declare.linear(d, n * width, "attention.v_head", axes),
        "out": declare.linear(n * width, d, "attention.post_proj", ("heads", "embed")),
        "distance": Param((d, n, width), ("embed", "heads", "head_dim"), "attention.r_kernel", "kernel"),
        "content_bias": per_head("r_w_bias"),
        "distance_bias": per_head("r_r_bias"),
        "segment_bias": per_head("r_s_bias"),
        "segments": Param((2, n, width), (None, "heads", "head_dim"), "attention.seg_embed", "table"),
        "attention_norm": declare.layer_norm(d, "attention.layer_norm"),
        "up": declare.linear(d, c.d_inner, "ffn.linear_1", ("embed", "mlp")),
        "down": declare.linear(c.d_inner, d, "ffn.linear_2", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "ffn.layer_norm"),
    }


def without_decoder(c: FunnelConfig) -> declare.Tree:
    """The arrays of the embeddings and of all blocks' layers, one behind another."""
    blocks = [repeat(size, f"encoder.blocks.{i}.{{}}", layer(c)) for i, size in enumerate(c.block_sizes)]
    return {
        "word": declare.embedding(
            c.vocab_size, c.d_model, "embeddings.word_embeddings", "vocab", zero_row=c.pad_token_id
        ),
        "norm": declare.layer_norm(c.d_model, "embeddings.layer_norm"),
        "layers": [each for block in blocks for each in block],
    }


def parameters(c: FunnelConfig) -> declare.Tree:
    """The same and the decoder's."""
    return without_decoder(c) | {"decoder": repeat(c.num_decoder_layers, "decoder.layers.{}", layer(c))}


def apply(p: Any, c: FunnelConfig, x: jax.Array, row: Level, memory: jax.Array, seen: Level, sites: Sites) -> jax.Array:
    """A layer: places of `row` with states x [B, S, D] take from those of `seen` with states memory [B, K, D].

    Returns [B, S, D]. Where the row is the pooled one, its first place lies one old stride before the other's first.
    """
    step = row.stride // seen.stride
    back = seen.stride if step == 2 and c.separate_cls else 0
    columns = step * (row.length - 1) + seen.length  # a distance each, from the largest downwards
    distances = seen.stride * (step * (row.length - 1) - np.arange(columns)) - back
    table = sites.drop("distances", sines_then_cosines(jnp.asarray(distances), c.d_model), c.hidden_dropout)

    mine, others = row.segments[:, :, None], seen.segments[:, None, :]
    same = (mine == others) | (mine == _FIRST) | (others == _FIRST)

    def into_heads(name: str, x: jax.Array) -> jax.Array:
        return linear(p[name], x).reshape(*x.shape[:2], c.n_head, c.d_head)

    q = into_heads("query", x)
    bias = look_around(p, q, table, same, step)
    if c.separate_cls:  # to and from the first place, content alone counts
        bias = bias.at[:, :, 0].set(0).at[:, :, :, 0].set(0)
    context = attend(
        q + p["content_bias"],
        into_heads("key", memory),
        into_heads("value", memory),
        visible(seen.mask),
        bias=bias,
        rate=c.attention_dropout,
        sites=sites,
    )
    x = x + sites("attention", through_out(p, merge(context), x, sites), c.hidden_dropout)
    x = layer_norm(p["attention_norm"], x, c.layer_norm_eps)
    h = sites.drop("activation", ACTIVATIONS[c.hidden_act](linear(p["up"], x)), c.activation_dropout)
    x = x + sites("ffn", linear(p["down"], h, like=x), c.hidden_dropout)
    return layer_norm(p["ffn_norm"], x, c.layer_norm_eps)


def block(c: FunnelConfig) -> Block:
    """The layer as `run` takes it: from the places of a row to those of the same one, or of the pooled one."""

    def through(p: Any, x: jax.Array, sites: Sites, before: Level, row: Level) -> jax.Array:
        if row is before:
            return apply(p, c, x, row, x, row, sites)
        short = pooled_states(c, x)
        seen, memory = (before, x) if c.pool_q_only else (row, short)
        return apply(p, c, short, row, memory, seen, sites)

    return through


def encode_blocks(params: Any, c: FunnelConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, S, D] of one batch behind the last block, about T / 2 for each block after the first.

    Raises:
        ValueError: a mask [B, T, T].
    """
    if inputs.mask is not None and inputs.mask.ndim == 3:
        raise ValueError("Funnel takes an attention_mask [batch, seq]")
    x = layer_norm(params["norm"], embed_tokens(params["word"], inputs), c.layer_norm_eps)
    x = sites.drop("embeddings", x, c.hidden_dropout)
    layers, runs, rows = iter(listed(params["layers"])), [], [Level(inputs.segments, inputs.mask)]
    for number, (size, times) in enumerate(zip(c.block_sizes, c.repeats, strict=True)):
        pools = number > 0 and rows[-1].length > (2 if c.separate_cls else 1)
        row = pooled(c, rows[-1]) if pools else rows[-1]
        rows += [row] * size * times
        runs += [p for p in itertools.islice(layers, size) for _ in range(times)]
    return run(block(c), runs, x, rows[:-1], rows[1:], ask=ask, sites=sites)


def encode(params: Any, c: FunnelConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch: the last block's, each for the tokens it stands for, and the first's.

    Intermediate results are those of all blocks, then what enters the decoder and its layers' results; the decoder's
    sites are under "decoder".
    """
    encoded = encode_blocks(params, c, inputs, dataclasses.replace(ask, hidden_states=True), sites)
    assert encoded.hidden_states is not None
    fine = encoded.hidden_states[c.block_sizes[0]]
    x = fine + spread(c, encoded.state, fine.shape[1])
    layers, row = listed(params["decoder"]), Level(inputs.segments, inputs.mask)
    rows = [row] * len(layers)
    last = run(block(c), layers, x, rows, rows, ask=ask, sites=sites.under("decoder"))
    return Encoded(
        state=last.state,
        hidden_states=last.hidden_states and (*encoded.hidden_states, *last.hidden_states),
        attentions=None if last.attentions is None else (*(encoded.attentions or ()), *last.attentions),
    )


def head_rate(c: FunnelConfig) -> float:
    """The dropout in and before a classifier."""
    return c.hidden_dropout


class FunnelModel(
    tasks.Encoder,
    config=FunnelConfig,
    prefix="funnel",
    network=Network(parameters, encode),
    accepts=("input_ids", "attention_mask", "token_type_ids", "inputs_embeds"),
    neutral=False,
):
    """Blocks and decoder, without a head. Pooling mixes a text's last token with the padding behind it."""


class FunnelBaseModel(
    tasks.Encoder,
    config=FunnelConfig,
    prefix="funnel",
    network=Network(without_decoder, encode_blocks),
    accepts=FunnelModel.accepts,
    neutral=False,
):
    """The blocks alone: fewer vectors than tokens."""


class FunnelForPreTraining(tasks.ReplacedTokens, base=FunnelModel, head=named_heads.discriminator()):
    """Which tokens were replaced, as Funnel was trained."""


class FunnelForMaskedLM(tasks.MaskedLM, base=FunnelModel, head=heads.words("lm_head", bias=True)):
    """Scores of every word at every place."""


class FunnelForSequenceClassification(
    tasks.SequenceClassification,
    base=FunnelBaseModel,
    head=heads.first_token("classifier.linear_hidden", "tanh", "classifier.linear_out", rate=head_rate),
):
    """One set of scores a text."""


class FunnelForTokenClassification(tasks.TokenClassification, base=FunnelModel, head=heads.each_token(rate=head_rate)):
    """One set of scores a token."""


class FunnelForQuestionAnswering(tasks.QuestionAnswering, base=FunnelModel):
    """Where in a context the answer starts and ends."""


class FunnelForMultipleChoice(
    tasks.MultipleChoice,
    base=FunnelBaseModel,
    head=heads.first_token("classifier.linear_hidden", "tanh", "classifier.linear_out", rate=head_rate, labels=1),
):
    """Which of several continuations fits best."""
