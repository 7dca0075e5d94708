"""ESM's tokenizer: every amino acid is a token (Rives et al. 2021)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import tokenizers
from tokenizers import models, pre_tokenizers

from . import files
from .base import Tokenizer
from .post_processor import Templates
from .settings import Check
from .special import text_of

SPACES = tokenizers.Regex(r"[\s\x1c-\x1f\x85]+")
"""What Python's `str.split` splits at."""


class EsmTokenizer(Tokenizer):
    """Texts are split into the tokens of the vocabulary, the longest first; what is between them, by spaces.

    Args:
        vocab_file: the path of a vocab.txt, one token a line; or `tokenizer_file` or `tokenizer_object` as in
            `Tokenizer`.
        **settings: as in `Tokenizer`.

    Raises:
        OSError, ValueError, TypeError: as `Tokenizer`.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "vocab.txt"}
    tokenizer_class: ClassVar[str] = "EsmTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {}
    defaults: ClassVar[Mapping[str, Any]] = {
        "unk_token": "<unk>",
        "cls_token": "<cls>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
        "eos_token": "<eos>",
    }
    template: ClassVar[Templates | None] = (
        "{cls_token}:0 $A:0 {eos_token}:0",
        "{cls_token}:0 $A:0 {eos_token}:0 $B:1 {eos_token}:1",
    )

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        if "vocab_file" not in paths:
            raise ValueError(f"{type(self).__name__} needs vocab_file= (a vocab.txt), or a {files.TOKENIZER}")
        lines = files.read_text(paths["vocab_file"]).splitlines()
        vocabulary = {line.strip(): index for index, line in enumerate(lines)}
        unknown = text_of(settings["unk_token"])
        if unknown not in vocabulary:
            raise ValueError(f"{paths['vocab_file']}: no line is the unk_token {unknown!r}")
        backend = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
        longest = sorted(filter(None, vocabulary), key=len, reverse=True)
        tokens = tokenizers.Regex("|".join(map(re.escape, longest)))
        backend.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(tokens, "isolated"), pre_tokenizers.Split(SPACES, "removed")]
        )
        return backend

    def _vocabulary_files(self) -> dict[str, str | bytes]:
        tokens = {index: token for token, index in self._backend.get_vocab(with_added_tokens=False).items()}
        return {"vocab_file": "\n".join(tokens.get(index, "") for index in range(max(tokens) + 1))}
