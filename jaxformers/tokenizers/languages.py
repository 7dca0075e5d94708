"""Tokenizers of translation models whose rows carry the code of their language: mBART, M2M-100 and their relatives."""

from __future__ import annotations

import copy
import difflib
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import tokenizers
from tokenizers import AddedToken

from . import backend as backends
from . import files, language_codes, pieces, sentencepiece
from .base import Tokenizer
from .metaspace import SPACE
from .pieces import PieceFinder, PieceTokenizer
from .post_processor import Templates
from .sentencepiece import Pieces, SentencePieceTokenizer
from .settings import Check, anything, boolean, optional_string, whole_number
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
        language = self._spelt(language)
        self._backend.post_processor = self._post_processor(self._rows(language))
        self._own_settings["src_lang"] = language

    @property
    def tgt_lang(self) -> str | None:
        """The language of targets; None until it is set. Raises as `src_lang`."""
        return self._own_settings.get("tgt_lang")

    @tgt_lang.setter
    def tgt_lang(self, language: str | None) -> None:
        language = self._spelt(language)
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
        vars(other).update(
            {name: copy.copy(value) for name, value in vars(self).items() if isinstance(value, dict | list)}
        )
        other._backend = backends.view(self._backend, custom=lambda view: None)
        other.src_lang = self.src_lang if src_lang is None else src_lang
        other.tgt_lang = self.tgt_lang if tgt_lang is None else tgt_lang
        return other

    @property
    def lang_code_to_id(self) -> dict[str, int]:
        """The ids of the codes that the class has."""
        return {self._code_of(token): self.convert_tokens_to_ids(token) for token in self._codes(self._own_settings)}

    def get_lang_token(self, lang: str) -> str:
        """The token of a language.

        Raises:
            UnknownLanguage: naming the codes that are known.
        """
        token, roles, added = self._token_of(lang), self._role_texts().values(), self.added_tokens_decoder.values()
        if token in roles or token not in (item.content for item in added):
            known = [item.content for item in added if item.special and item.content not in roles]
            names = [code for code in map(self._code_of, known) if code]
            begun = [name for name in names if lang and name.lower().startswith(str(lang).lower())]
            near = begun[:3] or difflib.get_close_matches(str(lang), names, 3, cutoff=0.5)
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
        raise TypeError(f"{type(self).__name__} does not say its languages")

    def _with_codes(self, given: Sequence[Token] | None, settings: Mapping[str, Any]) -> list[Token]:
        """The special tokens without a role: those given, and the codes that are not among them."""
        there = set(map(text_of, given or ()))
        return [*(given or ()), *(code for code in self._codes(settings) if code not in there)]

    def _spelt(self, code: str | None) -> str | None:
        """A code as `src_lang` and `tgt_lang` have it."""
        return code

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
            raise UnknownLanguage(
                f"{type(self).__name__} needs the language of every text: set src_lang, and tgt_lang for text_target"
            )
        return self._language_rows(self.get_lang_token(language))

    def _templates(self) -> Templates:
        return self._rows(self.src_lang)

    def _custom_for(self, target: bool) -> Callable[[tokenizers.Tokenizer], None] | None:
        if not target:
            return super()._custom_for(target)
        rows = self._post_processor(self._rows(self.tgt_lang))
        return functools.partial(_set_rows, rows=rows, custom=super()._custom_for(target))


def _codes_first(codes: Sequence[str], given: Sequence[Token] | None) -> list[Token]:
    """Codes, then the tokens given that are none of them."""
    return [*codes, *(token for token in given or () if text_of(token) not in codes)]


def _set_rows(view: tokenizers.Tokenizer, rows: Any, custom: Callable[[tokenizers.Tokenizer], None] | None) -> None:
    """Give a view rows of its own, beside what else it is given."""
    if custom is not None:
        custom(view)
    view.post_processor = rows


def _one_of(names: Mapping[str, Any]) -> Check:
    """The check of a setting that is one of these names."""

    def check(value: Any) -> str:
        if value not in names:
            raise ValueError(f"must be one of {', '.join(names)}, found {value!r:.80}")
        return str(value)

    return check


_PLBART_CODES = {"base": language_codes.PLBART, "multi": language_codes.PLBART_MULTI}
_M2M100_CODES = {"m2m100": language_codes.M2M100, "wmt21": language_codes.WMT21}

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
        return _codes_first(self._codes(settings), given)

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


class PLBartTokenizer(LanguageTokenizer, PieceTokenizer):
    """PLBart's tokenizer: rows are `text </s> code`, or `text </s>` without a language (Ahmad et al. 2021, arXiv
    2103.06333).

    Args:
        vocab_file: as in `SentencePieceTokenizer`.
        src_lang, tgt_lang: languages, such as "python" or "__python__"; None: rows without a code.
        language_codes: "base", the three that there were first, or "multi", seven.
        **settings: as in `Tokenizer`.

    Raises:
        ImportError, OSError, ValueError, TypeError: as `SentencePieceTokenizer` and `LanguageTokenizer`.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "sentencepiece.bpe.model"}
    files_first: ClassVar[tuple[str, ...]] = ("vocab_file",)
    tokenizer_class: ClassVar[str] = "PLBartTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {
        **LanguageTokenizer.own_settings,
        "language_codes": _one_of(_PLBART_CODES),
    }
    defaults: ClassVar[Mapping[str, Any]] = {
        **_ROLES,
        "language_codes": "base",
        "src_lang": None,
        "clean_up_tokenization_spaces": True,
    }

    def __init__(
        self, *vocabulary: str | os.PathLike[str] | None, src_lang: str | None = None, **settings: Any
    ) -> None:
        if src_lang is None and settings.get("language_codes") == "multi":
            src_lang = "__en_XX__"
        super().__init__(*vocabulary, src_lang=src_lang, **settings)

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        return "".join(tokens).replace(SPACE, " ").strip()

    def _codes(self, settings: Mapping[str, Any]) -> Sequence[str]:
        return _PLBART_CODES.get(settings.get("language_codes", "base"), ())

    def _with_codes(self, given: Sequence[Token] | None, settings: Mapping[str, Any]) -> list[Token]:
        return _codes_first(self._codes(settings), given)

    def _spelt(self, code: str | None) -> str | None:
        return f"__{code}__" if isinstance(code, str) and not code.startswith("__") else code

    def _token_of(self, code: str) -> str:
        return str(self._spelt(code))

    def _rows(self, language: str | None) -> Templates:
        if language is None:
            return "$A:0 {eos_token}:0", "$A:0 $B:0 {eos_token}:0"
        return code_last(self.get_lang_token(language))

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        files.check_complete(paths, self.vocab_files_names, type(self).__name__)
        self._finders = (PieceFinder(paths["vocab_file"]),) * 2
        found = [piece.piece for piece in sentencepiece.read(paths["vocab_file"]).pieces]
        mask = ["<mask>"] if settings["language_codes"] == "base" else []
        words = [*(piece for piece, _ in _FIRST), *found[3:], *self._codes(settings), *mask]
        return pieces.of_words({word: index for index, word in enumerate(words)}, "<unk>")


class M2M100Tokenizer(LanguageTokenizer, PieceTokenizer):
    """M2M-100's tokenizer: rows are `__code__ text </s>` (Fan et al. 2020, arXiv 2010.11125).

    Args:
        vocab_file: the path of a vocab.json with the ids of pieces.
        spm_file: the path of the .model file that finds them.
        src_lang, tgt_lang: codes of languages, such as "en" and "fr".
        language_codes: "m2m100", 100 languages, or "wmt21", eight.
        **settings: as in `Tokenizer`.

    Raises:
        ImportError, OSError, ValueError, TypeError: as `SentencePieceTokenizer` and `LanguageTokenizer`.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {
        "vocab_file": "vocab.json",
        "spm_file": "sentencepiece.bpe.model",
    }
    files_first: ClassVar[tuple[str, ...]] = ("vocab_file", "spm_file")
    tokenizer_class: ClassVar[str] = "M2M100Tokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {
        **LanguageTokenizer.own_settings,
        "language_codes": _one_of(_M2M100_CODES),
        "num_madeup_words": whole_number,
    }
    defaults: ClassVar[Mapping[str, Any]] = {
        **{name: token for name, token in _ROLES.items() if name not in ("cls_token", "mask_token")},
        "language_codes": "m2m100",
        "num_madeup_words": 8,
        "src_lang": "en",
    }

    @property
    def lang_code_to_token(self) -> dict[str, str]:
        """The tokens of the codes that the class has."""
        return {self._code_of(token): token for token in self._codes(self._own_settings)}

    @property
    def lang_token_to_id(self) -> dict[str, int]:
        """The ids of these tokens."""
        return {token: self.convert_tokens_to_ids(token) for token in self._codes(self._own_settings)}

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        return pieces.text_of_pieces(tokens, set(self.all_special_tokens), self._join)

    def _codes(self, settings: Mapping[str, Any]) -> Sequence[str]:
        return [self._token_of(code) for code in _M2M100_CODES.get(settings.get("language_codes", "m2m100"), ())]

    def _token_of(self, code: str) -> str:
        return f"__{code}__"

    def _code_of(self, token: str) -> str:
        return token[2:-2] if token.startswith("__") and token.endswith("__") else ""

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        files.check_complete(paths, self.vocab_files_names, type(self).__name__)
        finder = PieceFinder(paths["spm_file"])
        self._finders, self._join = (finder, finder), finder.join
        return pieces.read_words(paths["vocab_file"], text_of(settings["unk_token"]))


MBartTokenizerFast = MBartTokenizer
MBart50TokenizerFast = MBart50Tokenizer
NllbTokenizerFast = NllbTokenizer
