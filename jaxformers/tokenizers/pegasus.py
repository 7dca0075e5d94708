"""Pegasus' tokenizer: sentencepiece behind special tokens of its own (Zhang et al. 2019, arXiv 1912.08777)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tokenizers import pre_tokenizers

from .post_processor import Templates
from .sentencepiece import Pieces, SentencePieceTokenizer
from .settings import Check, anything, optional_string, whole_number
from .special import Token, text_of


class PegasusTokenizer(SentencePieceTokenizer):
    """Pegasus' tokenizer: `text </s>`; ids of the file's pieces are moved by `offset`.

    Args:
        vocab_file: as in `SentencePieceTokenizer`.
        offset: ids in front of those of the file: padding, end, two masks, and `<unk_2>`, ... that stand for nothing.
        mask_token_sent: stands for a sentence that a text lacks, as `mask_token` does for a word; None: there is none,
            and no `mask_token` in front of the pieces.
        additional_special_tokens: special tokens without a role, which take the places of `<unk_2>`, ...
        **settings: as in `Tokenizer`.

    Raises:
        ImportError, OSError, ValueError, TypeError: as `SentencePieceTokenizer`; ValueError also for
            `additional_special_tokens` with a `<unk_2>`, ... where another stands.
    """

    tokenizer_class: ClassVar[str] = "PegasusTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {
        "offset": whole_number,
        "mask_token_sent": optional_string,
        "sp_model_kwargs": anything,
    }
    defaults: ClassVar[Mapping[str, Any]] = {
        "mask_token_sent": None,
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "mask_token": "<mask_2>",
    }
    template: ClassVar[Templates | None] = ("$A:0 {eos_token}:0", "$A:0 $B:0 {eos_token}:0")
    mask_token_sent: str | None

    def __init__(
        self,
        *vocabulary: str | os.PathLike[str] | None,
        offset: int = 103,
        mask_token_sent: str | None = "<mask_1>",
        additional_special_tokens: Sequence[Token] | None = None,
        **settings: Any,
    ) -> None:
        more = list(additional_special_tokens or [])
        if mask_token_sent is not None and mask_token_sent not in map(text_of, more):
            more.insert(0, mask_token_sent)
        first = 2 if additional_special_tokens is None else len(more)
        more += [f"<unk_{number}>" for number in range(first, offset - (additional_special_tokens is not None))]
        if len(set(map(text_of, more))) < len(more):
            raise ValueError(
                f"{type(self).__name__}: additional_special_tokens with {mask_token_sent!r} in front take the first "
                f"places of {offset}: a <unk_2>, <unk_3>, ... among them is named after another place: leave these out"
            )
        super().__init__(
            *vocabulary,
            offset=offset,
            mask_token_sent=mask_token_sent,
            additional_special_tokens=more,
            **settings,
        )

    def _pieces(self, model: Any, settings: Mapping[str, Any]) -> tuple[Pieces, int]:
        pieces, unknown = super()._pieces(model, settings)
        roles = [settings["pad_token"], settings["eos_token"]]
        if settings["mask_token_sent"] is not None:
            roles += [settings["mask_token_sent"], settings["mask_token"]]
        first = [(text_of(role), 0.0) for role in roles]
        first += [(f"<unk_{number}>", -100.0) for number in range(2, settings["offset"])]
        return [*first, *pieces[2:]], unknown + settings["offset"]

    def _pre_tokenizer(self, settings: Mapping[str, Any]) -> pre_tokenizers.PreTokenizer | None:
        return pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), super()._pre_tokenizer(settings)])


PegasusTokenizerFast = PegasusTokenizer
