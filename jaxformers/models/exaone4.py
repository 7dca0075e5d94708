"""EXAONE 4 (LG AI Research 2025, arXiv 2507.11407): norms after attention and network, norms of queries and keys head
by head, three layers of four that are rotated and see a window, and others that see all and know no positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Size, Window
from ..layers import rotation
from ..layers.causal import Causal
from ..layers.decoder import (
    SLIDING,
    WHOLE,
    check_kinds,
    gated,
    keys_values,
    normed,
    norms_last,
    root_mean_square,
    rotated,
    run_decoder,
    windows,
)
from ..layers.decoder_arrays import gate_up_down, head_norms, model_arrays, projections
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import RotarySizes


class Exaone4Config(
    RotarySizes, Config, model_type="exaone4", allowed={"attention_bias": (False,), "mlp_bias": (False,)}
):
    """Llama's sizes, and which layers see a window.

    sliding_window: how many tokens these see; None: every layer sees all and is turned. layer_types: which these are;
    None: all but each sliding_window_pattern-th.
    """

    vocab_size: Size = 102400
    intermediate_size: Size = 16384
    num_key_value_heads: Size | None = 32
    rms_norm_eps: Epsilon = 1e-5
    sliding_window: Window | None = 4096
    sliding_window_pattern: Depth | str | None = 4
    layer_types: tuple[str, ...] | None = None

    def check(self) -> None:
        """Heads, and a kind for each layer."""
        super().check()
        check_kinds(self)
        period = self.sliding_window_pattern
        if isinstance(period, str) and self.sliding_window and self.layer_types is None:
            raise ValueError(f"Exaone4Config: sliding_window_pattern={period[:60]!r} is no number: give layer_types")


def kinds(c: Exaone4Config) -> Sequence[str]:
    """Which layers see a window."""
    period = c.sliding_window_pattern if c.sliding_window else None
    return c.layer_types or [
        SLIDING if isinstance(period, int) and (i + 1) % period else WHOLE for i in range(c.num_hidden_layers)
    ]


def parameters(c: Exaone4Config) -> declare.Tree:
    """The model's arrays."""
    d = c.hidden_size
    layer = {
        **projections(d, c.num_attention_heads, kv_heads(c), head_dim(c)),
        **head_norms(c),
        "attention_norm": declare.rms_norm(d, "post_attention_layernorm"),
        **gate_up_down(d, c.intermediate_size),
        "ffn_norm": declare.rms_norm(d, "post_feedforward_layernorm"),
    }
    return model_arrays(c, layer)


def decode(params: Any, c: Exaone4Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    cos_sin = rotation.rotation(c, head_dim(c)).cos_sin(order.positions, order.reach)
    mix = rotated(order, cos_sin, head_dim(c), kv_heads(c), heads=normed(norm), rate=c.attention_dropout)
    block = norms_last(mix, gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    uses_rope = [kind == SLIDING or not c.sliding_window for kind in kinds(c)]
    each = windows(kinds(c), c.sliding_window), uses_rope
    return run_decoder(order, block, params, x, *each, ask=ask, sites=sites, norm=norm)


class Exaone4Model(tasks.Decoder, config=Exaone4Config, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class Exaone4ForCausalLM(tasks.CausalLM, base=Exaone4Model):
    """Scores of every word to follow each token."""


class Exaone4ForSequenceClassification(tasks.SequenceClassification, base=Exaone4Model):
    """One set of scores a text, from its last token."""


class Exaone4ForTokenClassification(tasks.TokenClassification, base=Exaone4Model):
    """One set of scores a token."""


class Exaone4ForQuestionAnswering(tasks.QuestionAnswering, base=Exaone4Model):
    """Where in a context the answer starts and ends."""
