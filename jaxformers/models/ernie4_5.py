"""ERNIE 4.5, the dense ones (Baidu 2025, "ERNIE 4.5 Technical Report"): Helium with biases everywhere or nowhere."""

from __future__ import annotations

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Size, Token
from ..layers.decoder import keys_values
from ..layers.decoder_arrays import gate_up_down, model_arrays, projections
from ..layers.gqa import head_dim, kv_heads
from ..network import Network
from ..sizes import RotarySizes
from .helium import decode


class Ernie4_5Config(RotarySizes, Config, model_type="ernie4_5"):
    """Llama's sizes, with heads of a width of their own; use_bias: of all dense layers."""

    vocab_size: Size = 103424
    hidden_size: Size = 1024
    intermediate_size: Size = 3072
    num_hidden_layers: Depth = 18
    num_attention_heads: Size = 16
    num_key_value_heads: Size | None = 2
    head_dim: Size | None = 128
    max_position_embeddings: Size = 131072
    rms_norm_eps: Epsilon = 1e-5
    rope_theta: float = 500_000.0
    use_bias: bool = False
    pad_token_id: Token | None = 0
    tie_word_embeddings: bool = True


def parameters(c: Ernie4_5Config) -> declare.Tree:
    """The model's arrays."""
    d, heads = c.hidden_size, (c.num_attention_heads, kv_heads(c), head_dim(c))
    layer = {
        "attention_norm": declare.rms_norm(d, "input_layernorm"),
        **projections(d, *heads, bias=c.use_bias, out_bias=c.use_bias),
        "ffn_norm": declare.rms_norm(d, "post_attention_layernorm"),
        **gate_up_down(d, c.intermediate_size, bias=c.use_bias),
    }
    return model_arrays(c, layer)


class Ernie4_5Model(
    tasks.Decoder, config=Ernie4_5Config, network=Network(parameters, decode=decode, cells=keys_values)
):
    """The model without a head."""


class Ernie4_5ForCausalLM(tasks.CausalLM, base=Ernie4_5Model):
    """Scores of every word to follow each token."""
