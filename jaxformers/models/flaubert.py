"""FlauBERT (Le et al. 2019, arXiv 1912.05372): XLM for French, in larger models with norms before the layers."""

from __future__ import annotations

from typing import Any

from .. import tasks
from ..config import Rate, Token
from ..layers import heads, post_norm, pre_norm
from ..layers.inputs import Ask, Inputs
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from .xlm import XLMConfig, XLMModel, head_rate, parameters, summary, through


class FlaubertConfig(
    XLMConfig,
    model_type="flaubert",
    ignores="""
        amp bptt clip_grad_norm encoder_only fp16 group_by_size lg_sampling_factor lgs max_batch_size mlm_steps
        optimizer sample_alpha tokens_per_batch word_blank word_dropout word_keep word_mask word_mask_keep_rand
        word_pred word_rand word_shuffle
    """.split(),
):
    """Sizes and rates of a FlauBERT model, as in `XLMConfig`.

    pre_norm: norms come before attention and feed-forward network. layerdrop: of training, and not done here.
    """

    pre_norm: bool = False
    layerdrop: Rate = 0.0
    pad_token_id: Token | None = 2


def encode(params: Any, c: FlaubertConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of one batch."""
    return through(params, c, inputs, ask, sites, pre_norm.block if c.pre_norm else post_norm.block)


class FlaubertModel(
    tasks.Encoder,
    config=FlaubertConfig,
    prefix="transformer",
    network=Network(parameters, encode),
    accepts=XLMModel.accepts,
    beside=XLMModel.beside,
):
    """The encoder without a head."""


class FlaubertWithLMHeadModel(tasks.MaskedLM, base=FlaubertModel, head=heads.words("pred_layer.proj", bias=True)):
    """Scores of every word at every place."""


class FlaubertForSequenceClassification(tasks.SequenceClassification, base=FlaubertModel, head=summary()):
    """One set of scores a text."""


class FlaubertForTokenClassification(
    tasks.TokenClassification, base=FlaubertModel, head=heads.each_token(rate=head_rate)
):
    """One set of scores a token."""


class FlaubertForQuestionAnsweringSimple(tasks.QuestionAnswering, base=FlaubertModel):
    """Where in a context the answer starts and ends."""


class FlaubertForMultipleChoice(tasks.MultipleChoice, base=FlaubertModel, head=summary(choices=True)):
    """Which of several continuations fits best."""
