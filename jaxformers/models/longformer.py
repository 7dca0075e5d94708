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
from ..layers.inputs import Ask, Inputs
from ..layers.post_norm import embedded, embeddings
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import CountedSizes, WindowSizes


class LongformerConfig(
    WindowSizes,
    CountedSizes,
    Config,
    model_type="longformer",
    allowed={"onnx_export": (False,)},
    ignores=("attention_mode", "ignore_attention_mask"),
):
    """Sizes and rates of a Longformer model; the defaults are torch Transformers'.

    sep_token_id: ends a question, whose tokens see all.
    """

    sep_token_id: Token = 2
    pad_token_id: Token = 1

    def check(self) -> None:
        """Heads share the width evenly, positions are left after the padding token's, and windows are even."""
        super().check()
        window.check(self)


def body(c: LongformerConfig) -> declare.Tree:
    """The encoder's arrays."""
    layer = post_norm.layer(c) | {"global": window.wide_arrays(c.hidden_size, "attention.self")}
    return embeddings(c, c.hidden_size) | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer)}


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


def encoder(marks_of: Marks) -> Callable[..., Encoded]:
    """`encode` of a class whose `global_attention_mask` is by default as `marks_of` says."""

    def encode(params: Any, c: LongformerConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
        """Hidden states [B, T, D] of one batch."""
        x = embedded(params, c, inputs, inputs.counted(c.pad_token_id), sites)
        said = inputs.beside.get("global_attention_mask")
        marks = marks_of(c, inputs) if said is None else said != 0
        few = None if said is not None else 0 if marks_of is nobody else 1 if marks_of is first else None
        head, rate = c.hidden_size // c.num_attention_heads, c.attention_probs_dropout_prob
        mix, each = window.mixes(inputs, c.windows, marks, few, head=head, rate=rate)

        def layer(p: Any, x: jax.Array, sites: Sites, *own: Any) -> jax.Array:
            return post_norm.block(c, mix(*own))(p, x, sites)

        return run(layer, params["layers"], x, *each, ask=ask, sites=sites)

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
