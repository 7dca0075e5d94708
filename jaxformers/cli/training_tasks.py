"""What `jaxformers train` does for each task: the columns it reads, the rows it makes, how they are put together and
what is measured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .. import auto
from ..training import measures, spans, tokenized
from ..training.collators import (
    DataCollatorForLanguageModeling,
    DataCollatorForSeq2Seq,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    default_data_collator,
)
from ..training.measures import Measure
from ..training.packing import PackedDataset
from ..training.spans import Question
from .labels import Labels
from .recipe import DataSection
from .rows import Example

PACKED = 512
"""Tokens of the rows that texts of causal models are packed into, where nobody says and the model takes as many."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What rows are made by.

    longest: tokens that the model and the tokenizer take; None: any number. labels: of tasks that have some.
    """

    tokenizer: Any
    data: DataSection
    longest: int | None
    labels: Labels

    @property
    def max_length(self) -> int | None:
        """Tokens of a row.

        Raises:
            ValueError: more than the model takes.
        """
        asked = self.data.max_length
        if asked is not None and self.longest is not None and asked > self.longest:
            raise ValueError(f"data.max_length is {asked}, and rows of this model have at most {self.longest} tokens")
        return self.longest if asked is None else asked


@dataclasses.dataclass(frozen=True)
class Rows:
    """A dataset, and what is measured of it; None: its loss alone."""

    dataset: Any
    measure: Measure | None = None


@dataclasses.dataclass(frozen=True)
class Task:
    """One task.

    Attributes:
        model: the Auto class.
        columns: that each row must have. further: that rows may have.
        label: the column of labels that are classes; "": there are none.
        whole: whether a .txt file is one text.
        rows: examples → rows.
        collator: settings → what makes batches of rows.
        says_perplexity: whether the loss is a mean over words.
    """

    model: Any
    columns: tuple[str, ...]
    rows: Callable[[Sequence[Example], Settings], Rows]
    collator: Callable[[Settings], Callable[..., Any]]
    further: tuple[str, ...] = ()
    label: str = ""
    whole: bool = False
    says_perplexity: bool = False

    def found(self, examples: Sequence[Example]) -> list[Any]:
        """All labels of some examples."""
        values = [example[self.label] for example in examples]
        return [one for value in values for one in value] if self.label == "tags" else values


def _classes(examples: Sequence[Example], s: Settings) -> Rows:
    pairs = [example.get("pair", "") for example in examples] if "pair" in examples[0] else None
    labels = [s.labels.number(example["label"]) for example in examples]
    texts = [example["text"] for example in examples]
    measure = measures.of_classes(len(s.labels.names)) if s.labels.names else measures.of_values
    return Rows(tokenized.classified(s.tokenizer, texts, labels, pairs=pairs, max_length=s.max_length), measure)


def _tags(examples: Sequence[Example], s: Settings) -> Rows:
    for place, example in enumerate(examples):
        if not (isinstance(example["words"], list) and isinstance(example["tags"], list)):
            raise ValueError(f"row {place}: words and tags must be lists: give a file of JSON")
    tags = [[s.labels.number(tag) for tag in example["tags"]] for example in examples]
    rows = tokenized.tagged(s.tokenizer, [example["words"] for example in examples], tags, max_length=s.max_length)
    return Rows(rows, measures.of_tags(s.labels.names))


def _spans(examples: Sequence[Example], s: Settings) -> Rows:
    questions = []
    for place, example in enumerate(examples):
        try:
            questions.append(Question.of(example))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"row {place}: {error}; answers look like {{'text': [...], 'answer_start': [...]}}"
            ) from None
    length = min(384, s.longest or 384) if s.data.max_length is None else s.max_length
    assert length is not None
    rows = spans.windows(s.tokenizer, questions, max_length=length, stride=min(s.data.stride, length // 2))
    return Rows(rows, measures.of_spans(rows, questions))


def _masked(examples: Sequence[Example], s: Settings) -> Rows:
    return Rows(tokenized.masked(s.tokenizer, [example["text"] for example in examples], max_length=s.max_length))


def _packed(examples: Sequence[Example], s: Settings) -> Rows:
    length = min(PACKED, s.longest or PACKED) if s.data.max_length is None else s.max_length
    assert length is not None
    texts = tokenized.causal(s.tokenizer, [example["text"] for example in examples])
    return Rows(PackedDataset(texts, length, s.tokenizer.pad_token_id or 0, split=True))


def _pairs(examples: Sequence[Example], s: Settings) -> Rows:
    rows = tokenized.translated(
        s.tokenizer,
        [example["source"] for example in examples],
        [example["target"] for example in examples],
        prefix=s.data.prefix,
        max_length=s.max_length,
        max_target_length=s.data.max_target_length,
    )
    return Rows(rows, measures.of_texts(s.tokenizer, chrf_and_bleu))


def chrf_and_bleu(texts: list[str], references: list[str]) -> dict[str, float]:
    """Both, 0 to 100, by sacrebleu.

    Raises:
        ImportError: it is not there.
    """
    try:
        import sacrebleu
    except ImportError as error:
        raise ImportError(
            "predict_with_generate measures chrF and BLEU by sacrebleu: pip install sacrebleu, or leave it out"
        ) from error
    return {
        "chrf": sacrebleu.corpus_chrf(texts, [references]).score,
        "bleu": sacrebleu.corpus_bleu(texts, [references]).score,
    }


TASKS: Mapping[str, Task] = {
    "sequence-classification": Task(
        auto.AutoModelForSequenceClassification,
        ("text", "label"),
        _classes,
        lambda s: DataCollatorWithPadding(s.tokenizer),
        further=("pair",),
        label="label",
    ),
    "token-classification": Task(
        auto.AutoModelForTokenClassification,
        ("words", "tags"),
        _tags,
        lambda s: DataCollatorForTokenClassification(s.tokenizer),
        label="tags",
    ),
    "question-answering": Task(
        auto.AutoModelForQuestionAnswering,
        ("question", "context"),
        _spans,
        lambda s: DataCollatorWithPadding(s.tokenizer),
        further=("answers",),
    ),
    "masked-lm": Task(
        auto.AutoModelForMaskedLM,
        ("text",),
        _masked,
        lambda s: DataCollatorForLanguageModeling(s.tokenizer, mlm_probability=s.data.mlm_probability),
        says_perplexity=True,
    ),
    "causal-lm": Task(
        auto.AutoModelForCausalLM,
        ("text",),
        _packed,
        lambda s: default_data_collator,
        whole=True,
        says_perplexity=True,
    ),
    "seq2seq": Task(
        auto.AutoModelForSeq2SeqLM,
        ("source", "target"),
        _pairs,
        lambda s: DataCollatorForSeq2Seq(s.tokenizer),
    ),
}
