"""The files of a tokenizer beside tokenizer.json: tokenizer_config.json and its older relatives, read and checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from .. import hub
from .special import MORE, NAMES, Token

TOKENIZER = "tokenizer.json"
CONFIG = "tokenizer_config.json"
SPECIAL = "special_tokens_map.json"
ADDED = "added_tokens.json"
VOCABULARY = "vocab.txt"

LARGEST = 1 << 27  # bytes of a JSON file other than tokenizer.json
UNLIMITED = int(1e30)
"""The `model_max_length` of a tokenizer that knows none."""

_OPTIONS = ("single_word", "lstrip", "rstrip", "normalized", "special")


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


def read_settings(source: hub.Source) -> dict[str, Any]:
    """The constructor's keywords that a checkpoint's files hold, checked.

    special_tokens_map.json and added_tokens.json are older than `added_tokens_decoder` and count only without it.

    Raises:
        OSError: a file cannot be fetched or read.
        ValueError: a file is malformed; the message names the file and the field.
    """
    path = source.find(CONFIG)
    settings = checked(read_json(path), str(path)) if path else {}
    if "added_tokens_decoder" in settings:
        return settings
    if (path := source.find(SPECIAL)) is not None:
        roles = checked(read_json(path), str(path))
        if MORE in roles:
            old = list(settings.get(MORE) or ())
            texts = [str(getattr(token, "content", token)) for token in old]
            roles[MORE] = old + [token for token in roles[MORE] or () if _text(token) not in texts]
        settings |= roles
    if (path := source.find(ADDED)) is not None:
        special = {_text(settings[name]) for name in NAMES if settings.get(name) is not None}
        special |= {_text(token) for token in settings.get(MORE) or ()}
        decoder = {}
        for content, index in read_json(path).items():
            if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < 2**31:
                raise ValueError(f"{path}: {content!r:.80} must have a whole number as its id, found {index!r:.80}")
            decoder[index] = AddedToken(content, special=content in special, normalized=content not in special)
        settings["added_tokens_decoder"] = decoder
    return settings


def checked(settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A copy of tokenizer settings in which JSON objects have become tokens, and every known field has its type.

    Raises:
        ValueError: naming `where` and the field.
    """
    result = {}
    for name, value in settings.items():
        try:
            result[name] = _READERS[name](value) if name in _READERS else value
        except ValueError as error:
            raise ValueError(f"{where}: {name} {error}") from None
    return result


def plain(value: Any, *, typed: bool) -> Any:
    """Settings as JSON takes them: tokens become objects, with a `__type` where the file is read field by field."""
    if isinstance(value, AddedToken):
        kind = {"__type": "AddedToken"} if typed else {}
        options = {name: getattr(value, name) for name in _OPTIONS if typed or name != "special"}
        return {**kind, "content": value.content, **options}
    if isinstance(value, Mapping):
        return {str(name): plain(item, typed=typed) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, typed=typed) for item in value]
    return value


def to_json(value: Any) -> bytes:
    """The text of a JSON file.

    Raises:
        ValueError: a setting that JSON cannot hold; the message names it.
    """
    try:
        return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    except (TypeError, ValueError):
        for name, item in value.items():
            try:
                json.dumps({name: item}, sort_keys=True, ensure_ascii=False).encode()
            except (TypeError, ValueError):
                raise ValueError(f"{name}: {item!r:.80} cannot be saved, since JSON has no such value") from None
        raise


def read_vocabulary(path: Path) -> dict[str, int]:
    """The pieces of a vocab.txt, one a line, with their line numbers from 0 as ids; of equal lines the last counts.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is empty or not UTF-8.
    """
    try:
        with open(path, encoding="utf-8") as file:
            vocabulary = {line.rstrip("\n"): index for index, line in enumerate(file)}
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a vocabulary in UTF-8 ({error})") from None
    if not vocabulary:
        raise ValueError(f"{path}: an empty vocabulary; expected one piece a line")
    return vocabulary


def _text(token: Token) -> str:
    return token if isinstance(token, str) else token.content


def _flag(value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"must be true, false or null, found {value!r:.80}")
    return value


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


def _word(value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"must be a string, found {value!r:.80}")
    return value


def _token(value: Any) -> Token:
    """A token from its text, or from an object with its options."""
    if isinstance(value, Mapping):
        fields = {name: item for name, item in value.items() if name not in ("__type", "id")}
        wrong = [name for name, item in fields.items() if name not in _OPTIONS and name != "content"]
        wrong += [name for name in _OPTIONS if not isinstance(fields.get(name, False), bool)]
        if wrong or not isinstance(fields.get("content"), str):
            raise ValueError(f"must have a text as content, and options that are true or false; found {value!r:.160}")
        return AddedToken(**fields)
    if not isinstance(value, Token):
        raise ValueError(f"must be a token: a string, or an object with 'content'; found {value!r:.80}")
    if not _encodable(value):
        raise ValueError(f"{value!r:.80} holds half a surrogate pair, which is no text")
    return value


def _encodable(token: Token) -> bool:
    try:
        _text(token).encode()
    except UnicodeEncodeError:
        return False
    return True


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


_READERS: dict[str, Callable[[Any], Any]] = {
    "tokenizer_class": _word,
    "model_max_length": _length,
    "model_input_names": _words,
    "padding_side": _side,
    "truncation_side": _side,
    "clean_up_tokenization_spaces": _flag,
    "split_special_tokens": _flag,
    "do_lower_case": _flag,
    "strip_accents": _flag,
    "tokenize_chinese_chars": _flag,
    "do_basic_tokenize": _flag,
    "added_tokens_decoder": _decoder,
    "extra_special_tokens": _extra,
    MORE: _list,
    **dict.fromkeys(NAMES, _role),
}


def texts(tokens: Sequence[Token]) -> list[str]:
    """The characters of tokens."""
    return [_text(token) for token in tokens]
