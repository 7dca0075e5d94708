"""Command R7B and Command A (Cohere 2025, arXiv 2504.00698): three layers of four are rotated and see a window, the
others see all and know no positions.
"""

from __future__ import annotations

from typing import Any

from .. import tasks
from ..config import Repeats, Window
from ..layers import rotation
from ..layers.causal import Causal
from ..layers.decoder import (
    SLIDING,
    WHOLE,
    check_kinds,
    gated,
    keys_values,
    rotated,
    run_decoder,
    side_by_side,
    standardised,
    windows,
)
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.rotation import rotate_interleaved
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from .cohere import SCALED, CohereConfig, parameters


class Cohere2Config(
    CohereConfig,
    model_type="cohere2",
    allowed={
        "use_qk_norm": (False,),
        "layer_switch": (4,),
        "use_embedding_sharing": (True,),
        "order_of_interleaved_layers": ("local_attn_first",),
        "position_embedding_type": ("rope_gptj",),
        "rotary_pct": (1.0,),
        "use_gated_activation": (True,),
        "use_parallel_block": (True,),
    },
    ignores=("use_parallel_embedding",),
):
    """Command R's sizes, and which layers see a window: layer_types by name, else all but each so-manieth."""

    sliding_window: Window | None = 4096
    sliding_window_pattern: Repeats = 4
    layer_types: tuple[str, ...] | None = None

    def check(self) -> None:
        """Command R's rules, and a kind for each layer."""
        super().check()
        check_kinds(self)


def decode(params: Any, c: Cohere2Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm, count = Causal.of(inputs), standardised(c.layer_norm_eps), c.num_hidden_layers
    cos_sin = rotation.rotation(c, head_dim(c)).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), rotate=rotate_interleaved, rate=c.attention_dropout)
    block = side_by_side(mix, gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    kinds = c.layer_types or [SLIDING if (i + 1) % c.sliding_window_pattern else WHOLE for i in range(count)]
    uses_rope = [kind == SLIDING and bool(c.sliding_window) for kind in kinds]
    each = windows(kinds, c.sliding_window), uses_rope
    return run_decoder(order, block, params, x, *each, ask=ask, sites=sites, norm=norm)


class Cohere2Model(tasks.Decoder, config=Cohere2Config, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class Cohere2ForCausalLM(tasks.CausalLM, base=Cohere2Model, head=SCALED):
    """Scores of every word to follow each token."""
