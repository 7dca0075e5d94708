"""GPT-2 (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners"): learned positions, layer norms
before attention and a plain network, matrices that files hold transposed.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..batch import SEGMENTED
from ..config import Config, Rate, Size
from ..layers import cross, heads
from ..layers.activation import ACTIVATIONS
from ..layers.attention import project
from ..layers.causal import Causal
from ..layers.decoder import dropped, keys_values, norms_first, plain, run_decoder, standardised
from ..layers.embedding import embed
from ..layers.gpt import conv1d, head_dim, model_arrays, residual, words
from ..layers.heads import token_rate
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GPTSizes


class GPT2Config(
    GPTSizes,
    Config,
    model_type="gpt2",
    aliases={"n_ctx": "n_positions"},
    allowed={
        "activation_function": ACTIVATIONS,
        "is_decoder": (True, False, None),
        "add_cross_attention": (True, False, None),
    },
    ignores=("predict_special_tokens", "reorder_and_upcast_attn"),
):
    """Sizes and rates of a GPT-2; the defaults are those of the small one.

    n_inner: width of the network; None: four times that of the layers. scale_attn_*: what scores are divided by.
    add_cross_attention: whether layers also look at what an encoder has read, as in an `EncoderDecoderModel`.
    """

    n_inner: Size | None = None
    activation_function: str = "gelu_new"
    attn_pdrop: Rate = 0.1
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    classifier_dropout: Rate | None = None
    add_cross_attention: bool | None = None


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
    if c.add_cross_attention:
        layer |= {"cross": look_arrays(c), "cross_norm": declare.layer_norm(d, "ln_cross_attn")}
    return model_arrays(c, layer) | {"position": declare.embedding(c.n_positions, d, "wpe")}


def look_arrays(c: GPT2Config) -> declare.Tree:
    """The projections of a layer's attention to an encoder, whose keys and values are one."""
    d, name = c.n_embd, "crossattention"
    return {
        "query": conv1d(d, d, f"{name}.q_attn", ("embed", "heads")),
        "kv": conv1d(d, 2 * d, f"{name}.c_attn", ("embed", "heads")),
        "out": conv1d(d, d, f"{name}.c_proj", ("heads", "embed"), residual(c)),
    }


def decode(params: Any, c: GPT2Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), standardised(c.layer_norm_epsilon)
    x = sites.drop("embeddings", words(params, inputs) + embed(params["position"], order.positions), c.embd_pdrop)

    def mix(p: Any, x: jax.Array, cell: Any, sites: Sites, scale: float) -> tuple[jax.Array, Any]:
        return order.attend(*project(p, x, head_dim(c)), cell, scale=scale, rate=c.attn_pdrop, sites=sites)

    def look(p: Any, x: jax.Array, cell: Any, sites: Sites, scale: float) -> jax.Array:
        if not cross.beside(cell, inputs.memory):
            return jnp.zeros_like(x)
        h, rate = norm(p["cross_norm"], x), c.attn_pdrop
        h = cross.attention(p["cross"], h, cell, inputs.memory, c.n_head, sites, scale=scale, rate=rate)
        return sites("cross", h, c.resid_pdrop)

    added = dropped(attention=c.resid_pdrop, ffn=c.resid_pdrop)
    block = norms_first(mix, plain(c.activation_function), norm, added, look if c.add_cross_attention else None)
    scale = head_dim(c) ** -0.5 if c.scale_attn_weights else 1.0
    scales = [scale / (i + 1 if c.scale_attn_by_inverse_layer_idx else 1) for i in range(c.n_layer)]
    return run_decoder(order, block, params, x, scales, ask=ask, sites=sites, norm=norm)


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
