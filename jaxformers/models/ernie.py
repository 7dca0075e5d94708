"""ERNIE 2.0 (Sun et al. 2020, arXiv 1907.12412): BERT, whose tokens may also say which task they are part of."""

from __future__ import annotations

from .. import declare, tasks
from ..batch import SEGMENTED, USUAL, Beside
from ..config import Size
from ..layers import heads, named_heads
from ..layers.decoder import keys_values
from ..network import Network
from .bert import BertConfig, decode, encode
from .bert import body as bert_body
from .bert import directed as bert_directed


class ErnieConfig(
    BertConfig, model_type="ernie", allowed={"pool_act": ("tanh",)}, ignores=("enable_recompute", "fuse", "task_id")
):
    """BERT's sizes and rates, and whether there is a table of tasks."""

    task_type_vocab_size: Size = 3
    use_task_id: bool = False


def task(c: ErnieConfig) -> declare.Tree:
    """The table of tasks, where there is one."""
    if not c.use_task_id:
        return {}
    return {"task": declare.embedding(c.task_type_vocab_size, c.hidden_size, "embeddings.task_type_embeddings")}


def body(c: ErnieConfig) -> declare.Tree:
    """The encoder's arrays."""
    return bert_body(c) | task(c)


def directed(c: ErnieConfig) -> declare.Tree:
    """The arrays of layers that are read in one direction."""
    return bert_directed(c) | task(c)


class ErnieModel(
    tasks.Encoder,
    config=ErnieConfig,
    prefix="ernie",
    network=Network(heads.with_pooler(body), encode),
    accepts=(*USUAL, "task_type_ids"),
    beside={"task_type_ids": Beside(lambda c: c.task_type_vocab_size)},
):
    """The encoder with its pooler, without a head."""


class ErnieForPreTraining(
    tasks.PreTraining, base=ErnieModel, head=heads.both(named_heads.predictions(), named_heads.next_sentence())
):
    """Masked words and the next sentence."""


class ErnieForMaskedLM(tasks.MaskedLM, base=ErnieModel, parameters=body, head=named_heads.predictions()):
    """Scores of every word at every place."""


class ErnieForCausalLM(
    tasks.DirectedLM,
    base=ErnieModel,
    network=Network(directed, decode=decode, cells=keys_values),
    accepts=(*SEGMENTED, "task_type_ids"),
    head=named_heads.predictions(),
):
    """Scores of every word to follow each token, of layers that are read in one direction: config.is_decoder."""


class ErnieForNextSentencePrediction(tasks.NextSentencePrediction, base=ErnieModel, head=named_heads.next_sentence()):
    """Whether the second text follows the first."""


class ErnieForSequenceClassification(
    tasks.SequenceClassification, base=ErnieModel, head=heads.pooled(rate=heads.classifier_rate)
):
    """One set of scores a text."""


class ErnieForTokenClassification(tasks.TokenClassification, base=ErnieModel, parameters=body):
    """One set of scores a token."""


class ErnieForQuestionAnswering(tasks.QuestionAnswering, base=ErnieModel, parameters=body):
    """Where in a context the answer starts and ends."""


class ErnieForMultipleChoice(
    tasks.MultipleChoice, base=ErnieModel, head=heads.pooled(rate=heads.classifier_rate, labels=1)
):
    """Which of several continuations fits best."""
