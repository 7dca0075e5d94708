"""The tokenizers of Llama and Gemma: sentencepiece's BPE, with bytes for characters that have no piece."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tokenizers import AddedToken, decoders, pre_tokenizers

from . import metaspace
from .metaspace import SPACE
from .sentencepiece import Pieces, SentencePieceTokenizer
from .settings import BOS_EOS, Check, boolean


class LlamaTokenizer(SentencePieceTokenizer):
    """Llama's tokenizer: BPE with bytes for characters without a piece (Touvron et al. 2023, arXiv 2302.13971).

    Args:
        vocab_file: as in `SentencePieceTokenizer`.
        **settings: as in `Tokenizer`, and
            add_bos_token, add_eos_token: put them around each text;
            add_prefix_space: put a space in front of each text; None: True, or as a tokenizer.json says;
            legacy: put it also behind special tokens, as the first version did; None: True.
    """

    padding_side = "left"
    add_prefix_space = None
    byte_fallback: ClassVar[bool] = True
    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "tokenizer.model"}
    tokenizer_class: ClassVar[str] = "LlamaTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {
        **BOS_EOS,
        **dict.fromkeys(("legacy", "use_default_system_prompt", "spaces_between_special_tokens"), boolean),
    }
    defaults: ClassVar[Mapping[str, Any]] = {
        "add_bos_token": True,
        "add_eos_token": False,
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    built_defaults: ClassVar[Mapping[str, Any]] = {
        name: AddedToken(token, normalized=False, special=True)
        for name, token in (("unk_token", "<unk>"), ("bos_token", "<s>"), ("eos_token", "</s>"))
    }

    def _pieces(self, model: Any, settings: Mapping[str, Any]) -> tuple[Pieces, int]:
        pieces, _ = super()._pieces(model, settings)
        return [*((piece, 0.0) for piece, _ in pieces[:3]), *pieces[3:]], 0

    def _normalizers(self, own: list[Any], settings: Mapping[str, Any]) -> list[Any]:
        return metaspace.normalizer_steps(_spaced(settings)) if _legacy(settings) else []

    def _pre_tokenizer(self, settings: Mapping[str, Any]) -> pre_tokenizers.PreTokenizer | None:
        if _legacy(settings):
            return None
        scheme = "first" if _spaced(settings) else "never"
        return pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=scheme, split=False)

    def _decoder(self, settings: Mapping[str, Any]) -> decoders.Decoder:
        return metaspace.decoder(_spaced(settings))


class GemmaTokenizer(SentencePieceTokenizer):
    """Gemma's tokenizer: Llama's pieces without a space in front of texts (Gemma Team 2024, arXiv 2403.08295).

    Args:
        vocab_file: as in `SentencePieceTokenizer`.
        **settings: as in `LlamaTokenizer`, without add_prefix_space and legacy.
    """

    padding_side = "left"
    byte_fallback: ClassVar[bool] = True
    special_pieces: ClassVar[tuple[str, ...]] = ("<start_of_turn>", "<end_of_turn>")
    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "tokenizer.model"}
    tokenizer_class: ClassVar[str] = "GemmaTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {
        **BOS_EOS,
        **dict.fromkeys(("use_default_system_prompt", "spaces_between_special_tokens"), boolean),
    }
    defaults: ClassVar[Mapping[str, Any]] = {
        "add_bos_token": True,
        "add_eos_token": False,
        "unk_token": "<unk>",
        "bos_token": "<bos>",
        "eos_token": "<eos>",
        "pad_token": "<pad>",
    }
    built_defaults: ClassVar[Mapping[str, Any]] = {
        name: AddedToken(token, normalized=False, special=True)
        for name, token in defaults.items()
        if isinstance(token, str)
    }
    present_defaults: ClassVar[Mapping[str, str]] = {"mask_token": "<mask>"}

    def _pieces(self, model: Any, settings: Mapping[str, Any]) -> tuple[Pieces, int]:
        pieces, _ = super()._pieces(model, settings)
        pieces = [*((piece, 0.0) for piece, _ in pieces[:3]), *pieces[3:]]
        if not any(piece == "\t" for piece, _ in pieces):  # some files have only the tab's byte, which merges need
            pieces = [("\t", 0.0) if piece == "<0x09>" else (piece, score) for piece, score in pieces]
        return pieces, 3

    def _normalizers(self, own: list[Any], settings: Mapping[str, Any]) -> list[Any]:
        return metaspace.normalizer_steps(False)

    def _pre_tokenizer(self, settings: Mapping[str, Any]) -> pre_tokenizers.PreTokenizer | None:
        return pre_tokenizers.Split(" ", "merged_with_previous")

    def _decoder(self, settings: Mapping[str, Any]) -> decoders.Decoder:
        return metaspace.decoder(False)


def _legacy(settings: Mapping[str, Any]) -> bool:
    return settings.get("legacy") is not False


def _spaced(settings: Mapping[str, Any]) -> bool:
    return settings.get("add_prefix_space") is not False


LlamaTokenizerFast = LlamaTokenizer
GemmaTokenizerFast = GemmaTokenizer
