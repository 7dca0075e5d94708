"""ELECTRA (Clark et al. 2020, arXiv 2003.10555): BERT's encoder behind narrower embeddings, trained to find the tokens
that a small generator has replaced. Generator and discriminator are the same architecture with other heads.
"""

from __future__ import annotations

from typing import Any

import jax

from .. import declare, tasks
from ..batch import SEGMENTED
from ..config import Config, Rate, Size
from ..declare import repeat
from ..layers import heads, named_heads, post_norm
from ..layers.attention import visible
from ..layers.causal import Causal
from ..layers.decoder import keys_values
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.post_norm import block, directed_layer, embedded, embeddings, layer, self_attention
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import BertSizes, EitherWay


class ElectraConfig(
    EitherWay,
    BertSizes,
    Config,
    model_type="electra",
    allowed={
        **EitherWay.allowed,
        **BertSizes.allowed,
        "position_embedding_type": ("absolute",),
        "summary_type": ("first",),
        "summary_use_proj": (True,),
        "summary_activation": ("gelu",),
    },
):
    """Sizes and rates of an ELECTRA model; the defaults are electra-small's."""

    embedding_size: Size = 128
    hidden_size: Size = 256
    num_attention_heads: Size = 4
    intermediate_size: Size = 1024
    summary_last_dropout: Rate = 0.1
    classifier_dropout: Rate | None = None


def arrays(c: ElectraConfig, one: declare.Tree) -> declare.Tree:
    """The tables, projected where they are of another width, and layers of which each has the arrays `one`."""
    tree = embeddings(c, c.embedding_size)
    if c.embedding_size != c.hidden_size:
        tree["project"] = declare.projection(c.embedding_size, c.hidden_size, "embeddings_project")
    return tree | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", one)}


def body(c: ElectraConfig) -> declare.Tree:
    """The encoder's arrays."""
    return arrays(c, layer(c))


def directed(c: ElectraConfig) -> declare.Tree:
    """The arrays of layers that are read in one direction."""
    return arrays(c, directed_layer(c))


def entering(params: Any, c: ElectraConfig, inputs: Inputs, places: jax.Array, sites: Sites) -> jax.Array:
    """What enters the first layer [B, T, D], of tokens at places [B or 1, T]."""
    x = embedded(params, c, inputs, places, sites)
    return linear(params["project"], x) if "project" in params else x


def encode(params: Any, c: ElectraConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = entering(params, c, inputs, inputs.places, sites)
    through = block(c, self_attention(c, visible(inputs.mask)))
    return run(through, params["layers"], x, ask=ask, sites=sites)


def decode(params: Any, c: ElectraConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch, behind the tokens of its cache."""
    order = Causal.of(inputs)
    x = entering(params, c, inputs, order.positions, sites)
    return post_norm.decode(params, c, inputs, order, x, ask, sites)


class ElectraModel(tasks.Encoder, config=ElectraConfig, prefix="electra", network=Network(body, encode)):
    """The encoder without a head."""


class ElectraForPreTraining(tasks.ReplacedTokens, base=ElectraModel, head=named_heads.discriminator()):
    """Which tokens were replaced, as the discriminator was trained."""


class ElectraForMaskedLM(tasks.MaskedLM, base=ElectraModel, head=named_heads.generator()):
    """Scores of every word at every place, as the generator was trained."""


class ElectraForCausalLM(
    tasks.DirectedLM,
    base=ElectraModel,
    network=Network(directed, decode=decode, cells=keys_values),
    accepts=SEGMENTED,
    head=named_heads.generator(),
):
    """Scores of every word to follow each token, of layers that are read in one direction: config.is_decoder."""


class ElectraForSequenceClassification(
    tasks.SequenceClassification,
    base=ElectraModel,
    head=named_heads.classification_head("gelu"),
):
    """One set of scores a text."""


class ElectraForTokenClassification(tasks.TokenClassification, base=ElectraModel):
    """One set of scores a token."""


class ElectraForQuestionAnswering(tasks.QuestionAnswering, base=ElectraModel):
    """Where in a context the answer starts and ends."""


class ElectraForMultipleChoice(
    tasks.MultipleChoice,
    base=ElectraModel,
    head=heads.first_token(
        "sequence_summary.summary", "gelu", "classifier", rate=lambda c: c.summary_last_dropout, labels=1
    ),
):
    """Which of several continuations fits best."""
