"""GPT-BigCode (Ben Allal et al. 2023, arXiv 2301.03988): GPT-2 whose queries share one head of keys and values."""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..batch import SEGMENTED
from ..config import Config, Rate, Size
from ..layers import heads
from ..layers.activation import ACTIVATIONS
from ..layers.causal import Causal
from ..layers.cells import keys_values
from ..layers.decoder import dropped, norms_first, plain, run_decoder, standardised
from ..layers.decoder_arrays import up_down
from ..layers.embedding import embed
from ..layers.gpt import attention, head_dim, in_groups, model_arrays, residual, words
from ..layers.heads import token_rate
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import GPTSizes


class GPTBigCodeConfig(
    GPTSizes,
    Config,
    model_type="gpt_bigcode",
    aliases={"n_ctx": "n_positions"},
    allowed={"activation_function": ACTIVATIONS, "scale_attn_by_inverse_layer_idx": (False,)},
    ignores="""
        attention_softmax_in_fp32 scale_attention_softmax_in_fp32 inference_runner max_batch_size max_sequence_length
        pad_key_length pre_allocate_kv_cache predict_special_tokens reorder_and_upcast_attn validate_runner_input
    """.split(),
):
    """GPT-2's sizes, under its names; multi_query: whether there is one head of keys, or as many as of queries."""

    n_inner: Size | None = None
    activation_function: str = "gelu_pytorch_tanh"
    attn_pdrop: Rate = 0.1
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    classifier_dropout: Rate | None = None
    multi_query: bool = True
    num_key_value_heads: Size | None = None

    def check(self) -> None:
        """GPT-2's rules, and heads of keys that are said twice are as many."""
        super().check()
        if self.num_key_value_heads not in (None, keys(self)):
            raise ValueError(
                f"GPTBigCodeConfig: num_key_value_heads={self.num_key_value_heads} with multi_query={self.multi_query}"
            )


def keys(c: GPTBigCodeConfig) -> int:
    """Heads of keys and of values."""
    return 1 if c.multi_query else c.n_head


def parameters(c: GPTBigCodeConfig) -> declare.Tree:
    """The model's arrays."""
    d = c.n_embd
    layer = {
        "attention_norm": declare.layer_norm(d, "ln_1"),
        "qkv": declare.linear(d, d + 2 * keys(c) * head_dim(c), "attn.c_attn", ("embed", "heads")),
        "out": declare.linear(d, d, "attn.c_proj", ("heads", "embed"), init=residual(c)),
        "ffn_norm": declare.layer_norm(d, "ln_2"),
        **up_down(d, c.n_inner or 4 * d, names=("c_fc", "c_proj"), bias=True, residual=residual(c)),
    }
    return model_arrays(c, layer) | {"position": declare.embedding(c.n_positions, d, "wpe")}


def cells(c: GPTBigCodeConfig, rows: int, slots: int) -> declare.Tree:
    """What the layers keep."""
    return [keys_values(rows, slots, keys(c), head_dim(c)) for _ in range(c.n_layer)]


def decode(params: Any, c: GPTBigCodeConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order, norm = Causal.of(inputs), standardised(c.layer_norm_epsilon)
    scale = head_dim(c) ** -0.5 if c.scale_attn_weights else 1.0
    mix = attention(order, in_groups(head_dim(c), keys(c)), scale=scale, rate=c.attn_pdrop)
    added = dropped(attention=c.resid_pdrop, ffn=c.resid_pdrop)
    block = norms_first(mix, plain(c.activation_function), norm, added)
    x = sites.drop("embeddings", words(params, inputs) + embed(params["position"], order.positions), c.embd_pdrop)
    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=norm)


class GPTBigCodeModel(
    tasks.Decoder,
    config=GPTBigCodeConfig,
    prefix="transformer",
    network=Network(parameters, decode=decode, cells=cells),
    accepts=SEGMENTED,
):
    """The model without a head."""


class GPTBigCodeForCausalLM(tasks.CausalLM, base=GPTBigCodeModel):
    """Scores of every word to follow each token."""


class GPTBigCodeForSequenceClassification(tasks.SequenceClassification, base=GPTBigCodeModel):
    """One set of scores a text, from its last token."""


class GPTBigCodeForTokenClassification(
    tasks.TokenClassification, base=GPTBigCodeModel, head=heads.each_token("classifier", rate=token_rate)
):
    """One set of scores a token."""
