"""The tokenizer of small Blenderbots: lowercase words in pieces (Roller et al. 2020, arXiv 2004.13637)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import tokenizers

from . import files, pieces
from .bpe import BPETokenizer
from .pieces import MergeFinder, PieceTokenizer
from .post_processor import Templates
from .settings import Check
from .special import text_of

_WORD = re.compile(r"[^\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+\n?")
_SPACES = re.compile(r"[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]{2,}")


class BlenderbotSmallTokenizer(PieceTokenizer):
    """The tokenizer of small Blenderbots: nothing is around a text; "@@" marks pieces that do not end a word.

    Args:
        vocab_file: the path of a vocab.json.
        merges_file: that of a merges.txt.
        **settings: as in `Tokenizer`.

    Raises:
        OSError, ValueError, TypeError: as `Tokenizer`.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = BPETokenizer.vocab_files_names
    files_first: ClassVar[tuple[str, ...]] = tuple(BPETokenizer.vocab_files_names)
    own_settings: ClassVar[Mapping[str, Check]] = {}
    tokenizer_class: ClassVar[str] = "BlenderbotSmallTokenizer"
    defaults: ClassVar[Mapping[str, Any]] = {
        "bos_token": "__start__",
        "eos_token": "__end__",
        "unk_token": "__unk__",
        "pad_token": "__null__",
    }
    template: ClassVar[Templates | None] = ("$A:0", "$A:0 $B:0")

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        return " ".join(tokens).replace("@@ ", "").strip()

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        files.check_complete(paths, self.vocab_files_names, type(self).__name__)
        self._finders = (MergeFinder(_words, paths["merges_file"], header=True, inside="@@"),) * 2
        return pieces.read_words(paths["vocab_file"], text_of(settings["unk_token"]))


def _words(text: str) -> list[str]:
    """The words of a text, in small letters; those that end a line are followed by a word that says so."""
    found: list[str] = []
    for word in _WORD.findall(text):
        apart = re.sub("'", " ' ", re.sub(r"([.,!?()])", r" \1", word))
        found += _SPACES.sub(" ", apart).replace("\n", " __newln__").lower().split(" ")
    return list(filter(None, found))


BlenderbotSmallTokenizerFast = BlenderbotSmallTokenizer
