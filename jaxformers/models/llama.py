"""Llama 1 to 3 (Touvron et al. 2023, arXiv 2302.13971; Dubey et al. 2024, arXiv 2407.21783): rotary positions, norms by
the root mean square before attention and a gated network, fewer heads of keys than of queries.

Most decoders since are this one with a line changed: they take what they share from here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from .. import declare, tasks
from ..config import Config, Depth, Endless, Epsilon, Rate, Size
from ..declare import repeat
from ..layers import rotation
from ..layers.activation import ACTIVATIONS
from ..layers.causal import Causal
from ..layers.decoder import (
    decoded,
    gate_up_down,
    gated,
    keys_values,
    norms_first,
    projections,
    root_mean_square,
    rotated,
)
from ..layers.dropout import Drop, no_drop
from ..layers.embedding import embed_tokens
from ..layers.inputs import Inputs, Want
from ..layers.run import Encoded
from ..network import Network


class Rotary(Endless):
    """Fields that decoders with rotary positions have, to be put before Config.

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
        check_heads(self)
        rotation.check(self, width(self))


class LlamaConfig(Rotary, Config, model_type="llama"):
    """Sizes and rates of a Llama model; the defaults are those of Llama 1 with 7 billion parameters."""

    rms_norm_eps: Epsilon = 1e-6
    attention_bias: bool = False
    mlp_bias: bool = False


def check_heads(c: Any) -> None:
    """Refuse heads that do not share the width, or the heads of keys, evenly.

    Raises:
        ValueError: naming the fields.
    """
    owner, heads = type(c).__name__, c.num_attention_heads
    if c.head_dim is None and c.hidden_size % heads:
        raise ValueError(f"{owner}: hidden_size={c.hidden_size} is no multiple of num_attention_heads={heads}")
    if heads % keys(c):
        raise ValueError(f"{owner}: num_attention_heads={heads} is no multiple of num_key_value_heads={keys(c)}")


def width(c: Any) -> int:
    """Numbers of a head."""
    return c.head_dim or c.hidden_size // c.num_attention_heads


def keys(c: Any) -> int:
    """Heads of keys and of values."""
    return c.num_key_value_heads or c.num_attention_heads


def attention(c: Any) -> declare.Tree:
    """The arrays of a layer but those of its feed-forward network."""
    d, heads = c.hidden_size, (c.num_attention_heads, keys(c), width(c))
    return {
        "attention_norm": declare.rms_norm(d, "input_layernorm"),
        **projections(d, *heads, bias=c.attention_bias, out_bias=c.attention_bias),
        "ffn_norm": declare.rms_norm(d, "post_attention_layernorm"),
    }


def layer(c: Any) -> declare.Tree:
    """A layer's arrays."""
    return attention(c) | gate_up_down(c.hidden_size, c.intermediate_size, bias=c.mlp_bias)


def around(c: Any, layer: declare.Tree) -> declare.Tree:
    """The model's arrays, given those of a layer."""
    return {
        "word": declare.embedding(c.vocab_size, c.hidden_size, "embed_tokens", "vocab", zero_row=c.pad_token_id),
        "layers": repeat(c.num_hidden_layers, "layers.{}", layer),
        "final_norm": declare.rms_norm(c.hidden_size, "norm"),
    }


def parameters(c: LlamaConfig) -> declare.Tree:
    """The model's arrays."""
    return around(c, layer(c))


def decode(params: Any, c: LlamaConfig, inputs: Inputs, want: Want = Want(), drop: Drop = no_drop) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    turns = rotation.rotation(c, width(c)).turns(order.positions, order.reach)
    mix = rotated(order, turns, width(c), keys(c), rate=c.attention_dropout)
    block = norms_first(mix, gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    return decoded(order, block, params, x, drop.each(c.num_hidden_layers), want=want, norm=norm)


class LlamaModel(tasks.Decoder, config=LlamaConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class LlamaForCausalLM(tasks.CausalLM, base=LlamaModel):
    """Scores of every word to follow each token."""


class LlamaForSequenceClassification(tasks.SequenceClassification, base=LlamaModel):
    """One set of scores a text, from its last token."""


class LlamaForTokenClassification(tasks.TokenClassification, base=LlamaModel):
    """One set of scores a token."""


class LlamaForQuestionAnswering(tasks.QuestionAnswering, base=LlamaModel):
    """Where in a context the answer starts and ends."""
