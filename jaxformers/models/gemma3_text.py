"""Gemma 3 (Gemma Team 2025, arXiv 2503.19786), the part that reads text: Gemma 2 with norms of queries and keys in
place of bounds, five layers of six that see a window, and another rotation for these. EmbeddingGemma (Schechter Vera et
al. 2025, arXiv 2509.20354) is the same reading in both directions.
"""

from __future__ import annotations

from typing import Any

import jax

from .. import declare, tasks
from ..config import Positive, Repeats, Size
from ..layers import heads, rotation
from ..layers.attention import project
from ..layers.causal import Causal
from ..layers.decoder import (
    SLIDING,
    WHOLE,
    check_kinds,
    gated,
    keys_values,
    norms_around,
    offset_root_mean_square,
    rotations,
    run_decoder,
    windows,
)
from ..layers.decoder_arrays import head_norms, model_arrays
from ..layers.embedding import embed_tokens, scaled_by_width
from ..layers.gqa import check_heads, head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.norm import offset_rms_norm
from ..layers.rotation import rotate_half
from ..layers.run import Encoded, either
from ..layers.sites import PLAIN, Sites
from ..network import Network
from . import gemma2
from .gemma2 import Gemma2Config, capped


class Gemma3TextConfig(
    Gemma2Config,
    model_type="gemma3_text",
    inside=("gemma3",),
    allowed={"attn_logit_softcapping": (None,), "use_bidirectional_attention": (None, False, True)},
):
    """Gemma 2's sizes, and what differs between layers that see all and those that see a window.

    sliding_window_pattern: of so many layers the last sees all; layer_types says it by name. rope_theta, rope_scaling:
    the rotation where all is seen; rope_local_base_freq: where a window is; rope_parameters: both by kind, as newer
    files have it. use_bidirectional_attention: tokens see what follows too, and half a window to each side.
    """

    vocab_size: Size = 262208
    max_position_embeddings: Size = 131072
    rope_theta: float = 1_000_000.0
    rope_local_base_freq: float = 10_000.0
    sliding_window_pattern: Repeats = 6
    final_logit_softcapping: Positive | None = None
    attn_logit_softcapping: Positive | None = None
    use_bidirectional_attention: bool | None = False

    def check(self) -> None:
        """Heads, kinds of layers, and a rotation for each kind."""
        check_heads(self)
        check_kinds(self)
        for base, told in rotations(self, self.rope_local_base_freq).values():
            rotation.check(self, head_dim(self), told={"rope_theta": base, **told})


def parameters(c: Gemma3TextConfig) -> declare.Tree:
    """The model's arrays."""
    layer = gemma2.layer(c) | head_norms(c, declare.offset_norm)
    return model_arrays(c, layer) | {"final_norm": declare.offset_norm(c.hidden_size, "norm")}


def decode(params: Any, c: Gemma3TextConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache.

    Raises:
        ValueError: there is a cache, and the model reads in both directions.
    """
    both = c.use_bidirectional_attention
    if both and inputs.cache is not None:
        raise ValueError(
            "Gemma3TextConfig: use_bidirectional_attention=True, so what follows is seen: there is no cache"
        )
    order, norm = Causal.of(inputs), offset_root_mean_square(c.rms_norm_eps)
    whole, local = (
        rotation.rotation(c, head_dim(c), base=float(base), told=told).cos_sin(order.positions, order.reach)
        for base, told in rotations(c, c.rope_local_base_freq).values()
    )

    def mix(
        p: Any, x: jax.Array, cell: Any, sites: Sites, window: Any, ahead: Any, slides: Any
    ) -> tuple[jax.Array, Any]:
        q, k, v = project(p, x, head_dim(c), kv_heads(c))
        q, k = offset_rms_norm(p["query_norm"], q, c.rms_norm_eps), offset_rms_norm(p["key_norm"], k, c.rms_norm_eps)
        cos_sin = either(slides, lambda: local, lambda: whole)
        options: dict[str, Any] = {"scale": c.query_pre_attn_scalar**-0.5, "rate": c.attention_dropout, "sites": sites}
        q, k = rotate_half(q, cos_sin), rotate_half(k, cos_sin)
        return order.attend(q, k, v, cell, window=window, ahead=ahead, **options)

    block = norms_around(mix, gated(c.hidden_activation), norm)
    x = embed_tokens(params["word"], inputs)
    x = x if inputs.embeds is not None else scaled_by_width(x)
    period, count = c.sliding_window_pattern, c.num_hidden_layers
    kinds = c.layer_types or [SLIDING if (i + 1) % period else WHOLE for i in range(count)]
    window = c.sliding_window // 2 + 1 if both and c.sliding_window else c.sliding_window
    seen = windows(kinds, window)
    ahead = [size - 1 if both else 0 for size in seen]
    slides = [kind == SLIDING for kind in kinds]
    return run_decoder(order, block, params, x, seen, ahead, slides, ask=ask, sites=sites, norm=norm)


class Gemma3TextModel(
    tasks.Decoder,
    config=Gemma3TextConfig,
    also=("language_model.model", "model.language_model"),
    network=Network(parameters, decode=decode, cells=keys_values),
):
    """The model without a head."""


class Gemma3ForCausalLM(tasks.CausalLM, base=Gemma3TextModel, head=heads.words("lm_head", last=capped)):
    """Scores of every word to follow each token."""


class Gemma3TextForSequenceClassification(tasks.SequenceClassification, base=Gemma3TextModel):
    """One set of scores a text, from its last token."""
