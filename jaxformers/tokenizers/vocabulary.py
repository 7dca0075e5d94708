"""The vocabulary of a tokenizer: tokens, their ids, special tokens by role, and the text of ids."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from operator import index as integer
from typing import Any, overload

import tokenizers
from tokenizers import AddedToken

from .backend import as_value_error
from .special import ADDITIONAL, ROLES, SpecialTokens, Token, added_token, text_of

logger = logging.getLogger(__name__)


class _Role:
    """An attribute such as `cls_token`: its text, None where the tokenizer has none."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, vocabulary: None, owner: type) -> _Role: ...
    @overload
    def __get__(self, vocabulary: Vocabulary, owner: type) -> str | None: ...
    def __get__(self, vocabulary: Vocabulary | None, owner: type) -> _Role | str | None:
        if vocabulary is None:
            return self
        token = vocabulary._roles[self.name]
        return None if token is None else text_of(token)

    def __set__(self, vocabulary: Vocabulary, token: Token | None) -> None:
        if token is not None and not isinstance(token, Token):
            raise ValueError(f"{self.name} must be a str or an AddedToken, not {token!r:.80}")
        vocabulary._roles[self.name] = token


class _RoleId:
    """An attribute such as `cls_token_id`: the id of `cls_token`, None where the tokenizer has none."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name.removesuffix("_id")

    @overload
    def __get__(self, vocabulary: None, owner: type) -> _RoleId: ...
    @overload
    def __get__(self, vocabulary: Vocabulary, owner: type) -> int | None: ...
    def __get__(self, vocabulary: Vocabulary | None, owner: type) -> _RoleId | int | None:
        if vocabulary is None:
            return self
        token = vocabulary._roles[self.name]
        return None if token is None else vocabulary.convert_tokens_to_ids(text_of(token))

    def __set__(self, vocabulary: Vocabulary, index: int | None) -> None:
        vocabulary._roles[self.name] = None if index is None else vocabulary.convert_ids_to_tokens(index)


class Vocabulary:
    """Tokens and their ids. Setting `cls_token` and its like gives a role to a token, and adds none.

    Args:
        backend: the `tokenizers.Tokenizer` that has the tokens.
        special_tokens: those of them that are special.
    """

    bos_token, bos_token_id = _Role(), _RoleId()
    eos_token, eos_token_id = _Role(), _RoleId()
    unk_token, unk_token_id = _Role(), _RoleId()
    sep_token, sep_token_id = _Role(), _RoleId()
    pad_token, pad_token_id = _Role(), _RoleId()
    cls_token, cls_token_id = _Role(), _RoleId()
    mask_token, mask_token_id = _Role(), _RoleId()
    clean_up_tokenization_spaces: bool = False

    def __init__(self, backend: tokenizers.Tokenizer, special_tokens: SpecialTokens) -> None:
        self._backend = backend
        self._roles = dict(special_tokens.roles)
        self._additional = list(special_tokens.additional)
        self.extra_special_tokens = dict(special_tokens.extra)

    def __getattr__(self, name: str) -> Any:
        """Tokens of roles that only this tokenizer has (`extra_special_tokens`), and their ids."""
        extra = self.__dict__.get("extra_special_tokens", {})
        if name in extra:
            return text_of(extra[name])
        if name.endswith("_id") and name[:-3] in extra:
            return self.convert_tokens_to_ids(text_of(extra[name[:-3]]))
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    # Tokens

    @property
    def backend_tokenizer(self) -> tokenizers.Tokenizer:
        """The `tokenizers.Tokenizer` that does the work, without truncation and padding."""
        return self._backend

    @property
    def _written(self) -> tokenizers.Tokenizer:
        """What has the tokens that a model writes: the backend, but where these have a vocabulary of their own."""
        return self._backend

    @property
    def vocab_size(self) -> int:
        """Tokens of the vocabulary without the added ones; `len(tokenizer)` counts those too."""
        return self._backend.get_vocab_size(with_added_tokens=False)

    def __len__(self) -> int:
        return self._backend.get_vocab_size(with_added_tokens=True)

    def __bool__(self) -> bool:
        return True

    def get_vocab(self) -> dict[str, int]:
        """Every token and its id."""
        return self._backend.get_vocab(with_added_tokens=True)

    @property
    def vocab(self) -> dict[str, int]:
        """Every token and its id."""
        return self.get_vocab()

    @property
    def added_tokens_decoder(self) -> dict[int, AddedToken]:
        """The added tokens by id; special tokens are among them."""
        return dict(sorted(self._backend.get_added_tokens_decoder().items()))

    @property
    def added_tokens_encoder(self) -> dict[str, int]:
        """The ids of the added tokens."""
        return {item.content: index for index, item in self.added_tokens_decoder.items()}

    def get_added_vocab(self) -> dict[str, int]:
        """The ids of the added tokens."""
        return self.added_tokens_encoder

    def add_tokens(self, new_tokens: Token | Sequence[Token], special_tokens: bool = False) -> int:
        """Add tokens that are never split.

        Args:
            new_tokens: tokens as text or `AddedToken`.
            special_tokens: they are matched before normalization, and `decode` can skip them.

        Returns:
            How many were no added tokens before; the model's embedding needs `len(tokenizer)` rows.
        """
        if isinstance(new_tokens, Token):
            new_tokens = [new_tokens]
        if not new_tokens:
            return 0
        if not all(isinstance(item, Token) for item in new_tokens):
            raise ValueError(f"tokens must be str or AddedToken, not {new_tokens!r:.80}")
        with as_value_error("the tokens cannot be added"):
            if special_tokens:
                return self._backend.add_special_tokens(list(new_tokens))
            return self._backend.add_tokens(list(new_tokens))

    def _add_configured(self, added: Mapping[int, AddedToken]) -> None:
        """Add the tokens of the configuration that the backend does not have, in the order of their ids."""
        roles = set(self.all_special_tokens)
        wanted = [added_token(item, special=item.special or item.content in roles) for _, item in sorted(added.items())]
        contents = {item.content for item in wanted} | set(self.added_tokens_encoder)
        wanted += [
            added_token(role, special=True)
            for role in self.all_special_tokens_extended
            if text_of(role) not in contents or isinstance(role, AddedToken)
        ]
        have = {repr(item) for item in self.added_tokens_decoder.values()}
        new = [item for item in wanted if repr(item) not in have]
        if new:
            with as_value_error(f"{type(self).__name__}: tokens cannot be added"):
                self._backend.add_tokens(new)
        for index, item in added.items():
            actual = self._backend.token_to_id(item.content)
            if actual != index:
                logger.warning(
                    "added_tokens_decoder says %r has id %d, by the vocabulary it has %s", item.content, index, actual
                )

    # Special tokens

    @property
    def additional_special_tokens(self) -> list[str]:
        """Special tokens without a role."""
        return [text_of(token) for token in self._additional]

    @additional_special_tokens.setter
    def additional_special_tokens(self, tokens: Sequence[Token]) -> None:
        self._additional = list(_tokens(tokens, ADDITIONAL))

    @property
    def additional_special_tokens_ids(self) -> list[int]:
        """The ids of the special tokens without a role."""
        return self.convert_tokens_to_ids(self.additional_special_tokens)

    @property
    def special_tokens_map_extended(self) -> dict[str, Any]:
        """Role → token, with the options of those that have some; roles without a token are absent."""
        roles = {name: token for name, token in self._roles.items() if token is not None and text_of(token)}
        more: dict[str, Any] = {ADDITIONAL: list(self._additional)} if self._additional else {}
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

    def _role_texts(self) -> dict[str, str]:
        """Role → text of the token, for `ROLES` alone; roles without a token are absent."""
        return {name: text for name, token in self._roles.items() if token is not None and (text := text_of(token))}

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
            if name not in (ADDITIONAL, *ROLES, *self.extra_special_tokens):
                roles = ", ".join([*ROLES, ADDITIONAL, *self.extra_special_tokens])
                raise ValueError(f"{name!r} is no role of a special token, use one of {roles}")
            _tokens(value if name == ADDITIONAL else [value], name)
        new: list[Token] = []
        for name, value in special_tokens_dict.items():
            if name == ADDITIONAL:
                tokens = [_special(token) for token in _tokens(value, name)]
                if not replace_additional_special_tokens:
                    tokens = [token for token in tokens if token.content not in self.additional_special_tokens]
                    self._additional += tokens
                elif tokens:
                    self._additional = list(tokens)
                new += tokens
            else:
                (token,) = map(_special, _tokens([value], name))
                if name in ROLES:
                    self._roles[name] = token
                else:
                    self.extra_special_tokens[name] = token
                new.append(token)
        return self.add_tokens(new, special_tokens=True)

    # Tokens, ids and text

    def convert_tokens_to_ids(self, tokens: Any) -> Any:
        """The id of a token, or the ids of a list of them; that of `unk_token` for those not in the vocabulary."""
        if tokens is None:
            return None
        if isinstance(tokens, Token):
            index = self._backend.token_to_id(text_of(tokens))
            if index is None and self.unk_token is not None:
                index = self._backend.token_to_id(self.unk_token)
            return index
        return [self.convert_tokens_to_ids(token) for token in tokens]

    def convert_ids_to_tokens(self, ids: Any, skip_special_tokens: bool = False) -> Any:
        """The token of an id, or the tokens of a list or array of them; None for ids that the vocabulary lacks."""
        if hasattr(ids, "tolist"):
            ids = ids.tolist()
        if isinstance(ids, int):
            return self._written.id_to_token(ids) if 0 <= ids < 2**32 else None
        skipped = set(self.all_special_tokens) if skip_special_tokens else set()
        tokens = map(self.convert_ids_to_tokens, _ids(ids))
        return [token for token in tokens if token not in skipped]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """The text of tokens."""
        decoder = self._backend.decoder
        return " ".join(tokens) if decoder is None else decoder.decode(list(tokens))

    def decode(
        self, token_ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> str:
        """The text of ids.

        Args:
            token_ids: an id, a list of them, or an array [T]. Ids that the vocabulary does not have give nothing.
            skip_special_tokens: leave special tokens out.
            clean_up_tokenization_spaces: no space before punctuation and English contractions; None: as the tokenizer
                is set.

        Raises:
            ValueError: not whole numbers, or more than one row.
        """
        ids = [index for index in _ids(token_ids) if 0 <= index < 2**32]
        with as_value_error("the ids cannot be decoded"):
            text = self._text_of(ids, skip_special_tokens)
        clean = (
            self.clean_up_tokenization_spaces if clean_up_tokenization_spaces is None else clean_up_tokenization_spaces
        )
        return self.clean_up_tokenization(text) if clean else text

    def _text_of(self, ids: list[int], skip_special_tokens: bool) -> str:
        """The text of ids, as the decoder makes it."""
        return self._written.decode(ids, skip_special_tokens=skip_special_tokens)

    def batch_decode(
        self, sequences: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> list[str]:
        """The texts of rows of ids: a list of lists, or an array [B, T]; as `decode`."""
        return [self.decode(row, skip_special_tokens, clean_up_tokenization_spaces) for row in sequences]

    @staticmethod
    def clean_up_tokenization(out_string: str) -> str:
        """Remove the spaces before punctuation and English contractions that splitting has put there."""
        for spaced, joined in _CONTRACTIONS:
            out_string = out_string.replace(spaced, joined)
        return out_string


_CONTRACTIONS = (
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
)


def _special(token: Token) -> AddedToken:
    """A new special token; those given as text are matched as they stand, before any normalization."""
    return AddedToken(token, normalized=False, special=True) if isinstance(token, str) else token


def _tokens(tokens: Any, name: str) -> Sequence[Token]:
    if not isinstance(tokens, list | tuple) or not all(isinstance(token, Token) for token in tokens):
        raise ValueError(f"{name}: expected str or AddedToken, found {tokens!r:.80}")
    return tokens


def _ids(token_ids: Any) -> Iterator[int]:
    """The ids in a number, a list or an array."""
    if hasattr(token_ids, "tolist"):
        token_ids = token_ids.tolist()
    try:
        return iter([integer(index) for index in ([token_ids] if isinstance(token_ids, int) else token_ids)])
    except TypeError:
        raise ValueError(
            f"ids must be whole numbers in one list or array, not {token_ids!r:.60}; batch_decode takes several rows"
        ) from None
