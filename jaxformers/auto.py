"""Which class for which checkpoint: the Auto classes, over `registry`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from . import adapters, hub, registry, tokenizers
from . import config as configs
from .bundle import Model
from .config import Config
from .registry import (
    class_for,
    class_names,
    classes_for,
    config_class,
    config_of,
    model_types,
    module,
    named,
    tasks_of,
)

__all__ = ["class_for", "class_names", "classes_for", "config_class", "model_types", "named", "tasks_of"]


def _no_instances(cls: type) -> OSError:
    return OSError(f"{cls.__name__} is made by {cls.__name__}.from_pretrained(name_or_path), not by calling it")


class AutoConfig:
    """The config of any architecture, by the `model_type` in config.json."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise _no_instances(type(self))

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Config:
        """Read config.json from a folder or the Hub; keywords as in `Config.from_pretrained`.

        Raises:
            OSError: the folder, repository or file does not exist or cannot be fetched.
            ValueError: the architecture is not known, or a field has an impossible value.
        """
        options.pop("trust_remote_code", None)
        source, overrides = hub.split_options(name_or_path, options)
        return cls.from_dict(configs.read(adapters.parted(source)[0]), str(name_or_path), **overrides)

    @staticmethod
    def from_dict(fields: Mapping[str, Any], name: str = "config", **overrides: Any) -> Config:
        """The config of a config.json that has been read; `name` stands in errors."""
        return config_of(fields, name, **overrides)

    @staticmethod
    def for_model(model_type: str, **fields: Any) -> Config:
        """A config of an architecture from its defaults and the given fields."""
        return config_class(model_type)(**fields)

    @staticmethod
    def register(model_type: str, config: type[Config], exist_ok: bool = False) -> None:
        """Make a config class of your own known under its `model_type`.

        Raises:
            ValueError: the class says another model_type, or the type is taken and `exist_ok` is false.
        """
        if config.model_type != model_type:
            raise ValueError(f"{config.__name__}.model_type is {config.model_type!r}, not {model_type!r}")
        if not exist_ok and (model_type in registry.registered_configs or module(model_type) is not None):
            raise ValueError(f"model_type {model_type!r} is taken; pass exist_ok=True to replace it")
        registry.registered_configs[model_type] = config


class AutoTokenizer:
    """The tokenizer of any checkpoint, by tokenizer_config.json or the `model_type` in config.json."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise _no_instances(type(self))

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path | hub.Source, **options: Any) -> tokenizers.Tokenizer:
        """Read a tokenizer from a folder or the Hub.

        Args:
            name_or_path: a folder, a name on the Hub, a model that ships with the package, or the path of a .gguf file.
            **options: `revision, subfolder, token, cache_dir, local_files_only, force_download, gguf_file`; every other
                keyword replaces a setting of tokenizer_config.json.

        Raises:
            OSError: the folder, repository or file does not exist or cannot be fetched.
            ValueError: a file is malformed, or the kind of tokenizer is not known.
        """
        for name in ("use_fast", "trust_remote_code", "config", "tokenizer_type"):
            options.pop(name, None)
        source, overrides = hub.split_options(name_or_path, options)
        return tokenizers.load(adapters.with_tokenizer(source), **overrides)


class _AutoModel:
    """The base of the Auto classes: each stands for one task."""

    task: ClassVar[str]

    def __init_subclass__(cls, *, task: str) -> None:
        cls.task = task

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise OSError(
            f"{type(self).__name__} is made by {type(self).__name__}.from_pretrained(name_or_path) or "
            f"{type(self).__name__}.from_config(config), not by calling it"
        )

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path | hub.Source, *, config: Any = None, **options: Any) -> Any:
        """Read a checkpoint of any architecture; arguments and errors as in `Model.from_pretrained`."""
        if not isinstance(config, Config):
            where = name_or_path if config is None else config
            of_config = options if config is None else {**options, "gguf_file": None}
            source, _ = hub.split_options(where, of_config)
            name_or_path = source if config is None else name_or_path  # the Hub is asked once
            config = AutoConfig.from_dict(configs.read(adapters.parted(source)[0]), str(where))
        return class_for(config, cls.task).from_pretrained(name_or_path, config=config, **options)

    @classmethod
    def from_config(cls, config: Config, *, key: Any = None) -> Any:
        """A model with random weights; `key` chooses them."""
        return class_for(config, cls.task)(config, key=key)

    @classmethod
    def register(cls, config: type[Config], model: type[Model], exist_ok: bool = False) -> None:
        """Make a model class of your own known for a config class.

        Raises:
            ValueError: there is one already and `exist_ok` is false.
        """
        if not issubclass(config, model.config_class):
            raise ValueError(f"{model.__name__} takes a {model.config_class.__name__}, not a {config.__name__}")
        if not exist_ok and cls.task in tasks_of(config):
            raise ValueError(f"{config.__name__} has a class for {cls.__name__}; pass exist_ok=True to replace it")
        registry.registered_models[config, cls.task] = model


class AutoModel(_AutoModel, task=""):
    """The model without a head."""


class AutoModelForPreTraining(_AutoModel, task="PreTraining"):
    """The model with the heads that it was trained with."""


class AutoModelForCausalLM(_AutoModel, task="CausalLM"):
    """Scores of every word to follow each token, and generation."""


class AutoModelForSeq2SeqLM(_AutoModel, task="Seq2SeqLM"):
    """Scores of every word to follow each of a decoder's tokens, beside an encoder, and generation."""


class AutoModelForMaskedLM(_AutoModel, task="MaskedLM"):
    """Scores of every word at every place."""


class AutoModelForSequenceClassification(_AutoModel, task="SequenceClassification"):
    """One set of scores a text."""


class AutoModelForTokenClassification(_AutoModel, task="TokenClassification"):
    """One set of scores a token."""


class AutoModelForQuestionAnswering(_AutoModel, task="QuestionAnswering"):
    """Where in a context the answer starts and ends."""


class AutoModelForMultipleChoice(_AutoModel, task="MultipleChoice"):
    """Which of several continuations fits best."""


class AutoModelForNextSentencePrediction(_AutoModel, task="NextSentencePrediction"):
    """Whether the second text follows the first."""
