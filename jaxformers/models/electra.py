"""ELECTRA (Clark et al. 2020, arXiv 2003.10555): BERT's encoder behind narrower embeddings, trained to find the tokens
that a small generator has replaced. Generator and discriminator are the same architecture with other heads.
"""

from __future__ import annotations

from typing import Any

from .. import declare, tasks
from ..config import Config, Rate, Size
from ..declare import repeat
from ..layers import heads, named_heads
from ..layers.attention import visible
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.post_norm import block, embedded, embeddings, layer, self_attention
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import BertSizes


class ElectraConfig(
    BertSizes,
    Config,
    model_type="electra",
    allowed={
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


def parameters(c: ElectraConfig) -> declare.Tree:
    """The encoder's arrays; the embeddings are projected where they are of another width."""
    tree = embeddings(c, c.embedding_size)
    if c.embedding_size != c.hidden_size:
        tree["project"] = declare.projection(c.embedding_size, c.hidden_size, "embeddings_project")
    return tree | {"layers": repeat(c.num_hidden_layers, "encoder.layer.{}", layer(c))}


def encode(params: Any, c: ElectraConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    x = embedded(params, c, inputs, inputs.places, sites)
    if "project" in params:
        x = linear(params["project"], x)
    through = block(c, self_attention(c, visible(inputs.mask)))
    return run(through, params["layers"], x, ask=ask, sites=sites)


class ElectraModel(tasks.Encoder, config=ElectraConfig, prefix="electra", network=Network(parameters, encode)):
    """The encoder without a head."""


class ElectraForPreTraining(tasks.ReplacedTokens, base=ElectraModel, head=named_heads.discriminator()):
    """Which tokens were replaced, as the discriminator was trained."""


class ElectraForMaskedLM(tasks.MaskedLM, base=ElectraModel, head=named_heads.generator()):
    """Scores of every word at every place, as the generator was trained."""


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
