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
from ..config import Config, Size
from ..declare import Param, repeat, under
from ..layers import heads, named_heads
from ..layers.attention import merge
from ..layers.disentangled import by_distance, disentangled, embedded, embeddings, furthest, kinds, rows, sees
from ..layers.embedding import embed
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.post_norm import Mix, block
from ..layers.product import matmul
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import DisentangledSizes


class DebertaConfig(DisentangledSizes, Config, model_type="deberta", allowed={"norm_rel_ebd": ("none", None)}):
    """Sizes and rates of a DeBERTa model; the defaults are torch Transformers'.

    talking_head: heads mix their scores and their probabilities.
    """

    vocab_size: Size = 50265
    talking_head: bool = False


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
    tree = embeddings(c) | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer)}
    if c.relative_attention:
        tree["distance"] = declare.embedding(2 * furthest(c), d, "encoder.rel_embeddings")
    return tree


def self_attention(c: DebertaConfig, seen: jax.Array | None, distances: jax.Array | None) -> Mix:
    """Every token takes from others by what they are and by the vectors of `distances` [2T - 1, D]."""
    heads = (c.num_attention_heads, c.hidden_size // c.num_attention_heads)

    def mix(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = jnp.split(linear(p["in"], x).reshape(*x.shape[:2], heads[0], 3 * heads[1]), 3, axis=-1)
        q, v = q + p["query_bias"].reshape(heads), v + p["value_bias"].reshape(heads)
        parts = []
        if distances is not None:
            vectors = sites.drop("positions", distances, c.hidden_dropout_prob)
            parts = [(kind, linear(p[kind], vectors).reshape(-1, *heads)) for kind in kinds(c)]
        through = partial(talking, p) if "mix_scores" in p else disentangled
        context = through(q, k, v, seen, parts, rate=c.attention_probs_dropout_prob, sites=sites)
        return merge(context)

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
    sites: Sites,
) -> jax.Array:
    """`disentangled` whose heads mix before and after the softmax (Shazeer et al. 2020, arXiv 2003.02436)."""
    q, bias = by_distance(q, k, parts)
    wide = jnp.promote_types(q.dtype, jnp.float32)
    mixed = lambda name, x: jnp.einsum("gh,bhts->bgts", p[name].astype(wide), x)  # noqa: E731
    turned = k.transpose(0, 2, 3, 1)
    scores = matmul(jnp.swapaxes(q * q.shape[-1] ** -0.5, 1, 2), turned, wide)
    scores = mixed("mix_scores", scores if bias is None else scores + bias)
    if seen is not None:
        scores = jnp.where(seen, scores, jnp.finfo(wide).min)
    odds = mixed("mix_odds", sites.drop("attention_weights", jax.nn.softmax(scores), rate)).astype(v.dtype)
    odds = sites("attention_weights", odds)
    context = matmul(odds, jnp.swapaxes(v, 1, 2), wide).astype(v.dtype)
    return jnp.swapaxes(context, 1, 2)


def encode(params: Any, c: DebertaConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = embedded(params, c, inputs, sites)
    distances = embed(params["distance"], rows(x.shape[1], furthest(c))) if "distance" in params else None
    through = block(c, self_attention(c, sees(inputs), distances))
    return run(through, params["layers"], x, ask=ask, sites=sites)


class DebertaModel(tasks.Encoder, config=DebertaConfig, prefix="deberta", network=Network(parameters, encode)):
    """The encoder without a head."""


class DebertaForMaskedLM(tasks.MaskedLM, base=DebertaModel, head=named_heads.legacy_predictions()):
    """Scores of every word at every place."""


class DebertaForSequenceClassification(
    tasks.SequenceClassification, base=DebertaModel, head=named_heads.context_pooled()
):
    """One set of scores a text."""


class DebertaForTokenClassification(
    tasks.TokenClassification, base=DebertaModel, head=heads.each_token(rate=heads.hidden_rate)
):
    """One set of scores a token."""


class DebertaForQuestionAnswering(tasks.QuestionAnswering, base=DebertaModel):
    """Where in a context the answer starts and ends."""
