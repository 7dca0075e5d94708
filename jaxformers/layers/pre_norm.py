"""The layer with its norms inside the residual branches (Xiong et al. 2020, arXiv 2002.04745): x + f(norm(x))."""

from __future__ import annotations

from typing import Any

import jax

from .activation import ACTIVATIONS
from .attention import through_out
from .linear import linear
from .norm import layer_norm
from .post_norm import Mix
from .run import Block
from .sites import Sites


def block(c: Any, mix: Mix) -> Block:
    """The layer as `run` takes it: tokens mix, then each goes through the feed-forward network."""

    def apply(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        context = mix(p, layer_norm(p["attention_norm"], x, c.layer_norm_eps), sites)
        x = x + sites("attention", through_out(p, context, x, sites), c.hidden_dropout_prob)
        h = ACTIVATIONS[c.hidden_act](linear(p["up"], layer_norm(p["ffn_norm"], x, c.layer_norm_eps)))
        return x + sites("ffn", linear(p["down"], h, like=x), c.hidden_dropout_prob)

    return apply
