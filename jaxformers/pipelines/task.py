"""What a task is: options, and three functions from an input to its answer. One file per task holds it, or a family."""

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

_FILES: Mapping[str, str] = {
    "feature-extraction": "feature_extraction",
    "fill-mask": "fill_mask",
    "question-answering": "question_answering",
    "text-classification": "text_classification",
    "text-embedding": "text_embedding",
    "text-generation": "text_generation",
    "text-ranking": "text_ranking",
    "text2text-generation": "text2text",
    "summarization": "text2text",
    "token-classification": "token_classification",
    "translation": "text2text",
    "zero-shot-classification": "zero_shot_classification",
}
"""The file of each task. Of tasks with one head the first is taken where a model names none."""

TASKS: tuple[str, ...] = tuple(_FILES)
"""The tasks that there are."""

_PAIR = re.compile(r"translation_[^_]+_to_[^_]+")
PAIRS = "translation_XX_to_YY"
"""How translations between two languages are named."""

DEFAULTS: Mapping[str, tuple[str, str]] = {
    "feature-extraction": ("distilbert/distilbert-base-cased", "6ea8117"),
    "fill-mask": ("distilbert/distilroberta-base", "fb53ab8"),
    "question-answering": ("distilbert/distilbert-base-cased-distilled-squad", "564e9b5"),
    "summarization": ("sshleifer/distilbart-cnn-12-6", "a4f8f3e"),
    "text-classification": ("distilbert/distilbert-base-uncased-finetuned-sst-2-english", "714eb0f"),
    "text-embedding": ("sentence-transformers/all-MiniLM-L6-v2", "c9745ed"),
    "text-generation": ("openai-community/gpt2", "607a30d"),
    "text-ranking": ("cross-encoder/ms-marco-MiniLM-L6-v2", "c5ee24c"),
    "text2text-generation": ("google-t5/t5-base", "a9723ea"),
    "token-classification": ("dbmdz/bert-large-cased-finetuned-conll03-english", "4c53496"),
    "translation_en_to_de": ("google-t5/t5-base", "a9723ea"),
    "translation_en_to_fr": ("google-t5/t5-base", "a9723ea"),
    "translation_en_to_ro": ("google-t5/t5-base", "a9723ea"),
    "zero-shot-classification": ("facebook/bart-large-mnli", "d7645e1"),
}
"""The model and the revision that a task uses where none is named. Translations have one for three pairs alone."""

SHIPPED: Mapping[str, str] = {
    "text-classification": "jaxformers/tiny-sentiment",
    "translation_en_to_fr": "jaxformers/tiny-translator",
}
"""The models that ship with the package, by the task that they fit."""

MADE_FOR: Mapping[str, str] = {
    "fsmt": "translation",
    "m2m_100": "translation",
    "marian": "translation",
    "mbart": "translation",
    "pegasus": "summarization",
    "pegasus_x": "summarization",
}
"""The one task that architectures were made for whose head fits several, by `model_type`."""

# Tasks of torch Transformers that are not here.
_ABSENT = frozenset(
    """
    any-to-any audio-classification automatic-speech-recognition decision depth-estimation document-question-answering
    image-classification image-feature-extraction image-segmentation image-text-to-text image-to-image image-to-text
    keypoint-matching mask-generation object-detection table-question-answering text-to-audio text-to-speech
    video-classification visual-question-answering vqa zero-shot-audio-classification zero-shot-image-classification
    zero-shot-object-detection
    """.split()
)


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
        check: (options of a call) → None. Raises ValueError where no input could be answered with them.
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
    check: Callable[[Any], None] = lambda options: None
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
        named = find(self.name) if is_name(self.name) else None
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        differ = {name: value for name, value in fields.items() if value is not getattr(named, name, _NOTHING)}
        return _again, (self.name if named else None, differ)


_NOTHING = object()


def _again(name: str | None, differ: Mapping[str, Any]) -> Task:
    """The inverse of `Task.__reduce__`."""
    return Task(**differ) if name is None else dataclasses.replace(find(name), **differ)


def is_name(name: str) -> bool:
    """Whether this is the name of a task, and no alias."""
    return name in TASKS or _PAIR.fullmatch(name) is not None


def find(name: str) -> Task:
    """The task of a name or alias, or of a pair of languages such as "translation_en_to_fr".

    Raises:
        KeyError: there is none, or it is not here yet; the message lists all.
    """
    known = ALIASES.get(name, name)
    if known in _ABSENT:
        raise KeyError(f"The task {name!r} is not here yet, available tasks are {names()}")
    if not is_name(known):
        if known.startswith("translation"):
            raise KeyError(f"Invalid translation task {name!r}, use 'translation' or one like {PAIRS!r}")
        near = difflib.get_close_matches(name, names(), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise KeyError(f"Unknown task {name!r}{hint}, available tasks are {names()}")
    general = known if known in TASKS else "translation"
    module = importlib.import_module(f"{__package__}.{_FILES[general]}")
    found = next(value for value in vars(module).values() if isinstance(value, Task) and value.name == general)
    return found if found.name == known else dataclasses.replace(found, name=known)


def names() -> list[str]:
    """All task names and aliases."""
    return sorted({*TASKS, *ALIASES, PAIRS})


def default(name: str) -> tuple[str, str]:
    """The model and the revision of a task where none is named.

    Raises:
        ValueError: there is none.
    """
    if name not in DEFAULTS:
        pairs = ", ".join(pair for pair in DEFAULTS if pair.startswith("translation"))
        raise ValueError(f"{name!r} has no default model: name a model, or one of the tasks {pairs}")
    return DEFAULTS[name]


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
