"""The files of a tokenizer: tokenizer_config.json, its older relatives and vocabularies are read, all are written."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from .. import durable, hub
from .settings import Check, checked, whole_number
from .special import ADDITIONAL, ROLES, added_token, options_of, text_of

TOKENIZER = "tokenizer.json"
CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
ADDED_TOKENS = "added_tokens.json"
CHAT_TEMPLATE = "chat_template.jinja"
CHAT_TEMPLATE_FOLDER = "additional_chat_templates"

LARGEST = 1 << 27  # bytes of a JSON file other than tokenizer.json

# Fields that say where files once were or which code reads them: not settings, and not saved again.
_BOOKKEEPING = frozenset(
    "tokenizer_class name_or_path tokenizer_file special_tokens_map_file vocab_file device_map auto_map init_inputs "
    "processor_class".split()
)


@dataclasses.dataclass(frozen=True)
class Saved:
    """What the files of a checkpoint say.

    Attributes:
        settings: those of the tokenizer's class, checked.
        other_fields: further fields of tokenizer_config.json, which are written again on save.
    """

    settings: dict[str, Any]
    other_fields: dict[str, Any]


def existing(path: str | os.PathLike[str]) -> Path:
    """The path of a file that a user has named.

    Raises:
        FileNotFoundError: there is none.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    return path


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no JSON object; the message names the file.
    """
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: {path.stat().st_size} bytes are too large for a tokenizer's settings")
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not valid JSON ({str(error)[:200] or type(error).__name__})") from None
    if not isinstance(value, dict):
        raise ValueError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def read_config(source: hub.Source) -> dict[str, Any]:
    """The fields of tokenizer_config.json; none if there is no such file.

    Raises:
        OSError: it cannot be fetched or read.
        ValueError: it is malformed.
    """
    path = source.find(CONFIG)
    return {} if path is None else read_json(path)


def read_settings(
    source: hub.Source, config: Mapping[str, Any], checks: Mapping[str, Check], overrides: Mapping[str, Any]
) -> Saved:
    """The settings that the files of a checkpoint hold.

    special_tokens_map.json and added_tokens.json are older than the field `added_tokens_decoder` and count only
    without it; then the former goes before tokenizer_config.json, as torch Transformers 4 has it.

    Args:
        source: the checkpoint.
        config: its tokenizer_config.json.
        checks: the settings that the tokenizer's class takes.
        overrides: settings that go before those of the files.

    Raises:
        OSError: a file cannot be fetched or read.
        ValueError: a file is malformed; the message names the file and the field.
    """
    settings = checked({name: value for name, value in config.items() if name in checks}, checks, f"{source}: {CONFIG}")
    if templates := read_chat_templates(source, config):  # files of their own go before the field
        settings["chat_template"] = templates["default"] if list(templates) == ["default"] else templates
    others = {name: value for name, value in config.items() if name not in checks and name not in _BOOKKEEPING}
    if "max_len" in others:  # what model_max_length was called once
        old = checked({"model_max_length": others.pop("max_len")}, checks, CONFIG)
        settings = old | settings
    if "added_tokens_decoder" in settings:
        return Saved(settings, others)
    if (path := source.find(SPECIAL_TOKENS)) is not None:
        fields = {name: value for name, value in read_json(path).items() if name in checks and not overrides.get(name)}
        roles = checked(fields, checks, str(path))
        if ADDITIONAL in roles:
            first = settings.get(ADDITIONAL, [])
            roles[ADDITIONAL] = first + [
                token for token in roles[ADDITIONAL] if text_of(token) not in map(text_of, first)
            ]
        settings |= {name: _special(value) for name, value in roles.items()}
    if (path := source.find(ADDED_TOKENS)) is not None:
        settings["added_tokens_decoder"] = _read_added_tokens(path, settings)
    return Saved(settings, others)


def read_chat_templates(source: hub.Source, config: Mapping[str, Any]) -> dict[str, str]:
    """The chat templates that are files of their own, by name; chat_template.jinja is "default".

    Repositories are listed only where there is a template in the usual places, so that a load of one without any needs
    no further request.

    Args:
        source: the checkpoint.
        config: its tokenizer_config.json.

    Raises:
        OSError: a file cannot be fetched or read.
        ValueError: it is too large, or not UTF-8.
    """
    path = source.find(CHAT_TEMPLATE)
    found = {} if path is None else {"default": read_text(path, "a chat template")}
    if not found and "chat_template" not in config and not Path(source.name).expanduser().is_dir():
        return found
    inside = source.within(CHAT_TEMPLATE_FOLDER)
    for file in sorted(inside.names()):
        name, dot, ending = file.partition(".jinja")
        if dot and not ending and "/" not in file:
            found[name] = read_text(inside.file(file), "a chat template")
    return found


def check_size(path: Path, what: str = "a vocabulary") -> None:
    """Refuse a file that is too large to be what it should be.

    Raises:
        OSError: the file cannot be read.
        ValueError: naming its size.
    """
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: {path.stat().st_size} bytes are too large for {what}")


def check_complete(paths: Mapping[str, Path], wanted: Mapping[str, str], owner: str) -> None:
    """Refuse to build a tokenizer from some of its files.

    Args:
        paths: the files that there are, by the constructor's names.
        wanted: what all of them are called.
        owner: the class that reads them.

    Raises:
        ValueError: naming those that are missing.
    """
    if missing := [file for name, file in wanted.items() if name not in paths]:
        raise ValueError(f"{owner} needs {' and '.join(missing)}, or a {TOKENIZER}")


def read_text(path: Path, what: str = "a vocabulary") -> str:
    """The text of a file; line breaks are those of Python's files.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is too large, or not UTF-8; the message says what it should be.
    """
    check_size(path, what)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: {what} must be UTF-8 ({error.reason} at byte {error.start})") from None


def read_vocabulary(path: Path) -> dict[str, int]:
    """The pieces of a vocab.txt with their line numbers, counted from 0, as ids; of equal lines the last counts.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is empty, or not UTF-8.
    """
    lines = read_text(path).split("\n")
    vocabulary = {line: index for index, line in enumerate(lines if lines[-1] else lines[:-1])}
    if not vocabulary:
        raise ValueError(f"{path}: an empty vocabulary, expected one piece a line")
    return vocabulary


def read_ids(path: Path) -> dict[str, int]:
    """The pieces of a vocab.json with their ids.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no JSON object of whole numbers, or two pieces have the same.
    """
    vocabulary = read_json(path)
    for piece, index in vocabulary.items():
        try:
            whole_number(index)
        except ValueError as error:
            raise ValueError(f"{path}: {piece!r:.80} {error}") from None
    if not vocabulary:
        raise ValueError(f"{path}: an empty vocabulary, expected pieces with their ids")
    if len(set(vocabulary.values())) < len(vocabulary):
        raise ValueError(f"{path}: two pieces have the same id")
    return vocabulary


def _read_added_tokens(path: Path, settings: Mapping[str, Any]) -> dict[int, AddedToken]:
    """The tokens of an added_tokens.json by id; special are those that have a role."""
    roles = [settings[name] for name in ROLES if settings.get(name) is not None]
    special = {text_of(token) for token in [*roles, *settings.get(ADDITIONAL, [])]}
    result = {}
    for content, index in read_json(path).items():
        if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < 2**31:
            raise ValueError(f"{path}: {content!r:.80} must have a whole number as its id, found {index!r:.80}")
        result[index] = AddedToken(content, special=content in special, normalized=content not in special)
    return result


def _special(value: Any) -> Any:
    """Tokens that special_tokens_map.json describes by objects are special, whatever the objects say."""
    if isinstance(value, list):
        return [_special(token) for token in value]
    return added_token(value, special=True) if isinstance(value, AddedToken) else value


def write(
    replacement: durable.Replacement, contents: Mapping[str, str | bytes], chat_templates: Mapping[str, str]
) -> tuple[str, ...]:
    """Add a tokenizer's files to a save.

    Args:
        replacement: the save.
        contents: what is in each file, by its name.
        chat_templates: those that have names; their folder is a set of its own, and replaced at once.

    Returns:
        The paths of all.

    Raises:
        OSError: a file cannot be written.
    """
    if chat_templates:
        with durable.Replacement(replacement.folder / CHAT_TEMPLATE_FOLDER) as folder:
            for name, template in chat_templates.items():
                folder.write(f"{name}.jinja", template.encode())
    for name, content in contents.items():
        replacement.write(name, content.encode() if isinstance(content, str) else content)
    names = (*contents, *(f"{CHAT_TEMPLATE_FOLDER}/{name}.jinja" for name in chat_templates))
    return tuple(os.path.join(replacement.folder, name) for name in names)


def to_json(fields: Mapping[str, Any]) -> str:
    """The text of a JSON file."""
    return json.dumps(fields, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def tokens_to_json(value: Any, *, typed: bool) -> Any:
    """A tree of tokens for JSON; `typed` as in tokenizer_config.json, else as in special_tokens_map.json."""
    if isinstance(value, AddedToken):
        options = options_of(value)
        if typed:
            return options | {"__type": "AddedToken"}
        options.pop("special", None)
        return options
    if isinstance(value, Mapping):
        return {name: tokens_to_json(item, typed=typed) for name, item in value.items()}
    return [tokens_to_json(item, typed=typed) for item in value] if isinstance(value, list) else value
