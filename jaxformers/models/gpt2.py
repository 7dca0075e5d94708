"""GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"): learned positions, layer norms
before attention and a plain network, matrices that files hold transposed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import jax

from .. import declare, tasks
from ..batch import CAUSAL
from ..config import Config, Depth, Epsilon, Rate, Size
from ..declare import repeat, transposed
from ..layers import heads
from ..layers.activation import ACTIVATIONS
from ..layers.attention import project
from ..layers.causal import Causal
from ..layers.decoder import decoded, dropped, keys_values, norms_first, plain, standardised
from ..layers.dropout import Drop, no_drop
from ..layers.embedding import embed
from ..layers.gpt import words
from ..layers.heads import token_rate
from ..layers.inputs import Inputs, Want
from ..layers.run import Encoded
from ..network import Network

SEGMENTED = (*CAUSAL, "token_type_ids")
"""What models take whose segments are words."""


class Sizes:
    """Fields under the names of GPT's line, to be put before Config."""

    vocab_size: Size = 50257
    n_positions: Size = 1024
    n_embd: Size = 768
    n_layer: Depth = 12
    n_head: Size = 12
    resid_pdrop: Rate = 0.1
    embd_pdrop: Rate = 0.1
    layer_norm_epsilon: Epsilon = 1e-5

    aliases: ClassVar[Mapping[str, str]] = {
        "hidden_size": "n_embd",
        "max_position_embeddings": "n_positions",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }

    def check(self) -> None:
        """Heads share the width evenly."""
        if self.n_embd % self.n_head:
            raise ValueError(f"{type(self).__name__}: n_embd={self.n_embd} is no multiple of n_head={self.n_head}")


class GPT2Config(
    Sizes,
    Config,
    model_type="gpt2",
    aliases={"n_ctx": "n_positions"},
    allowed={
        "activation_function": ACTIVATIONS,
    },
    ignores="""
        predict_special_tokens reorder_and_upcast_attn summary_activation summary_first_dropout summary_proj_to_labels
        summary_type summary_use_proj
    """.split(),
):
    """Sizes and rates of a GPT-2; the defaults are those of the small one.

    n_inner: width of the network; None: four times that of the layers. scale_attn_*: what scores are divided by.
    """

    n_inner: Size | None = None
    activation_function: str = "gelu_new"
    attn_pdrop: Rate = 0.1
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    classifier_dropout: Rate | None = None


def width(c: Any) -> int:
    """Numbers of a head."""
    return c.n_embd // c.n_head


def conv1d(d_in: int, d_out: int, name: str, axes: tuple[str, str], init: declare.Init | None = None) -> declare.Tree:
    """A dense layer as GPT and GPT-2 have it."""
    return transposed(declare.linear(d_in, d_out, name, axes, init=init))


def residual(c: Any) -> declare.Init:
    """How what is added to the residual starts: it adds up over two halves of each layer."""
    return declare.Normal(c.spread / (2 * c.n_layer) ** 0.5)


def parameters(c: GPT2Config) -> declare.Tree:
    """The model's arrays."""
    d, inner = c.n_embd, c.n_inner or 4 * c.n_embd
    layer = {
        "attention_norm": declare.layer_norm(d, "ln_1"),
        "qkv": conv1d(d, 3 * d, "attn.c_attn", ("embed", "heads")),
        "out": conv1d(d, d, "attn.c_proj", ("heads", "embed"), residual(c)),
        "ffn_norm": declare.layer_norm(d, "ln_2"),
        "up": conv1d(d, inner, "mlp.c_fc", ("embed", "mlp")),
        "down": conv1d(inner, d, "mlp.c_proj", ("mlp", "embed"), residual(c)),
    }
    return around(c, layer) | {"position": declare.embedding(c.n_positions, d, "wpe")}


def around(c: Any, layer: declare.Tree, word: str = "wte") -> declare.Tree:
    """The model's arrays but for positions, given those of a layer and the name of the word table."""
    return {
        "word": declare.embedding(c.vocab_size, c.hidden_size, word, "vocab"),
        "layers": repeat(c.num_hidden_layers, "h.{}", layer),
        "final_norm": declare.layer_norm(c.hidden_size, "ln_f"),
    }


def decode(params: Any, c: GPT2Config, inputs: Inputs, want: Want = Want(), drop: Drop = no_drop) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), standardised(c.layer_norm_epsilon)
    x = drop("embeddings", words(params, inputs) + embed(params["position"], order.positions), c.embd_pdrop)

    def mix(p: Any, x: jax.Array, cell: Any, drop: Drop, scale: float) -> tuple[jax.Array, jax.Array, Any]:
        return order.attend(*project(p, x, width(c)), cell, scale=scale, rate=c.attn_pdrop, drop=drop)

    block = norms_first(mix, plain(c.activation_function), norm, dropped(attention=c.resid_pdrop, ffn=c.resid_pdrop))
    scale = width(c) ** -0.5 if c.scale_attn_weights else 1.0
    scales = [scale / (i + 1 if c.scale_attn_by_inverse_layer_idx else 1) for i in range(c.n_layer)]
    return decoded(order, block, params, x, drop.each(c.n_layer), scales, want=want, norm=norm)


class GPT2Model(
    tasks.Decoder,
    config=GPT2Config,
    prefix="transformer",
    network=Network(parameters, decode=decode, cells=keys_values),
    accepts=SEGMENTED,
):
    """The model without a head."""


class GPT2LMHeadModel(tasks.CausalLM, base=GPT2Model):
    """Scores of every word to follow each token."""


class GPT2ForSequenceClassification(tasks.SequenceClassification, base=GPT2Model):
    """One set of scores a text, from its last token."""


class GPT2ForTokenClassification(tasks.TokenClassification, base=GPT2Model, head=heads.each_token(rate=token_rate)):
    """One set of scores a token."""


class GPT2ForQuestionAnswering(tasks.QuestionAnswering, base=GPT2Model):
    """Where in a context the answer starts and ends."""
