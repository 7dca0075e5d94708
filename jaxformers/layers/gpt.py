"""What GPT's line has that Llama's has not (Radford et al. 2018 and 2019): words that stand for segments too, one
projection that holds queries, keys and values in an order of its own, and the norm after each sum.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from .attention import project, through_out
from .causal import FULL, Causal
from .decoder import Added, Feed, Layer, Mix, Norm, Rotate
from .embedding import embed, embed_tokens
from .inputs import Inputs
from .linear import linear
from .rotation import CosSin
from .sites import Sites

Split = Callable[[Any, jax.Array], tuple[jax.Array, jax.Array, jax.Array]]
"""(arrays, x [B, T, D]) → queries [B, T, H, d], keys and values [B, T, K, d]."""


def head_dim(c: Any) -> int:
    """Numbers of a head."""
    return c.hidden_size // c.num_attention_heads


def conv1d(d_in: int, d_out: int, name: str, axes: tuple[str, str], init: declare.Init | None = None) -> declare.Tree:
    """A dense layer whose files hold its matrix transposed."""
    return declare.transposed(declare.linear(d_in, d_out, name, axes, init=init))


def residual(c: Any) -> declare.Init:
    """How what is added to the residual starts: it adds up over two halves of each layer."""
    return declare.Normal(c.spread / (2 * c.num_hidden_layers) ** 0.5)


def model_arrays(c: Any, layer: declare.Tree, word: str = "wte") -> declare.Tree:
    """The model's arrays but for positions, given those of a layer and the name of the word table."""
    return {
        "word": declare.embedding(c.vocab_size, c.hidden_size, word, "vocab"),
        "layers": declare.repeat(c.num_hidden_layers, "h.{}", layer),
        "final_norm": declare.layer_norm(c.hidden_size, "ln_f"),
    }


def words(params: Any, inputs: Inputs) -> jax.Array:
    """The vectors [B, T, D] of a batch's tokens, plus those of its segments, which are words as well."""
    x = embed_tokens(params["word"], inputs)
    return x if inputs.types is None else x + embed(params["word"], inputs.types)


def scaled(params: Any, inputs: Inputs, gain: float) -> jax.Array:
    """The vectors [B, T, D] of a batch's tokens, those from the table times `gain`."""
    x = embed_tokens(params["word"], inputs)
    return x if inputs.ids is None else x * gain


def sines(positions: jax.Array, steps: jax.Array) -> jax.Array:
    """Positions [B or 1, T] as the sines and then the cosines of their multiples of `steps` [n]: [B or 1, T, 2n]."""
    angles = positions[..., None].astype(jnp.float32) * steps
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=-1)


def in_blocks(width: int, keys: int | None = None) -> Split:
    """All queries, then all keys, then all values: `attention.project`."""
    return lambda p, x: project(p, x, width, keys)


def in_groups(width: int, keys: int) -> Split:
    """For each of `keys` heads of keys the queries that it serves, it, and its values."""

    def split(p: Any, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        groups = linear(p["qkv"], x).reshape(*x.shape[:-1], keys, -1, width)
        return groups[..., :-2, :].reshape(*x.shape[:-1], -1, width), groups[..., -2, :], groups[..., -1, :]

    return split


def rotated_heads(split: Split, rotate: Rotate, cos_sin: CosSin) -> Split:
    """The same with queries and keys rotated by their positions."""

    def turning(p: Any, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        q, k, v = split(p, x)
        return rotate(q, cos_sin), rotate(k, cos_sin), v

    return turning


def attention(
    order: Causal, split: Split, *, bias: jax.Array | None = None, scale: float | None = None, rate: float = 0.0
) -> Mix:
    """Attention of the heads that `split` gives. Of what is a layer's own it takes its window."""

    def mix(p: Any, x: jax.Array, cell: Any, sites: Sites, window: Any = FULL) -> tuple[jax.Array, Any]:
        return order.attend(*split(p, x), cell, window=window, bias=bias, scale=scale, rate=rate, sites=sites)

    return mix


def sums_normed(mix: Mix, feed: Feed, norm: Norm, added: Added) -> Layer:
    """The layer of Vaswani et al. 2017: norm(x + mix(x)), then norm(x + feed(x))."""

    def apply(p: Any, x: jax.Array, cell: Any, sites: Sites, *own: Any) -> tuple[jax.Array, Any]:
        context, cell = mix(p, x, cell, sites, *own)
        x = norm(p["attention_norm"], x + added("attention", through_out(p, context, x, sites), sites))
        return norm(p["ffn_norm"], x + added("ffn", feed(p, x, sites), sites)), cell

    return apply
