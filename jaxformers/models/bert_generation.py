"""BERT for generation (Rothe et al. 2020, arXiv 1907.12461): BERT without segments and pooler, as a side of an
`EncoderDecoderModel` or as a decoder alone.
"""

from __future__ import annotations

from typing import Any

import jax

from .. import declare, tasks
from ..batch import CAUSAL
from ..config import Config, Depth, Size
from ..declare import repeat
from ..layers import heads
from ..layers.decoder import keys_values
from ..layers.linear import unembed
from ..layers.post_norm import directed_layer, layer, unsegmented_embeddings
from ..layers.run import Encoded
from ..layers.sites import Sites
from ..network import Network
from ..sizes import EitherWay, UnsegmentedSizes
from .bert import decode, encode


class BertGenerationConfig(
    EitherWay,
    UnsegmentedSizes,
    Config,
    model_type="bert-generation",
    allowed={**EitherWay.allowed, **UnsegmentedSizes.allowed, "position_embedding_type": ("absolute",)},
):
    """Sizes and rates of a BERT for generation; the defaults are torch Transformers'."""

    vocab_size: Size = 50358
    hidden_size: Size = 1024
    num_hidden_layers: Depth = 24
    num_attention_heads: Size = 16
    intermediate_size: Size = 4096
    bos_token_id: int | None = 2
    eos_token_id: int | tuple[int, ...] | None = 1


def arrays(c: BertGenerationConfig, one: declare.Tree) -> declare.Tree:
    """The tables, and layers of which each has the arrays `one`."""
    return unsegmented_embeddings(c, c.hidden_size) | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", one)}


def body(c: BertGenerationConfig) -> declare.Tree:
    """The encoder's arrays."""
    return arrays(c, layer(c))


def directed(c: BertGenerationConfig) -> declare.Tree:
    """The arrays of layers that are read in one direction."""
    return arrays(c, directed_layer(c))


def scores() -> heads.Head:
    """Scores [B, T, V] of every token by the word table, or one of its own, and a bias that files hold twice."""
    plain = heads.words("lm_head.decoder")

    def parameters(c: Any) -> declare.Tree:
        bias = declare.vector(c.vocab_size, "lm_head.bias", "vocab")
        return {**plain.parameters(c), "bias": declare.tied(bias, "lm_head.decoder.bias")}

    def forward(params: Any, c: Any, encoded: Encoded, sites: Sites) -> jax.Array:
        p = params["head"]
        return unembed(p.get("decoder", params["word"]), encoded.state) + p["bias"]

    return heads.Head(parameters, forward, tied=plain.tied)


class BertGenerationEncoder(
    tasks.Encoder,
    config=BertGenerationConfig,
    prefix="bert",
    network=Network(body, encode),
    accepts=("input_ids", "attention_mask", "position_ids", "inputs_embeds"),
):
    """The encoder without a head."""


class BertGenerationDecoder(
    tasks.DirectedLM,
    base=BertGenerationEncoder,
    network=Network(directed, decode=decode, cells=keys_values),
    accepts=CAUSAL,
    head=scores(),
):
    """Scores of every word to follow each token, of layers that are read in one direction: config.is_decoder."""
