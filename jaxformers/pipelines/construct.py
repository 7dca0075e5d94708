"""`pipeline()`: which task, model and tokenizer a call means, checked before anything large is read."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import jax

from .. import adapters, auto, declare, hub, registry, runtime
from .. import config as configs
from ..bundle import Model
from ..config import Config
from ..generation import reporting_to_streamer
from ..tokenizers import Tokenizer
from . import task as tasks
from .object import Pipeline, device_named
from .task import Task

logger = logging.getLogger(__name__)

_OF_MODEL = ("revision", "subfolder", "gguf_file")  # of the options that say where files are, the model's alone
_WITHOUT_EFFECT = ("use_fast", "framework", "feature_extractor", "image_processor", "processor", "device_map")


@reporting_to_streamer
def pipeline(
    task: str | None = None,
    model: str | Path | Model | None = None,
    config: str | Path | Config | None = None,
    tokenizer: str | Path | Tokenizer | None = None,
    *,
    device: str | int | jax.Device | None = None,
    dtype: Any = None,
    torch_dtype: Any = None,
    trust_remote_code: bool | None = None,
    model_kwargs: dict[str, Any] | None = None,
    pipeline_class: type[Pipeline] | None = None,
    allow_new_head: bool = False,
    batch_size: int | None = None,
    num_workers: int | None = None,
    **options: Any,
) -> Pipeline:
    """A callable from texts to answers.

    Args:
        task: "text-classification" ("sentiment-analysis"), "token-classification" ("ner"), "question-answering",
            "fill-mask", "zero-shot-classification", "feature-extraction", "text-embedding", "text-ranking" ("rerank"),
            "text-generation", "text2text-generation", "summarization", "translation" or, with languages,
            "translation_en_to_fr"; None: by what the model was made for.
        model: a folder, a name on the Hub, a model that ships with the package ("jaxformers/tiny-sentiment"), the path
            of a .gguf file, or a model object. None: the task's default, at a pinned revision.
        config: a config object or where to read one; default: the model's.
        tokenizer: a tokenizer object or where to read one; default: beside the model.
        device: "cpu", "gpu", "tpu", "gpu:1", a number (-1 is the CPU) or a `jax.Device`; default: jax's own.
        dtype: type of the weights, as in `from_pretrained`.
        torch_dtype: the older spelling of `dtype`.
        trust_remote_code: accepted; code of a repository is never run.
        model_kwargs: further keywords for `from_pretrained`.
        pipeline_class: a subclass of `Pipeline` to make; default: the task's.
        allow_new_head: accept a checkpoint without a head for the task, whose answers are random until it is trained.
        batch_size: the most rows of a batch; without it batches are as large as is fast.
        num_workers: accepted, without effect.
        **options: the task's options, and where to look (`revision, token, cache_dir, local_files_only,
            force_download, subfolder, gguf_file`).

    Raises:
        KeyError: an unknown task; the message lists all.
        OSError: a file cannot be found or fetched.
        ValueError: the model does not fit the task, or no task can be told.
        TypeError: an unknown option.
    """
    runtime.enable_cache()
    given = {name: options.pop(name) for name in hub.OPTIONS if name in options}
    where = {name: value for name, value in given.items() if value is not None}
    for name in [name for name in _WITHOUT_EFFECT if name in options]:
        if options.pop(name) is not None:
            logger.info("%s= has no effect here", name)
    if trust_remote_code:
        logger.info("trust_remote_code: code of a repository is never run; architectures are built in")
    if task is None and model is None:
        raise ValueError("pipeline() needs a task or a model; tasks are " + ", ".join(tasks.names()))
    if task is not None and not isinstance(task, str):
        raise ValueError(f"task={task!r}: expected a name, one of {tasks.names()}")
    kind = None if task is None else tasks.find(task)
    if model is None:
        assert kind is not None
        model, revision = tasks.default(kind.name)
        where.setdefault("revision", revision)
        logger.warning(
            "No model was named: using %s at revision %s. Name a model and revision in production.",
            model,
            where["revision"],
        )
    source: Any = None if isinstance(model, Model) else hub.source_of(model, **where)
    adapter: hub.Source | None = None
    where = {name: value for name, value in where.items() if name not in _OF_MODEL}
    if isinstance(model, Model):
        said = {"config": config, "dtype": dtype, "torch_dtype": torch_dtype, "model_kwargs": model_kwargs}
        if late := [f"{name}=" for name, value in said.items() if value is not None]:
            raise ValueError(f"pipeline(model=<object>): {', '.join(late)} would change nothing, the model is made")
        trained: type[Model] | None = type(model)
        kind = kind or _task_for(type(model))
        if tokenizer is None:
            raise ValueError("pipeline(model=<object>) needs tokenizer= too: it cannot be told from the model")
    else:
        try:
            files = source if kind is None else kind.inside(source)
            base, adapter = adapters.parted(files)
            settings = config if isinstance(config, Config) else _config(base if config is None else config, where)
        except hub.Unreachable as error:
            if kind is None or kind.name not in tasks.SHIPPED:
                raise
            raise hub.Unreachable(f"{error}, or {tasks.SHIPPED[kind.name]!r}, which ships with the package") from error
        trained = next(iter(_classes_of(settings)), None)
        kind = kind or _task_of(settings, str(model))
    kind = kind.bind(kind, source, trained)
    _check_architecture(kind, model.config if isinstance(model, Model) else settings, trained)
    made = isinstance(model, Model) or (trained is not None and trained.task and adapter is None)
    if trained is not None and made:  # files of a base model may hold a head, and those of an adapter another one
        _check_head(kind, trained, allow_new_head)
    chosen = tasks.changed(kind.options(), kind, options)
    if not isinstance(tokenizer, Tokenizer):
        tokenizer = auto.AutoTokenizer.from_pretrained(
            files if tokenizer is None else hub.source_of(tokenizer, **where)
        )
    if isinstance(model, Model):
        loaded = model
    else:
        dtype = dtype if dtype is not None else torch_dtype
        loaded = _load(kind, files, settings, allow_new_head, {"dtype": dtype, **(model_kwargs or {})})
    if device is not None:
        loaded = jax.device_put(loaded, device_named(device))
    return (pipeline_class or kind.pipeline_class or Pipeline)(kind, loaded, tokenizer, chosen, batch_size)


def _config(name: Any, where: dict[str, Any]) -> Config:
    source = name if isinstance(name, hub.Source) else hub.source_of(name, **where)
    return auto.AutoConfig.from_dict(configs.read(source), str(source))


def _load(kind: Task, source: Any, config: Config, allow_new_head: bool, options: dict[str, Any]) -> Model:
    """The model of a checkpoint with the task's head."""
    cls = auto.class_for(config, kind.head or "")
    cls = cls if kind.head else registry.encoder_alone(cls)
    model, report = cls.from_pretrained(source, config=config, output_loading_info=True, **options)
    heads = {param.name for path, param in declare.walk(cls.declaration(config)) if path.startswith("head.")}
    new = sorted(heads.intersection(report["missing_keys"]))
    if new and not allow_new_head:
        raise ValueError(
            f"{source} has no weights for the head of {cls.__name__} ({', '.join(new)}): its answers would be random; "
            "name a checkpoint that was trained for the task, or pass allow_new_head=True to train it yourself"
        )
    return model


def _classes_of(config: Config) -> list[type[Model]]:
    """The classes that a checkpoint says it was saved from."""
    known = {model.__name__: model for model in auto.tasks_of(type(config)).values()}
    return [known[name] for name in getattr(config, "architectures", None) or () if name in known]


def _check_head(kind: Task, cls: type[Model], allow_new_head: bool) -> None:
    if not kind.head and not cls.task and registry.encoder_alone(cls) is not cls:
        raise ValueError(
            f"{cls.__name__} has a decoder, and {kind.name!r} reads an encoder: load it as "
            f"{registry.encoder_alone(cls).__name__}"
        )
    if kind.head is None or kind.head == cls.task or allow_new_head:
        return
    raise ValueError(
        f"{cls.__name__} has no head for {kind.name!r}, {_uses(cls)}; "
        "pass allow_new_head=True to start a new, untrained head where the weights hold none"
    )


_LISTED = 30  # names of classes in a message


def _check_architecture(kind: Task, config: Config, trained: type[Model] | None) -> None:
    """Refuse an architecture that has no class for the task, new head or not."""
    classes = auto.tasks_of(type(config))
    if not kind.head or kind.head in classes:
        return
    fit = auto.classes_for(kind.head)
    more = "" if len(fit) <= _LISTED else f" and {len(fit) - _LISTED} more"
    has = "" if trained is None else f"; {trained.__name__} has no head for it, {_uses(trained)}"
    raise ValueError(
        f"{kind.name!r} takes models of the classes {', '.join(fit[:_LISTED])}{more}, and {config.model_type} has none "
        f"of these{has}"
    )


def _uses(cls: type[Model]) -> str:
    """Which tasks a class fits."""
    fits = [name for name in tasks.TASKS if (tasks.find(name).head or "") == cls.task]
    return f"it fits {' and '.join(map(repr, fits))}" if fits else "no pipeline here has a use for its head"


def _task_of(config: Config, name: str) -> Task:
    for cls in _classes_of(config):
        return _task_for(cls)
    raise ValueError(f"{name}: config.json does not say what it was trained for; name a task, one of {tasks.names()}")


def _task_for(cls: type[Model]) -> Task:
    """The task of a class: what its architecture was made for, or else the first that its head fits."""
    fits = [task for task in map(tasks.find, tasks.TASKS) if (task.head or "") == cls.task]
    if not fits:
        raise ValueError(f"no pipeline runs {cls.__name__}; name a task, one of {tasks.names()}")
    made = tasks.MADE_FOR.get(cls.config_class.model_type)
    return next((task for task in fits if task.name == made), fits[0])
