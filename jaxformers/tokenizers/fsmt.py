"""FSMT's tokenizer: Moses' words in pieces, with a vocabulary a language (Ng et al. 2019, arXiv 1907.06616)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import tokenizers

from . import files, moses, pieces
from .merges import END_OF_WORD
from .pieces import MergeFinder, PieceTokenizer
from .post_processor import Templates
from .settings import Check, boolean
from .special import text_of


def _two_languages(value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or len(value) != 2 or not all(isinstance(code, str) for code in value):
        raise ValueError(f"must be two languages, as in ['en', 'ru'], found {value!r:.80}")
    return list(value)


class FSMTTokenizer(PieceTokenizer):
    """FSMT's tokenizer: rows are `text </s>`; `text_target` and decoded texts are in the second language.

    Args:
        src_vocab_file: the path of a vocab-src.json.
        tgt_vocab_file: that of a vocab-tgt.json.
        merges_file: that of a merges.txt.
        **settings: as in `Tokenizer`, and
            langs: the two languages, as in ["en", "ru"]; they must be given;
            do_lower_case: lowercase texts.

    Raises:
        ImportError: sacremoses is not installed.
        OSError, ValueError, TypeError: as `Tokenizer`.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {
        "src_vocab_file": "vocab-src.json",
        "tgt_vocab_file": "vocab-tgt.json",
        "merges_file": "merges.txt",
    }
    files_first: ClassVar[tuple[str, ...]] = tuple(vocab_files_names)
    tokenizer_class: ClassVar[str] = "FSMTTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {"langs": _two_languages, "do_lower_case": boolean}
    defaults: ClassVar[Mapping[str, Any]] = {
        "do_lower_case": False,
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
    }
    template: ClassVar[Templates | None] = (
        "$A:0 {sep_token}:0",
        "$A:0 {sep_token}:0 $B:0 {sep_token}:0",
    )

    @property
    def src_lang(self) -> str:
        """The language of texts."""
        return self._own_settings["langs"][0]

    @property
    def tgt_lang(self) -> str:
        """The language of targets and of decoded texts."""
        return self._own_settings["langs"][1]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        words = "".join(token.replace(" ", "").replace(END_OF_WORD, " ") for token in tokens).split()
        return moses.rules(self.tgt_lang)[1].detokenize(words)

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        owner = type(self).__name__
        files.check_complete(paths, self.vocab_files_names, owner)
        if "langs" not in settings:
            raise ValueError(f"{owner} needs langs=, its two languages, as in langs=['en', 'ru']")
        source, target = (
            MergeFinder(
                functools.partial(_words, language, settings["do_lower_case"]),
                paths["merges_file"],
                header=False,
                last=END_OF_WORD,
            )
            for language in settings["langs"]
        )
        self._finders = source, target
        unknown = text_of(settings["unk_token"])
        self._target_vocabulary = pieces.read_words(paths["tgt_vocab_file"], unknown)
        return pieces.read_words(paths["src_vocab_file"], unknown)

    def _apply_settings(self, built: bool) -> None:
        super()._apply_settings(built)
        if built:
            moses.splitter(self.src_lang)  # so that what is not installed is missed now


def _words(language: str, lower: bool, text: str) -> list[str]:
    """The words of a text; dashes and marks are written as Moses does."""
    split = moses.splitter(language, aggressive_dash_splits=True, escape=True)
    return split(text.lower() if lower else text)
