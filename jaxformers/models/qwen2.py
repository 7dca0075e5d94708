"""Qwen2 and 2.5 (Yang et al. 2024, arXiv 2407.10671): Llama with biases on queries, keys and values."""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Size, Window
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
from ..layers.decoder_arrays import layer_arrays, model_arrays, projections
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GatedSizes


class Qwen2Config(
    GatedSizes, Config, model_type="qwen2", allowed={"attention_bias": (False, True), "mlp_bias": (False,)}
):
    """Llama's sizes, and which layers see a window alone: those from max_window_layers on, or as layer_types says."""

    vocab_size: Size = 151936
    intermediate_size: Size = 22016
    num_key_value_heads: Size | None = 32
    max_position_embeddings: Size = 32768
    use_sliding_window: bool = False
    sliding_window: Window | None = 4096
    max_window_layers: int = 28
    layer_types: tuple[str, ...] | None = None

    def check(self) -> None:
        """Llama's rules, and a kind for each layer."""
        super().check()
        check_kinds(self)


def seen(c: Any) -> list[int]:
    """How many tokens each layer sees."""
    window = c.sliding_window if c.use_sliding_window else None
    late = [SLIDING if i >= c.max_window_layers else WHOLE for i in range(c.num_hidden_layers)]
    return windows(c.layer_types or late, window)


def parameters(c: Qwen2Config) -> declare.Tree:
    """The model's arrays."""
    biased = projections(c.hidden_size, c.num_attention_heads, kv_heads(c), head_dim(c), bias=True)
    return model_arrays(c, layer_arrays(c) | biased)


def decode(params: Any, c: Qwen2Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), root_mean_square(c.rms_norm_eps)
    block = norms_first(rotary_attention(c, order), gated(c.hidden_act), norm)
    x = embed_tokens(params["word"], inputs)
    return run_decoder(order, block, params, x, seen(c), ask=ask, sites=sites, norm=norm)


class Qwen2Model(tasks.Decoder, config=Qwen2Config, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class Qwen2ForCausalLM(tasks.CausalLM, base=Qwen2Model):
    """Scores of every word to follow each token."""


class Qwen2ForSequenceClassification(tasks.SequenceClassification, base=Qwen2Model):
    """One set of scores a text, from its last token."""


class Qwen2ForTokenClassification(tasks.TokenClassification, base=Qwen2Model):
    """One set of scores a token."""


class Qwen2ForQuestionAnswering(tasks.QuestionAnswering, base=Qwen2Model):
    """Where in a context the answer starts and ends."""
