"""Special tokens: `tokenizer.cls_token`, `tokenizer.cls_token_id`, and their relatives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, overload

from tokenizers import AddedToken

NAMES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
MORE = "additional_special_tokens"

Token = str | AddedToken


def text_of(token: Token) -> str:
    """The characters of a token."""
    return token if isinstance(token, str) else token.content


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


class _Named:
    """An attribute such as `cls_token`: its text, None where the tokenizer has none."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, tokenizer: None, owner: type) -> _Named: ...
    @overload
    def __get__(self, tokenizer: SpecialTokens, owner: type) -> str | None: ...
    def __get__(self, tokenizer: SpecialTokens | None, owner: type) -> _Named | str | None:
        if tokenizer is None:
            return self
        token = tokenizer._special[self.name]
        return None if token is None else text_of(token)

    def __set__(self, tokenizer: SpecialTokens, token: Token | None) -> None:
        if token is not None and not isinstance(token, Token):
            raise ValueError(f"{self.name} must be a str or an AddedToken, not {token!r:.80}")
        tokenizer._special[self.name] = token


class _NamedId:
    """An attribute such as `cls_token_id`: the id of `cls_token`, None where the tokenizer has none."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name.removesuffix("_id")

    @overload
    def __get__(self, tokenizer: None, owner: type) -> _NamedId: ...
    @overload
    def __get__(self, tokenizer: SpecialTokens, owner: type) -> int | None: ...
    def __get__(self, tokenizer: SpecialTokens | None, owner: type) -> _NamedId | int | None:
        if tokenizer is None:
            return self
        token = tokenizer._special[self.name]
        return None if token is None else tokenizer.convert_tokens_to_ids(text_of(token))

    def __set__(self, tokenizer: SpecialTokens, index: int | None) -> None:
        tokenizer._special[self.name] = None if index is None else tokenizer.convert_ids_to_tokens(index)


class SpecialTokens:
    """The tokens that a tokenizer knows by their role. Setting one names it, it does not add it to the vocabulary."""

    bos_token, bos_token_id = _Named(), _NamedId()
    eos_token, eos_token_id = _Named(), _NamedId()
    unk_token, unk_token_id = _Named(), _NamedId()
    sep_token, sep_token_id = _Named(), _NamedId()
    pad_token, pad_token_id = _Named(), _NamedId()
    cls_token, cls_token_id = _Named(), _NamedId()
    mask_token, mask_token_id = _Named(), _NamedId()

    def __init__(
        self,
        tokens: Mapping[str, Token | None],
        additional: Sequence[Token] = (),
        extra: Mapping[str, Token] | None = None,
    ) -> None:
        self._special: dict[str, Token | None] = dict.fromkeys(NAMES) | dict(tokens)
        self._additional: list[Token] = list(additional)
        self.extra_special_tokens: dict[str, Token] = dict(extra or {})

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """Ids of tokens."""
        raise NotImplementedError

    def convert_ids_to_tokens(self, ids: Any) -> Any:
        """Tokens of ids."""
        raise NotImplementedError

    def add_tokens(self, new_tokens: Token | Sequence[Token], special_tokens: bool = False) -> int:
        """Add tokens to the vocabulary."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        """Tokens of roles that only this tokenizer has (`extra_special_tokens`), and their ids."""
        extra = self.__dict__.get("extra_special_tokens", {})
        if name in extra:
            return text_of(extra[name])
        if name.endswith("_id") and name[:-3] in extra:
            return self.convert_tokens_to_ids(text_of(extra[name[:-3]]))
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    @property
    def additional_special_tokens(self) -> list[str]:
        """Special tokens without a role."""
        return [text_of(token) for token in self._additional]

    @additional_special_tokens.setter
    def additional_special_tokens(self, tokens: Sequence[Token]) -> None:
        self._additional = list(_tokens(tokens, MORE))

    @property
    def additional_special_tokens_ids(self) -> list[int]:
        """The ids of the special tokens without a role."""
        return self.convert_tokens_to_ids(self.additional_special_tokens)

    @property
    def special_tokens_map_extended(self) -> dict[str, Any]:
        """Role → token, with the options of those that have some; roles without a token are absent."""
        roles = {name: token for name, token in self._special.items() if token is not None and text_of(token)}
        more: dict[str, Any] = {MORE: list(self._additional)} if self._additional else {}
        return roles | more | self.extra_special_tokens

    @property
    def special_tokens_map(self) -> dict[str, Any]:
        """Role → text of the token; roles without a token are absent."""
        return {
            name: [text_of(token) for token in value] if isinstance(value, list) else text_of(value)
            for name, value in self.special_tokens_map_extended.items()
        }

    @property
    def all_special_tokens_extended(self) -> list[Token]:
        """Every special token once, with the options of those that have some."""
        found: dict[str, Token] = {}
        for value in self.special_tokens_map_extended.values():
            for token in value if isinstance(value, list) else [value]:
                found.setdefault(text_of(token), token)
        return list(found.values())

    @property
    def all_special_tokens(self) -> list[str]:
        """Every special token once."""
        return [text_of(token) for token in self.all_special_tokens_extended]

    @property
    def all_special_ids(self) -> list[int]:
        """The ids of `all_special_tokens`."""
        return self.convert_tokens_to_ids(self.all_special_tokens)

    def add_special_tokens(
        self, special_tokens_dict: Mapping[str, Any], replace_additional_special_tokens: bool = True
    ) -> int:
        """Give roles to tokens, and add those to the vocabulary that it does not have.

        Args:
            special_tokens_dict: role → token; `additional_special_tokens` → list of tokens.
            replace_additional_special_tokens: false keeps those that are there, in front of the new ones.

        Returns:
            How many were no added tokens before; the model's embedding needs `len(tokenizer)` rows.

        Raises:
            ValueError: no such role, or not a token.
        """
        for name, value in special_tokens_dict.items():  # all are checked before any counts
            if name not in (MORE, *NAMES, *self.extra_special_tokens):
                roles = ", ".join([*NAMES, MORE, *self.extra_special_tokens])
                raise ValueError(f"{name!r} is no role of a special token, use one of {roles}")
            _tokens(value if name == MORE else [value], name)
        new: list[Token] = []
        for name, value in special_tokens_dict.items():
            if name == MORE:
                tokens = [_plain(token) for token in _tokens(value, name)]
                if not replace_additional_special_tokens:
                    tokens = [token for token in tokens if token.content not in self.additional_special_tokens]
                    self._additional += tokens
                elif tokens:
                    self._additional = list(tokens)
                new += tokens
            else:
                (token,) = map(_plain, _tokens([value], name))
                (self._special if name in NAMES else self.extra_special_tokens)[name] = token
                new.append(token)
        return self.add_tokens(new, special_tokens=True)


def _plain(token: Token) -> AddedToken:
    """A new special token; those given as text are matched as they stand, before any normalization."""
    return AddedToken(token, normalized=False, special=True) if isinstance(token, str) else token


def _tokens(tokens: Any, name: str) -> Iterable[Token]:
    if not isinstance(tokens, list | tuple) or not all(isinstance(token, Token) for token in tokens):
        raise ValueError(f"{name}: expected str or AddedToken, found {tokens!r:.80}")
    return tokens
