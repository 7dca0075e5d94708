"""BERT's embeddings and layer (Devlin et al. 2019, arXiv 1810.04805), which many encoders have as they are or in part.

The norm comes after each residual sum. Nouns declare arrays under the names that BERT's files use; what a relative does
otherwise it says by other positions, or by another way to mix tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from ..declare import under
from . import cross, rotary
from .activation import ACTIVATIONS
from .attention import attend, attention, merge, project, through_out
from .causal import Causal
from .decoder import run_decoder
from .embedding import embed, embed_tokens
from .inputs import Ask, Inputs
from .linear import linear
from .norm import layer_norm
from .run import Block, Encoded
from .sites import Sites

Mix = Callable[[Any, jax.Array, Sites], jax.Array]
"""(a layer's arrays, x [B, T, D], sites) → what each token takes from the others [B, T, D]."""


def unsegmented_embeddings(c: Any, width: int) -> declare.Tree:
    """Tables of words and positions, `width` wide, and the norm of their sum."""
    return under(
        "embeddings",
        {
            "word": declare.embedding(c.vocab_size, width, "word_embeddings", "vocab", zero_row=c.pad_token_id),
            "position": declare.embedding(c.max_position_embeddings, width, "position_embeddings"),
            "norm": declare.layer_norm(width, "LayerNorm"),
        },
    )


def embeddings(c: Any, width: int) -> declare.Tree:
    """Tables of words, positions and segments, `width` wide, and the norm of their sum."""
    types = declare.embedding(c.type_vocab_size, width, "token_type_embeddings")
    return unsegmented_embeddings(c, width) | {"type": under("embeddings", types)}


def layer(c: Any) -> declare.Tree:
    """One layer's arrays."""
    d = c.hidden_size
    return {
        **attention(d, "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
        "attention_norm": declare.layer_norm(d, "attention.output.LayerNorm"),
        "up": declare.linear(d, c.intermediate_size, "intermediate.dense", ("embed", "mlp")),
        "down": declare.linear(c.intermediate_size, d, "output.dense", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "output.LayerNorm"),
    }


def check_heads(c: Any) -> None:
    """Refuse a config whose heads do not share the width evenly."""
    if c.hidden_size % c.num_attention_heads:
        raise ValueError(
            f"{type(c).__name__}: hidden_size={c.hidden_size} is no multiple of "
            f"num_attention_heads={c.num_attention_heads}"
        )


def check_counted(c: Any) -> None:
    """Refuse a config whose positions, counted from the padding token, end before the first token."""
    if not 0 <= c.pad_token_id < c.max_position_embeddings - 1:
        raise ValueError(
            f"{type(c).__name__}: positions count from pad_token_id={c.pad_token_id}, "
            f"max_position_embeddings={c.max_position_embeddings} has none after it"
        )


def summed(params: Any, inputs: Inputs, places: jax.Array) -> jax.Array:
    """Words [B, T, D] plus, where the tree has tables of them, positions, segments and tasks (ERNIE 2.0).

    places: [B or 1, T] rows of the table of positions.
    """
    x = embed_tokens(params["word"], inputs)
    tasks = inputs.beside.get("task_type_ids", jnp.zeros((1, inputs.shape[1]), jnp.int32))
    for name, rows in (("position", places), ("type", inputs.segments), ("task", tasks)):
        if name in params:
            x = x + embed(params[name], rows)
    return x


def embedded(params: Any, c: Any, inputs: Inputs, places: jax.Array, sites: Sites) -> jax.Array:
    """What enters the first layer [B, T, D]: the sum, normed."""
    x = layer_norm(params["norm"], summed(params, inputs, places), c.layer_norm_eps)
    return sites.drop("embeddings", x, c.hidden_dropout_prob)


def self_attention(c: Any, seen: jax.Array | None, bias: jax.Array | None = None) -> Mix:
    """Every token takes from those that are `seen` (as `attend` has it, and the bias) by plain attention."""

    def mix(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = project(p, x, c.hidden_size // c.num_attention_heads)
        context = attend(q, k, v, seen, bias=bias, rate=c.attention_probs_dropout_prob, sites=sites)
        return merge(context)

    return mix


def rotary_attention(c: Any, seen: jax.Array | None, angles: jax.Array) -> Mix:
    """Plain attention whose queries and keys are rotated by angles [B or 1, T, d/2]."""

    def mix(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = project(p, x, c.hidden_size // c.num_attention_heads)
        q, k = rotary.rotate(q, angles), rotary.rotate(k, angles)
        context = attend(q, k, v, seen, rate=c.attention_probs_dropout_prob, sites=sites)
        return merge(context)

    return mix


Feed = Callable[[Any, jax.Array], jax.Array]
"""(a layer's arrays, x [B, T, D]) → what the feed-forward network makes of each token [B, T, D]."""


def feed(c: Any) -> Feed:
    """BERT's feed-forward network: out to the inner width, activation, and back."""
    return lambda p, x: linear(p["down"], ACTIVATIONS[c.hidden_act](linear(p["up"], x)), like=x)


def block(c: Any, mix: Mix, feed_forward: Feed | None = None) -> Block:
    """The layer as `run` takes it: tokens mix, then each goes through a feed-forward network, BERT's unless given."""
    through = feed_forward or feed(c)

    def apply(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        context = mix(p, x, sites)
        x = x + sites("attention", through_out(p, context, x, sites), c.hidden_dropout_prob)
        x = layer_norm(p["attention_norm"], x, c.layer_norm_eps)
        return layer_norm(p["ffn_norm"], x + sites("ffn", through(p, x), c.hidden_dropout_prob), c.layer_norm_eps)

    return apply


# -- the same layers in one direction ---------------------------------------------------------------------------------


def directed_layer(c: Any) -> declare.Tree:
    """One layer's arrays, and where config.add_cross_attention says so those that look at an encoder."""
    if not c.add_cross_attention:
        return layer(c)
    norm = declare.layer_norm(c.hidden_size, "crossattention.output.LayerNorm")
    return layer(c) | {"cross": looking(c), "cross_norm": norm}


def looking(c: Any) -> declare.Tree:
    """The projections of a layer that looks at an encoder."""
    inside = "crossattention.self"
    names = (f"{inside}.query", f"{inside}.key", f"{inside}.value", "crossattention.output.dense")
    return cross.arrays(c.hidden_size, *names)


Turn = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array, jax.Array]]
"""(queries, keys, values [B, T, H, d]) → the same, turned by their places where these stand in no table."""


def decode(
    params: Any,
    c: Any,
    inputs: Inputs,
    order: Causal,
    x: jax.Array,
    ask: Ask,
    sites: Sites,
    turn: Turn = lambda q, k, v: (q, k, v),
) -> Encoded:
    """Hidden states [B, T, D] of tokens that see those before them, and what an encoder has read where there is one.

    order: of the tokens. x: what enters the first layer.
    """
    count, rate = c.num_attention_heads, c.attention_probs_dropout_prob
    memory = inputs.memory

    def apply(p: Any, x: jax.Array, cell: Any, sites: Sites) -> tuple[jax.Array, Any]:
        q, k, v = turn(*project(p, x, c.hidden_size // count))
        context, kept = order.attend(q, k, v, cell, rate=rate, sites=sites)
        h = sites("attention", through_out(p, context, x, sites), c.hidden_dropout_prob)
        x = layer_norm(p["attention_norm"], x + h, c.layer_norm_eps)
        if cross.beside(cell, memory):
            h = cross.attention(p["cross"], x, cell, memory, count, sites, rate=rate)
            x = layer_norm(p["cross_norm"], x + sites("cross", h, c.hidden_dropout_prob), c.layer_norm_eps)
        h = sites("ffn", feed(c)(p, x), c.hidden_dropout_prob)
        return layer_norm(p["ffn_norm"], x + h, c.layer_norm_eps), kept

    return run_decoder(order, apply, params, x, ask=ask, sites=sites, norm=lambda own, x: x)
