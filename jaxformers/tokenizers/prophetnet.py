"""The tokenizers of ProphetNet, BERT's pieces with an end alone (Qi et al. 2020, arXiv 2001.04063), and of
XLM-ProphetNet, sentencepiece's behind tokens of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import tokenizers
from tokenizers import Regex, normalizers

from . import files, pieces, sentencepiece
from .bert import BertTokenizer
from .metaspace import SPACE
from .pieces import AddedTokensApart, PieceFinder, PieceTokenizer
from .post_processor import Templates
from .settings import Check, anything, optional_string

_ENDS: Templates = ("$A:0 {sep_token}:0", "$A:0 {sep_token}:0 $B:0 {sep_token}:0")
"""Rows of one kind of token."""


class ProphetNetTokenizer(AddedTokensApart, BertTokenizer):
    """ProphetNet's tokenizer: `text [SEP]`, or `text [SEP] pair [SEP]`.

    Args:
        vocab_file: the path of a prophetnet.tokenizer, one piece a line.
        **settings: as in `BertTokenizer`, and
            x_sep_token: what texts of several sentences have between these.

    Raises:
        OSError, ValueError, TypeError: as `Tokenizer`.
    """

    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - replaced whole
    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "prophetnet.tokenizer"}
    tokenizer_class: ClassVar[str] = "ProphetNetTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {**BertTokenizer.own_settings, "x_sep_token": optional_string}
    defaults: ClassVar[Mapping[str, Any]] = {
        **{name: value for name, value in BertTokenizer.defaults.items() if name != "cls_token"},
        "x_sep_token": "[X_SEP]",
        "clean_up_tokenization_spaces": True,
    }
    template: ClassVar[Templates | None] = (
        "$A:0 {sep_token}:0",
        "$A:0 {sep_token}:0 $B:1 {sep_token}:1",
    )

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        return " ".join(tokens).replace(" ##", "").strip()

    def _apply_settings(self, built: bool) -> None:
        super()._apply_settings(built)
        last = self._backend.normalizer
        if built and isinstance(last, normalizers.BertNormalizer):  # as the reference's tokenizers in Python do it
            unassigned = normalizers.Replace(Regex(r"\p{Cn}"), "")
            first = normalizers.BertNormalizer(
                handle_chinese_chars=last.handle_chinese_chars, strip_accents=False, lowercase=False
            )
            self._backend.normalizer = normalizers.Sequence([unassigned, first, normalizers.NFC(), last])


class XLMProphetNetTokenizer(PieceTokenizer):
    """XLM-ProphetNet's tokenizer: `text [SEP]`, or `text [SEP] pair [SEP]`.

    Args:
        vocab_file: the path of a prophetnet.tokenizer, which is a model of sentencepiece here.
        **settings: as in `Tokenizer`.

    Raises:
        ImportError: sentencepiece is not installed.
        OSError, ValueError, TypeError: as `Tokenizer`.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "prophetnet.tokenizer"}
    files_first: ClassVar[tuple[str, ...]] = ("vocab_file",)
    tokenizer_class: ClassVar[str] = "XLMProphetNetTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {"sp_model_kwargs": anything}
    defaults: ClassVar[Mapping[str, Any]] = {
        "bos_token": "[SEP]",
        "eos_token": "[SEP]",
        "sep_token": "[SEP]",
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    template: ClassVar[Templates | None] = _ENDS

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        return "".join(tokens).replace(SPACE, " ").strip()

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        files.check_complete(paths, self.vocab_files_names, type(self).__name__)
        self._finders = (PieceFinder(paths["vocab_file"]),) * 2
        first = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]", *(f"[unused{number}]" for number in range(10))]
        found = [piece.piece for piece in sentencepiece.read(paths["vocab_file"]).pieces][3:]
        return pieces.of_words({word: index for index, word in enumerate([*first, *found])}, "[UNK]")
