"""Splinter (Ram et al. 2021, arXiv 2101.00438): BERT's encoder, and a head that finds an answer by the vector of a
token that stands for the question.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, outputs, tasks
from ..config import Config, Token
from ..declare import under
from ..layers.activation import ACTIVATIONS
from ..layers.heads import Head
from ..layers.linear import linear
from ..layers.norm import layer_norm
from ..layers.run import Encoded
from ..layers.sites import Sites
from ..network import Network
from ..sizes import BertSizes
from .bert import body, encode


class SplinterConfig(
    BertSizes,
    Config,
    model_type="splinter",
    allowed={"position_embedding_type": ("absolute",)},
):
    """Sizes and rates of a Splinter model; the defaults are splinter-base's. `question_token_id`: [QUESTION]."""

    question_token_id: Token = 104


_EPSILON = 1e-5  # of the head's norms, whatever layer_norm_eps says


def span() -> Head:
    """Two scores a token [B, T, 2], for an answer's start and its end, against the question's vector in `pooled`."""

    def parameters(c: SplinterConfig) -> declare.Tree:
        d = c.hidden_size

        def transformed(name: str) -> declare.Tree:
            norm = declare.layer_norm(d, f"{name}.LayerNorm")
            return {"dense": declare.linear(d, d, f"{name}.dense"), "norm": norm}

        def end(name: str) -> declare.Tree:
            return {
                "question": transformed(f"query_{name}_transform"),
                "token": transformed(f"{name}_transform"),
                "classifier": declare.linear(d, d, f"{name}_classifier", bias=False),
            }

        return under("splinter_qass", {"start": end("start"), "end": end("end")})

    def transform(p: Any, x: jax.Array) -> jax.Array:
        return layer_norm(p["norm"], ACTIVATIONS["gelu"](linear(p["dense"], x)), _EPSILON)

    def forward(params: Any, c: SplinterConfig, encoded: Encoded, sites: Sites) -> jax.Array:
        asked = encoded.pooled
        assert asked is not None

        def scores(p: Any) -> jax.Array:
            question = linear(p["classifier"], transform(p["question"], asked))
            return jnp.einsum("bd,btd->bt", question, transform(p["token"], encoded.state))

        return jnp.stack([scores(params["head"]["start"]), scores(params["head"]["end"])], axis=-1)

    return Head(parameters, forward)


class SplinterModel(tasks.Encoder, config=SplinterConfig, prefix="splinter", network=Network(body, encode)):
    """The encoder without a head."""


class SplinterForQuestionAnswering(tasks.QuestionAnswering, base=SplinterModel, head=span(), packs=False):
    """Where in a context the answer starts and ends, by the first [QUESTION] of a row, or its first token without one.

    Padding has the lowest score that the type has.
    """

    @classmethod
    def pool(cls, params: Any, config: Any, encoded: Encoded) -> Encoded:
        """The vector of each row's [QUESTION]."""
        ids, rows = encoded.inputs.ids, jnp.arange(encoded.state.shape[0])
        where = jnp.zeros_like(rows) if ids is None else jnp.argmax(ids == config.question_token_id, 1)
        return dataclasses.replace(encoded, pooled=encoded.state[rows, where])

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: tasks.Labels, config: Any) -> outputs.Output:
        """Start and end scores [B, T], none of padding, and their loss where both labels are given."""
        mask = encoded.inputs.mask
        if mask is not None:
            scores = jnp.where(mask[..., None] == 0, jnp.finfo(scores.dtype).min, scores)
        return super().finish(scores, encoded, labels, config)
