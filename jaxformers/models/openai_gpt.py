"""GPT (Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training"): norms after each sum, and
none at the end.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..batch import SEGMENTED
from ..config import Config, Rate, Size
from ..declare import repeat
from ..layers.causal import Causal
from ..layers.decoder import dropped, keys_values, plain, run_decoder, standardised
from ..layers.embedding import embed
from ..layers.gpt import attention, conv1d, head_dim, in_blocks, sums_normed, words
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GPTSizes

ACTIVATIONS = {"gelu": "gelu_new", "relu": "relu", "silu": "silu", "swish": "silu"}
"""What its files call activations, and others do."""


class OpenAIGPTConfig(
    GPTSizes,
    Config,
    model_type="openai-gpt",
    allowed={"afn": ACTIVATIONS},
    ignores=("n_ctx", "n_special", "predict_special_tokens"),
):
    """Sizes and rates of GPT; afn: the activation."""

    vocab_size: Size = 40478
    n_positions: Size = 512
    afn: str = "gelu"
    attn_pdrop: Rate = 0.1


def parameters(c: OpenAIGPTConfig) -> declare.Tree:
    """The model's arrays."""
    d = c.n_embd
    layer = {
        "qkv": conv1d(d, 3 * d, "attn.c_attn", ("embed", "heads")),
        "out": conv1d(d, d, "attn.c_proj", ("heads", "embed")),
        "attention_norm": declare.layer_norm(d, "ln_1"),
        "up": conv1d(d, 4 * d, "mlp.c_fc", ("embed", "mlp")),
        "down": conv1d(4 * d, d, "mlp.c_proj", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "ln_2"),
    }
    return {
        "word": declare.embedding(c.vocab_size, d, "tokens_embed", "vocab"),
        "position": declare.embedding(c.n_positions, d, "positions_embed"),
        "layers": repeat(c.n_layer, "h.{}", layer),
    }


def decode(params: Any, c: OpenAIGPTConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order = Causal.of(inputs)
    mix = attention(order, in_blocks(head_dim(c)), rate=c.attn_pdrop)
    added = dropped(attention=c.resid_pdrop, ffn=c.resid_pdrop)
    block = sums_normed(mix, plain(ACTIVATIONS[c.afn]), standardised(c.layer_norm_epsilon), added)
    x = sites.drop("embeddings", words(params, inputs) + embed(params["position"], order.positions), c.embd_pdrop)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=lambda p, x: x)


class OpenAIGPTModel(
    tasks.Decoder,
    config=OpenAIGPTConfig,
    prefix="transformer",
    network=Network(parameters, decode=decode, cells=keys_values),
    accepts=SEGMENTED,
):
    """The model without a head."""


class OpenAIGPTLMHeadModel(tasks.CausalLM, base=OpenAIGPTModel):
    """Scores of every word to follow each token."""


class OpenAIGPTForSequenceClassification(tasks.SequenceClassification, base=OpenAIGPTModel):
    """One set of scores a text, from its last token."""
