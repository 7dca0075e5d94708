"""StarCoder2 (Lozhkov et al. 2024, arXiv 2402.19173): Mistral with layer norms, a plain network and biases."""

from __future__ import annotations

from typing import Any, ClassVar

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Rate, Size, Window
from ..layers.causal import FULL, Causal
from ..layers.decoder import dropped, keys_values, norms_first, plain, rotary_attention, run_decoder, standardised
from ..layers.decoder_arrays import model_arrays, projections, up_down
from ..layers.embedding import embed_tokens
from ..layers.gqa import head_dim, kv_heads
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import RotarySizes


class Starcoder2Config(
    RotarySizes,
    Config,
    model_type="starcoder2",
    allowed={"mlp_type": ("default",), "norm_type": ("layer_norm",)},
    ignores=("activation_function",),
):
    """Sizes and rates of a StarCoder2; the defaults are those of the one with 3 billion parameters.

    sliding_window: how many tokens each sees, itself included; None: all before it. use_bias: of dense layers.
    """

    vocab_size: Size = 49152
    hidden_size: Size = 3072
    intermediate_size: Size = 12288
    num_hidden_layers: Depth = 30
    num_attention_heads: Size = 24
    num_key_value_heads: Size | None = 2
    hidden_act: str = "gelu_pytorch_tanh"
    max_position_embeddings: Size = 4096
    norm_epsilon: Epsilon = 1e-5
    sliding_window: Window | None = None
    residual_dropout: Rate = 0.0
    embedding_dropout: Rate = 0.0
    use_bias: bool = True

    usual_range: ClassVar[float] = 0.018042
    tie_word_embeddings: bool = True


def parameters(c: Starcoder2Config) -> declare.Tree:
    """The model's arrays."""
    d, heads = c.hidden_size, (c.num_attention_heads, kv_heads(c), head_dim(c))
    layer = {
        "attention_norm": declare.layer_norm(d, "input_layernorm"),
        **projections(d, *heads, bias=c.use_bias, out_bias=c.use_bias),
        "ffn_norm": declare.layer_norm(d, "post_attention_layernorm"),
        **up_down(d, c.intermediate_size, names=("c_fc", "c_proj"), bias=c.use_bias),
    }
    return model_arrays(c, layer) | {"final_norm": declare.layer_norm(d, "norm")}


def decode(params: Any, c: Starcoder2Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm, count = Causal.of(inputs), standardised(c.norm_epsilon), c.num_hidden_layers
    rates = dropped(attention=c.residual_dropout, ffn=c.residual_dropout)
    block = norms_first(rotary_attention(c, order), plain(c.hidden_act), norm, rates)
    x = sites.drop("embeddings", embed_tokens(params["word"], inputs), c.embedding_dropout)
    seen = [c.sliding_window or FULL] * count
    return run_decoder(order, block, params, x, seen, ask=ask, sites=sites, norm=norm)


class Starcoder2Model(
    tasks.Decoder, config=Starcoder2Config, network=Network(parameters, decode=decode, cells=keys_values)
):
    """The model without a head."""


class Starcoder2ForCausalLM(tasks.CausalLM, base=Starcoder2Model):
    """Scores of every word to follow each token."""


class Starcoder2ForSequenceClassification(tasks.SequenceClassification, base=Starcoder2Model):
    """One set of scores a text, from its last token."""


class Starcoder2ForTokenClassification(tasks.TokenClassification, base=Starcoder2Model):
    """One set of scores a token."""
