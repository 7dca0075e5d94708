"""What users may say where a model writes: the options that such tasks share, and the settings of a call."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from .. import auto
from ..bundle import Model
from ..config import Config
from ..generation import GenerationConfig, key_of, merged
from ..generation.config import SETTINGS, of_file
from ..tasks import Generative
from ..tokenizers import Tokenizer

LENGTHS = ("max_new_tokens", "max_length")


@dataclasses.dataclass(frozen=True)
class Owner:
    """Whose options are meant.

    task: its name, as the user gave it. generation: how the model writes. model: its config. tokenizer: its own.
    """

    task: str
    generation: GenerationConfig
    model: Config
    tokenizer: Tokenizer

    @property
    def listed(self) -> Mapping[str, Mapping[str, Any]]:
        """What the model's config says for tasks, by their names."""
        return getattr(self.model, "task_specific_params", None) or {}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class WritingOptions:
    """What users may say, beside the settings of `generate`.

    return_text: the default. return_tensors: ids.
    clean_up_tokenization_spaces, skip_special_tokens: how ids become text.
    prefix: words before each text.
    stop_sequence: a text that ends an answer, as stop_strings do.
    truncation: whether what is read may be cut. padding: accepted; nothing is padded here.
    generation_config: settings; with one, the pipeline's own defaults do not count.
    key: what draws go by, or a seed; `jax.random.key(0)` unless given. A text's draws depend on it and the text's
        number alone.
    tokenizer: for stop_strings; the pipeline's unless given.
    streamer, assistant_model, logits_processor, stopping_criteria, prefix_allowed_tokens_fn: as `generate` takes them.

    What users do not say: returns: "text" or "ids". settings: those of `generate` that were said. passed: whether with
    a generation_config. owner: whose the options are, once a model is there.
    """

    asks_for: ClassVar[Sequence[str]] = ("return_text", "return_tensors")

    returns: str = "text"
    clean_up_tokenization_spaces: bool = False
    skip_special_tokens: bool = True
    prefix: str | None = None
    stop_sequence: str | None = None
    truncation: bool | str | None = None
    padding: bool | str | None = None
    key: Any = None
    tokenizer: Any = None
    streamer: Any = None
    assistant_model: Any = None
    logits_processor: Sequence[Any] | None = None
    stopping_criteria: Sequence[Any] | None = None
    prefix_allowed_tokens_fn: Any = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    passed: bool = False
    owner: Owner | None = None

    def __post_init__(self) -> None:
        for name in ("prefix", "stop_sequence"):
            if not isinstance(getattr(self, name), str | None):
                raise ValueError(f"{name}={getattr(self, name)!r:.60}: expected a string")
        object.__setattr__(self, "key", key_of(self.key))

    @property
    def defaults(self) -> Mapping[str, Any]:
        """What a pipeline does where neither the caller nor the model says otherwise."""
        return {}

    @property
    def owned(self) -> Owner:
        """The owner, which there is once a pipeline is made."""
        assert self.owner is not None
        return self.owner

    @property
    def typed(self) -> bool:
        """Whether the caller said how much is written."""
        return any(name in self.settings for name in LENGTHS)

    @property
    def entry(self) -> str:
        """The name under which the model's config is asked for settings and a prefix."""
        return self.owned.task

    @property
    def special(self) -> Mapping[str, Any]:
        """What the model's config says for this task."""
        return {} if self.passed else of_file(self.owned.listed.get(self.entry) or {})

    @property
    def words(self) -> str:
        """The prefix."""
        if self.prefix is not None:
            return self.prefix
        said = (self.owned.listed.get(self.entry) or {}).get("prefix")
        return (getattr(self.owned.model, "prefix", None) or "") if said is None else said

    @cached_property
    def config(self) -> GenerationConfig:
        """The settings of a call: the caller's, else the model's for this task, else its own, else the pipeline's.

        Raises:
            ValueError: a value that cannot be used, or a way of generating that is not built.
        """
        own = self.owned.generation.changed
        ours = {} if self.passed else {name: value for name, value in self.defaults.items() if name not in own}
        if "max_length" in own:
            ours.pop("max_new_tokens", None)
        if not {**own, **ours, **self.special, **self.settings}.get("do_sample"):
            ours.pop("temperature", None)
        base = self.owned.generation.replace(**{**ours, **self.special})
        return merged(base, None, self.keywords(base))

    def keywords(self, base: GenerationConfig) -> dict[str, Any]:
        """What the caller says of the settings, over those that stand without it."""
        said = dict(self.settings)
        if "max_length" in said and "max_new_tokens" not in said:
            said["max_new_tokens"] = None
        if self.stop_sequence is not None:
            others = said.get("stop_strings", base.stop_strings) or ()
            said["stop_strings"] = [*([others] if isinstance(others, str) else others), self.stop_sequence]
        return said

    @property
    def written_by(self) -> GenerationConfig:
        """The settings with what a call needs beside them."""
        return self.config

    @classmethod
    def returned(cls, name: str, value: bool) -> str:
        """What an option of `asks_for` says of `returns`.

        Raises:
            ValueError: nothing would come back.
        """
        match name, value:
            case "return_tensors", True:
                return "ids"
            case "return_text", False:
                raise ValueError("return_text=False: for ids pass return_tensors=True")
        return cls.returns

    def text_of(self, ids: Sequence[int], tokenizer: Tokenizer) -> str:
        """Ids as users see them."""
        return tokenizer.decode(
            ids,
            skip_special_tokens=self.skip_special_tokens,
            clean_up_tokenization_spaces=self.clean_up_tokenization_spaces,
        )


def words_of(options: type[WritingOptions]) -> list[str]:
    """The words that a task with these options takes, settings of `generate` last."""
    own = {field.name for field in dataclasses.fields(options)} - {"returns", "settings", "passed", "owner"}
    words = {*own, *options.asks_for, "generation_config", *SETTINGS}
    return sorted(words, key=lambda name: (name in SETTINGS, name))


_UNSAID = [(name, None) for name in LENGTHS]
_Options = TypeVar("_Options", bound=WritingOptions)


def change(options: _Options, given: Mapping[str, Any]) -> _Options:
    """The options with those that a user typed in one place.

    Raises:
        ValueError: values that cannot be used, or that exclude each other.
    """
    own = [field.name for field in dataclasses.fields(options)]
    said = {name: value for name, value in given.items() if name in own and value is not None}
    passed = given.get("generation_config")
    if passed is not None and not isinstance(passed, GenerationConfig):
        raise ValueError(f"generation_config={passed!r:.60}: expected a GenerationConfig")
    settings = dict(passed.changed) if passed is not None else {}
    if settings.get("temperature") == 0:  # greedy search, whatever the default
        settings["do_sample"] = False
    settings |= {name: value for name, value in given.items() if name in SETTINGS and (name, value) not in _UNSAID}
    old = dict(options.settings)
    if any(name in settings for name in LENGTHS):
        old = {name: value for name, value in old.items() if name not in LENGTHS}
    settings = old | settings
    GenerationConfig(**{"do_sample": True, **settings})  # says what is wrong with a value, before weights are read
    returns = {name: given[name] for name in options.asks_for if given.get(name) is not None}
    if len(returns) > 1:
        raise ValueError(f"{' and '.join(returns)} exclude each other: pass one of them")
    for name, value in returns.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name}={value!r:.60}: True or False")
        said["returns"] = options.returned(name, value)
    changed = dataclasses.replace(options, **said, settings=settings, passed=options.passed or passed is not None)
    if changed.owner is not None:
        changed.config  # noqa: B018  (says what does not go together, at the call)
    return changed


def settle(task: str, head: str, options: _Options, model: Model, tokenizer: Tokenizer) -> _Options:
    """The options with what there is to know of the model.

    task: its name, as the user gave it. head: the `Model.task` of classes that fit.

    Raises:
        ValueError: the model is of another task; or as `WritingOptions.config`.
        OSError: the assistant cannot be found.
    """
    auto_class = getattr(auto, f"AutoModelFor{head}")
    if model.task != head or not isinstance(model, Generative):
        raise ValueError(
            f"{type(model).__name__} does not write as {task} needs it: load a model by {auto_class.__name__}"
        )
    assistant = options.assistant_model
    if isinstance(assistant, str | Path):
        assistant = auto_class.from_pretrained(assistant)
    if assistant is not None:
        model.helped_by(assistant)
    owner = Owner(task, model.generation_config, model.config, tokenizer)
    settled = dataclasses.replace(options, owner=owner, assistant_model=assistant)
    settled.config  # noqa: B018  (says what does not go together, when the pipeline is made)
    return settled
