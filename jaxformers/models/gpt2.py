"""GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"): learned positions, layer norms
before attention and a plain network, matrices that files hold transposed.
"""

from __future__ import annotations

from typing import Any

import jax

from .. import declare, tasks
from ..batch import CAUSAL
from ..config import Config, Depth, Epsilon, Rate, Size
from ..declare import repeat, transposed
from ..layers import cache, heads
from ..layers.activation import ACTIVATIONS
from ..layers.attention import project
from ..layers.causal import Causal
from ..layers.decoder import decoded, plain
from ..layers.dropout import Drop, no_drop
from ..layers.embedding import embed, embed_tokens
from ..layers.inputs import Inputs, Want
from ..layers.linear import linear
from ..layers.norm import layer_norm
from ..layers.run import Encoded
from ..twins import token_rate


class GPT2Config(
    Config,
    model_type="gpt2",
    aliases={
        "hidden_size": "n_embd",
        "max_position_embeddings": "n_positions",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
        "n_ctx": "n_positions",
    },
    allowed={"activation_function": ACTIVATIONS, "reorder_and_upcast_attn": (False, True)},
):
    """Sizes and rates of a GPT-2; the defaults are those of the small one.

    n_inner: width of the network; None: four times that of the layers. scale_attn_*: what scores are divided by.
    """

    vocab_size: Size = 50257
    n_positions: Size = 1024
    n_embd: Size = 768
    n_layer: Depth = 12
    n_head: Size = 12
    n_inner: Size | None = None
    activation_function: str = "gelu_new"
    resid_pdrop: Rate = 0.1
    embd_pdrop: Rate = 0.1
    attn_pdrop: Rate = 0.1
    layer_norm_epsilon: Epsilon = 1e-5
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    classifier_dropout: Rate | None = None

    def check(self) -> None:
        """Heads share the width evenly."""
        if self.n_embd % self.n_head:
            raise ValueError(f"GPT2Config: n_embd={self.n_embd} is no multiple of n_head={self.n_head}")


def parameters(c: GPT2Config) -> declare.Tree:
    """The model's arrays."""
    d, inner = c.n_embd, c.n_inner or 4 * c.n_embd
    layer = {
        "attention_norm": declare.layer_norm(d, "ln_1"),
        "qkv": transposed(declare.linear(d, 3 * d, "attn.c_attn", ("embed", "heads"))),
        "out": transposed(declare.linear(d, d, "attn.c_proj", ("heads", "embed"))),
        "ffn_norm": declare.layer_norm(d, "ln_2"),
        "up": transposed(declare.linear(d, inner, "mlp.c_fc", ("embed", "mlp"))),
        "down": transposed(declare.linear(inner, d, "mlp.c_proj", ("mlp", "embed"))),
    }
    return {
        "word": declare.embedding(c.vocab_size, d, "wte", "vocab"),
        "position": declare.embedding(c.n_positions, d, "wpe"),
        "layers": repeat(c.n_layer, "h.{}", layer),
        "final_norm": declare.layer_norm(d, "ln_f"),
    }


def cells(c: GPT2Config, rows: int, slots: int) -> declare.Tree:
    """What the layers keep."""
    return [cache.keys_values(rows, slots, c.n_head, c.n_embd // c.n_head) for _ in range(c.n_layer)]


def decode(params: Any, c: GPT2Config, inputs: Inputs, want: Want = Want(), drop: Drop = no_drop) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, width, feed = Causal.of(inputs), c.n_embd // c.n_head, plain(c.activation_function)
    x = embed_tokens(params["word"], inputs) + embed(params["position"], order.positions)
    if inputs.types is not None:
        x = x + embed(params["word"], inputs.types)
    x = drop("embeddings", x, c.embd_pdrop)

    def norm(p: Any, x: jax.Array) -> jax.Array:
        return layer_norm(p, x, c.layer_norm_epsilon)

    def block(p: Any, x: jax.Array, cell: Any, drop: Drop, scale: float) -> tuple[jax.Array, Any, Any]:
        q, k, v = project(p, norm(p["attention_norm"], x), width)
        context, weights, cell = order.attend(q, k, v, cell, scale=scale, rate=c.attn_pdrop, drop=drop)
        x = x + drop("attention", linear(p["out"], context, like=x), c.resid_pdrop)
        x = x + drop("feed_forward", feed(p, norm(p["ffn_norm"], x), drop), c.resid_pdrop)
        return x, weights, cell

    scale = width**-0.5 if c.scale_attn_weights else 1.0
    scales = [scale / (i + 1 if c.scale_attn_by_inverse_layer_idx else 1) for i in range(c.n_layer)]
    return decoded(order, block, params, x, drop.each(c.n_layer), scales, want=want, norm=norm)


class GPT2Model(
    tasks.Decoder,
    config=GPT2Config,
    prefix="transformer",
    parameters=parameters,
    encode=decode,
    cells=cells,
    accepts=(*CAUSAL, "token_type_ids"),
):
    """The model without a head."""


class GPT2LMHeadModel(tasks.CausalLM, base=GPT2Model, head=heads.words("lm_head")):
    """Scores of every word to follow each token."""


class GPT2ForSequenceClassification(tasks.SequenceClassification, base=GPT2Model, head=heads.last_token()):
    """One set of scores a text, from its last token."""


class GPT2ForTokenClassification(tasks.TokenClassification, base=GPT2Model, head=heads.each_token(rate=token_rate)):
    """One set of scores a token."""


class GPT2ForQuestionAnswering(tasks.QuestionAnswering, base=GPT2Model, head=heads.span()):
    """Where in a context the answer starts and ends."""
