"""WordPiece as BERT has it (Devlin et al. 2018, arXiv 1810.04805), and its relatives."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from . import backend as backends
from . import files
from .base import Tokenizer
from .special import added_token, text_of


class BertTokenizer(Tokenizer):
    """BERT's tokenizer: `[CLS] text [SEP]`, or `[CLS] text [SEP] pair [SEP]`.

    Args:
        vocab_file: the path of a vocab.txt, one piece a line; or `tokenizer_file` or `tokenizer_object` as in
            `Tokenizer`, whose normalizer then takes the three settings below.
        do_lower_case: lowercase texts.
        strip_accents: remove accents; None does so when lowercasing.
        tokenize_chinese_chars: every Chinese character is a word.
        unk_token, sep_token, pad_token, cls_token, mask_token: the special tokens.
        **settings: as in `Tokenizer`.

    Raises:
        OSError, ValueError, TypeError: as `Tokenizer`.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "vocab.txt"}
    own_settings: ClassVar[Mapping[str, files.Check]] = dict.fromkeys(
        ("do_lower_case", "strip_accents", "tokenize_chinese_chars", "do_basic_tokenize"), files.boolean
    ) | {"never_split": lambda value: value}
    own_name: ClassVar[str] = "BertTokenizer"

    def __init__(
        self,
        vocab_file: str | os.PathLike[str] | None = None,
        *,
        do_lower_case: bool = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
        unk_token: Any = "[UNK]",
        sep_token: Any = "[SEP]",
        pad_token: Any = "[PAD]",
        cls_token: Any = "[CLS]",
        mask_token: Any = "[MASK]",
        **settings: Any,
    ) -> None:
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
