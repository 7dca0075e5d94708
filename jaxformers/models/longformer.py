"""Longformer (Beltagy et al. 2020, arXiv 2004.05150): RoBERTa for long rows. A token sees those near it, and a few that
all see, which see all in turn by projections of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..batch import Beside
from ..config import Config, Token
from ..declare import repeat
from ..layers import heads, named_heads, post_norm, window
from ..layers.attention import QKV, attend, merge, probabilities, project, taken
from ..layers.inputs import Ask, Inputs
from ..layers.post_norm import Mix, embedded, embeddings
from ..layers.run import Block, Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import CountedSizes


class LongformerConfig(
    CountedSizes,
    Config,
    model_type="longformer",
    allowed={"onnx_export": (False,)},
    ignores=("attention_mode", "ignore_attention_mask"),
):
    """Sizes and rates of a Longformer model; the defaults are torch Transformers'.

    attention_window: tokens that a token sees, half of them to either side; one number, or one a layer. sep_token_id:
    ends a question, whose tokens see all.
    """

    attention_window: tuple[int, ...] | int = 512
    sep_token_id: Token = 2
    pad_token_id: Token = 1

    def check(self) -> None:
        """Heads share the width evenly, positions are left after the padding token's, and windows are even."""
        super().check()
        if isinstance(self.attention_window, tuple) and len(self.attention_window) != self.num_hidden_layers:
            raise ValueError(
                f"LongformerConfig: attention_window has {len(self.attention_window)} numbers for "
                f"num_hidden_layers={self.num_hidden_layers}"
            )
        for size in self.windows:
            if not 0 < size < 2**20 or size % 2:
                raise ValueError(f"LongformerConfig: attention_window={size} must be even and positive")

    @property
    def windows(self) -> tuple[int, ...]:
        """The window of each layer."""
        one = self.attention_window
        return (one,) * self.num_hidden_layers if isinstance(one, int) else one


def body(c: LongformerConfig) -> declare.Tree:
    """The encoder's arrays."""
    d = c.hidden_size
    whole = {name: declare.linear(d, d, f"attention.self.{name}_global", ("embed", "heads")) for name in QKV}
    layer = post_norm.layer(c) | {"global": declare.together("qkv", whole)}
    return embeddings(c, d) | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer)}


Heads = tuple[jax.Array, jax.Array, jax.Array]
"""Queries, keys and values [B, T, H, d]."""
Marks = Callable[[LongformerConfig, Inputs], jax.Array | None]
"""Which tokens [B, T] see all and are seen by all, where `global_attention_mask` does not say; None: none."""


def nobody(c: LongformerConfig, inputs: Inputs) -> None:
    """No token sees all."""
    return


def first(c: LongformerConfig, inputs: Inputs) -> jax.Array:
    """The first token of each text does."""
    return jnp.diff(inputs.texts, axis=1, prepend=0) != 0 if inputs.texts is not None else inputs.places == 0


def question(c: LongformerConfig, inputs: Inputs) -> jax.Array | None:
    """All before the first sep_token do."""
    return None if inputs.ids is None else jnp.arange(inputs.shape[1]) < ends(c, inputs.ids)


def choice(c: LongformerConfig, inputs: Inputs) -> jax.Array | None:
    """All behind the second text's start do."""
    return None if inputs.ids is None else jnp.arange(inputs.shape[1]) > ends(c, inputs.ids) + 1


def ends(c: LongformerConfig, ids: jax.Array) -> jax.Array:
    """Where the first text of each row ends [B, 1]; 0 without a sep_token."""
    return jnp.argmax(ids == c.sep_token_id, axis=1)[:, None]


def attention(c: LongformerConfig, inputs: Inputs, width: Any, marks: jax.Array | None, chunks: int | None) -> Mix:
    """Every token takes from those at most `width` away and from those of `marks`, which take from all.

    `chunks`, where it is no None: rows are cut, and so many of their first places are all that have marks. Padding
    takes nothing.
    """
    head, rate = c.hidden_size // c.num_attention_heads, c.attention_probs_dropout_prob
    real = inputs.segment_ids != 0
    own = (inputs.segment_ids[:, :, None] == inputs.segment_ids[:, None, :]) & real[:, None, :]
    if inputs.mask is not None and inputs.mask.ndim == 3:
        own = inputs.mask != 0
    seen = window.near(inputs.shape[1], width) & own
    if marks is not None:
        marks = marks & real
        seen = seen | (marks[:, None] & own)

    def mix(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        near, wide = project(p, x, head), project(p["global"], x, head)
        context = (at_once if sites.taps("attention_weights") else in_parts)(near, wide, sites)
        return merge(jnp.where(real[..., None, None], context, 0))

    def in_parts(near: Heads, wide: Heads, sites: Sites) -> jax.Array:
        q, k, v = near
        if chunks is None:
            context = attend(q, k, v, seen[:, None], rate=rate, sites=sites)
        else:
            context = window.in_chunks(q, k, v, real, width, chunks, rate=rate, sites=sites)
        if marks is None:
            return context
        asks = slice(chunks)
        q, k, v = wide
        all_of_it = attend(q[:, asks], k, v, own[:, None, asks], rate=rate, sites=sites)
        return context.at[:, asks].set(jnp.where(marks[:, asks, None, None], all_of_it, context[:, asks]))

    def at_once(near: Heads, wide: Heads, sites: Sites) -> jax.Array:
        (q, k, v), (all_q, all_k, all_v) = near, wide
        odds = probabilities(q, k, seen[:, None])
        if marks is not None:
            odds = jnp.where(marks[:, None, :, None], probabilities(all_q, all_k, own[:, None]), odds)
        odds = sites("attention_weights", odds, rate)
        context = taken(odds, v)
        return context if marks is None else jnp.where(marks[..., None, None], taken(odds, all_v), context)

    return mix


def encoder(marks_of: Marks) -> Callable[..., Encoded]:
    """`encode` of a class whose `global_attention_mask` is by default as `marks_of` says."""

    def encode(params: Any, c: LongformerConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
        """Hidden states [B, T, D] of one batch."""
        x = embedded(params, c, inputs, inputs.counted(c.pad_token_id), sites)
        said = inputs.beside.get("global_attention_mask")
        marks = marks_of(c, inputs) if said is None else said != 0
        marks = None if marks is None else jnp.broadcast_to(marks, inputs.shape)
        few = None if said is not None else 0 if marks_of is nobody else 1 if marks_of is first else None
        plain = inputs.texts is None and (inputs.mask is None or inputs.mask.ndim == 2)

        def layer(p: Any, x: jax.Array, sites: Sites, width: Any) -> jax.Array:
            chunks = few if plain and isinstance(width, int) and inputs.shape[1] >= 4 * width else None
            return post_norm.block(c, attention(c, inputs, width, marks, chunks))(p, x, sites)

        same = len(set(c.windows)) == 1
        if same:  # known when layers are scanned, too
            block: Block = lambda p, x, sites: layer(p, x, sites, c.windows[0] // 2)  # noqa: E731
            return run(block, params["layers"], x, ask=ask, sites=sites)
        widths = [size // 2 for size in c.windows]
        return run(layer, params["layers"], x, widths, ask=ask, sites=sites)

    return encode


class LongformerModel(
    tasks.Encoder,
    config=LongformerConfig,
    prefix="longformer",
    network=Network(heads.with_pooler(body), encoder(nobody)),
    accepts=(
        "input_ids",
        "attention_mask",
        "global_attention_mask",
        "token_type_ids",
        "position_ids",
        "inputs_embeds",
    ),
    beside={"global_attention_mask": Beside()},
):
    """The encoder with its pooler, without a head. Attentions are of all tokens with all, [B, H, T, T]."""


class LongformerForMaskedLM(
    tasks.MaskedLM,
    base=LongformerModel,
    parameters=body,
    head=named_heads.lm_head(),
):
    """Scores of every word at every place."""


class LongformerForSequenceClassification(
    tasks.SequenceClassification,
    base=LongformerModel,
    network=Network(body, encoder(first)),
    head=named_heads.classification_head(rate=heads.hidden_rate),
):
    """One set of scores a text, whose first token sees all."""


class LongformerForTokenClassification(
    tasks.TokenClassification, base=LongformerModel, parameters=body, head=heads.each_token(rate=heads.hidden_rate)
):
    """One set of scores a token."""


class LongformerForQuestionAnswering(
    tasks.QuestionAnswering,
    base=LongformerModel,
    network=Network(body, encoder(question)),
    head=heads.span(),
    packs=False,
):
    """Where in a context the answer starts and ends; the question's tokens see all."""


class LongformerForMultipleChoice(
    tasks.MultipleChoice,
    base=LongformerModel,
    network=Network(heads.with_pooler(body), encoder(choice)),
    head=heads.pooled(rate=heads.hidden_rate, labels=1),
):
    """Which of several continuations fits best; their tokens see all."""
