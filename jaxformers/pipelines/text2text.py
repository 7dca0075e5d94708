"""Text to text, by models with an encoder and a decoder: whatever they were trained for, summaries and translations."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from ..bundle import Model
from ..config import Config, say_once
from ..generation import GenerationConfig, Prompt, first_tokens
from ..generation.lengths import check_room, new_tokens
from ..hub import Source
from ..tokenizers import Tokenizer
from ..tokenizers.languages import LanguageTokenizer
from . import inputs as reading
from . import language_names, text
from .chunks import windows
from .engine import Engine
from .task import Row, Task
from .writing import Completed, written
from .writing_options import WritingOptions, change, settle, words_of
from .writing_pipeline import WritingPipeline

logger = logging.getLogger(__name__)


# -- options ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Options(WritingOptions):
    """What users may say; see `WritingOptions`.

    truncation: whether texts that are too long lose their end.
    """

    result: ClassVar[str] = "generated"

    @property
    def defaults(self) -> Mapping[str, Any]:
        """256 new tokens, and 4 beams, but where one row alone can be written."""
        of_one_row = (self.streamer, self.assistant_model, self.settings.get("prompt_lookup_num_tokens"))
        beams = {"num_beams": 4} if all(said is None for said in of_one_row) else {}
        return {"max_new_tokens": 256, **beams}

    @property
    def reader(self) -> Tokenizer:
        """The tokenizer of texts."""
        return self.owned.tokenizer

    @cached_property
    def most(self) -> int:
        """How many new tokens a text gets; what nobody typed ends where the decoder's positions do.

        Raises:
            ValueError: they are more than the decoder has positions for.
        """
        model = self.owned.model
        wanted = new_tokens(self.written_by, 1)
        if not self.typed and model.longest_target is not None:
            wanted = min(wanted, model.longest_target - 1)
        check_room(model, 1, wanted)
        return wanted

    @property
    def start(self) -> int:
        """The token that the decoder reads first.

        Raises:
            ValueError: there is none, or there are several.
        """
        return int(first_tokens(self.config, self.owned.model, 1)[0, 0])

    def check(self) -> None:
        """Refuse options without which no text could be answered; warn of lengths that contradict each other."""
        most = self.most
        self.start  # noqa: B018
        least = max(self.config.min_length - 1, self.config.min_new_tokens or 0)
        if least > most:
            say_once(f"answers are to have {least} new tokens at least, and get {most} at most: the most counts")

    def note(self, longest: int, shortest: int) -> None:
        """Warn, once, where texts of so many tokens do not go with the lengths of answers."""

    def parts(self, item: str, limit: int) -> list[str]:
        """What is read of a text, each by itself. limit: tokens that the model takes."""
        return [item]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class SummarizationOptions(Options):
    """What users may say; see `Options`.

    long: "chunks": a text that is too long is summarised in parts of whole sentences, whose summaries are joined.
    """

    result: ClassVar[str] = "summary"

    long: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.long not in (None, "chunks"):
            raise ValueError(f'long={self.long!r:.60}: "chunks" or None')
        if self.long is not None and text.cuts({"truncation": self.truncation}):
            raise ValueError('long="chunks" reads all of a text, and truncation cuts it: leave one out')

    def note(self, longest: int, shortest: int) -> None:
        """Warn where a summary may be longer than its text, if somebody said how long it may be."""
        said = {**self.owned.generation.changed, **self.special, **self.settings}
        counts = "max_length" if self.config.max_new_tokens is None else "max_new_tokens"
        if shortest < self.most and counts in said:
            say_once(
                f"summarization: there are texts of fewer tokens than the {self.most} that a summary may get: pass a "
                "lower max_length or max_new_tokens"
            )

    def parts(self, item: str, limit: int) -> list[str]:
        """The text, or its parts."""
        if self.long is None:
            return [item]
        return windows(item, lambda part: len(self.reader(self.words + part, verbose=False)["input_ids"]), limit)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TranslationOptions(Options):
    """What users may say; see `Options`.

    src_lang, tgt_lang: languages of texts and answers, as the tokenizer has them; of T5 also their English names.
        Unless given they are those of the task's name.
    """

    result: ClassVar[str] = "translation"

    src_lang: str | None = None
    tgt_lang: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("src_lang", "tgt_lang"):
            if not isinstance(getattr(self, name), str | None):
                raise ValueError(f"{name}={getattr(self, name)!r:.60}: expected a language such as 'en'")

    @property
    def languages(self) -> tuple[str | None, str | None]:
        """The languages, as the caller says, or else the task's name."""
        named = self.owned.task.split("_")
        source, target = (named[1], named[3]) if len(named) == 4 else (None, None)
        return self.src_lang or source, self.tgt_lang or target

    def pair(self, why: str) -> tuple[str, str]:
        """Both languages.

        Raises:
            ValueError: one is not said.
        """
        source, target = self.languages
        if source is None or target is None:
            raise ValueError(f"{why}: pass src_lang= and tgt_lang=")
        return source, target

    @property
    def in_words(self) -> bool:
        """Whether the model is told languages in words, and the caller says one."""
        return self.owned.model.model_type == "t5" and (self.src_lang, self.tgt_lang) != (None, None)

    @property
    def told(self) -> tuple[tuple[str, str], tuple[str, str]] | None:
        """Code and name of both languages, where the model is told those of this call in words."""
        source, target = self.languages
        if not self.in_words or source is None or target is None:
            return None
        return language_names.code_and_name(source), language_names.code_and_name(target)

    @property
    def entry(self) -> str:
        """The pair of languages that the caller says; else the task; where that has no pair, the first one listed."""
        if self.told is not None:
            (source, _), (target, _) = self.told
            return f"translation_{source}_to_{target}"
        unsaid = self.languages == (None, None) and "translation" not in self.owned.listed
        return self.listed[0] if self.listed and unsaid else self.owned.task

    @property
    def listed(self) -> list[str]:
        """The translations that the model's config lists."""
        return [name for name in self.owned.listed if name.startswith("translation")]

    @property
    def words(self) -> str:
        """The prefix; of languages that the caller says it is built, where the model's config does not have it."""
        if self.told is None or self.prefix is not None or "prefix" in (self.owned.listed.get(self.entry) or {}):
            return super().words
        (_, source), (_, target) = self.told
        return f"translate {source} to {target}: "

    @property
    def reader(self) -> Tokenizer:
        """The tokenizer, of which one that has languages is set to those of this call.

        Raises:
            ValueError: a language is not said, or not known (`UnknownLanguage`, which is a KeyError too).
        """
        tokenizer = self.owned.tokenizer
        if not isinstance(tokenizer, LanguageTokenizer):
            return tokenizer
        return tokenizer.for_languages(*self.pair("the model translates between many languages"))

    @cached_property
    def written_by(self) -> GenerationConfig:
        """The settings, with the target language as the first token where it has one."""
        reader = self.reader
        if not isinstance(reader, LanguageTokenizer) or "forced_bos_token_id" in self.settings:
            return self.config
        return self.config.replace(forced_bos_token_id=reader.get_lang_id(str(reader.tgt_lang)))

    def check(self) -> None:
        """As of all; and languages must be known. Warn of those that the model's config does not list."""
        super().check()
        if self.in_words:
            self.pair("the model is told both languages in words")
        elif self.entry != self.owned.task and len(self.listed) > 1:
            say_once(
                f'"translation" says no languages: going by {self.entry}, the first that config.json lists; pass '
                "src_lang= and tgt_lang=, or name the task so"
            )
        elif (self.src_lang or self.tgt_lang) and not isinstance(self.owned.tokenizer, LanguageTokenizer):
            logger.info("no effect: src_lang, tgt_lang: the model is told no languages")
        if self.listed and self.entry not in (*self.listed, "translation"):
            say_once(
                f"{self.entry}: config.json lists {', '.join(self.listed)} alone, so the model may not have learnt it; "
                f"texts are read behind {self.words!r}: pass prefix= for another"
            )

    def note(self, longest: int, shortest: int) -> None:
        """Warn where a translation may be cut off."""
        if longest > 0.9 * self.most:
            say_once(
                f"translation: there are texts of more tokens than nine tenths of the {self.most} that a translation "
                "may get: pass a higher max_length or max_new_tokens"
            )


# -- texts to answers -------------------------------------------------------------------------------------------------


def _checked(item: Any) -> str:
    """The text.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(item, str):
        raise TypeError(f"expected a text, found {type(item).__name__}")
    return str(item)


def rows(items: Sequence[Any], tokenizer: Tokenizer, options: Options, longest: int) -> list[list[Row]]:
    """The row of each text, or of a text in parts several; all are tokenized in one call."""
    limit = text.limit(tokenizer, longest)
    owned = [options.parts(_checked(item), limit) for item in items]
    settings: dict[str, Any] = {} if options.truncation is None else {"truncation": options.truncation}
    if text.cuts(settings):
        settings["max_length"] = limit
    given = [options.words + part for parts in owned for part in parts]
    encoded = iter(options.reader(given, verbose=False, **settings)["input_ids"])
    return [[Row({"input_ids": next(encoded)}) for _ in parts] for parts in owned]


def shorter(options: Options, longest: int) -> str:
    """What can be done about a text that is too long."""
    parts = ', or long="chunks" to summarise it in parts' if isinstance(options, SummarizationOptions) else ""
    return f"pass truncation=True to read its beginning alone{parts}"


def drive(engine: Engine, rows: Sequence[Row], numbers: Sequence[int], options: Options) -> Iterator[tuple[int, Any]]:
    """What is written for each row, as users see it."""
    if rows:
        options.note(max(map(len, rows)), min(map(len, rows)))
    start = np.array([options.start], np.int32)
    prompts = [
        Prompt(start, options.most, number, source=np.asarray(row.fields["input_ids"], np.int32))
        for row, number in zip(rows, numbers, strict=True)
    ]
    for place, found in written(engine, prompts, options):
        yield place, [_record(one, engine.tokenizer, options) for one in found]


def _record(one: Completed, tokenizer: Tokenizer, options: Options) -> dict[str, Any]:
    """A result: its text, or its ids, with the one that the decoder reads first."""
    ids = [options.start, *one.tokens.tolist()]
    if options.returns == "ids":
        return {f"{options.result}_token_ids": ids}
    return {f"{options.result}_text": options.text_of(ids, tokenizer)} | one.plain


def answer(item: Any, results: Sequence[tuple[Row, Any]], options: Options, config: Config) -> Any:
    """A list of dicts, one for each of num_return_sequences."""
    first, *others = [records for _, records in results]
    return [_joined(parts) for parts in zip(first, *others, strict=True)] if others else first


def _joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The results of a text's parts as one: texts with a space between, lists one behind the other, scores listed."""
    each = {name: [part[name] for part in parts] for name in parts[0]}
    return {name: _one(values) for name, values in each.items()}


def _one(values: list[Any]) -> Any:
    match values[0]:
        case str():
            return " ".join(values)
        case list():
            return [entry for value in values for entry in value]
    return values


class Text2TextGenerationPipeline(WritingPipeline):
    """Writes texts on texts; of a list each answer is a dict, or a list of several."""

    def _answered(self, task: Task, given: Any, *args: Any, **keywords: Any) -> Any:
        answers = super()._answered(task, given, *args, **keywords)
        if reading.kind(given) is reading.Kind.LIST and all(len(several) == 1 for several in answers):
            return [one for (one,) in answers]
        return answers


class SummarizationPipeline(Text2TextGenerationPipeline):
    """Summarises texts."""


class TranslationPipeline(Text2TextGenerationPipeline):
    """Translates texts."""


def bind(task: Task, source: Source | None, trained: type[Model] | None) -> Task:
    """The task under the name that the user gave it, which may have languages."""
    return dataclasses.replace(task, settle=partial(settle, task.name, "Seq2SeqLM"))


def _check(options: Options) -> None:
    options.check()


def _task(name: str, options: type[Options], pipeline: type[WritingPipeline]) -> Task:
    return Task(
        name,
        "Seq2SeqLM",
        options,
        rows,
        None,
        answer,
        bind=bind,
        shorter=shorter,
        words=words_of(options),
        change=change,
        check=_check,
        drive=drive,
        window=128,
        pipeline_class=pipeline,
    )


TEXT2TEXT = _task("text2text-generation", Options, Text2TextGenerationPipeline)
SUMMARIZATION = _task("summarization", SummarizationOptions, SummarizationPipeline)
TRANSLATION = _task("translation", TranslationOptions, TranslationPipeline)
