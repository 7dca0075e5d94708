"""SmolLM3 (Hugging Face 2025, "SmolLM3: smol, multilingual, long-context reasoner"): Llama in which every fourth layer
knows no positions.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Depth, Repeats, Size, Token, Window
from ..layers.causal import Causal
from ..layers.decoder import (
    SLIDING,
    WHOLE,
    check_kinds,
    gated,
    keys_values,
    norms_first,
    root_mean_square,
    rotary_attention,
    run_decoder,
    windows,
)
from ..layers.decoder_arrays import layer_arrays, model_arrays
from ..layers.embedding import embed_tokens
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GatedSizes


class SmolLM3Config(GatedSizes, Config, model_type="smollm3"):
    """Llama's sizes, and which layers are turned.

    no_rope_layers: zero for each layer that is not, in spite of its name; None: each no_rope_layer_interval-th.
    layer_types: which layers see a window; None: those that are not turned, where use_sliding_window says so.
    """

    vocab_size: Size = 128256
    hidden_size: Size = 2048
    num_hidden_layers: Depth = 36
    num_attention_heads: Size = 16
    num_key_value_heads: Size | None = 4
    max_position_embeddings: Size = 32768
    rope_theta: float = 2_000_000.0
    no_rope_layers: tuple[int, ...] | None = None
    no_rope_layer_interval: Repeats = 4
    use_sliding_window: bool = False
    sliding_window: Window | None = None
    layer_types: tuple[str, ...] | None = None
    pad_token_id: Token | None = 128004
    tie_word_embeddings: bool = True

    def check(self) -> None:
        """Llama's rules, a kind for each layer, and whether it is turned."""
        super().check()
        check_kinds(self)
        if self.no_rope_layers is not None and len(self.no_rope_layers) != self.num_hidden_layers:
            count, layers = len(self.no_rope_layers), self.num_hidden_layers
            raise ValueError(f"SmolLM3Config: no_rope_layers tells of {count} layers, num_hidden_layers={layers}")


def parameters(c: SmolLM3Config) -> declare.Tree:
    """The model's arrays."""
    return model_arrays(c, layer_arrays(c))


def decode(params: Any, c: SmolLM3Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm, count = Causal.of(inputs), root_mean_square(c.rms_norm_eps), c.num_hidden_layers
    block = norms_first(rotary_attention(c, order), gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    uses_rope = [bool(said) for said in c.no_rope_layers or [(i + 1) % c.no_rope_layer_interval for i in range(count)]]
    kinds = c.layer_types or [SLIDING if c.use_sliding_window and not said else WHOLE for said in uses_rope]
    each = windows(kinds, c.sliding_window), uses_rope
    return run_decoder(order, block, params, x, *each, ask=ask, sites=sites, norm=norm)


class SmolLM3Model(tasks.Decoder, config=SmolLM3Config, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class SmolLM3ForCausalLM(tasks.CausalLM, base=SmolLM3Model):
    """Scores of every word to follow each token."""


class SmolLM3ForSequenceClassification(tasks.SequenceClassification, base=SmolLM3Model):
    """One set of scores a text, from its last token."""


class SmolLM3ForTokenClassification(tasks.TokenClassification, base=SmolLM3Model):
    """One set of scores a token."""


class SmolLM3ForQuestionAnswering(tasks.QuestionAnswering, base=SmolLM3Model):
    """Where in a context the answer starts and ends."""
