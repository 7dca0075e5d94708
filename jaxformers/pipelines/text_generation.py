"""Text generation: a model goes on with a text, or answers in a chat."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..auto import AutoModelForCausalLM
from ..bundle import Model
from ..config import Config
from ..generation import Arguments, GenerationConfig, LoadedModel, Prompt, key_of, merged
from ..generation.config import SETTINGS, of_file
from ..generation.lengths import new_tokens
from ..generation.streamers import telling
from ..parallel import explicit
from ..tasks import CausalLM
from ..tokenizers import Tokenizer
from . import text
from .engine import Answers, Engine
from .object import Pipeline
from .shapes import ENDLESS
from .task import Row, Task, one_or_several
from .writing import Completed, completed

logger = logging.getLogger(__name__)

_DEFAULTS: Mapping[str, Any] = {"max_new_tokens": 256, "do_sample": True, "temperature": 0.7}
"""What a pipeline does where neither the caller nor the model says otherwise."""

_LENGTHS = ("max_new_tokens", "max_length")
_WHAT_COMES_BACK = ("return_full_text", "return_text", "return_tensors")


@dataclasses.dataclass(frozen=True)
class Owner:
    """What a model and its tokenizer say of themselves.

    config: how it writes. special: what its config says for this task. prefix: words before each text. promised: the
    tokens of a row that its config answers for. tokenizer: its own.
    """

    config: GenerationConfig
    special: Mapping[str, Any]
    prefix: str
    promised: int
    tokenizer: Tokenizer


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Options:
    """What users may say, beside the settings of `generate`.

    return_full_text: the prompt too (default), or what is new alone. return_text: the default. return_tensors: ids.
    clean_up_tokenization_spaces, skip_special_tokens: how ids become text; both True.
    prefix: words before each text that answers do not show.
    handle_long_generation: "hole": the beginning of a prompt is dropped where prompt and new tokens do not fit.
    stop_sequence: a text that ends an answer, as stop_strings do.
    truncation, max_length, add_special_tokens, tokenizer_encode_kwargs: for the tokenizer, or of chats for
        `apply_chat_template`. padding: accepted; no prompt is padded here.
    continue_final_message: whether a chat's last message is gone on with; None: where it is the assistant's.
    generation_config: settings; with one, the pipeline's own defaults do not count.
    key: what draws go by, or a seed; `jax.random.key(0)` unless given. A prompt's draws depend on it and the prompt's
        number alone.
    tokenizer: for stop_strings; the pipeline's unless given.
    streamer, assistant_model, logits_processor, stopping_criteria, prefix_allowed_tokens_fn, negative_prompt_ids,
        negative_prompt_attention_mask: as `generate` takes them.

    What users do not say: returns: "full", "new" or "ids". settings: those of `generate` that were said. passed:
    whether with a generation_config. owner: of whom the options are, once a model is there.
    """

    returns: str = "full"
    clean_up_tokenization_spaces: bool = True
    skip_special_tokens: bool = True
    prefix: str | None = None
    handle_long_generation: str | None = None
    stop_sequence: str | None = None
    truncation: bool | str | None = None
    padding: bool | str | None = None
    max_length: int | None = None
    add_special_tokens: bool | None = None
    tokenizer_encode_kwargs: Mapping[str, Any] | None = None
    continue_final_message: bool | None = None
    key: Any = None
    tokenizer: Any = None
    streamer: Any = None
    assistant_model: Any = None
    logits_processor: Sequence[Any] | None = None
    stopping_criteria: Sequence[Any] | None = None
    prefix_allowed_tokens_fn: Any = None
    negative_prompt_ids: Any = None
    negative_prompt_attention_mask: Any = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    passed: bool = False
    owner: Owner | None = None

    def __post_init__(self) -> None:
        if self.handle_long_generation not in (None, "hole"):
            raise ValueError(f'handle_long_generation={self.handle_long_generation!r}: "hole" or None')
        for name in ("prefix", "stop_sequence"):
            if not isinstance(getattr(self, name), str | None):
                raise ValueError(f"{name}={getattr(self, name)!r:.60}: expected a string")
        object.__setattr__(self, "key", key_of(self.key))
        if not isinstance(self.tokenizer_encode_kwargs, Mapping | None):
            raise ValueError(f"tokenizer_encode_kwargs={self.tokenizer_encode_kwargs!r:.60}: expected keywords")

    @property
    def typed(self) -> bool:
        """Whether the caller said how much is written."""
        return any(name in self.settings for name in _LENGTHS)

    @cached_property
    def config(self) -> GenerationConfig:
        """The settings of a call: the caller's, else the model's for this task, else its own, else the pipeline's.

        Raises:
            ValueError: a value that cannot be used, or a way of generating that is not built.
        """
        assert self.owner is not None
        own, said = self.owner.config.changed, dict(self.settings)
        ours = {} if self.passed else {name: value for name, value in _DEFAULTS.items() if name not in own}
        if "max_length" in own:
            ours.pop("max_new_tokens", None)
        special = {} if self.passed else self.owner.special
        if not {**own, **ours, **special, **said}.get("do_sample"):
            ours.pop("temperature", None)
        base = self.owner.config.replace(**{**ours, **special})
        if "max_length" in said and "max_new_tokens" in said:
            if not self.truncation:
                logger.warning("max_length cuts prompts only: max_new_tokens=%s counts", said["max_new_tokens"])
            del said["max_length"]
        elif "max_length" in said:
            said["max_new_tokens"] = None
        if self.stop_sequence is not None:
            others = said.get("stop_strings", base.stop_strings) or ()
            said["stop_strings"] = [*([others] if isinstance(others, str) else others), self.stop_sequence]
        if said.get("min_length") and "min_new_tokens" not in said:
            said["min_length"] += self.before
        return merged(base, None, said)

    @cached_property
    def before(self) -> int:
        """The tokens of the prefix."""
        words = self.words
        assert self.owner is not None
        special = bool(self.add_special_tokens)
        return len(self.owner.tokenizer(words, add_special_tokens=special)["input_ids"]) if words else 0

    @property
    def words(self) -> str:
        """The prefix."""
        assert self.owner is not None
        return self.owner.prefix if self.prefix is None else self.prefix

    def wanted(self, prompt: int) -> int:
        """How many new tokens a prompt of so many is to get.

        Raises:
            ValueError: max_length leaves none.
        """
        return new_tokens(self.config, prompt - self.before)  # a length counts the text's own tokens


_OWN = [field.name for field in dataclasses.fields(Options)]
_WORDS = sorted(
    {*_OWN, *_WHAT_COMES_BACK, "generation_config", *SETTINGS} - {"returns", "settings", "passed", "owner"},
    key=lambda name: (name in SETTINGS, name),
)


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


def change(options: Options, given: Mapping[str, Any]) -> Options:
    """The options with those that a user typed in one place.

    Raises:
        ValueError: values that cannot be used, or that exclude each other.
    """
    said = {name: value for name, value in given.items() if name in _OWN and value is not None}
    passed = given.get("generation_config")
    if passed is not None and not isinstance(passed, GenerationConfig):
        raise ValueError(f"generation_config={passed!r:.60}: expected a GenerationConfig")
    settings = dict(passed.changed) if passed is not None else {}
    if settings.get("temperature") == 0:  # greedy search, whatever the default
        settings["do_sample"] = False
    settings |= {name: value for name, value in given.items() if name in SETTINGS and (name, value) not in _UNSAID}
    old = dict(options.settings)
    if any(name in settings for name in _LENGTHS):
        old = {name: value for name, value in old.items() if name not in _LENGTHS}
    settings = old | settings
    GenerationConfig(**{"do_sample": True, **settings})  # says what is wrong with a value, before weights are read
    returns = {name: given[name] for name in _WHAT_COMES_BACK if given.get(name) is not None}
    if len(returns) > 1:
        raise ValueError(f"{' and '.join(returns)} exclude each other: pass one of them")
    if returns:
        said["returns"] = _returned(*returns.popitem())
    changed = dataclasses.replace(options, **said, settings=settings, passed=options.passed or passed is not None)
    if changed.owner is not None:
        changed.config  # noqa: B018  (says what does not go together, at the call)
    return changed


_UNSAID = [(name, None) for name in _LENGTHS]


def _returned(name: str, value: Any) -> str:
    """What an option says of `Options.returns`."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r:.60}: True or False")
    match name, value:
        case "return_full_text", False:
            return "new"
        case "return_tensors", True:
            return "ids"
        case "return_text", False:
            raise ValueError("return_text=False: for ids pass return_tensors=True")
    return "full"


def settle(options: Options, model: Model, tokenizer: Tokenizer) -> Options:
    """The options with what there is to know of the model.

    Raises:
        ValueError: as `Options.config`.
        OSError: the assistant cannot be found.
    """
    if not isinstance(model, CausalLM):
        raise ValueError(f"{type(model).__name__} does not write: pass a model for causal language modelling")
    listed = getattr(model.config, "task_specific_params", None) or {}
    special = listed.get(TASK.name) or {}
    prefix = special.get("prefix") or getattr(model.config, "prefix", None) or ""
    owner = Owner(
        model.generation_config,
        of_file(special),
        prefix,
        model.config.promised_row or ENDLESS,
        tokenizer,
    )
    assistant = options.assistant_model
    if isinstance(assistant, str | Path):
        assistant = AutoModelForCausalLM.from_pretrained(assistant)
    if assistant is not None:
        model.helped_by(assistant)
    settled = dataclasses.replace(options, owner=owner, assistant_model=assistant)
    settled.config  # noqa: B018  (says what does not go together, when the pipeline is made)
    return settled


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
    if all(name in options.settings for name in _LENGTHS):  # max_length then says how much is read
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
    assert options.owner is not None
    if not options.typed and count < options.owner.promised:
        wanted = min(wanted, options.owner.promised - count)
    return ids, wanted


# -- answers ----------------------------------------------------------------------------------------------------------


def drive(engine: Engine, rows: Sequence[Row], numbers: Sequence[int], options: Options) -> Iterator[tuple[int, Any]]:
    """What is written on each row, as users see it."""
    model, settings, assistant = engine.model, options.config, options.assistant_model
    arguments = Arguments(
        logits_processor=options.logits_processor,
        stopping_criteria=options.stopping_criteria,
        prefix_allowed_tokens_fn=options.prefix_allowed_tokens_fn,
        tokenizer=engine.tokenizer if options.tokenizer is None else options.tokenizer,
        streamer=options.streamer,
        assistant=None if assistant is None else model.helped_by(assistant),
    )
    prompts = [_prompt(row, number, options, model.config) for row, number in zip(rows, numbers, strict=True)]
    model.config.warn_of_row(max((len(prompt.ids) + prompt.max_new_tokens for prompt in prompts), default=0))
    found = completed(
        settings,
        arguments,
        LoadedModel(type(model), engine.params, model.config.bare()),
        prompts,
        key=explicit.to_automatic(options.key),
        platform=engine.platform,
        most_rows=engine.most_rows,
    )
    for place, own in found:
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
    decode = lambda ids: tokenizer.decode(  # noqa: E731
        ids,
        skip_special_tokens=options.skip_special_tokens,
        clean_up_tokenization_spaces=options.clean_up_tokenization_spaces,
    )
    shown = 0 if row.about.bare else len(decode(prompt))
    return [
        {"generated_text": _text(row.about, decode(prompt + one.tokens.tolist())[shown:], options)}
        | {name: value.tolist() for name, value in one.outputs.items()}
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


class _Heard(Iterator[Any]):
    """Answers of a stream of inputs, whose errors are told to who reads the streamer."""

    def __init__(self, answers: Answers, streamer: Any) -> None:
        self._answers, self._streamer = answers, streamer

    def __next__(self) -> Any:
        with telling(self._streamer):
            for answer in self._answers:
                return answer
        raise StopIteration

    def close(self) -> None:
        """Read and compute no further."""
        self._answers.close()


class TextGenerationPipeline(Pipeline):
    """Goes on with texts, and answers in chats."""

    def __call__(
        self, *inputs: Any, batch_size: int | None = None, num_workers: int | None = None, **options: Any
    ) -> Any:
        """As of `Pipeline`; what is raised is raised in the reader of a streamer too."""
        streamer = options.get("streamer") or self._options.streamer
        with telling(streamer):
            answers = super().__call__(*inputs, batch_size=batch_size, num_workers=num_workers, **options)
            if streamer is not None and answers == []:  # of no prompts there is nothing to hear
                streamer.end()
        return _Heard(answers, streamer) if streamer is not None and isinstance(answers, Answers) else answers

    predict = __call__
    transform = __call__

    @property
    def generation_config(self) -> GenerationConfig:
        """The settings of a call that says none."""
        return self._options.config


TASK = Task(
    "text-generation",
    "CausalLM",
    Options,
    rows,
    None,
    answer,
    read=read,
    settle=settle,
    words=_WORDS,
    change=change,
    drive=drive,
    window=128,
    pipeline_class=TextGenerationPipeline,
)
