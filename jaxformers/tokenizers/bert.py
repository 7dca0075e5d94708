"""WordPiece as BERT has it (Devlin et al. 2018, arXiv 1810.04805), and its relatives."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import tokenizers
from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers

from . import files
from .base import Tokenizer
from .post_processor import BERT, Templates
from .settings import Check, boolean, string
from .special import text_of


class BertTokenizer(Tokenizer):
    """BERT's tokenizer: `[CLS] text [SEP]`, or `[CLS] text [SEP] pair [SEP]`.

    Args:
        vocab_file: the path of a vocab.txt, one piece a line; or `tokenizer_file` or `tokenizer_object` as in
            `Tokenizer`, whose normalizer then takes the three settings below.
        do_basic_tokenize, never_split: only these values; `add_tokens` names what shall not be split.
        **settings: as in `Tokenizer`, and
            do_lower_case: lowercase texts;
            strip_accents: remove accents; None does so when lowercasing;
            tokenize_chinese_chars: every Chinese character is a word.

    Raises:
        OSError, ValueError, TypeError: as `Tokenizer`.
    """

    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]  # noqa: RUF012 - replaced whole
    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "vocab.txt"}
    own_settings: ClassVar[Mapping[str, Check]] = dict.fromkeys(
        ("do_lower_case", "strip_accents", "tokenize_chinese_chars"), boolean
    )
    tokenizer_class: ClassVar[str] = "BertTokenizer"
    defaults: ClassVar[Mapping[str, Any]] = {
        "do_lower_case": True,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    built_defaults: ClassVar[Mapping[str, Any]] = {"clean_up_tokenization_spaces": True}
    template: ClassVar[Templates | None] = BERT
    chinese_by_file: ClassVar[bool] = False
    """Whether a tokenizer.json goes before `tokenize_chinese_chars`."""

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        *,
        do_basic_tokenize: bool = True,
        never_split: None = None,
        **settings: Any,
    ) -> None:
        if not do_basic_tokenize or never_split:
            raise ValueError(
                f"{type(self).__name__} has no do_basic_tokenize=False and no never_split: use add_tokens for what "
                "shall not be split"
            )
        super().__init__(vocab_file, **settings)

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        if "vocab_file" not in paths:
            raise ValueError(f"{type(self).__name__} needs vocab_file=, tokenizer_file= or tokenizer_object=")
        path, unknown = paths["vocab_file"], text_of(settings["unk_token"] or "")
        pieces = files.read_vocabulary(path)
        if unknown not in pieces:
            raise ValueError(f"{path}: no line is the unk_token {unknown!r}: is this a WordPiece vocabulary?")
        backend = tokenizers.Tokenizer(models.WordPiece(pieces, unk_token=unknown))
        backend.normalizer = normalizers.BertNormalizer(handle_chinese_chars=settings["tokenize_chinese_chars"])
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece(prefix="##")
        return backend

    def _apply_settings(self, built: bool) -> None:
        super()._apply_settings(built)
        normalizer = self._backend.normalizer
        if isinstance(normalizer, normalizers.BertNormalizer):
            chinese = (
                normalizer.handle_chinese_chars
                if self.chinese_by_file
                else self._own_settings["tokenize_chinese_chars"]
            )
            self._backend.normalizer = normalizers.BertNormalizer(
                clean_text=normalizer.clean_text,
                handle_chinese_chars=chinese,
                strip_accents=self._own_settings["strip_accents"],
                lowercase=self._own_settings["do_lower_case"],
            )

    def _vocabulary_files(self) -> dict[str, str | bytes]:
        pieces = {index: piece for piece, index in self._backend.get_vocab(with_added_tokens=False).items()}
        if any("\n" in piece or "\r" in piece for piece in pieces.values()):
            return {}  # no list of lines says this; tokenizer.json does
        # where ids have gaps, the last piece stands in: of equal lines the last counts
        lines = [pieces.get(index, pieces[max(pieces)]) for index in range(max(pieces) + 1)]
        return {"vocab_file": "".join(f"{piece}\n" for piece in lines)}


class DistilBertTokenizer(BertTokenizer):
    """BERT's tokenizer for a model without token types."""

    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - replaced whole
    tokenizer_class: ClassVar[str] = "DistilBertTokenizer"


class ElectraTokenizer(BertTokenizer):
    """BERT's tokenizer under the name of ELECTRA."""

    tokenizer_class: ClassVar[str] = "ElectraTokenizer"


class MobileBertTokenizer(BertTokenizer):
    """BERT's tokenizer under the name of MobileBERT."""

    tokenizer_class: ClassVar[str] = "MobileBertTokenizer"


class SqueezeBertTokenizer(BertTokenizer):
    """BERT's tokenizer under the name of SqueezeBERT."""

    tokenizer_class: ClassVar[str] = "SqueezeBertTokenizer"


class ConvBertTokenizer(BertTokenizer):
    """BERT's tokenizer under the name of ConvBERT."""

    tokenizer_class: ClassVar[str] = "ConvBertTokenizer"


class FunnelTokenizer(BertTokenizer):
    """BERT's tokenizer with a token type of its own, 2, for `<cls>` (Dai et al. 2020, arXiv 2006.03236)."""

    tokenizer_class: ClassVar[str] = "FunnelTokenizer"
    defaults: ClassVar[Mapping[str, Any]] = {
        **BertTokenizer.defaults,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "sep_token": "<sep>",
        "pad_token": "<pad>",
        "cls_token": "<cls>",
        "mask_token": "<mask>",
    }
    template: ClassVar[Templates | None] = (
        "{cls_token}:2 $A:0 {sep_token}:0",
        "{cls_token}:2 $A:0 {sep_token}:0 $B:1 {sep_token}:1",
    )


class MPNetTokenizer(BertTokenizer):
    """BERT's pieces in RoBERTa's rows: `<s> text </s>`, or `<s> text </s> </s> pair </s>` (arXiv 2004.09297)."""

    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - replaced whole
    tokenizer_class: ClassVar[str] = "MPNetTokenizer"
    defaults: ClassVar[Mapping[str, Any]] = {
        **BertTokenizer.defaults,
        "bos_token": AddedToken("<s>"),
        "eos_token": AddedToken("</s>"),
        "unk_token": AddedToken("[UNK]"),
        "sep_token": AddedToken("</s>"),
        "pad_token": AddedToken("<pad>"),
        "cls_token": AddedToken("<s>"),
        "mask_token": AddedToken("<mask>", lstrip=True),
    }
    built_defaults: ClassVar[Mapping[str, Any]] = {
        **BertTokenizer.built_defaults,
        "bos_token": AddedToken("<s>", special=True),
        "eos_token": AddedToken("</s>", special=True),
        "unk_token": AddedToken("[UNK]", special=True),
        "sep_token": AddedToken("</s>", special=True),
        "pad_token": AddedToken("<pad>", special=True),
        "cls_token": AddedToken("<s>", special=True),
        "mask_token": AddedToken("<mask>", lstrip=True, special=True),
    }
    template: ClassVar[Templates | None] = (
        "{cls_token}:0 $A:0 {sep_token}:0",
        "{cls_token}:0 $A:0 {sep_token}:0 {sep_token}:0 $B:1 {sep_token}:1",
    )
    chinese_by_file: ClassVar[bool] = True


class SplinterTokenizer(BertTokenizer):
    """BERT's tokenizer with `[QUESTION] .` behind the question of a pair (Ram et al. 2021, arXiv 2101.00438).

    Args:
        vocab_file: as in `BertTokenizer`.
        question_token: stands for the span that answers.
        **settings: as in `BertTokenizer`. The question is the first text where padding is on the right, else the
            second.
    """

    tokenizer_class: ClassVar[str] = "SplinterTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {**BertTokenizer.own_settings, "question_token": string}
    defaults: ClassVar[Mapping[str, Any]] = {**BertTokenizer.defaults, "question_token": "[QUESTION]"}
    built_defaults: ClassVar[Mapping[str, Any]] = {}
    chinese_by_file: ClassVar[bool] = True
    question_token: str

    def __init__(self, vocab_file: str | os.PathLike[str] | None = None, **settings: Any) -> None:
        question = settings.get("question_token") or self.defaults["question_token"]
        more = list(settings.pop("additional_special_tokens", None) or [])
        if question not in map(text_of, more):
            more.append(question)
        super().__init__(vocab_file, additional_special_tokens=more, **settings)

    @property
    def question_token_id(self) -> int:
        """The id of `question_token`."""
        return self.convert_tokens_to_ids(self.question_token)

    def _templates(self) -> Templates:
        single = "{cls_token}:0 $A:0 {sep_token}:0"
        if self.padding_side == "right":
            return single, f"{{cls_token}}:0 $A:0 {self.question_token}:0 .:0 {{sep_token}}:0 $B:1 {{sep_token}}:1"
        return single, f"{single} $B:1 {self.question_token}:1 .:1 {{sep_token}}:1"


BertTokenizerFast = BertTokenizer
DistilBertTokenizerFast = DistilBertTokenizer
ElectraTokenizerFast = ElectraTokenizer
MobileBertTokenizerFast = MobileBertTokenizer
SqueezeBertTokenizerFast = SqueezeBertTokenizer
ConvBertTokenizerFast = ConvBertTokenizer
FunnelTokenizerFast = FunnelTokenizer
MPNetTokenizerFast = MPNetTokenizer
SplinterTokenizerFast = SplinterTokenizer
