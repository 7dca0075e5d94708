"""Tools for a chat: typed, documented Python functions as the JSON schemas that templates write into the prompt."""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Container, Iterable, Mapping
from typing import Any


def schemas(tools: Iterable[Any] | None) -> list[Any] | None:
    """Tools as a template reads them: JSON schemas as they are, functions by their schema.

    Raises:
        ValueError: neither, naming the place in the list; or as `schema`.
    """
    if tools is None:
        return None
    advice = "pass a list of JSON schemas (dicts) and of functions with type hints and a docstring"
    if isinstance(tools, str | Mapping) or not isinstance(tools, Iterable):
        raise ValueError(f"tools={tools!r:.80} is no list: {advice}")
    found = []
    for index, tool in enumerate(tools):
        if inspect.isfunction(tool) or inspect.ismethod(tool):
            found.append(schema(tool))
        elif isinstance(tool, dict):
            found.append(tool)
        else:
            raise ValueError(f"tools[{index}] is {tool!r:.80} ({type(tool).__name__}): {advice}")
    return found


def schema(function: Callable[..., Any]) -> dict[str, Any]:
    """The JSON schema of a function, from its type hints and its docstring in Google's style.

    The first part of the docstring describes the function, `Args:` each argument, `Returns:` the result. A description
    that ends in `(choices: ["a", "b"])` lists the values that a text may have. As torch Transformers 4.57 writes it.

    Returns:
        `{"type": "function", "function": {"name", "description", "parameters": {"type": "object", "properties",
        "required"}, "return"}}`.

    Raises:
        ValueError: an argument without a type or a description, a type that JSON does not have, or no docstring.
    """
    name = function.__name__
    documented = inspect.getdoc(function)
    if not documented:
        raise ValueError(f"{name} has no docstring: the model has to be told what it does")
    parameters = inspect.signature(function).parameters
    description, described, returns = _parts(documented.strip(), set(parameters))
    try:
        hints = typing.get_type_hints(function)
    except Exception as error:
        raise ValueError(f"{name}: its type hints cannot be read ({error})") from None
    for argument, parameter in parameters.items():
        if parameter.annotation is inspect.Parameter.empty:
            raise ValueError(f"{name}: argument {argument!r} has no type hint")
    result = _typed(hints.pop("return"), f"{name}, its result") if "return" in hints else None
    properties = {}
    for argument, hint in hints.items():
        if argument not in described:
            raise ValueError(f"{name}: the docstring does not describe argument {argument!r} under 'Args:'")
        properties[argument] = _typed(hint, f"{name}: argument {argument!r}") | _chosen(described[argument], argument)
    required = [name for name, parameter in parameters.items() if parameter.default is inspect.Parameter.empty]
    whole: dict[str, Any] = {
        "name": name,
        "description": description,
        "parameters": {"type": "object", "properties": properties, **({"required": required} if required else {})},
    }
    if result is not None:
        whole["return"] = result | ({} if returns is None else {"description": returns})
    return {"type": "function", "function": whole}


_SECTION = re.compile(r"\s*(Args|Returns|Raises):(.*)")
_ARGUMENT = re.compile(r"\s*(\w+)(\s*\([^()]*\))?:\s*(.*)")
_CHOICES = re.compile(r"\(choices:\s*(.*?)\)\s*$", re.IGNORECASE)


def _parts(text: str, names: Container[str]) -> tuple[str, dict[str, str], str | None]:
    """The description in a docstring, those of the arguments of these names, and that of the result."""
    sections: dict[str, list[str]] = {"": []}
    current = sections[""]
    for line in text.split("\n"):
        if match := _SECTION.match(line):
            current = []
            if not match[2].strip():  # as the reference has it, what stands behind the colon does not count
                current = sections.setdefault(match[1], current)
        else:
            current.append(line)
    described: dict[str, list[str]] = {}
    lines: list[str] = []  # those before the first argument belong to none
    for line in sections.get("Args", ()):
        match = _ARGUMENT.match(line)
        if match and (match[2] is None or match[1] in names):  # "x (float): ..." is written too
            lines = described[match[1]] = [match[3]]
        else:
            lines.append(line)
    returns = "\n".join(sections["Returns"]).strip() if "Returns" in sections else None
    joined = {name: " ".join(filter(None, map(str.strip, lines))) for name, lines in described.items()}
    return "\n".join(sections[""]).strip(), joined, returns


def _chosen(description: str, argument: str) -> dict[str, Any]:
    """What a description says: itself, and the values that it lists."""
    match = _CHOICES.search(description)
    if match is None:
        return {"description": description}
    try:
        choices = [choice.strip() for choice in json.loads(match[1])]
    except (ValueError, AttributeError, TypeError):
        raise ValueError(f"argument {argument!r}: {match[0]} must hold a JSON list of strings") from None
    return {"enum": choices, "description": description[: match.start()].strip()}


_TYPES: Mapping[Any, str] = {
    int: "integer",
    float: "number",
    str: "string",
    bool: "boolean",
    type(None): "null",
}
# Classes of other libraries, which are not imported for this.
_FOREIGN: Mapping[str, str] = {"PIL.Image.Image": "image", "torch.Tensor": "audio"}


def _typed(hint: Any, where: str) -> dict[str, Any]:
    """The schema of a type hint.

    Raises:
        ValueError: JSON has no such type.
    """
    kind, of = typing.get_origin(hint), typing.get_args(hint)
    if kind is None:
        if hint is Any:
            return {}
        foreign = f"{getattr(hint, '__module__', '')}.{getattr(hint, '__qualname__', '')}"
        return {"type": _TYPES.get(hint) or _FOREIGN.get(foreign, "object")}
    if kind in (typing.Union, types.UnionType):
        return _union([_typed(one, where) for one in of if one is not type(None)], type(None) in of)
    if kind is typing.Literal:
        wrong = [one for one in of if type(one) not in _TYPES]
        if wrong:
            raise ValueError(f"{where}: {wrong[0]!r:.40} in a Literal is no value of JSON")
        names = list(dict.fromkeys(_TYPES[type(one)] for one in of))
        return {"type": names[0] if len(names) == 1 else names, "enum": list(of)}
    if kind is list:
        return {"type": "array", "items": _typed(of[0], where)} if of else {"type": "array"}
    if kind is tuple:
        if len(of) == 1 or ... in of:
            raise ValueError(f"{where}: a tuple of one item or of any number is a list, say list[...]")
        return {"type": "array", "prefixItems": [_typed(one, where) for one in of]} if of else {"type": "array"}
    if kind is dict:
        return {"type": "object", **({"additionalProperties": _typed(of[1], where)} if len(of) == 2 else {})}
    raise ValueError(f"{where}: {hint} has no counterpart in JSON")


def _union(kinds: list[dict[str, Any]], nullable: bool) -> dict[str, Any]:
    if len(kinds) == 1:
        one = kinds[0]
    elif all(isinstance(kind.get("type"), str) for kind in kinds):
        one = {"type": sorted(kind["type"] for kind in kinds)}
    else:
        one = {"anyOf": kinds}
    return one | ({"nullable": True} if nullable else {})
