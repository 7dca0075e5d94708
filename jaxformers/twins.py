"""Classes that are made rather than written: of an architecture that is another one under another name, and those that
nearly all decoders have.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from typing import Any

from . import declare
from . import tasks as kinds
from .batch import CAUSAL
from .bundle import Model
from .config import Config
from .layers import heads as _heads
from .layers.heads import Head
from .layers.run import Encoded


def twin(names: dict[str, Any], prefix: str, model_type: str, base: str, **defaults: Any) -> None:
    """Add to a model file's names all of its classes once more, under another architecture's name.

    `auto.py` has a line in its table of files for each, and `docs/generate.py` reads the call.

    Args:
        names: `globals()` of the file.
        prefix: of the new class names, such as "Camembert".
        model_type: the word in config.json.
        base: the base model's prefix in the Hub's files.
        **defaults: fields of the config that start with other values.
    """
    file = names["__name__"]
    own = [value for value in names.values() if isinstance(value, type) and value.__module__ == file]
    config = next(kind for kind in own if issubclass(kind, Config))
    old = config.__name__.removesuffix("Config")
    models = [kind for kind in own if issubclass(kind, Model) and kind.__name__.startswith(old)]

    def made(kind: type, fields: dict[str, Any] = {}, **said: Any) -> Any:  # noqa: B006  (never changed)
        name = prefix + kind.__name__.removeprefix(old)
        content = {"__module__": file, "__doc__": f"{kind.__name__} under the name of {prefix}.", **fields}
        names[name] = types.new_class(name, (kind,), said, lambda space: space.update(content))
        return names[name]

    kind = made(config, defaults, model_type=model_type)
    first, *heads = models  # the base model stands first in its file
    first = made(first, config=kind, prefix=base, parameters=first.arrays, encode=first.encode)
    for head in heads:
        made(head, base=first, parameters=head.arrays)


def family(
    names: dict[str, Any],
    prefix: str,
    config: type[Config],
    parameters: Callable[[Any], declare.Tree],
    decode: Callable[..., Encoded],
    cells: Callable[[Any, int, int], declare.Tree],
    *,
    base: str = "model",
    tasks: str = "CausalLM SequenceClassification TokenClassification QuestionAnswering",
    heads: Mapping[str, Head] = {},
    prefixes: Mapping[str, str] = {},
    **said: Any,
) -> None:
    """Add to a model file's names the classes that most decoders have, with the heads that most of them have.

    Args:
        names: `globals()` of the file.
        prefix: of the class names, such as "Llama".
        config: the config's class.
        parameters: the model's arrays.
        decode: the model's function.
        cells: what its layers keep.
        base: the base model's prefix in the Hub's files.
        tasks: the classes beside the base model.
        heads: for tasks whose head is not the usual one.
        prefixes: for tasks under which the Hub's files have another prefix.
        **said: what else the base model's class statement says (`accepts`, `neutral`, `packs`).
    """
    space = {"__module__": names["__name__"]}

    def made(task: str, kind: type[Model], **said: Any) -> Any:
        name = f"{prefix}For{task}" if task else f"{prefix}Model"
        names[name] = types.new_class(name, (kind,), said, lambda body: body.update(space, __doc__=kind.__doc__))
        return names[name]

    said = {"accepts": CAUSAL, "also": tuple(prefixes.values()), **said}
    first = made(
        "", kinds.Decoder, config=config, prefix=base, parameters=parameters, encode=decode, cells=cells, **said
    )
    for task in tasks.split():
        head = heads.get(task) or _USUAL[task]
        made(task, getattr(kinds, task), base=first, head=head, prefix=prefixes.get(task))


def token_rate(c: Any) -> float:
    """The dropout before a classifier of tokens."""
    said = (getattr(c, name, None) for name in ("classifier_dropout", "hidden_dropout"))
    return next((rate for rate in said if rate is not None), 0.1)


_USUAL: Mapping[str, Head] = {
    "CausalLM": _heads.words("lm_head"),
    "SequenceClassification": _heads.last_token("score"),
    "TokenClassification": _heads.each_token("score", rate=token_rate),
    "QuestionAnswering": _heads.span("qa_outputs"),
}
