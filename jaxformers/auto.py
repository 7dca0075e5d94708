"""Which class for which checkpoint.

Each architecture has a file in `models/`, or stands in that of another that it is under another name. Which one is read
in their texts, and only that one is imported. The config in it is `<Prefix>Config`, and the classes are `<Prefix>Model`
and `<Prefix>For<Task>`. `register` adds to the convention.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.resources
import pkgutil
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from . import config as configs
from . import hub, models, tokenizers
from .bundle import Model
from .config import Config
from .outputs import Output

# Config classes of repositories' own code whose `model_type` is another architecture's → ours.
_CODE: Mapping[str, str] = {"XLMRobertaFlashConfig": "jina_embeddings_v3"}

# The one mutable table of this module: what users register. Config class → classes by task, and by model type.
_registered_configs: dict[str, type[Config]] = {}
_registered_models: dict[tuple[type[Config], str], type[Model]] = {}


@functools.cache
def _files() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The file of each `model_type`, and of each class. Files are read, not imported."""
    folder = importlib.resources.files(models)
    types: dict[str, str] = {}
    classes: dict[str, str] = {}
    for info in pkgutil.iter_modules(models.__path__):
        text = folder.joinpath(f"{info.name}.py").read_text("utf-8")
        inside = [
            word for words in re.findall(r"\binside=\(([^)]*)\)", text) for word in re.findall(r'"([^"]+)"', words)
        ]
        types |= dict.fromkeys([*re.findall(r'\bmodel_type="([^"]+)"', text), *inside], info.name)
        classes |= dict.fromkeys(re.findall(r"^class (\w+)\(", text, re.MULTILINE), info.name)
    return types, classes


def model_types() -> list[str]:
    """The `model_type` words that have a file or are registered."""
    return sorted({*_files()[0], *_registered_configs})


def config_class(model_type: str) -> type[Config]:
    """The config class of a `model_type`.

    Raises:
        ValueError: no such architecture here; the message names the nearest.
    """
    if model_type in _registered_configs:
        return _registered_configs[model_type]
    module = _module(model_type)
    if module is not None:
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, Config)
                and model_type in (value.model_type, *value.inside)
            ):
                return value
    known = model_types()
    near = difflib.get_close_matches(model_type, known, 3)
    others = f"known are {', '.join(known[:12])} and {len(known) - 12} more"
    hint = f"the nearest are {', '.join(near)}" if near else others
    shown = model_type if len(model_type) <= 60 else f"{model_type[:57]}..."
    raise ValueError(f"model_type {shown!r} is no architecture that jaxformers knows; {hint}")


def class_for(config: Config | type[Config], task: str) -> type[Model]:
    """The class of an architecture for a task ("SequenceClassification", …; "" for the base model).

    Raises:
        ValueError: the architecture has no such head; the message lists those that it has.
    """
    kind = config if isinstance(config, type) else type(config)
    if (kind, task) in _registered_models:
        return _registered_models[kind, task]
    classes = tasks_of(kind)
    if task not in classes:
        has = ", ".join(sorted(f"AutoModelFor{name}" if name else "AutoModel" for name in classes))
        wanted = f"AutoModelFor{task}" if task else "AutoModel"
        raise ValueError(
            f"Unrecognized configuration class {kind.__name__} for {wanted}: {kind.model_type} should be one of {has}"
        )
    saved = [] if isinstance(config, type) else getattr(config, "architectures", None) or []
    return next((cls for cls in _own(kind) if cls.task == task and cls.__name__ in saved), classes[task])


def tasks_of(kind: type[Config]) -> dict[str, type[Model]]:
    """The classes of an architecture by task: those of its file, and those that were registered."""
    registered = {task: model for (config, task), model in _registered_models.items() if config is kind}
    if not kind.__module__.startswith(f"{models.__name__}."):
        return registered
    # Of two for one task, such as Funnel with and without its decoder, the first.
    return {cls.task: cls for cls in reversed(_own(kind))} | registered


def _own(kind: type[Config]) -> list[type[Model]]:
    """The classes in an architecture's file, in its order."""
    found = vars(importlib.import_module(kind.__module__)).values()
    classes = [value for value in found if isinstance(value, type) and issubclass(value, Model)]
    return [cls for cls in classes if getattr(cls, "config_class", None) is kind]


def class_names() -> list[str]:
    """The names of all architectures' configs, models and outputs, in the order of the files; imports them all."""
    files = [f"{models.__name__}.{module.name}" for module in pkgutil.iter_modules(models.__path__)]
    found = [(file, value) for file in files for value in vars(importlib.import_module(file)).values()]
    return [
        value.__name__
        for file, value in found
        if isinstance(value, type) and issubclass(value, Config | Model | Output) and value.__module__ == file
    ]


def classes_for(task: str) -> list[str]:
    """The names of all architectures' classes for a task, in the order of the files; imports them all."""
    found = map(named, class_names())
    return [cls.__name__ for cls in found if issubclass(cls, Model) and cls.task == task]


def named(name: str) -> Any:
    """The class of an architecture by its name, such as "DistilBertForMaskedLM".

    Raises:
        AttributeError: there is none.
    """
    file = _files()[1].get(name)
    value = None if file is None else vars(importlib.import_module(f"{models.__name__}.{file}"))[name]
    if isinstance(value, type) and issubclass(value, Config | Model | Output):
        return value
    raise AttributeError(f"jaxformers has no class {name!r}")


def _module(model_type: str) -> Any:
    """The one file of an architecture, None where there is none."""
    file = _files()[0].get(model_type)
    return None if file is None else importlib.import_module(f"{models.__name__}.{file}")


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
        return cls.from_dict(configs.read(source), str(name_or_path), **overrides)

    @staticmethod
    def from_dict(fields: Mapping[str, Any], name: str = "config", **overrides: Any) -> Config:
        """The config of a config.json that has been read; `name` stands in errors."""
        model_type = fields.get("model_type")
        if not isinstance(model_type, str) or not model_type:
            raise ValueError(f"{name}: config.json has no model_type; jaxformers knows {model_types()}")
        code = fields.get("auto_map")
        named = code.get("AutoConfig") if isinstance(code, Mapping) else None
        try:
            kind = config_class(_CODE.get(str(named).rpartition(".")[2], model_type))
        except ValueError as error:
            why = " This repository brings its own code (auto_map), which jaxformers never runs."
            raise ValueError(f"{name}: {error}.{why if code else ''}") from None
        return kind.from_dict(fields, **overrides)

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
        if not exist_ok and (model_type in _registered_configs or _module(model_type) is not None):
            raise ValueError(f"model_type {model_type!r} is taken; pass exist_ok=True to replace it")
        _registered_configs[model_type] = config


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
        return tokenizers.load(source, **overrides)


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
            config = AutoConfig.from_dict(configs.read(source), str(where))
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
        _registered_models[config, cls.task] = model


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
