"""Architectures that are another one under another name: their classes, made from the other's."""

from __future__ import annotations

import types
from typing import Any

from .bundle import Model
from .config import Config


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
