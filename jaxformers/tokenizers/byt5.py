"""ByT5's tokenizer: every byte of a text is a token, and no file is needed (Xue et al. 2021, arXiv 2105.13626)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers

from .pieces import AddedTokensApart
from .post_processor import Templates
from .settings import Check, whole_number
from .special import Token, text_of
from .t5 import EACH_WITH_END, with_sentinels
from .tiktoken import bytes_to_unicode


class ByT5Tokenizer(AddedTokensApart):
    """ByT5's tokenizer: `bytes </s>`, or `bytes </s> bytes of the pair </s>`.

    Tokens of bytes that cannot be printed are written as in GPT-2's vocabulary: `Ġ` for a space.

    Args:
        extra_ids: how many sentinels `<extra_id_0>`, ... there are behind the bytes.
        additional_special_tokens: special tokens without a role; the sentinels are added if none is among them.
        **settings: as in `Tokenizer`, `tokenizer_file` and `tokenizer_object` too.

    Raises:
        OSError, ValueError, TypeError: as `Tokenizer`; ValueError also for `additional_special_tokens` that have
            sentinels and not as many as `extra_ids`.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {}
    tokenizer_class: ClassVar[str] = "ByT5Tokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {"extra_ids": whole_number}
    defaults: ClassVar[Mapping[str, Any]] = {
        name: AddedToken(token, lstrip=True, rstrip=True, special=True, normalized=False)
        for name, token in (("eos_token", "</s>"), ("unk_token", "<unk>"), ("pad_token", "<pad>"))
    }
    template: ClassVar[Templates | None] = EACH_WITH_END

    def __init__(
        self,
        *,
        extra_ids: int = 125,
        additional_special_tokens: Sequence[Token] | None = None,
        **settings: Any,
    ) -> None:
        more = with_sentinels(additional_special_tokens, extra_ids, type(self).__name__)
        super().__init__(extra_ids=extra_ids, additional_special_tokens=more, **settings)

    @property
    def vocab_size(self) -> int:
        """The bytes: special tokens do not count."""
        return 256

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        codes = {letter: bytes([code]) for code, letter in bytes_to_unicode().items()}
        return b"".join(codes.get(token) or token.encode() for token in tokens).decode(errors="ignore")

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        roles = [text_of(settings[role]) for role in ("pad_token", "eos_token", "unk_token")]
        letters = [letter for _, letter in sorted(bytes_to_unicode().items())]
        vocabulary = {token: index for index, token in enumerate([*roles, *letters])}
        backend = tokenizers.Tokenizer(models.BPE(vocabulary, []))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        backend.decoder = decoders.ByteLevel()
        return backend
