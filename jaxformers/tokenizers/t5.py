"""T5's tokenizer: sentencepiece with sentinels behind the pieces (Raffel et al. 2020, arXiv 1910.10683)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tokenizers import AddedToken, decoders, pre_tokenizers

from .metaspace import SPACE
from .post_processor import Templates
from .sentencepiece import Pieces, SentencePieceTokenizer
from .settings import Check, anything, boolean, whole_number
from .special import Token, text_of

EACH_WITH_END: Templates = ("$A:0 {eos_token}:0", "$A:0 {eos_token}:0 $B:0 {eos_token}:0")
"""The rows of T5 and ByT5."""


def sentinels(count: int) -> list[str]:
    """`<extra_id_0>` and so on: what stands for spans that a text lacks."""
    return [f"<extra_id_{number}>" for number in range(count)]


def with_sentinels(given: Sequence[Token] | None, count: int, owner: str) -> list[Token]:
    """The special tokens without a role: those given, and sentinels where none is among them.

    Raises:
        ValueError: sentinels are among them, and not as many as `extra_ids` says.
    """
    there = [token for token in given or () if "<extra_id_" in text_of(token)]
    if there and count and len(there) != count:
        raise ValueError(
            f"{owner}: extra_ids is {count}, additional_special_tokens has {len(there)} of <extra_id_0>, <extra_id_1>, "
            "...: leave one of the two out"
        )
    return [*(given or ()), *([] if there else sentinels(count))]


class T5Tokenizer(SentencePieceTokenizer):
    """T5's tokenizer: `text </s>`, or `text </s> pair </s>`; mT5 and UMT5 have it too.

    Args:
        vocab_file: as in `SentencePieceTokenizer`.
        extra_ids: how many sentinels `<extra_id_0>`, ... the vocabulary has behind the pieces of the file.
        additional_special_tokens: special tokens without a role; the sentinels are added if none is among them.
        **settings: as in `Tokenizer`, and
            legacy: put a space also behind special tokens, as the first version did; None: True. A tokenizer.json says
                it by itself;
            add_prefix_space: put a space in front of each text; None: True, or as a tokenizer.json says.

    Raises:
        ImportError, OSError, ValueError, TypeError: as `SentencePieceTokenizer`; ValueError also for
            `additional_special_tokens` that have sentinels and not as many as `extra_ids`.
    """

    add_prefix_space = None
    tokenizer_class: ClassVar[str] = "T5Tokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {
        "extra_ids": whole_number,
        "legacy": boolean,
        "sp_model_kwargs": anything,
    }
    defaults: ClassVar[Mapping[str, Any]] = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    built_defaults: ClassVar[Mapping[str, Any]] = {
        name: AddedToken(token, special=True) for name, token in defaults.items()
    }
    template: ClassVar[Templates | None] = EACH_WITH_END

    def __init__(
        self,
        *vocabulary: str | os.PathLike[str] | None,
        extra_ids: int = 100,
        additional_special_tokens: Sequence[Token] | None = None,
        **settings: Any,
    ) -> None:
        more = with_sentinels(additional_special_tokens, extra_ids, type(self).__name__)
        super().__init__(*vocabulary, extra_ids=extra_ids, additional_special_tokens=more, **settings)

    def get_sentinel_tokens(self) -> list[str]:
        """The sentinels, `<extra_id_0>` first."""
        return [token for token in self.additional_special_tokens if "<extra_id_" in token]

    def get_sentinel_token_ids(self) -> list[int]:
        """The ids of the sentinels."""
        return self.convert_tokens_to_ids(self.get_sentinel_tokens())

    def _pieces(self, model: Any, settings: Mapping[str, Any]) -> tuple[Pieces, int]:
        pieces, unknown = super()._pieces(model, settings)
        return [*pieces, *((token, 0.0) for token in reversed(sentinels(settings["extra_ids"])))], unknown

    def _pre_tokenizer(self, settings: Mapping[str, Any]) -> pre_tokenizers.PreTokenizer | None:
        return pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=_scheme(settings))

    def _decoder(self, settings: Mapping[str, Any]) -> decoders.Decoder:
        return decoders.Metaspace(replacement=SPACE, prepend_scheme=_scheme(settings))


def _scheme(settings: Mapping[str, Any]) -> str:
    """Where a space is put, as the library calls it."""
    if settings.get("add_prefix_space") is False:
        return "never"
    return "first" if settings.get("legacy") is False else "always"


T5TokenizerFast = T5Tokenizer
MT5Tokenizer = T5Tokenizer
MT5TokenizerFast = T5Tokenizer
