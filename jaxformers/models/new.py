"""GTE's encoder, which its files call "new" (Zhang et al. 2024, arXiv 2407.19669): BERT with rotary positions and gated
layers. Its twin in the last line is the same under torch Transformers' name.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Count, Endless, Rate, Size
from ..declare import repeat, under
from ..layers import heads, rotary
from ..layers.activation import ACTIVATIONS
from ..layers.attention import visible
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.post_norm import Feed, block, embedded, rotary_attention
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import BertSizes


class NewConfig(
    Endless,
    BertSizes,
    Config,
    model_type="new",
    allowed={
        "position_embedding_type": ("rope",),
        "layer_norm_type": ("layer_norm",),
        "logn_attention_scale": (False,),
        "logn_attention_clip1": (False,),
        "pack_qkv": (True,),
        "unpad_inputs": (False, True),
        "use_memory_efficient_attention": (False, True),
    },
):
    """Sizes and rates of a GTE model; the defaults are gte-base-en-v1.5's.

    rope_scaling: None, or {"type": "ntk", "factor": how many times as long as in training rows may be}.
    """

    vocab_size: Size = 30528
    attention_probs_dropout_prob: Rate = 0.0
    classifier_dropout: Rate | None = None
    max_position_embeddings: Size = 2048
    type_vocab_size: Count = 1
    rope_theta: float = 10_000.0
    rope_scaling: dict | None = None
    rope_parameters: dict | None = None

    def check(self) -> None:
        """Heads share the width evenly and have pairs to rotate, by a scaling that is known."""
        rotary.check(self)
        if self.type_vocab_size < 0:
            raise ValueError(f"{type(self).__name__}: type_vocab_size={self.type_vocab_size} must be 0 or more")
        scaling = self.rope_scaling or {}
        if scaling and (scaling.get("type") != "ntk" or scaling.get("mixed_b") is not None):
            raise ValueError(f"{type(self).__name__}: rope_scaling={scaling} is not supported; supported: type 'ntk'")
        factor = scaling.get("factor", 1.0)
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 1 <= factor < 1e6:
            raise ValueError(f"{type(self).__name__}: rope_scaling has factor={factor!r}, which must be 1 or more")


def body(c: NewConfig) -> declare.Tree:
    """The encoder's arrays."""
    d = c.hidden_size
    layer = {
        "qkv": declare.linear(d, 3 * d, "attention.qkv_proj", ("embed", "heads")),
        "out": declare.linear(d, d, "attention.o_proj", ("heads", "embed")),
        "attention_norm": declare.layer_norm(d, "attn_ln"),
        "up_gate": declare.linear(d, 2 * c.intermediate_size, "mlp.up_gate_proj", ("embed", "mlp"), bias=False),
        "down": declare.linear(c.intermediate_size, d, "mlp.down_proj", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "mlp_ln"),
    }
    tables = {
        "word": declare.embedding(c.vocab_size, d, "word_embeddings", "vocab", zero_row=c.pad_token_id),
        "norm": declare.layer_norm(d, "LayerNorm"),
    }
    if c.type_vocab_size:
        tables["type"] = declare.embedding(c.type_vocab_size, d, "token_type_embeddings")
    return under("embeddings", tables) | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer)}


def gated(c: NewConfig) -> Feed:
    """The feed-forward network: one half of a product opens and shuts the other (Shazeer 2020, arXiv 2002.05202)."""

    def apply(p: Any, x: jax.Array) -> jax.Array:
        up, gate = jnp.split(linear(p["up_gate"], x), 2, axis=-1)
        return linear(p["down"], up * ACTIVATIONS[c.hidden_act](gate), like=x)

    return apply


def encode(params: Any, c: NewConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = embedded(params, c, inputs, inputs.places, sites)
    ntk = float((c.rope_scaling or {}).get("factor", 1.0))
    angles = rotary.angles(inputs.places, c.hidden_size // c.num_attention_heads, rotary.base(c), ntk)
    through = block(c, rotary_attention(c, visible(inputs.mask), angles), gated(c))
    return run(through, params["layers"], x, ask=ask, sites=sites)


class NewModel(tasks.Encoder, config=NewConfig, prefix="new", network=Network(body, encode)):
    """The encoder without a head."""


class NewForMaskedLM(
    tasks.MaskedLM,
    base=NewModel,
    head=heads.vocabulary(
        "lm_head.dense", "lm_head.norm", "lm_head.decoder", bias="lm_head.decoder.bias", activation="gelu"
    ),
):
    """Scores of every word at every place."""


class NewForSequenceClassification(
    tasks.SequenceClassification,
    base=NewModel,
    parameters=heads.with_pooler(body),
    head=heads.pooled(rate=heads.classifier_rate),
):
    """One set of scores a text."""


class NewForTokenClassification(tasks.TokenClassification, base=NewModel):
    """One set of scores a token."""


class GteConfig(NewConfig, model_type="gte"):
    """Sizes and rates of a GTE as torch Transformers has it."""

    vocab_size: Size = 250048
    max_position_embeddings: Size = 8192
    rope_theta: float = 160_000.0


class GteModel(NewModel, config=GteConfig, prefix="gte"):
    """The encoder without a head."""


class GteForMaskedLM(NewForMaskedLM, base=GteModel):
    """Scores of every word at every place."""


class GteForSequenceClassification(NewForSequenceClassification, base=GteModel):
    """One set of scores a text."""


class GteForTokenClassification(NewForTokenClassification, base=GteModel):
    """One set of scores a token."""
