"""The settings of a tokenizer, as tokenizer_config.json or a user gives them, and the check of each."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tokenizers import AddedToken

from .special import ADDITIONAL, ROLES, Token

UNLIMITED = int(1e30)
"""The `model_max_length` of a tokenizer whose model has no limit."""
LARGE = int(1e20)
"""Above this a `model_max_length` is no limit."""

Check = Callable[[Any], Any]
"""A setting as JSON or a user has it → as a tokenizer keeps it; or a ValueError that says what it must be."""

_TOKEN_OPTIONS = ("single_word", "lstrip", "rstrip", "normalized", "special")


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


def refuse_unknown(settings: Iterable[str], checks: Mapping[str, Check], where: str) -> None:
    """Refuse settings that a class does not take.

    Raises:
        TypeError: naming the first of them, and the nearest setting.
    """
    for name in settings:
        if name not in checks:
            near = difflib.get_close_matches(name, checks, n=1, cutoff=0.6)
            hint = f"; do you mean {near[0]}?" if near else f"; it has {', '.join(sorted(checks))}"
            raise TypeError(f"{where} has no setting {name!r}{hint}")


def boolean(value: Any) -> bool | None:
    """True, False or None, which leaves the choice to the tokenizer."""
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"must be true, false or null, found {value!r:.80}")
    return value


def string(value: Any) -> str:
    """A string."""
    if not isinstance(value, str):
        raise ValueError(f"must be a string, found {value!r:.80}")
    return value


def optional_string(value: Any) -> str | None:
    """A string, or None."""
    return None if value is None else string(value)


def whole_number(value: Any) -> int:
    """A whole number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**31:
        raise ValueError(f"must be a whole number from 0 on, found {value!r:.80}")
    return value


def anything(value: Any) -> Any:
    """A setting of the reference that changes nothing here."""
    return value


def _side(value: Any) -> str:
    if value not in ("left", "right"):
        raise ValueError(f"must be 'left' or 'right', found {value!r:.80}")
    return value


def _max_length(value: Any) -> int:
    if value is None:
        return UNLIMITED
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < float("inf"):
        raise ValueError(f"must be a positive whole number or null, found {value!r:.80}")
    if value != int(value):
        raise ValueError(f"must be a whole number, found {value!r:.80}")
    return int(value)


def _strings(value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or not value or not all(isinstance(word, str) for word in value):
        raise ValueError(f"must be a list of strings, found {value!r:.80}")
    return list(value)


def _token(value: Any) -> Token:
    """A token from its text, or from an object with its options."""
    fields = dict(value) if isinstance(value, Mapping) else {"content": value}
    if isinstance(value, AddedToken):
        fields = {"content": value.content}
    kinds = {"content": str} | dict.fromkeys(_TOKEN_OPTIONS, bool)
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


def _token_list(value: Any) -> list[Token]:
    if value is not None and not isinstance(value, list | tuple):
        raise ValueError(f"must be a list of tokens, found {value!r:.80}")
    return [_token(token) for token in value or ()]


def _extra_tokens(value: Any) -> dict[str, Token] | list[Token]:
    """Role → token; or a list, which is how newer versions of torch Transformers spell the additional ones."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {str(name): _token(token) for name, token in value.items()}
    return _token_list(value)


def _chat_templates(value: Any) -> str | dict[str, str] | None:
    """A chat template; or several by name, which files hold as a list of objects."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and all(isinstance(item, Mapping) for item in value):
        value = {item.get("name"): item.get("template") for item in value}
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for item in value.items() for text in item):
        raise ValueError(f"must be a template's text, or templates by name, found {value!r:.80}")
    return dict(value)


def _tokens_by_id(value: Any) -> dict[int, AddedToken]:
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


ATTRIBUTES: Mapping[str, Check] = {
    "model_max_length": _max_length,
    "model_input_names": _strings,
    "padding_side": _side,
    "truncation_side": _side,
    "clean_up_tokenization_spaces": boolean,
    "split_special_tokens": boolean,
    "add_prefix_space": boolean,
    "chat_template": _chat_templates,
}
"""The settings that are attributes of every tokenizer."""
TOKENS: Mapping[str, Check] = {
    "added_tokens_decoder": _tokens_by_id,
    "extra_special_tokens": _extra_tokens,
    ADDITIONAL: _token_list,
    **dict.fromkeys(ROLES, _role),
}
"""Those that every tokenizer's vocabulary keeps."""
SETTINGS: Mapping[str, Check] = {**ATTRIBUTES, **TOKENS}
"""The settings that every tokenizer takes."""
BOS_EOS: Mapping[str, Check] = dict.fromkeys(("add_bos_token", "add_eos_token"), boolean)
"""Those of a tokenizer that puts `bos_token` and `eos_token` around each text as it is asked to."""
IGNORED = frozenset(
    "use_fast trust_remote_code from_slow legacy proxies resume_download mirror use_auth_token name_or_path".split()
)
"""Keywords of the reference's loader that change nothing here."""
