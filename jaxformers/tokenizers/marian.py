"""Marian's tokenizer: a sentencepiece model for sources, one for targets, and a vocabulary (arXiv 1804.00344)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import tokenizers

from . import files, pieces
from .pieces import Finder, PieceFinder, PieceTokenizer, part
from .post_processor import Templates
from .settings import Check, anything, boolean, optional_string
from .special import text_of


class MarianTokenizer(PieceTokenizer):
    """Marian's tokenizer: `text </s>`; a text may begin with the code of the language that is wanted, as in
    `>>fra<< Good morning.`

    Args:
        source_spm: the path of the .model file of texts.
        target_spm: that of `text_target`.
        vocab: the path of a vocab.json with the ids of all pieces.
        target_vocab_file: that of targets, with `separate_vocabs`.
        **settings: as in `Tokenizer`, and
            separate_vocabs: targets have a vocabulary of their own;
            source_lang, target_lang: the languages, for users.

    Raises:
        ImportError: sentencepiece is not installed.
        OSError, ValueError, TypeError: as `Tokenizer`; ValueError also for files that are missing.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {
        "source_spm": "source.spm",
        "target_spm": "target.spm",
        "vocab": "vocab.json",
        "target_vocab_file": "target_vocab.json",
    }
    files_first: ClassVar[tuple[str, ...]] = ("source_spm", "target_spm", "vocab")
    tokenizer_class: ClassVar[str] = "MarianTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {
        "source_lang": optional_string,
        "target_lang": optional_string,
        "separate_vocabs": boolean,
        "sp_model_kwargs": anything,
    }
    defaults: ClassVar[Mapping[str, Any]] = {
        "separate_vocabs": False,
        "unk_token": "<unk>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
        "model_max_length": 512,
    }
    template: ClassVar[Templates | None] = ("$A:0 {eos_token}:0", "$A:0 $B:0 {eos_token}:0")

    @property
    def supported_language_codes(self) -> list[str]:
        """The codes that a text may begin with, such as `>>fra<<`, in the order of their ids."""
        ids = self.get_vocab()
        codes = [token for token in ids if token.startswith(">>") and token.endswith("<<")]
        return sorted(codes, key=ids.__getitem__)

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        return pieces.text_of_pieces(tokens, set(self.all_special_tokens), self._join, behind=" ")

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        needed = [*self.files_first, *(["target_vocab_file"] if settings["separate_vocabs"] else [])]
        files.check_complete(paths, {name: self.vocab_files_names[name] for name in needed}, type(self).__name__)
        source, target = (PieceFinder(paths[name]) for name in ("source_spm", "target_spm"))
        self._finders, self._join = (_BehindCode(source), _BehindCode(target)), target.join
        unknown = text_of(settings["unk_token"])
        if settings["separate_vocabs"]:
            self._target_vocabulary = pieces.read_words(paths["target_vocab_file"], unknown)
        return pieces.read_words(paths["vocab"], unknown)


class _BehindCode:
    """Finds pieces behind the code of a language, which is a piece of its own."""

    def __init__(self, find: Finder) -> None:
        self._find = find

    def __call__(self, text: tokenizers.NormalizedString) -> list[tokenizers.NormalizedString]:
        plain = text.normalized
        end = plain.find("<<") + 2 if plain.startswith(">>") else 0
        if end < 2:
            return self._find(text)
        rest = self._find(part(text, end, len(plain))) if end < len(plain) else []
        return [part(text, 0, end), *rest]
