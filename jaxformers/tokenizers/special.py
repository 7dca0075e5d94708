"""Special tokens by their role: what the roles are called, and which tokens a tokenizer's settings give to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Iterable, Mapping
from typing import Any

from tokenizers import AddedToken

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
ADDITIONAL = "additional_special_tokens"

Token = str | AddedToken


@dataclasses.dataclass(frozen=True)
class SpecialTokens:
    """The special tokens of a tokenizer.

    Attributes:
        roles: the token of each of `ROLES`; None where there is none.
        additional: special tokens without a role.
        extra: tokens by roles that only this tokenizer has.
    """

    roles: dict[str, Token | None]
    additional: list[Token]
    extra: dict[str, Token]


def from_settings(
    settings: Mapping[str, Any], defaults: Mapping[str, Any], given: Container[str], known: Iterable[AddedToken]
) -> SpecialTokens:
    """The special tokens that a tokenizer's settings name.

    Args:
        settings: checked settings, defaults included.
        defaults: those of the class. A role given as text takes the options of its default.
        given: the names of settings that are not defaults.
        known: added tokens, whose options text of the same content takes; of equal ones the last counts.
    """
    options = {token.content: token for token in known}
    roles = {}
    for role in ROLES:
        token, default = settings.get(role), defaults.get(role)
        if token and (role in given or isinstance(token, str)):
            token = options.get(text_of(token), token)
        if isinstance(token, str) and isinstance(default, AddedToken):
            token = AddedToken(**options_of(default) | {"content": token})
        roles[role] = token
    extra, additional = settings.get("extra_special_tokens", {}), settings.get(ADDITIONAL, [])
    if isinstance(extra, list):
        extra, additional = {}, [*additional, *extra]
    return SpecialTokens(roles, [options.get(text_of(token), token) for token in additional], dict(extra))


def text_of(token: Token) -> str:
    """The characters of a token."""
    return token if isinstance(token, str) else token.content


def options_of(token: AddedToken) -> dict[str, Any]:
    """A token as tokenizer_config.json describes it."""
    return dict(token.__getstate__())


def renamed(token: Token, names: Mapping[str, str]) -> Token:
    """A token under its new name, where it has one, with the same options."""
    if text_of(token) not in names:
        return token
    if isinstance(token, str):
        return names[token]
    return AddedToken(**options_of(token) | {"content": names[token.content]})


def added_token(token: Token, *, special: bool) -> AddedToken:
    """A token with all its options; those of a plain string are the library's defaults."""
    if isinstance(token, str):
        return AddedToken(token, special=special, normalized=not special)
    return AddedToken(
        token.content,
        single_word=token.single_word,
        lstrip=token.lstrip,
        rstrip=token.rstrip,
        normalized=token.normalized,
        special=special,
    )
