"""GPT-NeoX and Pythia (Black et al. 2022, arXiv 2204.06745; Biderman et al. 2023, arXiv 2304.01373): attention and the
network read the same state, each through a norm of its own, and a part of each head is rotated by positions.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Depth, Endless, Epsilon, Rate, Size
from ..declare import repeat
from ..layers import heads, rotation
from ..layers.activation import ACTIVATIONS
from ..layers.causal import Causal
from ..layers.decoder import dropped, keys_values, norms_first, plain, run_decoder, side_by_side, standardised
from ..layers.decoder_arrays import up_down
from ..layers.embedding import embed_tokens
from ..layers.gpt import attention, in_groups, rotated_heads
from ..layers.heads import token_rate
from ..layers.inputs import Ask, Inputs
from ..layers.post_norm import check_heads
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network


class GPTNeoXConfig(Endless, Config, model_type="gpt_neox", allowed={"hidden_act": ACTIVATIONS}):
    """Sizes and rates of a GPT-NeoX; the defaults are those of the one with 20 billion parameters.

    rotary_pct: the share of each head that is turned, rotary_emb_base: the base of the rotation; files may have both a
    second time, as partial_rotary_factor and rope_theta, or in rope_parameters alone. rope_scaling: see
    `layers.rotation`. use_parallel_residual: whether attention and the network read the same state, or one after the
    other.
    """

    vocab_size: Size = 50432
    hidden_size: Size = 6144
    num_hidden_layers: Depth = 44
    num_attention_heads: Size = 64
    intermediate_size: Size = 24576
    hidden_act: str = "gelu"
    rotary_pct: float = 0.25
    rotary_emb_base: float = 10_000.0
    partial_rotary_factor: float | None = None
    rope_theta: float | None = None
    rope_scaling: dict | None = None
    rope_parameters: dict | None = None
    attention_dropout: Rate = 0.0
    hidden_dropout: Rate = 0.0
    classifier_dropout: Rate = 0.1
    max_position_embeddings: Size = 2048
    layer_norm_eps: Epsilon = 1e-5
    use_parallel_residual: bool = True
    attention_bias: bool = True
    tie_word_embeddings: bool = False

    @property
    def promised_row(self) -> int | None:
        """Rows of training, so much longer as a rotation is stretched."""
        return rotation.promised(self)

    def check(self) -> None:
        """Heads share the width evenly, and have pairs to turn; what is said twice is the same."""
        check_heads(self)
        for old, new in (("rotary_pct", "partial_rotary_factor"), ("rotary_emb_base", "rope_theta")):
            if getattr(self, new) not in (None, getattr(self, old)):
                raise ValueError(
                    f"GPTNeoXConfig: {old}={getattr(self, old)} and {new}={getattr(self, new)} are one field: pass one"
                )
        rotation.check(self, turned_part(self))


def turned_part(c: GPTNeoXConfig) -> int:
    """How many numbers of each head are turned."""
    return rotation.part(c, c.hidden_size // c.num_attention_heads)


def parameters(c: GPTNeoXConfig) -> declare.Tree:
    """The model's arrays."""
    d, bias = c.hidden_size, c.attention_bias
    layer = {
        "attention_norm": declare.layer_norm(d, "input_layernorm"),
        "qkv": declare.linear(d, 3 * d, "attention.query_key_value", ("embed", "heads"), bias=bias),
        "out": declare.linear(d, d, "attention.dense", ("heads", "embed"), bias=bias),
        "ffn_norm": declare.layer_norm(d, "post_attention_layernorm"),
        **up_down(d, c.intermediate_size, names=("dense_h_to_4h", "dense_4h_to_h"), bias=True),
    }
    return {
        "word": declare.embedding(c.vocab_size, d, "embed_in", "vocab"),
        "layers": repeat(c.num_hidden_layers, "layers.{}", layer),
        "final_norm": declare.layer_norm(d, "final_layer_norm"),
    }


def decode(params: Any, c: GPTNeoXConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), standardised(c.layer_norm_eps)
    cos_sin = rotation.rotation(c, turned_part(c)).cos_sin(order.positions, order.reach)
    split = in_groups(c.hidden_size // c.num_attention_heads, c.num_attention_heads)
    mix = attention(order, rotated_heads(split, rotation.rotate_half, cos_sin), rate=c.attention_dropout)
    added = dropped(attention=c.hidden_dropout, ffn=c.hidden_dropout)
    block = (side_by_side if c.use_parallel_residual else norms_first)(mix, plain(c.hidden_act), norm, added)
    x = sites.drop("embeddings", embed_tokens(params["word"], inputs), c.hidden_dropout)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class GPTNeoXModel(
    tasks.Decoder,
    config=GPTNeoXConfig,
    prefix="gpt_neox",
    network=Network(parameters, decode=decode, cells=keys_values),
):
    """The model without a head."""


class GPTNeoXForCausalLM(tasks.CausalLM, base=GPTNeoXModel, head=heads.words("embed_out")):
    """Scores of every word to follow each token."""


class GPTNeoXForSequenceClassification(tasks.SequenceClassification, base=GPTNeoXModel):
    """One set of scores a text, from its last token."""


class GPTNeoXForTokenClassification(
    tasks.TokenClassification, base=GPTNeoXModel, head=heads.each_token("classifier", rate=token_rate)
):
    """One set of scores a token."""


class GPTNeoXForQuestionAnswering(tasks.QuestionAnswering, base=GPTNeoXModel):
    """Where in a context the answer starts and ends."""
