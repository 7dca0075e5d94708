"""ProphetNet's tokenizer: BERT's pieces with an end alone (Qi et al. 2020, arXiv 2001.04063)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tokenizers import Regex, normalizers

from .bert import BertTokenizer
from .pieces import AddedTokensApart
from .post_processor import Templates
from .settings import Check, optional_string


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
