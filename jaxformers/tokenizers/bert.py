"""WordPiece as BERT has it (Devlin et al. 2018, arXiv 1810.04805), and its relatives."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from . import backend as backends
from . import files, special
from .base import Tokenizer
from .special import text_of


class BertTokenizer(Tokenizer):
    """BERT's tokenizer: `[CLS] text [SEP]`, or `[CLS] text [SEP] pair [SEP]`.

    Args:
        vocab_file: the path of a vocab.txt, one piece a line; or `tokenizer_file` or `tokenizer_object` as in
            `Tokenizer`, whose normalizer then takes the three settings below.
        do_lower_case: lowercase texts.
        strip_accents: remove accents; None does so when lowercasing.
        tokenize_chinese_chars: every Chinese character is a word.
        unk_token, sep_token, pad_token, cls_token, mask_token: the special tokens.
        do_basic_tokenize, never_split: only these values; `add_tokens` names what shall not be split.
        **settings: as in `Tokenizer`.

    Raises:
        OSError, ValueError, TypeError: as `Tokenizer`.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "vocab.txt"}
    own_settings: ClassVar[Mapping[str, files.Check]] = dict.fromkeys(
        ("do_lower_case", "strip_accents", "tokenize_chinese_chars"), files.boolean
    )
    own_name: ClassVar[str] = "BertTokenizer"

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        *,
        do_lower_case: bool | None = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool | None = True,
        unk_token: special.Token = "[UNK]",
        sep_token: special.Token = "[SEP]",
        pad_token: special.Token = "[PAD]",
        cls_token: special.Token = "[CLS]",
        mask_token: special.Token = "[MASK]",
        do_basic_tokenize: bool = True,
        never_split: None = None,
        **settings: Any,
    ) -> None:
        if not do_basic_tokenize or never_split:
            raise ValueError(
                f"{type(self).__name__} has no do_basic_tokenize=False and no never_split: use add_tokens for what "
                "shall not be split"
            )
        do_lower_case = True if do_lower_case is None else do_lower_case
        tokenize_chinese_chars = True if tokenize_chinese_chars is None else tokenize_chinese_chars
        if settings.get("tokenizer_file") is None and settings.get("tokenizer_object") is None:
            settings.setdefault("clean_up_tokenization_spaces", True)  # the reference's default for a vocab.txt alone
        super().__init__(
            vocab_file=vocab_file,
            do_lower_case=do_lower_case,
            strip_accents=strip_accents,
            tokenize_chinese_chars=tokenize_chinese_chars,
            unk_token=unk_token,
            sep_token=sep_token,
            pad_token=pad_token,
            cls_token=cls_token,
            mask_token=mask_token,
            **settings,
        )
        self.do_lower_case = do_lower_case

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        if "vocab_file" not in paths:
            raise ValueError(f"{type(self).__name__} needs vocab_file=, tokenizer_file= or tokenizer_object=")
        path, unknown = paths["vocab_file"], text_of(settings["unk_token"] or "")
        pieces = files.read_vocabulary(path)
        if unknown not in pieces:
            raise ValueError(f"{path}: no line is the unk_token {unknown!r}: is this a WordPiece vocabulary?")
        backend = tokenizers.Tokenizer(models.WordPiece(pieces, unk_token=unknown))
        backend.normalizer = normalizers.BertNormalizer()
        backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        backend.decoder = decoders.WordPiece(prefix="##")
        return backend

    def _finish(self, built: bool) -> None:
        backend = self._backend
        if built:
            cls, sep = self.cls_token or "", self.sep_token or ""
            with backends.readable(f"{type(self).__name__}: cls_token {cls!r} or sep_token {sep!r} cannot be used"):
                backend.post_processor = processors.TemplateProcessing(
                    single=f"{cls}:0 $A:0 {sep}:0",
                    pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
                    special_tokens=[(cls, backend.token_to_id(cls)), (sep, backend.token_to_id(sep))],
                )
        if isinstance(backend.normalizer, normalizers.BertNormalizer):
            backend.normalizer = normalizers.BertNormalizer(
                clean_text=backend.normalizer.clean_text,
                handle_chinese_chars=self._own["tokenize_chinese_chars"],
                strip_accents=self._own.get("strip_accents"),
                lowercase=self._own["do_lower_case"],
            )

    def _vocabulary(self) -> dict[str, str]:
        pieces = {index: piece for piece, index in self._backend.get_vocab(with_added_tokens=False).items()}
        if any("\n" in piece or "\r" in piece for piece in pieces.values()):
            return {}  # no list of lines says this; tokenizer.json does
        # where ids have gaps, the last piece stands in: of equal lines the last counts
        lines = [pieces.get(index, pieces[max(pieces)]) for index in range(max(pieces) + 1)]
        return {"vocab_file": "".join(f"{piece}\n" for piece in lines)}

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        """The ids of one or two texts with [CLS] and [SEP] around them."""
        cls, sep = self.cls_token_id, self.sep_token_id
        if cls is None or sep is None:
            raise ValueError(f"{type(self).__name__} needs a cls_token and a sep_token for this, set them first")
        first = [cls, *token_ids_0, sep]
        return first if token_ids_1 is None else [*first, *token_ids_1, sep]


class DistilBertTokenizer(BertTokenizer):
    """BERT's tokenizer for a model without token types."""

    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - replaced whole
    own_name: ClassVar[str] = "DistilBertTokenizer"


BertTokenizerFast = BertTokenizer
DistilBertTokenizerFast = DistilBertTokenizer
