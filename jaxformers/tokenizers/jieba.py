"""RoFormer's tokenizer: words of Chinese by jieba, pieces of these by WordPiece (Su et al. 2021, arXiv 2104.09864)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import tokenizers
from tokenizers import normalizers, pre_tokenizers

from .backend import as_value_error
from .bert import BertTokenizer


class RoFormerTokenizer(BertTokenizer):
    """BERT's tokenizer behind jieba's words.

    Args:
        vocab_file: as in `BertTokenizer`.
        **settings: as in `BertTokenizer`; `tokenize_chinese_chars` changes nothing, as in the reference.

    Raises:
        ImportError: rjieba is not installed.
        OSError, ValueError, TypeError: as `Tokenizer`.
    """

    tokenizer_class: ClassVar[str] = "RoFormerTokenizer"
    built_defaults: ClassVar[Mapping[str, Any]] = {}
    chinese_by_file: ClassVar[bool] = True

    def __init__(self, vocab_file: str | os.PathLike[str] | None = None, **settings: Any) -> None:
        super().__init__(vocab_file, **settings)

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        return super()._build(paths, {**settings, "tokenize_chinese_chars": False})

    def _apply_settings(self, built: bool) -> None:
        super()._apply_settings(built)
        self._custom = _JiebaPreTokenizer(frozenset(self._backend.get_vocab()))


class _JiebaPreTokenizer:
    """A pre-tokenizer: words are jieba's; of those that are no piece, every Chinese character is a word."""

    def __init__(self, vocabulary: frozenset[str]) -> None:
        try:
            import rjieba
        except ImportError:
            raise ImportError("RoFormer's words are jieba's: pip install 'jaxformers[jieba]'") from None
        self.words = rjieba.tokenize
        self.vocabulary = vocabulary
        self.characters = normalizers.BertNormalizer(
            clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False
        )

    def __call__(self, view: tokenizers.Tokenizer) -> None:
        view.pre_tokenizer = pre_tokenizers.PreTokenizer.custom(self)

    def pre_tokenize(self, text: tokenizers.PreTokenizedString) -> None:
        """What the library calls for each text."""
        with as_value_error("jieba failed"):
            text.split(self._split)

    def _split(self, index: int, text: tokenizers.NormalizedString) -> list[Any]:
        parts = []
        for word, start, end in self.words(text.normalized, hmm=False):
            if word in self.vocabulary:
                parts.append(text[start:end])
                continue
            for piece in self.characters.normalize_str(word).split():
                parts.append(text[start : start + len(piece)])
                start += len(piece)
        return parts


RoFormerTokenizerFast = RoFormerTokenizer
