"""Text generation: a model goes on with a text, or answers in a chat."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from ..config import Config
from ..generation import GenerationConfig, Prompt
from ..generation.lengths import new_tokens
from ..tokenizers import Tokenizer
from . import text
from .engine import Engine
from .shapes import ENDLESS
from .task import Row, Task, one_or_several
from .writing import Completed, written
from .writing_options import LENGTHS, WritingOptions, change, settle, words_of
from .writing_pipeline import WritingPipeline

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Options(WritingOptions):
    """What users may say beside what all tasks that write take.

    return_full_text: the prompt too (default), or what is new alone. clean_up_tokenization_spaces: True.
    prefix: words before each text that answers do not show.
    handle_long_generation: "hole": the beginning of a prompt is dropped where prompt and new tokens do not fit.
    truncation, max_length, add_special_tokens, tokenizer_encode_kwargs: for the tokenizer, or of chats for
        `apply_chat_template`.
    continue_final_message: whether a chat's last message is gone on with; None: where it is the assistant's.
    negative_prompt_ids, negative_prompt_attention_mask: as `generate` takes them.

    What users do not say: returns: "full", "new" or "ids".
    """

    asks_for: ClassVar[Sequence[str]] = ("return_full_text", *WritingOptions.asks_for)

    returns: str = "full"
    clean_up_tokenization_spaces: bool = True
    handle_long_generation: str | None = None
    max_length: int | None = None
    add_special_tokens: bool | None = None
    tokenizer_encode_kwargs: Mapping[str, Any] | None = None
    continue_final_message: bool | None = None
    negative_prompt_ids: Any = None
    negative_prompt_attention_mask: Any = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.handle_long_generation not in (None, "hole"):
            raise ValueError(f'handle_long_generation={self.handle_long_generation!r}: "hole" or None')
        if not isinstance(self.tokenizer_encode_kwargs, Mapping | None):
            raise ValueError(f"tokenizer_encode_kwargs={self.tokenizer_encode_kwargs!r:.60}: expected keywords")

    @property
    def defaults(self) -> Mapping[str, Any]:
        """256 new tokens, drawn."""
        return {"max_new_tokens": 256, "do_sample": True, "temperature": 0.7}

    def keywords(self, base: GenerationConfig) -> dict[str, Any]:
        """As of all; where both lengths are said, one is for prompts, and the least one counts the prefix."""
        said = super().keywords(base)
        if all(name in self.settings for name in LENGTHS):
            if not self.truncation:
                logger.warning("max_length cuts prompts only: max_new_tokens=%s counts", said["max_new_tokens"])
            del said["max_length"]
        if said.get("min_length") and "min_new_tokens" not in said:
            said["min_length"] += self.before
        return said

    @classmethod
    def returned(cls, name: str, value: bool) -> str:
        """As of all, and what is new alone."""
        return "new" if (name, value) == ("return_full_text", False) else super().returned(name, value)

    @cached_property
    def before(self) -> int:
        """The tokens of the prefix."""
        words, special = self.words, bool(self.add_special_tokens)
        return len(self.owned.tokenizer(words, add_special_tokens=special)["input_ids"]) if words else 0

    @property
    def promised(self) -> int:
        """The tokens of a row that the model's config answers for."""
        return self.owned.model.promised_row or ENDLESS

    def wanted(self, prompt: int) -> int:
        """How many new tokens a prompt of so many is to get.

        Raises:
            ValueError: max_length leaves none.
        """
        return new_tokens(self.config, prompt - self.before)  # a length counts the text's own tokens


def read(given: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The texts or chats; messages in a list are one chat."""
    if "text_inputs" in options:
        if given:
            raise TypeError("text-generation was given text_inputs twice: once by place and once by name")
        options = dict(options)
        given = (options.pop("text_inputs"),)
    inputs, options = one_or_several(given, options)
    if isinstance(inputs, list | tuple) and inputs and isinstance(inputs[0], Mapping) and not _is_row(inputs[0]):
        return {"messages": inputs}, options
    return inputs, options


# -- prompts ----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class About:
    """Of a row: the text or messages, whether an answer goes on with the last of these, how many tokens it gets, and
    whether its one token is a beginning that nobody wrote.
    """

    said: str | list[Any]
    continued: bool
    most: int
    bare: bool


def _is_row(item: Mapping[str, Any]) -> bool:
    """Whether a dict holds a chat, and is no message of one."""
    return list(item) == ["messages"]


def _part(item: Any) -> str | list[Any]:
    """The text or the messages of an input.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(item, str):
        return str(item)
    messages = item["messages"] if isinstance(item, Mapping) and _is_row(item) else item
    if not isinstance(messages, list | tuple):
        held = f" with {sorted(map(str, item))}" if isinstance(item, Mapping) else ""
        raise ValueError(
            "text-generation takes a text, or a chat: a list of {'role': ..., 'content': ...}; found "
            f"{type(item).__name__}{held}"
        )
    if not messages:
        raise ValueError("a chat needs at least one message")
    for number, message in enumerate(messages):
        if not isinstance(message, Mapping) or not {"role", "content"} <= message.keys():
            found = sorted(map(str, message)) if isinstance(message, Mapping) else type(message).__name__
            raise ValueError(f"message {number} of a chat must have 'role' and 'content'; it has {found}")
    return list(messages)


def rows(items: Sequence[Any], tokenizer: Tokenizer, options: Options, longest: int) -> list[list[Row]]:
    """One row an input: texts are tokenized in one call, chats one by one."""
    parts = [_part(item) for item in items]
    settings = _tokenizing(options, tokenizer, longest)
    encoded: Iterator[Any] = iter(())
    if texts := [options.words + part for part in parts if isinstance(part, str)]:
        checked = text.settings(settings, "tokenizer_encode_kwargs")
        encoded = iter(tokenizer(texts, **{"verbose": False, **checked})["input_ids"])
    out = []
    for part in parts:
        continued = not isinstance(part, str) and _is_continued(part, options)
        ids = next(encoded) if isinstance(part, str) else _chat(part, continued, tokenizer, settings)
        bare = not ids
        ids, most = _fitted(ids or [_beginning(options)], tokenizer, options, longest)
        out.append([Row({"input_ids": ids}, about=About(part, continued, most, bare))])
    return out


def _tokenizing(options: Options, tokenizer: Tokenizer, longest: int) -> dict[str, Any]:
    """Keywords of the tokenizer. Cut prompts leave room for what is to be written."""
    settings = {
        "truncation": options.truncation,
        "max_length": options.max_length,
        "add_special_tokens": options.add_special_tokens,
    }
    settings = {name: value for name, value in settings.items() if value is not None}
    settings |= options.tokenizer_encode_kwargs or {}
    if all(name in options.settings for name in LENGTHS):  # max_length then says how much is read
        settings.setdefault("truncation", True)
    if not text.cuts(settings):
        settings.pop("max_length", None)
    elif settings.get("max_length") is None:
        most = text.limit(tokenizer, longest)
        wanted = options.config.max_new_tokens or 1
        settings["max_length"] = max(1, most - (wanted if options.typed else min(wanted, most // 2)))
    return settings


def _is_continued(messages: list[Any], options: Options) -> bool:
    """Whether an answer goes on with the last message."""
    asked = options.continue_final_message
    return messages[-1]["role"] == "assistant" if asked is None else asked


def _beginning(options: Options) -> int:
    """The token before a text without any.

    Raises:
        ValueError: there is none.
    """
    bos = options.config.bos_token_id
    if bos is None:
        raise ValueError("the text is empty, and there is no bos_token_id to begin with: pass one, or a text")
    return bos


def _chat(messages: list[Any], continued: bool, tokenizer: Tokenizer, settings: Mapping[str, Any]) -> list[int]:
    """The tokens of a chat, up to where an answer begins."""
    ours = {"add_generation_prompt", "continue_final_message", "tokenize", "return_dict", "return_tensors"}
    if taken := sorted(ours & settings.keys()):
        raise ValueError(f"tokenizer_encode_kwargs: {', '.join(taken)} would change nothing, or what comes back")
    given = {name: value for name, value in settings.items() if name not in ("add_special_tokens", "padding")}
    given["tokenizer_kwargs"] = {"verbose": False, **(given.get("tokenizer_kwargs") or {})}
    return tokenizer.apply_chat_template(
        messages, add_generation_prompt=not continued, continue_final_message=continued, **given
    )


def _fitted(ids: list[int], tokenizer: Tokenizer, options: Options, longest: int) -> tuple[list[int], int]:
    """The prompt as it is read, and how many tokens it gets.

    Raises:
        ValueError: there is no room.
    """
    wanted = options.wanted(len(ids))
    if options.handle_long_generation == "hole":
        most = text.limit(tokenizer, longest)
        if wanted >= most:
            raise ValueError(
                f'handle_long_generation="hole": {wanted} new tokens leave nothing of the {most} that the model takes: '
                "pass a lower max_new_tokens"
            )
        ids = ids[-(most - wanted) :]
    count = len(ids)
    if count >= longest:
        raise ValueError(
            f"a prompt of {count} tokens leaves no room, the model takes {longest}: pass truncation=True, or "
            'handle_long_generation="hole" to drop its beginning'
        )
    if count + wanted > longest:
        if options.typed:
            raise ValueError(
                f"a prompt of {count} tokens and {wanted} new ones are more than the model takes, {longest}: pass "
                f'max_new_tokens={longest - count}, or handle_long_generation="hole" to drop the beginning'
            )
        wanted = longest - count
    if not options.typed and count < options.promised:
        wanted = min(wanted, options.promised - count)
    return ids, wanted


# -- answers ----------------------------------------------------------------------------------------------------------


def drive(engine: Engine, rows: Sequence[Row], numbers: Sequence[int], options: Options) -> Iterator[tuple[int, Any]]:
    """What is written on each row, as users see it."""
    prompts = [_prompt(row, number, options, engine.model.config) for row, number in zip(rows, numbers, strict=True)]
    engine.model.config.warn_of_row(max((len(prompt.ids) + prompt.max_new_tokens for prompt in prompts), default=0))
    for place, own in written(engine, prompts, options):
        yield place, _records(rows[place], own, engine.tokenizer, options)


def _prompt(row: Row, number: int, options: Options, config: Config) -> Prompt:
    """A row as it is written on."""
    ids = np.asarray(row.fields["input_ids"], np.int32)
    negative = _negative(options, config.vocab_size)
    if options.config.guided and negative is None:
        negative = ids[-1:]
    return Prompt(ids, row.about.most, number, negative=negative)


def _negative(options: Options, vocab: int) -> np.ndarray | None:
    """The ids that guidance leads away from, without padding."""
    if options.negative_prompt_ids is None:
        return None
    if not options.config.guided:
        raise ValueError("negative_prompt_ids without guidance_scale has no effect: pass both, or neither")
    ids = np.asarray(options.negative_prompt_ids, np.int32)
    mask = options.negative_prompt_attention_mask
    mask = np.ones_like(ids) if mask is None else np.asarray(mask)
    if ids.ndim != 2 or len(ids) != 1 or mask.shape != ids.shape or not mask.any():
        raise ValueError("negative_prompt_ids: expected one row [1, n], the same for all prompts, and a mask like it")
    if strange := [i for i in ids[0].tolist() if not 0 <= i < vocab]:
        raise ValueError(f"negative_prompt_ids has {strange[0]}, allowed are 0 to {vocab - 1}")
    return ids[mask != 0]


def _records(row: Row, found: Sequence[Completed], tokenizer: Tokenizer, options: Options) -> list[dict[str, Any]]:
    """A dict for each result of one prompt."""
    prompt = list(row.fields["input_ids"])
    if options.returns == "ids":
        return [{"generated_token_ids": prompt + one.tokens.tolist()} for one in found]
    decode = partial(options.text_of, tokenizer=tokenizer)
    shown = 0 if row.about.bare else len(decode(prompt))
    return [
        {"generated_text": _text(row.about, decode(prompt + one.tokens.tolist())[shown:], options)} | one.plain
        for one in found
    ]


def _text(about: About, new: str, options: Options) -> Any:
    """New text as it is asked for: alone, behind its prompt, or in its chat."""
    if options.returns == "new":
        return new
    if isinstance(about.said, str):
        return about.said + new
    *before, last = about.said
    if not about.continued:
        return [*about.said, {"role": "assistant", "content": new}]
    return [*before, {**last, "content": _continued(last["content"], new)}]


def _continued(content: Any, new: str) -> Any:
    """What a message says, which may be a list of parts, with more at its end."""
    if isinstance(content, str):
        return content + new
    parts = list(content)
    place = max(i for i, part in enumerate(parts) if "text" in part)
    parts[place] = {**parts[place], "text": parts[place]["text"] + new}
    return parts


def answer(item: Any, results: Sequence[tuple[Row, Any]], options: Options, config: Config) -> Any:
    """A list of dicts, one for each of num_return_sequences."""
    ((_, records),) = results
    return records


class TextGenerationPipeline(WritingPipeline):
    """Goes on with texts, and answers in chats."""


TASK = Task(
    "text-generation",
    "CausalLM",
    Options,
    rows,
    None,
    answer,
    read=read,
    settle=partial(settle, "text-generation", "CausalLM"),
    words=words_of(Options),
    change=change,
    drive=drive,
    window=128,
    pipeline_class=TextGenerationPipeline,
)
