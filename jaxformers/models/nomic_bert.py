"""NomicBERT (Nussbaum et al. 2024, arXiv 2402.01613): BERT with rotary positions and gated layers, and no biases; its
files have the names of its own code.
"""

from __future__ import annotations

from typing import Any

import jax

from .. import declare, tasks
from ..config import Config, Depth, Endless, Epsilon, Rate, Size, Token
from ..declare import repeat
from ..layers import heads, rotary
from ..layers.activation import ACTIVATIONS
from ..layers.attention import visible
from ..layers.gated import opened
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.post_norm import Feed, block, embedded, rotary_attention
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network

GATES = {"swiglu": "silu", "geglu": "gelu", "glu": "sigmoid"}
"""What those words stand for, of the gate's activation."""


class NomicBertConfig(
    Endless,
    Config,
    model_type="nomic_bert",
    aliases={
        "hidden_size": "n_embd",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "intermediate_size": "n_inner",
        "max_position_embeddings": "n_positions",
        "layer_norm_eps": "layer_norm_epsilon",
        "hidden_act": "activation_function",
        "hidden_dropout_prob": "resid_pdrop",
        "attention_probs_dropout_prob": "attn_pdrop",
        "rope_theta": "rotary_emb_base",
    },
    allowed={
        "activation_function": (*GATES, *ACTIVATIONS),
        "prenorm": (False,),
        "parallel_block": (False,),
        "causal": (False,),
        "use_rms_norm": (False, None),
        "rotary_emb_fraction": (1.0,),
        "rotary_emb_interleaved": (False,),
        "rotary_emb_scale_base": (None,),
        "rotary_scaling_factor": (None,),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "num_experts": (0, None),
        "ffn_div": (1,),
    },
    ignores="""
        dense_seq_output embd_pdrop expert_choice_router fused_bias_fc fused_dropout_add_ln max_trained_positions
        mlp_checkpoint_lvl moe_every_n_layers moe_impl moe_normalize_expert_weights moe_resid_pdrop moe_top_k
        num_shared_experts pad_vocab_size_multiple parallel_block_tied_norm reorder_and_upcast_attn router_aux_loss_coef
        summary_activation summary_first_dropout summary_proj_to_labels summary_type summary_use_proj use_flash_attn
        use_xentropy
    """.split(),
):
    """Sizes and rates of a NomicBERT model; the defaults are nomic-embed-text's, the names those of its own code."""

    vocab_size: Size = 30528
    n_embd: Size = 768
    n_layer: Depth = 12
    n_head: Size = 12
    n_inner: Size = 3072
    n_positions: Size = 2048
    activation_function: str = "swiglu"
    resid_pdrop: Rate = 0.0
    attn_pdrop: Rate = 0.0
    classifier_dropout: Rate | None = None
    type_vocab_size: Size = 2
    layer_norm_epsilon: Epsilon = 1e-12
    rotary_emb_base: float = 1000.0
    rope_parameters: dict | None = None
    qkv_proj_bias: bool = False
    mlp_fc1_bias: bool = False
    mlp_fc2_bias: bool = False
    head_dim: Size | None = None
    pad_token_id: Token | None = 0

    def check(self) -> None:
        """Heads share the width evenly and have pairs to rotate."""
        rotary.check(self)

    @property
    def gate(self) -> str:
        """The activation function of gates, under its own name."""
        return GATES.get(self.activation_function, self.activation_function)


def body(c: NomicBertConfig) -> declare.Tree:
    """The encoder's arrays."""
    d, inner = c.n_embd, c.n_inner
    opened = {
        ours: declare.linear(d, inner, f"mlp.{name}", ("embed", "mlp"), bias=c.mlp_fc1_bias)
        for ours, name in (("up", "fc11"), ("gate", "fc12"))
    }
    layer = {
        "qkv": declare.linear(d, 3 * d, "attn.Wqkv", ("embed", "heads"), bias=c.qkv_proj_bias),
        "out": declare.linear(d, d, "attn.out_proj", ("heads", "embed"), bias=c.qkv_proj_bias),
        "attention_norm": declare.layer_norm(d, "norm1"),
        **declare.together("gate_up", opened),
        "down": declare.linear(inner, d, "mlp.fc2", ("mlp", "embed"), bias=c.mlp_fc2_bias),
        "ffn_norm": declare.layer_norm(d, "norm2"),
    }
    names = "embeddings.word_embeddings", "embeddings.token_type_embeddings"
    return {
        "word": declare.embedding(c.vocab_size, d, names[0], "vocab", zero_row=c.pad_token_id),
        "type": declare.embedding(c.type_vocab_size, d, names[1]),
        "norm": declare.layer_norm(d, "emb_ln"),
        "layers": repeat(c.n_layer, "encoder.layers.{}", layer),
    }


def gated(c: NomicBertConfig) -> Feed:
    """The feed-forward network: one product opens and shuts the other (Shazeer 2020, arXiv 2002.05202)."""
    activation = ACTIVATIONS[c.gate]
    return lambda p, x: linear(p["down"], opened(p, x, activation), like=x)


def encode(params: Any, c: NomicBertConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x: jax.Array = embedded(params, c, inputs, inputs.places, sites)
    angles = rotary.angles(inputs.places, c.n_embd // c.n_head, rotary.base(c))
    through = block(c, rotary_attention(c, visible(inputs.mask), angles), gated(c))
    return run(through, params["layers"], x, ask=ask, sites=sites)


def classifier_rate(c: NomicBertConfig) -> float:
    """The dropout before a classifier."""
    return c.resid_pdrop if c.classifier_dropout is None else c.classifier_dropout


class NomicBertModel(
    tasks.Encoder, config=NomicBertConfig, prefix="bert", also=("nomic_bert",), network=Network(body, encode)
):
    """The encoder without a head."""


class NomicBertForMaskedLM(
    tasks.MaskedLM,
    base=NomicBertModel,
    head=heads.vocabulary(
        "cls.predictions.transform.dense",
        "cls.predictions.transform.layer_norm",
        "cls.predictions.decoder",
        bias="cls.predictions.bias",
        activation="gate",
    ),
):
    """Scores of every word at every place."""


class NomicBertForSequenceClassification(
    tasks.SequenceClassification,
    base=NomicBertModel,
    parameters=heads.with_pooler(body),
    head=heads.pooled(rate=classifier_rate),
):
    """One set of scores a text."""


class NomicBertForTokenClassification(
    tasks.TokenClassification, base=NomicBertModel, head=heads.each_token(rate=classifier_rate)
):
    """One set of scores a token."""
