"""Task heads as values: the arrays that a head adds, and what it computes from an encoder's result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import declare
from ..declare import Init
from .activation import ACTIVATIONS
from .linear import linear, unembed
from .norm import layer_norm
from .run import Encoded
from .sites import Sites

Parameters = Callable[[Any], declare.Tree]
"""Config → the declaration of arrays."""


@dataclasses.dataclass(frozen=True)
class Head:
    """A head.

    parameters: config → declaration of its arrays, with their full Hub names. They stand under "head" in the tree.
    forward: (the model's whole tree, config, encoder's result, sites) → what the task's class expects.
    tied: names under which files may hold the word table a second time, where config.tie_word_embeddings says so.
    """

    parameters: Parameters
    forward: Callable[[Any, Any, Encoded, Sites], Any]
    tied: tuple[str, ...] = ()


Rate = Callable[[Any], float]
"""Reads a head's dropout rate from the config: every architecture calls it otherwise."""


Width = Callable[[Any], int]
"""Reads from the config how wide the states are that a head takes, or a table of its own."""


Start = Callable[[Any], Init | None]
"""Config → how a head's matrices start; None: as the config says for all."""


def usual_start(c: Any) -> Init | None:
    """As the config says for all."""
    return None


def hidden_size(c: Any) -> int:
    """As wide as the layers."""
    return c.hidden_size


def no_rate(c: Any) -> float:
    """For heads without dropout."""
    return 0.0


def hidden_rate(c: Any) -> float:
    """The hidden layers' dropout."""
    return c.hidden_dropout_prob


def classifier_rate(c: Any) -> float:
    """The dropout before a classifier: its own where the config has one, else the hidden layers'."""
    return c.hidden_dropout_prob if c.classifier_dropout is None else c.classifier_dropout


def token_rate(c: Any) -> float:
    """The dropout before a classifier of a decoder's tokens."""
    said = (getattr(c, name, None) for name in ("classifier_dropout", "hidden_dropout"))
    return next((rate for rate in said if rate is not None), 0.1)


def pooled(name: str = "classifier", *, rate: Rate = no_rate, labels: int | None = None) -> Head:
    """Scores [B, labels] of the pooled vector; `labels` None: as many as the config says."""

    def parameters(c: Any) -> declare.Tree:
        return {"classifier": declare.linear(c.hidden_size, labels or c.num_labels, name)}

    def forward(params: Any, c: Any, encoded: Encoded, sites: Sites) -> jax.Array:
        assert encoded.pooled is not None
        return linear(params["head"]["classifier"], sites.drop("head", encoded.pooled, rate(c)))

    return Head(parameters, forward)


def each_token(name: str = "classifier", *, rate: Rate = no_rate, start: Start = usual_start) -> Head:
    """Scores [B, T, num_labels] of every token."""

    def parameters(c: Any) -> declare.Tree:
        return {"classifier": declare.linear(c.hidden_size, c.num_labels, name, init=start(c))}

    def forward(params: Any, c: Any, encoded: Encoded, sites: Sites) -> jax.Array:
        return linear(params["head"]["classifier"], sites.drop("head", encoded.state, rate(c)))

    return Head(parameters, forward)


def span(
    name: str = "qa_outputs", *, rate: Rate = no_rate, width: Width = hidden_size, start: Start = usual_start
) -> Head:
    """Two scores a token, [B, T, 2]: an answer starts here, an answer ends here. `width`: of the states."""

    def parameters(c: Any) -> declare.Tree:
        return {"classifier": declare.linear(width(c), 2, name, init=start(c))}

    def forward(params: Any, c: Any, encoded: Encoded, sites: Sites) -> jax.Array:
        return linear(params["head"]["classifier"], sites.drop("head", encoded.state, rate(c)))

    return Head(parameters, forward)


def first_token(
    dense: str,
    activation: str,
    name: str,
    *,
    rate: Rate = no_rate,
    rate_before: Rate = no_rate,
    labels: int | None = None,
) -> Head:
    """Scores [B, labels] of the first token through a dense layer and an activation; dropout after and before it.

    `activation`: its name, or the field of the config that has it.
    """

    def parameters(c: Any) -> declare.Tree:
        return {
            "dense": declare.linear(c.hidden_size, c.hidden_size, dense),
            "classifier": declare.linear(c.hidden_size, labels or c.num_labels, name),
        }

    def forward(params: Any, c: Any, encoded: Encoded, sites: Sites) -> jax.Array:
        p = params["head"]
        x = sites.drop("head_before", encoded.first, rate_before(c))
        x = named(activation, c)(linear(p["dense"], x))
        return linear(p["classifier"], sites.drop("head", x, rate(c)))

    return Head(parameters, forward)


def named(activation: str, c: Any) -> Callable[[jax.Array], jax.Array]:
    """The activation function of this name, or of the name in this field of the config."""
    return ACTIVATIONS[activation if activation in ACTIVATIONS else getattr(c, activation)]


def last_place(name: str = "classifier", *, labels: int | None = None) -> Head:
    """Scores [B, labels] of what stands last in a row, padding or not: models without padding on the right only."""

    def parameters(c: Any) -> declare.Tree:
        return {"classifier": declare.linear(c.hidden_size, labels or c.num_labels, name)}

    def forward(params: Any, c: Any, encoded: Encoded, sites: Sites) -> jax.Array:
        return linear(params["head"]["classifier"], encoded.state[:, -1])

    return Head(parameters, forward)


def last_token(name: str = "score", *, width: Width = hidden_size) -> Head:
    """Scores [B, num_labels] of each text's last token, as decoders are made classifiers. `width`: of the states."""

    def parameters(c: Any) -> declare.Tree:
        return {"classifier": declare.linear(width(c), c.num_labels, name, bias=False)}

    def forward(params: Any, c: Any, encoded: Encoded, sites: Sites) -> jax.Array:
        return linear(params["head"]["classifier"], encoded.last(c.pad_token_id))

    return Head(parameters, forward)


def ends_of(ids: Any, eos: int | tuple[int, ...] | None) -> Any:
    """Which of ids [B, T] end a text: they are eos, or one of several."""
    ends = () if eos is None else eos if isinstance(eos, tuple) else (eos,)
    return (ids[..., None] == np.asarray(ends, np.int32)).any(-1)


def last_end(
    dense: str = "classification_head.dense",
    name: str = "classification_head.out_proj",
    *,
    rate: Rate = classifier_rate,
    start: Start = usual_start,
) -> Head:
    """Scores [B, num_labels] of a decoder's state where its encoder's row has its last eos_token_id, through a dense
    layer and tanh; dropout before and after it.
    """

    def parameters(c: Any) -> declare.Tree:
        return {
            "dense": declare.linear(c.hidden_size, c.hidden_size, dense, init=start(c)),
            "classifier": declare.linear(c.hidden_size, c.num_labels, name, init=start(c)),
        }

    def forward(params: Any, c: Any, encoded: Encoded, sites: Sites) -> jax.Array:
        assert encoded.encoder is not None
        p, ids, real = params["head"], encoded.encoder.inputs.ids, encoded.encoder.inputs.segment_ids != 0
        assert ids is not None
        place = jnp.where(ends_of(ids, c.eos_token_id) & real, jnp.arange(ids.shape[1]), 0).max(1)
        x = encoded.state[jnp.arange(len(ids)), place]
        x = jnp.tanh(linear(p["dense"], sites.drop("head_before", x, rate(c))))
        return linear(p["classifier"], sites.drop("head", x, rate(c)))

    return Head(parameters, forward)


def vocabulary(
    dense: str,
    norm: str,
    decoder: str,
    *,
    bias: str,
    activation: str = "hidden_act",
    width: Width = hidden_size,
) -> Head:
    """Scores [B, T, V] of every token: dense layer, activation, norm, then the word table (or one of its own) and bias.

    `activation`: its name, or the field of the config that has it. `width`: of the decoder, where it is not that of the
    layers. The decoder is the word table itself where config.tie_word_embeddings says so; files may hold it a second
    time. Newer files of models with a decoder of its own have two biases, of which it adds the one under its name.
    """

    def parameters(c: Any) -> declare.Tree:
        tree = {
            "dense": declare.linear(c.hidden_size, width(c), dense),
            "norm": declare.layer_norm(width(c), norm),
            "bias": declare.tied(
                declare.vector(c.vocab_size, bias, "vocab"), f"{decoder}.bias", first=not c.tie_word_embeddings
            ),
        }
        if not c.tie_word_embeddings:
            tree["decoder"] = declare.embedding(c.vocab_size, width(c), decoder, "vocab")
        return tree

    def forward(params: Any, c: Any, encoded: Encoded, sites: Sites) -> jax.Array:
        p = params["head"]
        x = named(activation, c)(linear(p["dense"], encoded.state))
        x = layer_norm(p["norm"], x, c.layer_norm_eps)
        return unembed(p["decoder"] if "decoder" in p else params["word"], x) + p["bias"]

    return Head(parameters, forward, tied=(f"{decoder}.weight",))


def words(
    decoder: str,
    *,
    bias: bool = False,
    width: Width = hidden_size,
    start: Start = usual_start,
    before: Callable[[Any, jax.Array], jax.Array] = lambda c, x: x,
    last: Callable[[Any, jax.Array], jax.Array] = lambda c, x: x,
) -> Head:
    """Scores [B, T, V] of every token by the word table, or where config.tie_word_embeddings says no one of its own.

    width: of the states. start: of its own table. before: (config, states) → what is scored. last: (config, scores) →
    what becomes of them.
    """

    def parameters(c: Any) -> declare.Tree:
        tree: dict[str, Any] = {"bias": declare.vector(c.target_vocab_size, f"{decoder}.bias", "vocab")} if bias else {}
        if not c.tie_word_embeddings:
            tree["decoder"] = declare.embedding(c.target_vocab_size, width(c), decoder, "vocab", init=start(c))
        return tree

    def forward(params: Any, c: Any, encoded: Encoded, sites: Sites) -> jax.Array:
        p = params["head"]
        scores = unembed(p.get("decoder", params["word"]), before(c, encoded.state))
        return last(c, scores + p["bias"] if bias else scores)

    return Head(parameters, forward, tied=(f"{decoder}.weight",))


def both(first: Head, second: Head) -> Head:
    """Two heads over one encoder's result; they return a pair."""

    def parameters(c: Any) -> declare.Tree:
        return {"first": first.parameters(c), "second": second.parameters(c)}

    def forward(params: Any, c: Any, encoded: Encoded, sites: Sites) -> Any:
        return tuple(
            head.forward(params | {"head": params["head"][which]}, c, encoded, sites)
            for which, head in (("first", first), ("second", second))
        )

    return Head(parameters, forward, tied=(*first.tied, *second.tied))


def with_pooler(body: Parameters, name: str = "pooler.dense") -> Parameters:
    """An encoder's arrays and those of `pool`."""
    return lambda c: {**body(c), "pooler": declare.projection(c.hidden_size, c.hidden_size, name)}


def pool(p: Any, encoded: Encoded) -> Encoded:
    """The encoder's result with the first token's vector through a dense layer and tanh as `pooled` [B, D]."""
    return dataclasses.replace(encoded, pooled=jnp.tanh(linear(p, encoded.first)))
