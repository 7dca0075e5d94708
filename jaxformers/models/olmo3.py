"""OLMo 3 (OLMo Team 2025, arXiv 2512.13961): OLMo 2 with three layers of four that see a window, whose rotation is not
stretched.
"""

from __future__ import annotations

from typing import Any

import jax

from .. import tasks
from ..config import Window
from ..layers import rotation
from ..layers.causal import Causal
from ..layers.decoder import (
    SLIDING,
    WHOLE,
    check_kinds,
    gated,
    keys_values,
    normed_as_one,
    norms_last,
    root_mean_square,
    rotated,
    rotations,
    run_decoder,
    windows,
)
from ..layers.embedding import embed_tokens
from ..layers.gqa import check_heads, head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded, either
from ..layers.sites import PLAIN, Sites
from ..network import Network
from .olmo2 import Olmo2Config, parameters


class Olmo3Config(Olmo2Config, model_type="olmo3"):
    """OLMo 2's sizes, and which layers see a window: layer_types by name, else all but each fourth.

    rope_scaling: the rotation where all is seen; rope_parameters: that of each kind of layer, as newer files have it.
    """

    rope_theta: float = 500_000.0
    sliding_window: Window | None = 4096
    layer_types: tuple[str, ...] | None = None

    def check(self) -> None:
        """Heads, kinds of layers, and a rotation for each kind."""
        check_heads(self)
        check_kinds(self)
        for base, told in rotations(self, self.rope_theta).values():
            rotation.check(self, head_dim(self), told={"rope_theta": base, **told})


def decode(params: Any, c: Olmo3Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm, count = Causal.of(inputs), root_mean_square(c.rms_norm_eps), c.num_hidden_layers
    whole, near = (
        rotation.rotation(c, head_dim(c), base=float(base), told=told).cos_sin(order.positions, order.reach)
        for base, told in rotations(c, c.rope_theta).values()
    )

    def mix(p: Any, x: jax.Array, cell: Any, sites: Sites, window: Any, slides: Any) -> tuple[jax.Array, Any]:
        cos_sin, heads = either(slides, lambda: near, lambda: whole), normed_as_one(norm)
        of_kind = rotated(order, cos_sin, head_dim(c), kv_heads(c), heads=heads, rate=c.attention_dropout)
        return of_kind(p, x, cell, sites, window)

    block = norms_last(mix, gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    kinds = c.layer_types or [SLIDING if (i + 1) % 4 else WHOLE for i in range(count)]
    each = windows(kinds, c.sliding_window), [kind == SLIDING for kind in kinds]
    return run_decoder(order, block, params, x, *each, ask=ask, sites=sites, norm=norm)


class Olmo3Model(tasks.Decoder, config=Olmo3Config, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class Olmo3ForCausalLM(tasks.CausalLM, base=Olmo3Model):
    """Scores of every word to follow each token."""


class Olmo3ForSequenceClassification(tasks.SequenceClassification, base=Olmo3Model):
    """One set of scores a text, from its last token."""
