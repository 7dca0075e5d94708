"""ESM-1b and ESM-2, language models of proteins (Rives et al. 2021; Lin et al. 2023, doi 10.1126/science.ade2574):
pre-norm encoders with absolute or rotary positions, whose embeddings are scaled as if masks were dropout.
"""

from __future__ import annotations

from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Depth, Epsilon, Rate, Size, Token
from ..declare import Param, repeat
from ..layers import heads, named_heads, rotary
from ..layers.attention import attention, visible
from ..layers.embedding import embed, embed_tokens
from ..layers.inputs import Ask, Inputs
from ..layers.norm import layer_norm
from ..layers.post_norm import check_counted, check_heads, rotary_attention, self_attention
from ..layers.pre_norm import block
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network

_MASKED = 0.15 * 0.8  # the share of tokens that were masked in training


SHARED = ("rotary_embeddings.inv_freq", "encoder.layer.*.attention.self.rotary_embeddings.inv_freq")
"""What newer files call the frequencies that older ones hold with each layer."""


class EsmConfig(
    Config,
    model_type="esm",
    allowed={
        "position_embedding_type": ("absolute", "rotary"),
        "hidden_act": ("gelu",),
        "is_folding_model": (False,),
        "esmfold_config": (None,),
        "vocab_list": (None,),
        "rope_theta": (10_000.0,),
    },
):
    """Sizes and rates of an ESM model. The reference leaves the vocabulary and its ids open; here they are ESM-2's."""

    vocab_size: Size = 33
    hidden_size: Size = 768
    num_hidden_layers: Depth = 12
    num_attention_heads: Size = 12
    intermediate_size: Size = 3072
    hidden_dropout_prob: Rate = 0.1
    attention_probs_dropout_prob: Rate = 0.1
    max_position_embeddings: Size = 1026
    layer_norm_eps: Epsilon = 1e-12
    position_embedding_type: str = "absolute"
    emb_layer_norm_before: bool | None = None
    token_dropout: bool = False
    pad_token_id: Token = 1
    mask_token_id: Token | None = 32

    hidden_act: ClassVar[str] = "gelu"

    def check(self) -> None:
        """Heads share the width evenly and have pairs to rotate, or positions are left after the padding token's."""
        check_heads(self)
        if self.position_embedding_type == "absolute":
            check_counted(self)
        elif self.hidden_size // self.num_attention_heads % 2:
            raise ValueError(
                f"EsmConfig: hidden_size={self.hidden_size} over num_attention_heads={self.num_attention_heads} "
                "gives heads of odd width, which rotation does not take"
            )
        if self.token_dropout and self.mask_token_id is None:
            raise ValueError("EsmConfig: token_dropout counts masks, and mask_token_id is None")

    @property
    def longest_row(self) -> int | None:
        """Absolute positions less those up to the padding token, where counting starts; rotary ones never end."""
        return (
            None if self.position_embedding_type == "rotary" else self.max_position_embeddings - self.pad_token_id - 1
        )


def body(c: EsmConfig) -> declare.Tree:
    """The encoder's arrays.

    Two things files carry and nothing here reads: "frequencies", which are computed, and "contact", the weights of an
    older way to see which amino acids touch.
    """
    d = c.hidden_size
    layer = {
        **attention(d, "attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
        "attention_norm": declare.layer_norm(d, "attention.LayerNorm"),
        "up": declare.linear(d, c.intermediate_size, "intermediate.dense", ("embed", "mlp")),
        "down": declare.linear(c.intermediate_size, d, "output.dense", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "LayerNorm"),
    }
    tree: dict[str, Any] = {
        "word": declare.embedding(c.vocab_size, d, "embeddings.word_embeddings", "vocab", zero_row=c.pad_token_id)
    }
    if c.position_embedding_type == "rotary":
        pairs = (d // c.num_attention_heads // 2,)
        name = "attention.self.rotary_embeddings.inv_freq"
        layer["frequencies"] = Param(pairs, (None,), name, "buffer", declare.turning)
    else:
        name = "embeddings.position_embeddings"
        tree["position"] = declare.embedding(c.max_position_embeddings, d, name, zero_row=c.pad_token_id)
    if c.emb_layer_norm_before:
        tree["norm"] = declare.layer_norm(d, "embeddings.layer_norm")
    layers = repeat(c.num_hidden_layers, "encoder.layer.{}", layer)
    for each in layers if c.position_embedding_type == "rotary" else ():
        each["frequencies"] = declare.tied(each["frequencies"], *SHARED)
    return tree | {
        "layers": layers,
        "final_norm": declare.layer_norm(d, "encoder.emb_layer_norm_after"),
        "contact": declare.projection(
            c.num_hidden_layers * c.num_attention_heads, 1, "contact_head.regression", (None, None)
        ),
    }


def embedded(params: Any, c: EsmConfig, inputs: Inputs) -> jax.Array:
    """What enters the first layer [B, T, D]: the words, without masks and scaled for them, and absolute positions.

    Embeddings that are given in place of ids enter as they are.
    """
    x = embed_tokens(params["word"], inputs)
    if inputs.ids is None:
        return x
    if c.token_dropout:
        assert c.mask_token_id is not None
        real = jnp.ones_like(inputs.ids) if inputs.mask is None or inputs.mask.ndim == 3 else inputs.mask
        masked = jnp.equal(inputs.ids, c.mask_token_id)
        total = jnp.maximum((real != 0).sum(1), 1)
        shown = jnp.maximum(total - (masked & (real != 0)).sum(1), 1)
        scale = (1 - _MASKED) * total.astype(jnp.float32) / shown
        x = jnp.where(masked[..., None], 0, x * scale[:, None, None]).astype(x.dtype)
    if "position" in params:
        x = x + embed(params["position"], inputs.counted(c.pad_token_id))
    return layer_norm(params["norm"], x, c.layer_norm_eps) if "norm" in params else x


def encode(params: Any, c: EsmConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch.

    Masks count as a share of a row's real tokens, as they did in training; torch Transformers 4.57 takes padding for
    tokens there (its issue 44162).
    """
    seen = visible(inputs.mask)
    mix = self_attention(c, seen)
    if c.position_embedding_type == "rotary":
        angles = rotary.angles(jnp.arange(inputs.shape[1])[None], c.hidden_size // c.num_attention_heads)
        mix = rotary_attention(c, seen, angles)
    x = embedded(params, c, inputs)
    encoded = run(block(c, mix), params["layers"], x, ask=ask, sites=sites)
    return encoded.normed(layer_norm(params["final_norm"], encoded.state, c.layer_norm_eps))


class EsmModel(
    tasks.Encoder,
    config=EsmConfig,
    prefix="esm",
    network=Network(heads.with_pooler(body), encode),
    accepts=("input_ids", "attention_mask", "position_ids", "inputs_embeds"),
    packs=False,
):
    """The encoder with its pooler, without a head."""


class EsmForMaskedLM(
    tasks.MaskedLM,
    base=EsmModel,
    parameters=body,
    head=named_heads.lm_head(),
):
    """Scores of every amino acid at every place."""


class EsmForSequenceClassification(
    tasks.SequenceClassification,
    base=EsmModel,
    parameters=body,
    head=named_heads.classification_head(rate=heads.hidden_rate),
):
    """One set of scores a protein."""


class EsmForTokenClassification(
    tasks.TokenClassification, base=EsmModel, parameters=body, head=heads.each_token(rate=heads.hidden_rate)
):
    """One set of scores an amino acid."""
