"""DeBERTa (He et al. 2020, arXiv 2006.03654): BERT with disentangled attention; queries, keys and values of a head
stand side by side in one matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Count, Epsilon, Limit, Rate, Size
from ..declare import Param, repeat, under
from ..layers import heads
from ..layers.activation import ACTIVATIONS
from ..layers.attention import merge, visible
from ..layers.disentangled import by_distance, disentangled, kinds, rows
from ..layers.dropout import Drop, no_drop
from ..layers.embedding import embed
from ..layers.inputs import Inputs, Want
from ..layers.linear import linear
from ..layers.norm import layer_norm
from ..layers.post_norm import Mix, block, embeddings, summed
from ..layers.run import Encoded, run
from ..network import Network
from ..sizes import BertSizes


class DebertaConfig(
    BertSizes,
    Config,
    model_type="deberta",
    allowed={
        "pooler_hidden_act": ACTIVATIONS,
        "norm_rel_ebd": ("none", None),
    },
):
    """Sizes and rates of a DeBERTa model; the defaults are torch Transformers'.

    pos_att_type: "c2p", "p2c", or both, as a list or with "|" between. max_relative_positions: below 1 it is
    max_position_embeddings. talking_head: heads mix their scores and their probabilities. legacy: the head for masked
    words has the names of BERT's.
    """

    vocab_size: Size = 50265
    type_vocab_size: Count = 0
    layer_norm_eps: Epsilon = 1e-7
    relative_attention: bool = False
    max_relative_positions: Limit = -1
    pos_att_type: tuple[str, ...] | str | None = None
    talking_head: bool = False
    position_biased_input: bool = True
    embedding_size: Size | None = None
    pooler_hidden_size: Size | None = None
    pooler_dropout: Rate = 0.0
    pooler_hidden_act: str = "gelu"
    cls_dropout: Rate | None = None
    legacy: bool = True

    def check(self) -> None:
        """Heads share the width evenly, and the rest is what the reference computes."""
        super().check()
        check_usual(self)

    @property
    def longest_row(self) -> int | None:
        """The absolute positions; distances alone never end."""
        return self.max_position_embeddings if self.position_biased_input else None


def check_usual(c: Any) -> None:
    """Refuse what DeBERTa's reference reads and would not compute, or computes by its own rules."""
    kinds(c)
    name = type(c).__name__
    if c.type_vocab_size < 0:
        raise ValueError(f"{name}: type_vocab_size={c.type_vocab_size} must be 0 or more")
    if c.pooler_hidden_size not in (None, c.hidden_size):
        raise ValueError(f"{name}: pooler_hidden_size={c.pooler_hidden_size} must be hidden_size={c.hidden_size}")


def tables(c: Any) -> declare.Tree:
    """The embeddings' arrays, and those of the distances."""
    width = c.embedding_size or c.hidden_size
    tree = embeddings(c, width)
    if not c.position_biased_input:
        del tree["position"]
    if not c.type_vocab_size:
        del tree["type"]
    tree["norm"] = declare.layer_norm(c.hidden_size, "embeddings.LayerNorm")
    if width != c.hidden_size:
        tree["project"] = declare.projection(width, c.hidden_size, "embeddings.embed_proj", bias=False)
    if c.relative_attention:
        tree["distance"] = declare.embedding(2 * span(c), c.hidden_size, "encoder.rel_embeddings")
    return tree


def entered(params: Any, c: Any, inputs: Inputs, drop: Drop) -> jax.Array:
    """What enters the first layer [B, T, D]."""
    x = summed(params, inputs, inputs.places)
    if "project" in params:
        x = linear(params["project"], x)
    x = layer_norm(params["norm"], x, c.layer_norm_eps)
    return drop("embeddings", jnp.where((inputs.owners != 0)[..., None], x, 0), c.hidden_dropout_prob)


def seen(inputs: Inputs) -> jax.Array | None:
    """Which tokens see which, as `attend` takes it; padding sees nothing."""
    sees = visible(inputs.mask)
    return sees if sees is None or inputs.mask is None or inputs.mask.ndim == 3 else sees & jnp.swapaxes(sees, -1, -2)


def span(c: Any) -> int:
    """How many distances to either side have a row of their own."""
    return c.max_relative_positions if c.max_relative_positions > 0 else c.max_position_embeddings


def parameters(c: DebertaConfig) -> declare.Tree:
    """The encoder's arrays."""
    d = c.hidden_size
    attention = {
        "in": declare.linear(d, 3 * d, "in_proj", ("embed", "heads"), bias=False),
        "query_bias": declare.vector(d, "q_bias", "heads"),
        "value_bias": declare.vector(d, "v_bias", "heads"),
    }
    if c.relative_attention and "c2p" in kinds(c):
        attention["c2p"] = declare.linear(d, d, "pos_proj", ("embed", "heads"), bias=False)
    if c.relative_attention and "p2c" in kinds(c):
        attention["p2c"] = declare.linear(d, d, "pos_q_proj", ("embed", "heads"))
    if c.talking_head:
        square = (c.num_attention_heads, c.num_attention_heads)
        attention["mix_scores"] = Param(square, (None, None), "head_logits_proj.weight", "kernel")
        attention["mix_odds"] = Param(square, (None, None), "head_weights_proj.weight", "kernel")
    layer = {
        **under("attention.self", attention),
        "out": declare.linear(d, d, "attention.output.dense", ("heads", "embed")),
        "attention_norm": declare.layer_norm(d, "attention.output.LayerNorm"),
        "up": declare.linear(d, c.intermediate_size, "intermediate.dense", ("embed", "mlp")),
        "down": declare.linear(c.intermediate_size, d, "output.dense", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "output.LayerNorm"),
    }
    return tables(c) | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer)}


def self_attention(c: DebertaConfig, seen: jax.Array | None, distances: jax.Array | None) -> Mix:
    """Every token takes from others by what they are and by the vectors of `distances` [2T - 1, D]."""
    heads = (c.num_attention_heads, c.hidden_size // c.num_attention_heads)

    def mix(p: Any, x: jax.Array, drop: Drop) -> tuple[jax.Array, jax.Array]:
        q, k, v = jnp.split(linear(p["in"], x).reshape(*x.shape[:2], heads[0], 3 * heads[1]), 3, axis=-1)
        q, v = q + p["query_bias"].reshape(heads), v + p["value_bias"].reshape(heads)
        parts = []
        if distances is not None:
            vectors = drop("positions", distances, c.hidden_dropout_prob)
            parts = [(kind, linear(p[kind], vectors).reshape(-1, *heads)) for kind in kinds(c)]
        through = partial(talking, p) if "mix_scores" in p else disentangled
        context, weights = through(q, k, v, seen, parts, rate=c.attention_probs_dropout_prob, drop=drop)
        return merge(context), weights

    return mix


def talking(
    p: Any,
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    seen: jax.Array | None,
    parts: Sequence[tuple[str, jax.Array]],
    *,
    rate: float,
    drop: Drop,
) -> tuple[jax.Array, jax.Array]:
    """`disentangled` whose heads mix before and after the softmax (Shazeer et al. 2020, arXiv 2003.02436)."""
    q, bias = by_distance(q, k, parts)
    wide = jnp.promote_types(q.dtype, jnp.float32)
    mixed = lambda name, x: jnp.einsum("gh,bhts->bgts", p[name].astype(wide), x)  # noqa: E731
    turned = k.transpose(0, 2, 3, 1)
    scores = jnp.matmul(jnp.swapaxes(q * q.shape[-1] ** -0.5, 1, 2), turned, preferred_element_type=wide)
    scores = mixed("mix_scores", scores if bias is None else scores + bias)
    if seen is not None:
        scores = jnp.where(seen, scores, jnp.finfo(wide).min)
    odds = mixed("mix_odds", drop("attention_weights", jax.nn.softmax(scores), rate)).astype(v.dtype)
    context = jnp.matmul(odds, jnp.swapaxes(v, 1, 2), preferred_element_type=wide).astype(v.dtype)
    return jnp.swapaxes(context, 1, 2), odds


def encode(params: Any, c: DebertaConfig, inputs: Inputs, want: Want = Want(), drop: Drop = no_drop) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = entered(params, c, inputs, drop)
    distances = embed(params["distance"], rows(x.shape[1], span(c))) if "distance" in params else None
    through = block(c, self_attention(c, seen(inputs), distances))
    return run(through, params["layers"], x, drop.each(c.num_hidden_layers), want=want)


def pooler_rate(c: Any) -> float:
    """The dropout before the pooler."""
    return c.pooler_dropout


def classifier_rate(c: Any) -> float:
    """The dropout before a classifier of texts."""
    return c.hidden_dropout_prob if c.cls_dropout is None else c.cls_dropout


def head_rate(c: Any) -> float:
    """The dropout before a classifier of tokens."""
    return c.hidden_dropout_prob


def words() -> heads.Head:
    """Scores of every word, under the names that config.legacy chooses."""

    def width(c: Any) -> int:
        return c.embedding_size or c.hidden_size

    old = heads.vocabulary(
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.decoder",
        bias="cls.predictions.bias",
        width=width,
    )
    name = "lm_predictions.lm_head"
    new = heads.vocabulary(f"{name}.dense", f"{name}.LayerNorm", name, bias=f"{name}.bias")

    def parameters(c: Any) -> declare.Tree:
        if c.legacy:
            return old.parameters(c)
        return {part: tree for part, tree in new.parameters(c).items() if part != "decoder"}  # always the word table

    return heads.Head(parameters, old.forward, old.tied)


def of_text(labels: int | None = None) -> heads.Head:
    """Scores of a text by its first token, through a dense layer that DeBERTa calls its pooler."""
    return heads.first_token(
        "pooler.dense",
        "pooler_hidden_act",
        "classifier",
        rate=classifier_rate,
        rate_before=pooler_rate,
        labels=labels,
    )


class DebertaModel(tasks.Encoder, config=DebertaConfig, prefix="deberta", network=Network(parameters, encode)):
    """The encoder without a head."""


class DebertaForMaskedLM(tasks.MaskedLM, base=DebertaModel, head=words()):
    """Scores of every word at every place."""


class DebertaForSequenceClassification(tasks.SequenceClassification, base=DebertaModel, head=of_text()):
    """One set of scores a text."""


class DebertaForTokenClassification(
    tasks.TokenClassification, base=DebertaModel, head=heads.each_token(rate=head_rate)
):
    """One set of scores a token."""


class DebertaForQuestionAnswering(tasks.QuestionAnswering, base=DebertaModel):
    """Where in a context the answer starts and ends."""
