"""SqueezeBERT (Iandola et al. 2020, arXiv 2006.11316): BERT whose dense layers are in groups."""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Size
from ..declare import Param, repeat, under
from ..layers import heads, named_heads
from ..layers.activation import ACTIVATIONS
from ..layers.attention import attend, merge, visible
from ..layers.grouped import grouped
from ..layers.inputs import Ask, Inputs
from ..layers.norm import layer_norm
from ..layers.post_norm import embedded, embeddings
from ..layers.run import Block, Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import BertSizes


class SqueezeBertConfig(BertSizes, Config, model_type="squeezebert"):
    """Sizes and rates of a SqueezeBERT model; the defaults are squeezebert-uncased's."""

    embedding_size: Size = 768
    q_groups: Size = 4
    k_groups: Size = 4
    v_groups: Size = 4
    post_attention_groups: Size = 1
    intermediate_groups: Size = 4
    output_groups: Size = 4

    layer_eps: ClassVar[float] = 1e-12  # of the layers' norms, whatever layer_norm_eps says

    def check(self) -> None:
        """Heads and groups share the widths evenly, and the embeddings are as wide as the layers."""
        super().check()
        if self.embedding_size != self.hidden_size:
            raise ValueError(
                f"SqueezeBertConfig: embedding_size={self.embedding_size} must be hidden_size={self.hidden_size}"
            )
        for name in ("q_groups", "k_groups", "v_groups", "post_attention_groups"):
            if self.hidden_size % getattr(self, name):
                raise ValueError(
                    f"SqueezeBertConfig: hidden_size={self.hidden_size} is no multiple of {name}={getattr(self, name)}"
                )
        for name in ("intermediate_groups", "output_groups"):
            if self.hidden_size % getattr(self, name) or self.intermediate_size % getattr(self, name):
                raise ValueError(
                    f"SqueezeBertConfig: hidden_size={self.hidden_size} and intermediate_size="
                    f"{self.intermediate_size} must be multiples of {name}={getattr(self, name)}"
                )


def parameters(c: SqueezeBertConfig) -> declare.Tree:
    """The encoder's arrays; files have dense layers as the kernels of convolutions of width 1."""
    d = c.hidden_size

    def dense(d_in: int, d_out: int, groups: int, name: str, axis: str = "heads") -> declare.Tree:
        return {
            "blocks": Param((d_out, d_in // groups), (axis, None), f"{name}.weight", "matrix", layout="squeezed"),
            "bias": declare.vector(d_out, f"{name}.bias", axis),
        }

    layer = {
        **under(
            "attention",
            {
                "query": dense(d, d, c.q_groups, "query"),
                "key": dense(d, d, c.k_groups, "key"),
                "value": dense(d, d, c.v_groups, "value"),
            },
        ),
        "out": dense(d, d, c.post_attention_groups, "post_attention.conv1d", "embed"),
        "attention_norm": declare.layer_norm(d, "post_attention.layernorm"),
        "up": dense(d, c.intermediate_size, c.intermediate_groups, "intermediate.conv1d", "mlp"),
        "down": dense(c.intermediate_size, d, c.output_groups, "output.conv1d", "embed"),
        "ffn_norm": declare.layer_norm(d, "output.layernorm"),
    }
    return embeddings(c, d) | {
        "layers": repeat(c.num_hidden_layers, "encoder.layers.{}", layer),
        "pooler": declare.projection(d, d, "pooler.dense"),
    }


def block(c: SqueezeBertConfig, seen: jax.Array | None) -> Block:
    """The layer as `run` takes it. Its "attention_weights" are the scores before the softmax, as in the reference."""
    heads = (c.num_attention_heads, c.hidden_size // c.num_attention_heads)

    def apply(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = (grouped(p[name], x).reshape(*x.shape[:2], *heads) for name in ("query", "key", "value"))
        context = attend(q, k, v, seen, rate=c.attention_probs_dropout_prob, sites=sites.dropping())
        scores = jnp.einsum("bthd,bshd->bhts", q, k) * heads[1] ** -0.5  # a product that runs only for those who ask
        if seen is not None:
            scores = jnp.where(seen, scores, jnp.finfo(scores.dtype).min)
        sites.show("attention_weights", scores)
        context = sites("attention_heads", merge(context))
        h = sites("attention", grouped(p["out"], context), c.hidden_dropout_prob)
        x = layer_norm(p["attention_norm"], x + h, c.layer_eps)
        h = grouped(p["down"], ACTIVATIONS[c.hidden_act](grouped(p["up"], x)))
        return layer_norm(p["ffn_norm"], x + sites("ffn", h, c.hidden_dropout_prob), c.layer_eps)

    return apply


def encode(params: Any, c: SqueezeBertConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = embedded(params, c, inputs, inputs.places, sites)
    return run(block(c, visible(inputs.mask)), params["layers"], x, ask=ask, sites=sites)


class SqueezeBertModel(
    tasks.Encoder, config=SqueezeBertConfig, prefix="transformer", network=Network(parameters, encode)
):
    """The encoder with its pooler, without a head. With every head stands the pooler, used or not."""


class SqueezeBertForMaskedLM(
    tasks.MaskedLM,
    base=SqueezeBertModel,
    head=named_heads.predictions(),
):
    """Scores of every word at every place."""


class SqueezeBertForSequenceClassification(
    tasks.SequenceClassification, base=SqueezeBertModel, head=heads.pooled(rate=heads.hidden_rate)
):
    """One set of scores a text."""


class SqueezeBertForTokenClassification(
    tasks.TokenClassification, base=SqueezeBertModel, head=heads.each_token(rate=heads.hidden_rate)
):
    """One set of scores a token."""


class SqueezeBertForQuestionAnswering(tasks.QuestionAnswering, base=SqueezeBertModel):
    """Where in a context the answer starts and ends."""


class SqueezeBertForMultipleChoice(
    tasks.MultipleChoice, base=SqueezeBertModel, head=heads.pooled(rate=heads.hidden_rate, labels=1)
):
    """Which of several continuations fits best."""
