"""BLOOM (Le Scao et al. 2022, arXiv 2211.05100): a penalty on distant tokens for positions, a norm of word vectors."""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..batch import UNPLACED
from ..config import Config, Depth, Epsilon, Rate, Size
from ..layers import alibi, heads
from ..layers.causal import Causal
from ..layers.decoder import dropped, keys_values, norms_first, plain, run_decoder, standardised
from ..layers.decoder_arrays import up_down
from ..layers.embedding import embed_tokens
from ..layers.gpt import attention, in_groups, model_arrays
from ..layers.heads import token_rate
from ..layers.inputs import Ask, Inputs
from ..layers.post_norm import check_heads
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network


class BloomConfig(
    Config,
    model_type="bloom",
    aliases={"n_embed": "hidden_size", "num_attention_heads": "n_head", "num_hidden_layers": "n_layer"},
    allowed={"apply_residual_connection_post_layernorm": (False,)},
    ignores="""
        attention_softmax_in_fp32 bias_dropout_fusion intermediate_size masked_softmax_fusion n_inner offset_alibi
        seq_length skip_bias_add skip_bias_add_qkv slow_but_exact
    """.split(),
):
    """Sizes and rates of a BLOOM."""

    vocab_size: Size = 250880
    hidden_size: Size = 64
    n_layer: Depth = 2
    n_head: Size = 8
    layer_norm_epsilon: Epsilon = 1e-5
    hidden_dropout: Rate = 0.0
    attention_dropout: Rate = 0.0

    def check(self) -> None:
        """Heads share the width evenly."""
        check_heads(self)


def parameters(c: BloomConfig) -> declare.Tree:
    """The model's arrays."""
    d = c.hidden_size
    layer = {
        "attention_norm": declare.layer_norm(d, "input_layernorm"),
        "qkv": declare.linear(d, 3 * d, "self_attention.query_key_value", ("embed", "heads")),
        "out": declare.linear(d, d, "self_attention.dense", ("heads", "embed")),
        "ffn_norm": declare.layer_norm(d, "post_attention_layernorm"),
        **up_down(d, 4 * d, names=("dense_h_to_4h", "dense_4h_to_h"), bias=True),
    }
    return model_arrays(c, layer, "word_embeddings") | {"norm": declare.layer_norm(d, "word_embeddings_layernorm")}


def decode(params: Any, c: BloomConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), standardised(c.layer_norm_epsilon)
    bias = alibi.leaning(order.keys, alibi.slopes(c.n_head))
    mix = attention(order, in_groups(c.hidden_size // c.n_head, c.n_head), bias=bias, rate=c.attention_dropout)
    block = norms_first(mix, plain("gelu_new"), norm, dropped(attention=c.hidden_dropout, ffn=c.hidden_dropout))
    x = norm(params["norm"], embed_tokens(params["word"], inputs))
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class BloomModel(
    tasks.Decoder,
    config=BloomConfig,
    prefix="transformer",
    network=Network(parameters, decode=decode, cells=keys_values),
    accepts=UNPLACED,
):
    """The model without a head."""


class BloomForCausalLM(tasks.CausalLM, base=BloomModel):
    """Scores of every word to follow each token."""


class BloomForSequenceClassification(tasks.SequenceClassification, base=BloomModel):
    """One set of scores a text, from its last token."""


class BloomForTokenClassification(
    tasks.TokenClassification, base=BloomModel, head=heads.each_token("classifier", rate=token_rate)
):
    """One set of scores a token."""


class BloomForQuestionAnswering(tasks.QuestionAnswering, base=BloomModel):
    """Where in a context the answer starts and ends."""
