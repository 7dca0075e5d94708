"""Which file has which architecture, and which class is for which task.

Each architecture has a file in `models/`, or stands in that of another that it is under another name. Which one is read
in their texts, and only that one is imported. The config in it is `<Prefix>Config`, and the classes are `<Prefix>Model`
and `<Prefix>For<Task>`. `Auto*.register` adds to the convention.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .bundle import Model
from .config import Config
from .outputs import Output

MODELS = f"{__package__}.models"
_FOLDER = Path(__file__).parent / "models"

# Config classes of repositories' own code whose `model_type` is another architecture's → ours.
_CODE: Mapping[str, str] = {"XLMRobertaFlashConfig": "jina_embeddings_v3"}

# The one mutable table of this module: what users register. Config class → classes by task, and by model type.
registered_configs: dict[str, type[Config]] = {}
registered_models: dict[tuple[type[Config], str], type[Model]] = {}


@functools.cache
def _files() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The file of each `model_type`, and of each class. Files are read, not imported."""
    types: dict[str, str] = {}
    classes: dict[str, str] = {}
    for info in pkgutil.iter_modules([str(_FOLDER)]):
        text = (_FOLDER / f"{info.name}.py").read_text("utf-8")
        inside = [
            word for words in re.findall(r"\binside=\(([^)]*)\)", text) for word in re.findall(r'"([^"]+)"', words)
        ]
        types |= dict.fromkeys([*re.findall(r'\bmodel_type="([^"]+)"', text), *inside], info.name)
        classes |= dict.fromkeys(re.findall(r"^class (\w+)\(", text, re.MULTILINE), info.name)
    return types, classes


def model_types() -> list[str]:
    """The `model_type` words that have a file or are registered."""
    return sorted({*_files()[0], *registered_configs})


def config_class(model_type: str) -> type[Config]:
    """The config class of a `model_type`.

    Raises:
        ValueError: no such architecture here; the message names the nearest.
    """
    if model_type in registered_configs:
        return registered_configs[model_type]
    found = module(model_type)
    if found is not None:
        for value in vars(found).values():
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
    if (kind, task) in registered_models:
        return registered_models[kind, task]
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
    registered = {task: model for (config, task), model in registered_models.items() if config is kind}
    if not kind.__module__.startswith(f"{MODELS}."):
        return registered
    # Of two for one task, such as Funnel with and without its decoder, the first.
    return {cls.task: cls for cls in reversed(_own(kind))} | registered


def encoder_alone(cls: type[Model]) -> type[Model]:
    """Of a class without a head whose decoder reads a text of its own that of the encoder alone; else the class itself.

    Raises:
        ValueError: there is none.
    """
    if not cls.network.two_sided or cls.reads_source_twice:
        return cls
    alone = next((own for own in _own(cls.config_class) if not own.task and not own.network.two_sided), None)
    if alone is None:
        raise ValueError(
            f"{cls.__name__} has a decoder that reads a text of its own, and no class of {cls.config_class.model_type} "
            "has the encoder alone: vectors of a text are model.encode(...).last_hidden_state"
        )
    return alone


def _own(kind: type[Config]) -> list[type[Model]]:
    """The classes in an architecture's file, in its order."""
    found = vars(importlib.import_module(kind.__module__)).values()
    classes = [value for value in found if isinstance(value, type) and issubclass(value, Model)]
    return [cls for cls in classes if getattr(cls, "config_class", None) is kind]


def class_names() -> list[str]:
    """The names of all architectures' configs, models and outputs, in the order of the files; imports them all."""
    files = [f"{MODELS}.{info.name}" for info in pkgutil.iter_modules([str(_FOLDER)])]
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
    value = None if file is None else vars(importlib.import_module(f"{MODELS}.{file}"))[name]
    if isinstance(value, type) and issubclass(value, Config | Model | Output):
        return value
    raise AttributeError(f"jaxformers has no class {name!r}")


def module(model_type: str) -> Any:
    """The one file of an architecture, None where there is none."""
    file = _files()[0].get(model_type)
    return None if file is None else importlib.import_module(f"{MODELS}.{file}")


def config_of(fields: Mapping[str, Any], name: str = "config", **overrides: Any) -> Config:
    """The config of a config.json that has been read; `name` stands in errors.

    Raises:
        ValueError: the architecture is not known, or a field has an impossible value.
    """
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
