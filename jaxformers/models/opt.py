"""OPT (Zhang et al. 2022, arXiv 2205.01068): fairseq's decoder, whose table of positions begins two rows before the
first; and the one with 350 million parameters, with norms after each sum and word vectors narrower than the layers.
"""

from __future__ import annotations

from typing import Any

import jax

from .. import declare, tasks
from ..config import Config, Depth, Rate, Size, Token
from ..declare import repeat, under
from ..layers import heads
from ..layers.activation import ACTIVATIONS
from ..layers.causal import Causal
from ..layers.decoder import dropped, keys_values, norms_first, plain, run_decoder, standardised
from ..layers.embedding import embed, embed_tokens
from ..layers.fairseq import EPSILON, OFFSET, layer_arrays
from ..layers.gpt import attention, in_blocks, sums_normed
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.post_norm import check_heads
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network


class OPTConfig(
    Config,
    model_type="opt",
    allowed={
        "activation_function": ACTIVATIONS,
        "_remove_final_layer_norm": (False,),
        "layer_norm_elementwise_affine": (True,),
        "learned_embeddings": (True,),
        "scale_embeddings": (False,),
    },
    ignores=("activation_dropout", "init_std", "intermediate_size", "layerdrop"),
):
    """Sizes and rates of an OPT; the defaults are those of the one with 125 million parameters.

    do_layer_norm_before: norms before the halves of a layer, and one at the end; else after each sum.
    word_embed_proj_dim: numbers of a word vector; None: as many as the layers have. enable_bias: of dense layers.
    """

    vocab_size: Size = 50272
    hidden_size: Size = 768
    num_hidden_layers: Depth = 12
    ffn_dim: Size = 3072
    max_position_embeddings: Size = 2048
    do_layer_norm_before: bool = True
    word_embed_proj_dim: Size | None = None
    dropout: Rate = 0.1
    attention_dropout: Rate = 0.0
    num_attention_heads: Size = 12
    activation_function: str = "relu"
    enable_bias: bool = True
    pad_token_id: Token | None = 1

    @property
    def embedding_size(self) -> int:
        """Numbers of a word vector."""
        return self.word_embed_proj_dim or self.hidden_size

    def check(self) -> None:
        """Heads share the width evenly."""
        check_heads(self)


def parameters(c: OPTConfig) -> declare.Tree:
    """The model's arrays."""
    d, narrow = c.hidden_size, c.embedding_size
    tree = {
        "word": declare.embedding(c.vocab_size, narrow, "embed_tokens", "vocab", zero_row=c.pad_token_id),
        "position": declare.embedding(c.max_position_embeddings + OFFSET, d, "embed_positions"),
        "layers": repeat(c.num_hidden_layers, "layers.{}", layer_arrays(c, c.ffn_dim, bias=c.enable_bias)),
    }
    if narrow != d:
        tree["widen"] = declare.projection(narrow, d, "project_in", ("out", "embed"), bias=False)
        tree["narrow"] = declare.projection(d, narrow, "project_out", ("embed", "out"), bias=False)
    if c.do_layer_norm_before:
        tree["final_norm"] = declare.layer_norm(d, "final_layer_norm")
    return under("decoder", tree)


def decode(params: Any, c: OPTConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), standardised(EPSILON)
    mix = attention(order, in_blocks(c.hidden_size // c.num_attention_heads), rate=c.attention_dropout)
    layer = norms_first if c.do_layer_norm_before else sums_normed
    block = layer(mix, plain(c.activation_function), norm, dropped(attention=c.dropout, ffn=c.dropout))

    def leave(p: Any, x: jax.Array) -> jax.Array:
        x = x if p is None else norm(p, x)
        return linear(params["narrow"], x) if "narrow" in params else x

    x = embed_tokens(params["word"], inputs)
    x = linear(params["widen"], x) if "widen" in params else x
    x = sites.drop("embeddings", x + embed(params["position"], order.positions + OFFSET), c.dropout)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=leave)


def narrow(c: OPTConfig) -> int:
    """How wide the states are that heads take."""
    return c.embedding_size


class OPTModel(tasks.Decoder, config=OPTConfig, network=Network(parameters, decode=decode, cells=keys_values)):
    """The model without a head."""


class OPTForCausalLM(tasks.CausalLM, base=OPTModel, head=heads.words("lm_head", width=narrow)):
    """Scores of every word to follow each token."""


class OPTForSequenceClassification(
    tasks.SequenceClassification, base=OPTModel, head=heads.last_token("score", width=narrow)
):
    """One set of scores a text, from its last token."""


class OPTForQuestionAnswering(
    tasks.QuestionAnswering, base=OPTModel, prefix="model", head=heads.span("qa_outputs", width=narrow)
):
    """Where in a context the answer starts and ends."""
