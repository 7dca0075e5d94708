"""What a task is: options, and three functions from an input to its answer. One file per task holds one `TASK`."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ..bundle import Model
from ..config import Config
from ..hub import Source
from ..outputs import Output
from ..tokenizers import Tokenizer

Forward = Callable[..., Output]
"""(inputs, ask= what is asked for beside) → the model's output."""
Extra = Mapping[str, Any]

ALIASES: Mapping[str, str] = {
    "ner": "token-classification",
    "rerank": "text-ranking",
    "sentiment-analysis": "text-classification",
}

DEFAULTS: Mapping[str, tuple[str, str]] = {
    "feature-extraction": ("distilbert/distilbert-base-cased", "6ea8117"),
    "fill-mask": ("distilbert/distilroberta-base", "fb53ab8"),
    "question-answering": ("distilbert/distilbert-base-cased-distilled-squad", "564e9b5"),
    "text-classification": ("distilbert/distilbert-base-uncased-finetuned-sst-2-english", "714eb0f"),
    "text-embedding": ("sentence-transformers/all-MiniLM-L6-v2", "c9745ed"),
    "text-generation": ("openai-community/gpt2", "607a30d"),
    "text-ranking": ("cross-encoder/ms-marco-MiniLM-L6-v2", "c5ee24c"),
    "token-classification": ("dbmdz/bert-large-cased-finetuned-conll03-english", "4c53496"),
    "zero-shot-classification": ("facebook/bart-large-mnli", "d7645e1"),
}
"""The tasks that there are, each with the model and the revision that it uses where none is named."""

SHIPPED: Mapping[str, str] = {"text-classification": "jaxformers/tiny-sentiment"}
"""The models that ship with the package, by the task that they fit."""

# Tasks of torch Transformers that are not here.
_ABSENT = frozenset(
    """
    any-to-any audio-classification automatic-speech-recognition decision depth-estimation document-question-answering
    image-classification image-feature-extraction image-segmentation image-text-to-text image-to-image image-to-text
    keypoint-matching mask-generation object-detection summarization table-question-answering text-to-audio
    text-to-speech text2text-generation translation video-classification visual-question-answering vqa
    zero-shot-audio-classification zero-shot-image-classification zero-shot-object-detection
    """.split()
)
_TRANSLATION = re.compile(r"translation_\w+_to_\w+")


@dataclasses.dataclass(frozen=True)
class Row:
    """One row for the model.

    fields: the tokenizer's by name, each a list of one number a token. extra: what else `Task.compute` reads, by name,
    one number a token or one a row. asked: tokens whose scores `Task.answer` reads, beside the row's own. about: what
    else it reads.
    """

    fields: Mapping[str, Sequence[int]]
    extra: Mapping[str, Sequence[int] | int] = dataclasses.field(default_factory=dict)
    about: Any = None
    asked: Sequence[int] = ()

    def __len__(self) -> int:
        return len(self.fields["input_ids"])


class MissingKey(KeyError):
    """An input lacks something. The message reads as it was written, where that of a KeyError shows as a literal."""

    def __str__(self) -> str:
        return str(self.args[0])


def one_or_several(given: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The argument, or several as one list."""
    if not given:
        raise TypeError("a pipeline is called with an input, a list of them or something to iterate")
    return (given[0] if len(given) == 1 else list(given)), options


def outermost(source: Source) -> Source:
    """The source itself."""
    return source


@dataclasses.dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        name: as users write it.
        head: the `Model.task` of the classes that it runs; None: any class.
        options: a frozen dataclass of what users may say; none of them selects a program.
        rows: (inputs, tokenizer, options, tokens of a row that the model takes at most) → the rows of each input, none,
            one or many. Raises ValueError, TypeError or KeyError on bad input.
        compute: (forward, inputs, extra of the rows, *static) → a tree of arrays with an entry a row or a token,
            [B, …] or [B, T, …], inside one compiled program: the least that answers need. Of packed rows what was
            [B, …] has an entry a text, [N, …]. None: the task has `drive`.
        answer: (input, results of its rows, options, config) → what the user sees for one of several inputs.
        single: (answer, input, options) → what the user sees for an input that came alone; the same unless given.
        static: (options, rows of a batch) → what selects a program, so few values; the last arguments of `compute`.
        read: (positional arguments, keywords) of a call → (inputs, the keywords that are options).
        inside: source of a checkpoint → where in it the files of model and tokenizer are.
        bind: (task, source of the checkpoint or None, the class that it was saved from or None) → the task as the
            checkpoint settles it.
        shorter: (options, tokens that the model takes) → what a caller can do about a row that is longer.
        asked: options → the tokens of a row that the caller or the checkpoint asks for; None: nobody says.
        promised: whether texts are then cut to what the model's config promises.
        params: (model, tokenizer) → the tree that `compute` runs on, where it is not the model's own, prepared.
        settle: (options as a pipeline is made with, model, tokenizer) → the options as its calls start from.
        words: names of options, where they are not the fields of `options`.
        change: (options, those that a user typed) → the options with these.
        drive: (engine, rows, numbers of their inputs, options) → the places of rows and their results as they are
            ready, of a task whose answers take many passes.
        window: how many inputs of a stream are read ahead at most, and sorted together.
        arrays: trees of arrays that `compute` finds in `extra` besides. settings: what `pipeline_class` reads.
        pipeline_class: a subclass of `Pipeline`; None: that itself.
        packs: whether `compute` may be given rows that hold several texts.
    """

    name: str
    head: str | None
    options: type[Any]
    rows: Callable[[Sequence[Any], Tokenizer, Any, int], list[list[Row]]]
    compute: Callable[..., Any] | None
    answer: Callable[[Any, Sequence[tuple[Row, Any]], Any, Config], Any]
    single: Callable[[Any, Any, Any], Any] = lambda answer, item, options: answer
    static: Callable[[Any, Sequence[Row]], tuple[int, ...]] = lambda options, rows: ()
    read: Callable[[tuple[Any, ...], dict[str, Any]], tuple[Any, dict[str, Any]]] = one_or_several
    inside: Callable[[Source], Source] = outermost
    bind: Callable[[Task, Source | None, type[Model] | None], Task] = lambda task, source, trained: task
    shorter: Callable[[Any, int], str] = lambda options, longest: "shorten the text"
    asked: Callable[[Any], int | None] = lambda options: None
    promised: bool = False
    params: Callable[[Any, Tokenizer], Any] = lambda model, tokenizer: model.prepared
    settle: Callable[[Any, Any, Tokenizer], Any] = lambda options, model, tokenizer: options
    words: Sequence[str] = ()
    change: Callable[[Any, Mapping[str, Any]], Any] = lambda options, given: dataclasses.replace(options, **given)
    drive: Callable[[Any, Sequence[Row], Sequence[int], Any], Iterator[tuple[int, Any]]] | None = None
    window: int = 1024
    arrays: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    settings: Any = None
    pipeline_class: type[Any] | None = None
    packs: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        """By its name, and what differs from the task of that name: many of the functions have no name of their own."""
        named = find(self.name) if self.name in DEFAULTS else None
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        differ = {name: value for name, value in fields.items() if value is not getattr(named, name, _NOTHING)}
        return _again, (self.name if named else None, differ)


_NOTHING = object()


def _again(name: str | None, differ: Mapping[str, Any]) -> Task:
    """The inverse of `Task.__reduce__`."""
    return Task(**differ) if name is None else dataclasses.replace(find(name), **differ)


def find(name: str) -> Task:
    """The task of a name or alias.

    Raises:
        KeyError: there is none, or it is not here yet; the message lists all.
    """
    known = ALIASES.get(name, name)
    if known in _ABSENT or _TRANSLATION.fullmatch(known):
        raise KeyError(f"The task {name!r} is not here yet, available tasks are {names()}")
    if known not in DEFAULTS:
        near = difflib.get_close_matches(name, names(), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise KeyError(f"Unknown task {name!r}{hint}, available tasks are {names()}")
    return importlib.import_module(f"{__package__}.{known.replace('-', '_')}").TASK


def names() -> list[str]:
    """All task names and aliases."""
    return sorted({*DEFAULTS, *ALIASES})


def changed(options: Any, task: Task, given: Mapping[str, Any]) -> Any:
    """The options with those that a user typed.

    Raises:
        TypeError: an unknown name; the message gives the nearest.
    """
    words = task.words or [field.name for field in dataclasses.fields(options)]
    for name in given:
        if name not in words:
            near = difflib.get_close_matches(name, words, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"the {task.name} pipeline takes no {name!r}{hint}; it takes {', '.join(words)}")
    return task.change(options, given) if given else options
