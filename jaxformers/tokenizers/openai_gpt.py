"""The tokenizers of OpenAI's first GPT and CTRL: BPE whose pieces say if they end a word (arXiv 1508.07909)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import tokenizers
from tokenizers import Regex, decoders, normalizers, pre_tokenizers

from . import files, merges
from .base import Tokenizer
from .bpe import BPETokenizer
from .merges import END_OF_WORD


class OpenAIGPTTokenizer(Tokenizer):
    """The tokenizer of OpenAI's first GPT: BERT's words, lowercase, in pieces (Radford et al. 2018).

    Args:
        vocab_file, merges_file: the paths of a vocab.json and a merges.txt; or `tokenizer_file` or `tokenizer_object`
            as in `Tokenizer`.
        **settings: as in `Tokenizer`.

    Raises:
        OSError, ValueError, TypeError: as `Tokenizer`.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = BPETokenizer.vocab_files_names
    tokenizer_class: ClassVar[str] = "OpenAIGPTTokenizer"
    defaults: ClassVar[Mapping[str, Any]] = {"unk_token": "<unk>"}
    keeps_files: ClassVar[bool] = True

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        files.check_complete(paths, self.vocab_files_names, type(self).__name__)
        backend = merges.build(
            self._pieces(files.read_ids(paths["vocab_file"]), str(settings["unk_token"])),
            merges.read_merges(paths["merges_file"]),
            str(paths["merges_file"]),
            unk_token=str(settings["unk_token"]),
            end_of_word_suffix=END_OF_WORD,
        )
        self._set_pre_tokenizer(backend)
        backend.decoder = decoders.BPEDecoder(suffix=END_OF_WORD)
        return backend

    def _pieces(self, vocabulary: Mapping[str, int], unknown: str) -> Mapping[str, int]:
        """The vocabulary of the file, with the last pieces of words marked."""
        return vocabulary

    def _set_pre_tokenizer(self, backend: tokenizers.Tokenizer) -> None:
        """Set what normalizes texts and splits them into words."""
        backend.normalizer = normalizers.BertNormalizer(lowercase=True)
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()


class CTRLTokenizer(OpenAIGPTTokenizer):
    """CTRL's tokenizer: words are what stands between spaces (Keskar et al. 2019, arXiv 1909.05858).

    Its files mark the pieces that do not end a word, by "@@"; here the others are marked, as in `OpenAIGPTTokenizer`:
    ids are the same, tokens as text are not.
    """

    tokenizer_class: ClassVar[str] = "CTRLTokenizer"

    def _pieces(self, vocabulary: Mapping[str, int], unknown: str) -> Mapping[str, int]:
        def marked(piece: str) -> str:
            return piece if piece == unknown else piece[:-2] if piece.endswith("@@") else piece + END_OF_WORD

        return {marked(piece): index for piece, index in vocabulary.items()}

    def _set_pre_tokenizer(self, backend: tokenizers.Tokenizer) -> None:
        backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"\S+\n?"), "removed", invert=True)

    def _config(self) -> dict[str, Any]:
        # The inputs stand there in any case: in version 4 of the reference the class has others
        return super()._config() | {"model_input_names": self.model_input_names}


OpenAIGPTTokenizerFast = OpenAIGPTTokenizer
