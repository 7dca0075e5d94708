"""The tokenizers of XLM, FlauBERT and BioGPT: Moses' rules (Koehn et al. 2007) split words, BPE splits these."""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import tokenizers
from tokenizers import decoders, normalizers, pre_tokenizers

from . import bpe, files, merges
from .backend import as_value_error
from .base import Tokenizer
from .merges import END_OF_WORD
from .post_processor import Templates
from .settings import Check, anything, boolean


@functools.cache
def splitter(language: str, aggressive_dash_splits: bool = False, escape: bool = False) -> Callable[[str], list[str]]:
    """What splits a text of this language into words; punctuation is made plain, what cannot be seen is dropped.

    Args:
        language: its code, such as "en".
        aggressive_dash_splits: dashes between letters are words, written "@-@".
        escape: marks that mean something in XML are written as there.

    Raises:
        ImportError: sacremoses is not installed.
    """
    try:
        import sacremoses
    except ImportError:
        raise ImportError(
            "XLM, FlauBERT, BioGPT and FSMT split words by Moses' rules: pip install 'jaxformers[moses]'"
        ) from None
    punctuation = sacremoses.MosesPunctNormalizer(lang=language, pre_replace_unicode_punct=True)
    words = sacremoses.MosesTokenizer(lang=language)

    def split(text: str) -> list[str]:
        plain = punctuation.normalize(text)
        seen = "".join(letter for letter in plain if not unicodedata.category(letter).startswith("C"))
        return words.tokenize(seen, aggressive_dash_splits, return_str=False, escape=escape)

    return split


@functools.cache
def rules(language: str) -> tuple[Any, Any]:
    """Moses' rules for splitting a text into words, and for making a text of words."""
    import sacremoses

    return sacremoses.MosesTokenizer(lang=language), sacremoses.MosesDetokenizer(lang=language)


def without_accents(text: str) -> str:
    """Lowered, and without the marks that NFD takes off letters."""
    apart = unicodedata.normalize("NFD", text.lower())
    return "".join(letter for letter in apart if unicodedata.category(letter) != "Mn").lower()


class XLMTokenizer(Tokenizer):
    """XLM's tokenizer, with the rules for English (Lample and Conneau 2019, arXiv 1901.07291).

    Args:
        vocab_file, merges_file: the paths of a vocab.json and a merges.txt; or `tokenizer_file` or `tokenizer_object`
            as in `Tokenizer`.
        **settings: as in `Tokenizer`, and
            do_lowercase_and_remove_accent: as it says;
            lang2id, id2lang: the numbers of languages, for users.

    Raises:
        ImportError: sacremoses is not installed.
        OSError, ValueError, TypeError: as `Tokenizer`.
    """

    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]  # noqa: RUF012 - replaced whole
    vocab_files_names: ClassVar[Mapping[str, str]] = bpe.BPETokenizer.vocab_files_names
    tokenizer_class: ClassVar[str] = "XLMTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {
        "do_lowercase_and_remove_accent": boolean,
        "lang2id": anything,
        "id2lang": anything,
    }
    defaults: ClassVar[Mapping[str, Any]] = {
        "do_lowercase_and_remove_accent": True,
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
        "cls_token": "</s>",
        "mask_token": "<special1>",
        "additional_special_tokens": [f"<special{number}>" for number in range(10)],
    }
    template: ClassVar[Templates | None] = (
        "{bos_token}:0 $A:0 {sep_token}:0",
        "{bos_token}:0 $A:0 {sep_token}:0 $B:1 {sep_token}:1",
    )
    keeps_files: ClassVar[bool] = True
    language: ClassVar[str] = "en"

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        files.check_complete(paths, self.vocab_files_names, type(self).__name__)
        backend = merges.build(
            files.read_ids(paths["vocab_file"]),
            merges.read_merges(paths["merges_file"], header=False),
            str(paths["merges_file"]),
            unk_token=str(settings["unk_token"]),
            end_of_word_suffix=END_OF_WORD,
        )
        backend.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
        backend.decoder = decoders.BPEDecoder(suffix=END_OF_WORD)
        return backend

    def _apply_settings(self, built: bool) -> None:
        super()._apply_settings(built)
        splitter(self.language)  # so that what is not installed is missed now
        self._custom = _MosesNormalizer(self._words)

    def _words(self, text: str) -> str:
        """The words of a text, with a space between."""
        if not self._own_settings["do_lowercase_and_remove_accent"]:
            return " ".join(splitter(self.language)(text))
        return without_accents(" ".join(splitter(self.language)(text.lower())))  # lowered first, as the reference does


class FlaubertTokenizer(XLMTokenizer):
    """FlauBERT's tokenizer: XLM's with the rules for French (Le et al. 2019, arXiv 1912.05372).

    Args:
        vocab_file, merges_file: as in `XLMTokenizer`.
        **settings: as in `Tokenizer`, and
            do_lowercase: lowercase texts;
            lang2id, id2lang: the numbers of languages, for users.
    """

    tokenizer_class: ClassVar[str] = "FlaubertTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {
        "do_lowercase": boolean,
        "lang2id": anything,
        "id2lang": anything,
    }
    defaults: ClassVar[Mapping[str, Any]] = {
        **{name: value for name, value in XLMTokenizer.defaults.items() if name != "do_lowercase_and_remove_accent"},
        "do_lowercase": False,
    }
    language: ClassVar[str] = "fr"

    def _words(self, text: str) -> str:
        composed = unicodedata.normalize("NFC", text.replace("``", '"').replace("''", '"'))
        return " ".join(splitter(self.language)(composed.lower() if self._own_settings["do_lowercase"] else composed))


class BioGptTokenizer(XLMTokenizer):
    """BioGPT's tokenizer: Moses' rules for English, with dashes split and marks escaped; rows are `</s> text`
    (Luo et al. 2022, arXiv 2210.10341).

    Args:
        vocab_file, merges_file: as in `XLMTokenizer`.
        **settings: as in `Tokenizer`.
    """

    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - replaced whole
    tokenizer_class: ClassVar[str] = "BioGptTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {}
    defaults: ClassVar[Mapping[str, Any]] = {
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "pad_token": "<pad>",
    }
    template: ClassVar[Templates | None] = (
        "{sep_token}:0 $A:0",
        "{sep_token}:0 $A:0 {sep_token}:1 $B:1",
    )

    def _words(self, text: str) -> str:
        return " ".join(rules(self.language)[0].tokenize(text, aggressive_dash_splits=True, escape=True))

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        words = super().convert_tokens_to_string(tokens).split()
        return rules(self.language)[1].detokenize(words)

    def decode(
        self, token_ids: Any, skip_special_tokens: bool = False, clean_up_tokenization_spaces: bool | None = None
    ) -> str:
        words = super().decode(token_ids, skip_special_tokens, clean_up_tokenization_spaces).split()
        return rules(self.language)[1].detokenize(words)


class _MosesNormalizer:
    """A normalizer that is a function from text to text."""

    def __init__(self, words: Callable[[str], str]) -> None:
        self.words = words

    def __call__(self, view: tokenizers.Tokenizer) -> None:
        view.normalizer = normalizers.Normalizer.custom(self)

    def normalize(self, text: tokenizers.NormalizedString) -> None:
        """What the library calls for each text."""
        with as_value_error("Moses' rules failed"):
            text.replace(tokenizers.Regex(r"[\s\S]+"), self.words(text.normalized))
