"""The files of a tokenizer beside tokenizer.json: tokenizer_config.json and its older relatives, read and checked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from .. import hub
from .limits import UNLIMITED
from .special import MORE, NAMES, Token, added_token, text_of

BACKEND = "tokenizer.json"
CONFIG = "tokenizer_config.json"
SPECIAL = "special_tokens_map.json"
ADDED = "added_tokens.json"
TEMPLATE = "chat_template.jinja"
TEMPLATES = "additional_chat_templates"

LARGEST = 1 << 27  # bytes of a JSON file other than tokenizer.json

Check = Callable[[Any], Any]
"""A setting as JSON or a user has it → as a tokenizer keeps it; or a ValueError that says what it must be."""

_OPTIONS = ("single_word", "lstrip", "rstrip", "normalized", "special")

# Fields that say where files once were or which code reads them: not settings, and not saved again.
_BOOKKEEPING = frozenset(
    "tokenizer_class name_or_path tokenizer_file special_tokens_map_file vocab_file device_map auto_map init_inputs "
    "processor_class".split()
)


@dataclasses.dataclass(frozen=True)
class Saved:
    """What the files of a checkpoint say.

    Attributes:
        known: settings of the tokenizer's class, checked.
        kept: other fields of tokenizer_config.json, which are written again on save.
    """

    known: dict[str, Any]
    kept: dict[str, Any]


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
    known = checked({name: value for name, value in config.items() if name in checks}, checks, f"{source}: {CONFIG}")
    if templates := read_templates(source, config):  # files of their own go before the field
        known["chat_template"] = templates["default"] if list(templates) == ["default"] else templates
    kept = {name: value for name, value in config.items() if name not in checks and name not in _BOOKKEEPING}
    if "max_len" in kept:  # what model_max_length was called once
        known.setdefault(
            "model_max_length", checked({"model_max_length": kept.pop("max_len")}, checks, CONFIG).popitem()[1]
        )
    if "added_tokens_decoder" in known:
        return Saved(known, kept)
    if (path := source.find(SPECIAL)) is not None:
        fields = {name: value for name, value in read_json(path).items() if name in checks and not overrides.get(name)}
        roles = checked(fields, checks, str(path))
        if MORE in roles:
            old = known.get(MORE, [])
            roles[MORE] = old + [token for token in roles[MORE] if text_of(token) not in map(text_of, old)]
        known |= {name: _special(value) for name, value in roles.items()}
    if (path := source.find(ADDED)) is not None:
        known["added_tokens_decoder"] = _numbered(path, known)
    return Saved(known, kept)


def read_templates(source: hub.Source, config: Mapping[str, Any]) -> dict[str, str]:
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
    path = source.find(TEMPLATE)
    found = {} if path is None else {"default": read_text(path, "a chat template")}
    if not found and "chat_template" not in config and not Path(source.name).expanduser().is_dir():
        return found
    inside = source.within(TEMPLATES)
    for file in sorted(inside.names()):
        name, dot, ending = file.partition(".jinja")
        if dot and not ending and "/" not in file:
            found[name] = read_text(inside.file(file), "a chat template")
    return found


def checked(settings: Mapping[str, Any], checks: Mapping[str, Check], where: str) -> dict[str, Any]:
    """Settings as a tokenizer keeps them: JSON objects have become tokens, and every value has its type.

    Raises:
        ValueError: naming `where` and the field.
    """
    result = {}
    for name, value in settings.items():
        try:
            result[name] = checks[name](value)
        except ValueError as error:
            raise ValueError(f"{where}: {name} {error}") from None
    return result


def check_size(path: Path, what: str = "a vocabulary") -> None:
    """Refuse a file that is too large to be what it should be.

    Raises:
        OSError: the file cannot be read.
        ValueError: naming its size.
    """
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: {path.stat().st_size} bytes are too large for {what}")


def check_there(paths: Mapping[str, Path], wanted: Mapping[str, str], owner: str) -> None:
    """Refuse to build a tokenizer from some of its files.

    Args:
        paths: the files that there are, by the constructor's names.
        wanted: what all of them are called.
        owner: the class that reads them.

    Raises:
        ValueError: naming those that are missing.
    """
    if missing := [file for name, file in wanted.items() if name not in paths]:
        raise ValueError(f"{owner} needs {' and '.join(missing)}, or a {BACKEND}")


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
            count(index)
        except ValueError as error:
            raise ValueError(f"{path}: {piece!r:.80} {error}") from None
    if not vocabulary:
        raise ValueError(f"{path}: an empty vocabulary, expected pieces with their ids")
    if len(set(vocabulary.values())) < len(vocabulary):
        raise ValueError(f"{path}: two pieces have the same id")
    return vocabulary


def boolean(value: Any) -> bool | None:
    """True, False or None, which leaves the choice to the tokenizer."""
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"must be true, false or null, found {value!r:.80}")
    return value


def text(value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise ValueError(f"must be a string, found {value!r:.80}")
    return value


def count(value: Any) -> int:
    """A whole number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise ValueError(f"must be a whole number from 0 on, found {value!r:.80}")
    return value


def anything(value: Any) -> Any:
    """A setting of the reference that changes nothing here."""
    return value


def _numbered(path: Path, settings: Mapping[str, Any]) -> dict[int, AddedToken]:
    """The tokens of an added_tokens.json by id; special are those that have a role."""
    roles = [settings[name] for name in NAMES if settings.get(name) is not None]
    special = {text_of(token) for token in [*roles, *settings.get(MORE, [])]}
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


def _side(value: Any) -> str:
    if value not in ("left", "right"):
        raise ValueError(f"must be 'left' or 'right', found {value!r:.80}")
    return value


def _length(value: Any) -> int:
    if value is None:
        return UNLIMITED
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < float("inf"):
        raise ValueError(f"must be a positive whole number or null, found {value!r:.80}")
    if value != int(value):
        raise ValueError(f"must be a whole number, found {value!r:.80}")
    return int(value)


def _words(value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or not value or not all(isinstance(word, str) for word in value):
        raise ValueError(f"must be a list of strings, found {value!r:.80}")
    return list(value)


def _token(value: Any) -> Token:
    """A token from its text, or from an object with its options."""
    fields = dict(value) if isinstance(value, Mapping) else {"content": value}
    if isinstance(value, AddedToken):
        fields = {"content": value.content}
    kinds = {"content": str} | dict.fromkeys(_OPTIONS, bool)
    wrong = [name for name, item in fields.items() if not isinstance(item, kinds.get(name, object))]
    if wrong or "content" not in fields:
        raise ValueError(f"must be a token: a string, or an object with 'content' and options; found {value!r:.160}")
    try:
        fields["content"].encode()
    except UnicodeEncodeError:
        raise ValueError(f"must be a token, but {fields['content']!r:.80} holds half a surrogate pair") from None
    if isinstance(value, Mapping):
        return AddedToken(**{name: item for name, item in fields.items() if name in kinds})
    return value


def _role(value: Any) -> Token | None:
    return None if value is None else _token(value)


def _list(value: Any) -> list[Token]:
    if value is not None and not isinstance(value, list | tuple):
        raise ValueError(f"must be a list of tokens, found {value!r:.80}")
    return [_token(token) for token in value or ()]


def _extra(value: Any) -> dict[str, Token] | list[Token]:
    """Role → token; or a list, which is how newer versions of torch Transformers spell the additional ones."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {str(name): _token(token) for name, token in value.items()}
    return _list(value)


def _templates(value: Any) -> str | dict[str, str] | None:
    """A chat template; or several by name, which files hold as a list of objects."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(item, Mapping) for item in value):
        value = {item.get("name"): item.get("template") for item in value}
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for item in value.items() for text in item):
        raise ValueError(f"must be a template's text, or templates by name, found {value!r:.80}")
    return dict(value)


def _decoder(value: Any) -> dict[int, AddedToken]:
    """Id → added token."""
    if not isinstance(value, Mapping):
        raise ValueError(f"must map ids to tokens, found {value!r:.80}")
    result = {}
    for index, token in value.items():
        if isinstance(index, bool) or not str(index).isascii() or not str(index).isdecimal() or len(str(index)) > 9:
            raise ValueError(f"must have whole numbers as ids, found {index!r:.80}")
        try:
            token = _token(token)
        except ValueError as error:
            raise ValueError(f"at id {index} {error}") from None
        if isinstance(token, str):
            raise ValueError(f"at id {index} must be an object with 'content', found {token!r:.80}")
        result[int(index)] = token
    return result


SETTINGS: Mapping[str, Check] = {
    "model_max_length": _length,
    "model_input_names": _words,
    "padding_side": _side,
    "truncation_side": _side,
    "clean_up_tokenization_spaces": boolean,
    "split_special_tokens": boolean,
    "add_prefix_space": boolean,
    "chat_template": _templates,
    "added_tokens_decoder": _decoder,
    "extra_special_tokens": _extra,
    MORE: _list,
    **dict.fromkeys(NAMES, _role),
}
"""The settings that every tokenizer takes."""
