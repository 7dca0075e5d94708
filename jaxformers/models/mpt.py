"""MPT (MosaicML 2023, https://www.databricks.com/blog/mpt-7b): a penalty on distant tokens for positions, no biases."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..batch import UNPLACED
from ..config import Config, Depth, Endless, Epsilon, Rate, Size
from ..declare import repeat
from ..layers import alibi, heads
from ..layers.attention import project
from ..layers.causal import Causal
from ..layers.decoder import dropped, keys_values, norms_first, plain, run_decoder, standardised
from ..layers.decoder_arrays import up_down
from ..layers.embedding import embed_tokens
from ..layers.gpt import attention
from ..layers.heads import token_rate
from ..layers.inputs import Ask, Inputs
from ..layers.post_norm import check_heads
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network

_ATTENTION: Mapping[str, Collection[Any]] = {
    "alibi": (True,),
    "attn_type": ("multihead_attention",),
    "attn_uses_sequence_id": (False,),
    "prefix_lm": (False,),
    "qk_ln": (False,),
}


class MptConfig(
    Endless,
    Config,
    model_type="mpt",
    aliases={"num_attention_heads": "n_heads", "hidden_size": "d_model", "num_hidden_layers": "n_layers"},
    allowed={
        "expansion_ratio": (4,),
        "logit_scale": (None,),
        "no_bias": (True,),
        "norm_type": ("low_precision_layernorm", "layernorm"),
    },
    ignores=("embedding_fraction", "init_config", "init_device", "learned_pos_emb", "tokenizer_name", "verbose"),
):
    """Sizes and rates of an MPT.

    attn_config: clip_qkv: a bound on queries, keys and values; softmax_scale: in place of 1 / sqrt(width of a head);
    alibi_bias_max: the penalty of the last head is 2 to the power of minus it; attn_pdrop: dropout.
    """

    d_model: Size = 2048
    n_heads: Size = 16
    n_layers: Depth = 24
    max_seq_len: Size = 2048
    vocab_size: Size = 50368
    resid_pdrop: Rate = 0.0
    emb_pdrop: Rate = 0.0
    layer_norm_epsilon: Epsilon = 1e-5
    attn_config: dict | None = None

    def check(self) -> None:
        """Heads share the width evenly, and attention is what is implemented."""
        check_heads(self)
        said = self.attn_config or {}
        for name, options in _ATTENTION.items():
            if said.get(name, options[0]) not in options:  # type: ignore[index]
                raise ValueError(f"MptConfig: attn_config: {name}={str(said[name])[:60]} is not supported")
        for name, low, high in (("clip_qkv", 0, 1e30), ("softmax_scale", 0, 1e30), ("alibi_bias_max", 0, 100)):
            value = said.get(name)
            if value is not None and not (isinstance(value, int | float) and low <= value <= high):
                raise ValueError(f"MptConfig: attn_config: {name}={str(value)[:60]} must be a number, {low} to {high}")
        if not (isinstance(rate(self), int | float) and 0 <= rate(self) <= 1):
            raise ValueError(f"MptConfig: attn_config: attn_pdrop={str(rate(self))[:60]} must be a rate, 0 to 1")


def rate(c: MptConfig) -> float:
    """The dropout of attention's probabilities."""
    return (c.attn_config or {}).get("attn_pdrop", 0.0)


def parameters(c: MptConfig) -> declare.Tree:
    """The model's arrays."""
    d = c.d_model
    layer = {
        "attention_norm": declare.layer_norm(d, "norm_1", bias=False),
        "qkv": declare.linear(d, 3 * d, "attn.Wqkv", ("embed", "heads"), bias=False),
        "out": declare.linear(d, d, "attn.out_proj", ("heads", "embed"), bias=False),
        "ffn_norm": declare.layer_norm(d, "norm_2", bias=False),
        **up_down(d, 4 * d, prefix="ffn"),
    }
    return {
        "word": declare.embedding(c.vocab_size, d, "wte", "vocab"),
        "layers": repeat(c.n_layers, "blocks.{}", layer),
        "final_norm": declare.layer_norm(d, "norm_f", bias=False),
    }


def decode(params: Any, c: MptConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm, said = Causal.of(inputs), standardised(c.layer_norm_epsilon), c.attn_config or {}
    bound = said.get("clip_qkv") or jnp.inf

    def split(p: Any, x: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        q, k, v = (jnp.clip(y, -bound, bound) for y in project(p, x, c.d_model // c.n_heads))
        return q, k, v

    bias = alibi.leaning(order.keys, alibi.slopes(c.n_heads, said.get("alibi_bias_max", 8)))
    mix = attention(order, split, bias=bias, scale=said.get("softmax_scale"), rate=rate(c))
    block = norms_first(mix, plain("gelu"), norm, dropped(attention=c.resid_pdrop, ffn=c.resid_pdrop))
    x = sites.drop("embeddings", embed_tokens(params["word"], inputs), c.emb_pdrop)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class MptModel(
    tasks.Decoder,
    config=MptConfig,
    prefix="transformer",
    network=Network(parameters, decode=decode, cells=keys_values),
    accepts=UNPLACED,
):
    """The model without a head."""


class MptForCausalLM(tasks.CausalLM, base=MptModel):
    """Scores of every word to follow each token."""


class MptForSequenceClassification(tasks.SequenceClassification, base=MptModel):
    """One set of scores a text, from its last token."""


class MptForTokenClassification(
    tasks.TokenClassification, base=MptModel, head=heads.each_token("classifier", rate=token_rate)
):
    """One set of scores a token."""


class MptForQuestionAnswering(tasks.QuestionAnswering, base=MptModel):
    """Where in a context the answer starts and ends."""
