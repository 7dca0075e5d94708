"""The layer with its norms inside the residual branches (Xiong et al. 2020, arXiv 2002.04745): x + f(norm(x))."""

from __future__ import annotations

from typing import Any

import jax

from .. import declare
from . import cross, post_norm
from .activation import ACTIVATIONS
from .attention import attention, project, through_out
from .causal import Causal
from .decoder import run_decoder
from .inputs import Ask, Inputs
from .linear import linear
from .norm import layer_norm
from .post_norm import Mix
from .run import Block, Encoded
from .sites import Sites


def layer(c: Any, *, attention_norm: str, ffn_norm: str) -> declare.Tree:
    """One layer's arrays, under BERT's names but for those of its norms."""
    d = c.hidden_size
    return {
        **attention(d, "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
        "attention_norm": declare.layer_norm(d, f"attention.{attention_norm}"),
        "up": declare.linear(d, c.intermediate_size, "intermediate.dense", ("embed", "mlp")),
        "down": declare.linear(c.intermediate_size, d, "output.dense", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, ffn_norm),
    }


def block(c: Any, mix: Mix) -> Block:
    """The layer as `run` takes it: tokens mix, then each goes through the feed-forward network."""

    def apply(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        context = mix(p, layer_norm(p["attention_norm"], x, c.layer_norm_eps), sites)
        x = x + sites("attention", through_out(p, context, x, sites), c.hidden_dropout_prob)
        return fed(c, p, x, sites)

    return apply


def fed(c: Any, p: Any, x: jax.Array, sites: Sites) -> jax.Array:
    """What the second half of a layer makes of x [B, T, D]."""
    h = ACTIVATIONS[c.hidden_act](linear(p["up"], layer_norm(p["ffn_norm"], x, c.layer_norm_eps)))
    return x + sites("ffn", linear(p["down"], h, like=x), c.hidden_dropout_prob)


# -- the same layers in one direction ---------------------------------------------------------------------------------


def directed_layer(c: Any, *, attention_norm: str, ffn_norm: str) -> declare.Tree:
    """One layer's arrays, and where config.add_cross_attention says so those that look at an encoder."""
    tree = layer(c, attention_norm=attention_norm, ffn_norm=ffn_norm)
    if not c.add_cross_attention:
        return tree
    norm = declare.layer_norm(c.hidden_size, f"crossattention.{attention_norm}")
    return tree | {"cross": post_norm.looking(c), "cross_norm": norm}


def decode(params: Any, c: Any, inputs: Inputs, order: Causal, x: jax.Array, ask: Ask, sites: Sites) -> Encoded:
    """Hidden states [B, T, D] of tokens that see those before them, and what an encoder has read where there is one;
    not normed yet.

    order: of the tokens. x: what enters the first layer.
    """
    count, rate, memory = c.num_attention_heads, c.attention_probs_dropout_prob, inputs.memory

    def apply(p: Any, x: jax.Array, cell: Any, sites: Sites) -> tuple[jax.Array, Any]:
        q, k, v = project(p, layer_norm(p["attention_norm"], x, c.layer_norm_eps), c.hidden_size // count)
        context, kept = order.attend(q, k, v, cell, rate=rate, sites=sites)
        x = x + sites("attention", through_out(p, context, x, sites), c.hidden_dropout_prob)
        if cross.beside(cell, memory):
            normed = layer_norm(p["cross_norm"], x, c.layer_norm_eps)
            h = cross.attention(p["cross"], normed, cell, memory, count, sites, rate=rate)
            x = x + sites("cross", h, c.hidden_dropout_prob)
        return fed(c, p, x, sites), kept

    return run_decoder(order, apply, params, x, ask=ask, sites=sites, norm=lambda own, x: x)
