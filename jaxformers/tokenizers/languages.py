"""Tokenizers of translation models whose rows carry the code of their language: mBART, mBART-50 and NLLB."""

from __future__ import annotations

import copy
import difflib
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import tokenizers
from tokenizers import AddedToken

from . import backend as backends
from . import language_codes
from .base import Tokenizer
from .post_processor import Templates
from .sentencepiece import Pieces, SentencePieceTokenizer
from .settings import Check, anything, boolean, optional_string
from .special import Token, text_of


class UnknownLanguage(KeyError, ValueError):
    """A code that a tokenizer does not know. The message reads as it was written, unlike that of a KeyError."""

    def __str__(self) -> str:
        return str(self.args[0])


def code_last(code: str) -> Templates:
    """The rows of mBART: `text </s> code`."""
    return f"$A:0 {{eos_token}}:0 {code}:0", f"$A:0 $B:0 {{eos_token}}:0 {code}:0"


def code_first(code: str) -> Templates:
    """The rows of mBART-50, M2M-100 and NLLB: `code text </s>`."""
    return f"{code}:0 $A:0 {{eos_token}}:0", f"{code}:0 $A:0 $B:0 {{eos_token}}:0"


class LanguageTokenizer(Tokenizer):
    """A tokenizer of several languages: texts are in `src_lang`, `text_target` is in `tgt_lang`.

    Args:
        src_lang, tgt_lang: codes of languages; both are attributes, which can be set.
        additional_special_tokens: special tokens without a role, beside the codes.
        **settings: as in `Tokenizer`.

    Raises:
        OSError, ValueError, TypeError: as `Tokenizer`; UnknownLanguage, which is a KeyError and a ValueError, names the
            codes that are known.
    """

    own_settings: ClassVar[Mapping[str, Check]] = {
        "src_lang": optional_string,
        "tgt_lang": optional_string,
        "sp_model_kwargs": anything,
    }

    def __init__(
        self,
        *vocabulary: str | os.PathLike[str] | None,
        additional_special_tokens: Sequence[Token] | None = None,
        **settings: Any,
    ) -> None:
        more = self._with_codes(additional_special_tokens, settings)
        super().__init__(*vocabulary, additional_special_tokens=more, **settings)

    @property
    def src_lang(self) -> str | None:
        """The language of texts. Setting it changes the rows from then on.

        Raises:
            UnknownLanguage: it is set to a code that is not known.
        """
        return self._own_settings.get("src_lang")

    @src_lang.setter
    def src_lang(self, language: str | None) -> None:
        self._backend.post_processor = self._post_processor(self._rows(language))
        self._own_settings["src_lang"] = language

    @property
    def tgt_lang(self) -> str | None:
        """The language of targets; None until it is set. Raises as `src_lang`."""
        return self._own_settings.get("tgt_lang")

    @tgt_lang.setter
    def tgt_lang(self, language: str | None) -> None:
        if language is not None:
            self.get_lang_token(language)
        self._own_settings["tgt_lang"] = language

    def for_languages(self, src_lang: str | None = None, tgt_lang: str | None = None) -> Self:
        """This tokenizer for other languages: a copy that shares the vocabulary, while this one stays as it is.

        Args:
            src_lang: the code of a language; None: as this one has it.
            tgt_lang: the same for targets.

        Raises:
            UnknownLanguage: a code that is not known.
        """
        other = copy.copy(self)
        other._backend = backends.view(self._backend, custom=lambda view: None)
        other._own_settings = dict(self._own_settings)
        other.src_lang = self.src_lang if src_lang is None else src_lang
        other.tgt_lang = self.tgt_lang if tgt_lang is None else tgt_lang
        return other

    @property
    def lang_code_to_id(self) -> dict[str, int]:
        """The ids of the codes that the class has."""
        return {code: self.convert_tokens_to_ids(code) for code in self._codes(self._own_settings)}

    def get_lang_token(self, lang: str) -> str:
        """The token of a language.

        Raises:
            UnknownLanguage: naming the codes that are known.
        """
        known = [token for token in self.added_tokens_encoder if token not in self._role_texts().values()]
        token = self._token_of(lang)
        if token not in known:
            names = [code for code in map(self._code_of, known) if code]
            near = difflib.get_close_matches(str(lang), names, 3, cutoff=0.5)
            hint = f" (the nearest are {', '.join(near)})" if near else ""
            raise UnknownLanguage(
                f"{lang!r} is no language of {type(self).__name__}{hint}: use one of {', '.join(names)}"
            )
        return token

    def get_lang_id(self, lang: str) -> int:
        """The id of a language, which `generate` takes as `forced_bos_token_id`; raises as `get_lang_token`."""
        return self.convert_tokens_to_ids(self.get_lang_token(lang))

    def _codes(self, settings: Mapping[str, Any]) -> Sequence[str]:
        """The tokens of the languages that the class has."""
        raise NotImplementedError

    def _with_codes(self, given: Sequence[Token] | None, settings: Mapping[str, Any]) -> list[Token]:
        """The special tokens without a role: those given, and the codes that are not among them."""
        return [*(given or ()), *_missing(self._codes(settings), given)]

    def _token_of(self, code: str) -> str:
        """The token of a code as users have it."""
        return code

    def _code_of(self, token: str) -> str:
        """The code of a token; "" where it is that of no language."""
        return token

    def _language_rows(self, token: str) -> Templates:
        """The rows of a language."""
        return code_first(token)

    def _rows(self, language: str | None) -> Templates:
        if language is None:
            raise UnknownLanguage(f"{type(self).__name__} needs a language: set src_lang")
        return self._language_rows(self.get_lang_token(language))

    def _templates(self) -> Templates:
        return self._rows(self.src_lang)

    def _custom_for(self, target: bool) -> Callable[[tokenizers.Tokenizer], None] | None:
        if not target:
            return super()._custom_for(target)
        if self.tgt_lang is None:
            raise UnknownLanguage(
                f"text_target needs its language: set {type(self).__name__}.tgt_lang, as in tokenizer.tgt_lang = "
                f"{self.src_lang!r}"
            )
        rows = self._post_processor(self._rows(self.tgt_lang))
        return functools.partial(_set_rows, rows=rows, custom=super()._custom_for(target))


def _missing(codes: Sequence[str], given: Sequence[Token] | None) -> list[str]:
    there = set(map(text_of, given or ()))
    return [code for code in codes if code not in there]


def _set_rows(view: tokenizers.Tokenizer, rows: Any, custom: Callable[[tokenizers.Tokenizer], None] | None) -> None:
    """Give a view rows of its own, beside what else it is given."""
    if custom is not None:
        custom(view)
    view.post_processor = rows


_ROLES: Mapping[str, Any] = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "cls_token": "<s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": AddedToken("<mask>", lstrip=True),
}
_FIRST: Pieces = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")]


class MBartTokenizer(LanguageTokenizer, SentencePieceTokenizer):
    """mBART's tokenizer: rows are `text </s> code` (Liu et al. 2020, arXiv 2001.08210).

    Args:
        vocab_file: as in `SentencePieceTokenizer`.
        src_lang, tgt_lang: codes of languages, such as "en_XX" and "ro_RO".
        **settings: as in `Tokenizer`.

    Raises:
        ImportError, OSError, ValueError, TypeError: as `SentencePieceTokenizer` and `LanguageTokenizer`.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "sentencepiece.bpe.model"}
    tokenizer_class: ClassVar[str] = "MBartTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = LanguageTokenizer.own_settings
    defaults: ClassVar[Mapping[str, Any]] = {**_ROLES, "src_lang": "en_XX"}
    built_defaults: ClassVar[Mapping[str, Any]] = {"mask_token": AddedToken("<mask>", lstrip=True, normalized=False)}

    def _codes(self, settings: Mapping[str, Any]) -> Sequence[str]:
        return language_codes.MBART

    def _with_codes(self, given: Sequence[Token] | None, settings: Mapping[str, Any]) -> list[Token]:
        codes = self._codes(settings)
        return [*codes, *(token for token in given or () if text_of(token) not in codes)]

    def _language_rows(self, token: str) -> Templates:
        return code_last(token)

    def _pieces(self, model: Any, settings: Mapping[str, Any]) -> tuple[Pieces, int]:
        last = [(token, 0.0) for token in (*self._codes(settings), "<mask>")]
        return [*_FIRST, *super()._pieces(model, settings)[0][3:], *last], 3


class MBart50Tokenizer(MBartTokenizer):
    """mBART-50's tokenizer: rows are `code text </s>` (Tang et al. 2020, arXiv 2008.00401).

    Args:
        vocab_file: as in `SentencePieceTokenizer`.
        src_lang, tgt_lang: codes of languages, such as "en_XX" and "ro_RO".
        **settings: as in `Tokenizer`.
    """

    tokenizer_class: ClassVar[str] = "MBart50Tokenizer"
    defaults: ClassVar[Mapping[str, Any]] = {
        name: value for name, value in MBartTokenizer.defaults.items() if name != "bos_token"
    }
    built_defaults: ClassVar[Mapping[str, Any]] = {}

    def _codes(self, settings: Mapping[str, Any]) -> Sequence[str]:
        return language_codes.MBART50

    def _with_codes(self, given: Sequence[Token] | None, settings: Mapping[str, Any]) -> list[Token]:
        return LanguageTokenizer._with_codes(self, given, settings)

    def _language_rows(self, token: str) -> Templates:
        return code_first(token)


class NllbTokenizer(LanguageTokenizer, SentencePieceTokenizer):
    """NLLB's tokenizer: rows are `code text </s>` (NLLB Team 2022, arXiv 2207.04672).

    Args:
        vocab_file: as in `SentencePieceTokenizer`.
        src_lang, tgt_lang: codes of languages, such as "eng_Latn" and "fra_Latn".
        additional_special_tokens: special tokens without a role, in place of the class's codes.
        legacy_behaviour: rows are `text </s> code`, as the first version had them.
        **settings: as in `Tokenizer`.

    Raises:
        ImportError, OSError, ValueError, TypeError: as `SentencePieceTokenizer` and `LanguageTokenizer`.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "sentencepiece.bpe.model"}
    tokenizer_class: ClassVar[str] = "NllbTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {**LanguageTokenizer.own_settings, "legacy_behaviour": boolean}
    defaults: ClassVar[Mapping[str, Any]] = {
        **_ROLES,
        "mask_token": AddedToken("<mask>", lstrip=True, normalized=True, special=True),
        "legacy_behaviour": False,
        "src_lang": "eng_Latn",
    }

    def _codes(self, settings: Mapping[str, Any]) -> Sequence[str]:
        return language_codes.NLLB

    def _with_codes(self, given: Sequence[Token] | None, settings: Mapping[str, Any]) -> list[Token]:
        return list(self._codes(settings) if given is None else given)

    def _language_rows(self, token: str) -> Templates:
        return code_last(token) if self._own_settings["legacy_behaviour"] else code_first(token)

    def _pieces(self, model: Any, settings: Mapping[str, Any]) -> tuple[Pieces, int]:
        return [*_FIRST, *super()._pieces(model, settings)[0][3:]], 3


MBartTokenizerFast = MBartTokenizer
MBart50TokenizerFast = MBart50Tokenizer
NllbTokenizerFast = NllbTokenizer
