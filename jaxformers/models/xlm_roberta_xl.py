"""XLM-RoBERTa-XL (Goyal et al. 2021, arXiv 2105.00572): RoBERTa with its norms inside the residual branches, and none
after the embeddings.
"""

from __future__ import annotations

from typing import Any

import jax

from .. import declare, tasks
from ..batch import SEGMENTED
from ..config import Config, Depth, Epsilon, Rate, Size, Token
from ..declare import repeat
from ..layers import heads, named_heads, pre_norm
from ..layers.attention import visible
from ..layers.causal import Causal
from ..layers.decoder import keys_values
from ..layers.inputs import Ask, Inputs
from ..layers.norm import layer_norm
from ..layers.post_norm import embeddings, self_attention, summed
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import CountedSizes, EitherWay


class XLMRobertaXLConfig(
    EitherWay,
    CountedSizes,
    Config,
    model_type="xlm-roberta-xl",
    allowed={**EitherWay.allowed, **CountedSizes.allowed},
):
    """RoBERTa's sizes and rates; the defaults are xlm-roberta-xl's."""

    vocab_size: Size = 250880
    hidden_size: Size = 2560
    num_hidden_layers: Depth = 36
    num_attention_heads: Size = 32
    intermediate_size: Size = 10240
    max_position_embeddings: Size = 514
    type_vocab_size: Size = 1
    layer_norm_eps: Epsilon = 1e-5
    classifier_dropout: Rate | None = None
    pad_token_id: Token = 1


NORMS = {"attention_norm": "self_attn_layer_norm", "ffn_norm": "LayerNorm"}
"""Names of the norms before a layer's halves."""


def arrays(c: XLMRobertaXLConfig, one: declare.Tree) -> declare.Tree:
    """The tables, layers of which each has the arrays `one`, and the norm that follows the last."""
    d = c.hidden_size
    tables = embeddings(c, d)
    del tables["norm"]
    return tables | {
        "layers": repeat(c.num_hidden_layers, "encoder.layer.{}", one),
        "final_norm": declare.layer_norm(d, "encoder.LayerNorm"),
    }


def body(c: XLMRobertaXLConfig) -> declare.Tree:
    """The encoder's arrays."""
    return arrays(c, pre_norm.layer(c, **NORMS))


def directed(c: XLMRobertaXLConfig) -> declare.Tree:
    """The arrays of layers that are read in one direction."""
    return arrays(c, pre_norm.directed_layer(c, **NORMS))


def encode(params: Any, c: XLMRobertaXLConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = entering(params, c, inputs, inputs.counted(c.pad_token_id), sites)
    through = pre_norm.block(c, self_attention(c, visible(inputs.mask)))
    return normed(params, c, run(through, params["layers"], x, ask=ask, sites=sites))


def decode(params: Any, c: XLMRobertaXLConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order = Causal.of(inputs)
    x = entering(params, c, inputs, order.positions + c.pad_token_id + 1, sites)
    return normed(params, c, pre_norm.decode(params, c, inputs, order, x, ask, sites))


def entering(params: Any, c: XLMRobertaXLConfig, inputs: Inputs, places: jax.Array, sites: Sites) -> jax.Array:
    """What enters the first layer [B, T, D], of tokens at places [B or 1, T] of the table of positions."""
    return sites.drop("embeddings", summed(params, inputs, places), c.hidden_dropout_prob)


def normed(params: Any, c: XLMRobertaXLConfig, encoded: Encoded) -> Encoded:
    """What the last norm makes of the result."""
    return encoded.normed(layer_norm(params["final_norm"], encoded.state, c.layer_norm_eps))


class XLMRobertaXLModel(
    tasks.Encoder, config=XLMRobertaXLConfig, prefix="roberta", network=Network(heads.with_pooler(body), encode)
):
    """The encoder with its pooler, without a head."""


class XLMRobertaXLForMaskedLM(tasks.MaskedLM, base=XLMRobertaXLModel, parameters=body, head=named_heads.lm_head()):
    """Scores of every word at every place."""


class XLMRobertaXLForCausalLM(
    tasks.DirectedLM,
    base=XLMRobertaXLModel,
    network=Network(directed, decode=decode, cells=keys_values),
    accepts=SEGMENTED,
    head=named_heads.lm_head(),
):
    """Scores of every word to follow each token, of layers that are read in one direction: config.is_decoder."""


class XLMRobertaXLForSequenceClassification(
    tasks.SequenceClassification, base=XLMRobertaXLModel, parameters=body, head=named_heads.classification_head()
):
    """One set of scores a text."""


class XLMRobertaXLForTokenClassification(
    tasks.TokenClassification,
    base=XLMRobertaXLModel,
    parameters=body,
    head=heads.each_token(rate=heads.classifier_rate),
):
    """One set of scores a token."""


class XLMRobertaXLForQuestionAnswering(tasks.QuestionAnswering, base=XLMRobertaXLModel, parameters=body):
    """Where in a context the answer starts and ends."""


class XLMRobertaXLForMultipleChoice(
    tasks.MultipleChoice, base=XLMRobertaXLModel, head=heads.pooled(rate=heads.hidden_rate, labels=1)
):
    """Which of several continuations fits best."""
