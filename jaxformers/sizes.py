"""Fields that several architectures share, with what they must satisfy: to be put before `Config` in a config class.

An architecture says its own defaults behind them, and what else it has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from .config import Depth, Endless, Epsilon, Rate, Size
from .layers import gqa, rotation
from .layers.activation import ACTIVATIONS


class RotarySizes(Endless):
    """Decoders with rotary positions.

    num_key_value_heads: heads of keys and values, each for the same number of queries; None: as many.
    head_dim: numbers of a head; None: the width shared evenly. rope_*: see `layers.rotation`.
    """

    vocab_size: Size = 32000
    hidden_size: Size = 4096
    intermediate_size: Size = 11008
    num_hidden_layers: Depth = 32
    num_attention_heads: Size = 32
    num_key_value_heads: Size | None = None
    hidden_act: str = "silu"
    max_position_embeddings: Size = 2048
    rope_theta: float = 10_000.0
    rope_scaling: dict | None = None
    rope_parameters: dict | None = None
    attention_dropout: Rate = 0.0
    head_dim: Size | None = None
    tie_word_embeddings: bool = False

    allowed: ClassVar[Mapping[str, Collection[Any]]] = {
        "hidden_act": ACTIVATIONS,
        "lm_head_bias": (False,),
        "rope_interleaved": (False,),
        "use_mrope": (False,),
    }
    ignores: ClassVar[Collection[str]] = ("is_llama_config", "max_sequence_length", "max_window_layers")

    @property
    def promised_row(self) -> int | None:
        """Rows of training, so much longer as a rotation is stretched."""
        return rotation.promised(self)

    def check(self) -> None:
        """Heads of keys share those of queries, and have pairs to rotate."""
        gqa.check_heads(self)
        rotation.check(self, gqa.head_dim(self))


class GatedSizes(RotarySizes):
    """Decoders with rotary positions, norms by the root mean square and a gated network."""

    rms_norm_eps: Epsilon = 1e-6
    attention_bias: bool = False
    mlp_bias: bool = False


class PartlyRotarySizes(RotarySizes):
    """Decoders that turn the first numbers of each head alone; partial_rotary_factor: the share of them."""

    partial_rotary_factor: Rate = 0.5

    def check(self) -> None:
        """Heads of keys share those of queries, and have pairs to rotate."""
        gqa.check_heads(self)
        rotation.check(self, rotation.part(self, gqa.head_dim(self)))
