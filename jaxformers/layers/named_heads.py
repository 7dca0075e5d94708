"""Heads under the names that several families' files have for them."""

from __future__ import annotations

from typing import Any

import jax

from .. import declare
from .activation import ACTIVATIONS
from .heads import Head, Rate, Width, classifier_rate, first_token, hidden_size, pooled, vocabulary
from .linear import linear
from .run import Encoded
from .sites import Sites


def predictions(*, width: Width = hidden_size) -> Head:
    """Scores of every word at every place: "cls.predictions"."""
    name = "cls.predictions"
    return vocabulary(
        f"{name}.transform.dense", f"{name}.transform.LayerNorm", f"{name}.decoder", bias=f"{name}.bias", width=width
    )


def next_sentence() -> Head:
    """Whether a second text follows the first: "cls.seq_relationship"."""
    return pooled("cls.seq_relationship", labels=2)


def lm_head() -> Head:
    """Scores of every word at every place: "lm_head" of encoders."""
    return vocabulary("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder", bias="lm_head.bias", activation="gelu")


def classification_head(activation: str = "tanh", *, rate: Rate = classifier_rate) -> Head:
    """Scores of a text by its first token: "classifier.dense" and "classifier.out_proj", with dropout before each."""
    return first_token("classifier.dense", activation, "classifier.out_proj", rate=rate, rate_before=rate)


def generator() -> Head:
    """Scores of every word at every place, with embeddings of a width of their own: "generator_predictions"."""
    name = "generator_predictions"
    return vocabulary(
        f"{name}.dense",
        f"{name}.LayerNorm",
        "generator_lm_head",
        bias="generator_lm_head.bias",
        activation="gelu",
        width=lambda c: c.embedding_size,
    )


def discriminator() -> Head:
    """One score a token [B, T]: was it put in place of another? "discriminator_predictions"."""

    def parameters(c: Any) -> declare.Tree:
        return {
            "dense": declare.linear(c.hidden_size, c.hidden_size, "discriminator_predictions.dense"),
            "classifier": declare.linear(c.hidden_size, 1, "discriminator_predictions.dense_prediction"),
        }

    def forward(params: Any, c: Any, encoded: Encoded, sites: Sites) -> jax.Array:
        p = params["head"]
        return linear(p["classifier"], ACTIVATIONS[c.hidden_act](linear(p["dense"], encoded.state)))[..., 0]

    return Head(parameters, forward)


def legacy_predictions() -> Head:
    """Scores of every word at every place: "cls.predictions" where config.legacy says so, else "lm_predictions"."""
    old = predictions(width=lambda c: c.embedding_size or c.hidden_size)
    name = "lm_predictions.lm_head"
    new = vocabulary(f"{name}.dense", f"{name}.LayerNorm", name, bias=f"{name}.bias")

    def parameters(c: Any) -> declare.Tree:
        if c.legacy:
            return old.parameters(c)
        return {part: tree for part, tree in new.parameters(c).items() if part != "decoder"}  # always the word table

    return Head(parameters, old.forward, old.tied)


def context_pooled(labels: int | None = None) -> Head:
    """Scores of a text by its first token, through a dense layer that files call the pooler: "pooler.dense"."""
    return first_token(
        "pooler.dense",
        "pooler_hidden_act",
        "classifier",
        rate=lambda c: c.hidden_dropout_prob if c.cls_dropout is None else c.cls_dropout,
        rate_before=lambda c: c.pooler_dropout,
        labels=labels,
    )
