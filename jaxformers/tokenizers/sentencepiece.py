"""Tokenizers from the .model files of sentencepiece (Kudo and Richardson 2018, arXiv 1808.06226): Unigram and BPE.

As in the reference, the `tokenizers` library does the work on what the file holds; where sentencepiece itself would
answer otherwise, the reference's answer counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers

from . import files, merges
from .backend import as_value_error
from .base import Tokenizer
from .metaspace import SPACE
from .post_processor import BERT, ROBERTA, Templates
from .settings import Check, boolean

Pieces = list[tuple[str, float]]
"""Tokens with their logarithmic probabilities (Unigram) or ranks (BPE), in the order of their ids."""

_UNIGRAM, _BPE = 1, 2
_CONTROL, _USER_DEFINED = 3, 4


def read(path: Path) -> Any:
    """The `ModelProto` in a file.

    Raises:
        ImportError: sentencepiece, which has the format's description, is not installed.
        OSError: the file cannot be read.
        ValueError: it is no model of sentencepiece, or of a kind that is not known here.
    """
    try:
        from google.protobuf.message import DecodeError
        from sentencepiece import sentencepiece_model_pb2
    except ImportError:
        raise ImportError(
            f"{path} is a model of sentencepiece: pip install 'jaxformers[sentencepiece]' to read it"
        ) from None
    files.check_size(path)
    model = vars(sentencepiece_model_pb2)["ModelProto"]()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ValueError(f"{path}: no model of sentencepiece ({error})") from None
    if not model.pieces:
        raise ValueError(f"{path}: no model of sentencepiece, or one without pieces")
    if model.trainer_spec.model_type not in (_UNIGRAM, _BPE):
        raise ValueError(f"{path}: model_type {model.trainer_spec.model_type} is neither Unigram (1) nor BPE (2)")
    if not 0 <= model.trainer_spec.unk_id < len(model.pieces):
        raise ValueError(f"{path}: unk_id {model.trainer_spec.unk_id} is none of {len(model.pieces)} pieces")
    for index, piece in enumerate(model.pieces):
        if not math.isfinite(piece.score):
            raise ValueError(f"{path}: piece {index} ({piece.piece!r:.40}) has the score {piece.score}")
    return model


class SentencePieceTokenizer(Tokenizer):
    """A tokenizer from a .model file.

    Args:
        vocab_file: the path of the .model file; or `tokenizer_file` or `tokenizer_object` as in `Tokenizer`.
        **settings: as in `Tokenizer`, and those of the class.

    Raises:
        ImportError: sentencepiece is not installed.
        OSError, ValueError, TypeError: as `Tokenizer`.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "spiece.model"}
    keeps_files: ClassVar[bool] = True
    own_settings: ClassVar[Mapping[str, Check]] = {}
    special_pieces: ClassVar[tuple[str, ...]] = ()
    """Pieces that the file calls the user's own and that are special."""
    byte_fallback: ClassVar[bool] = False
    """Whether characters without a piece become pieces of their bytes, where the file has these."""

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        if "vocab_file" not in paths:
            name = self.vocab_files_names["vocab_file"]
            raise ValueError(f"{type(self).__name__} needs vocab_file= (a {name}), or a {files.TOKENIZER}")
        path = paths["vocab_file"]
        model = read(path)
        pieces, unknown = self._pieces(model, settings)
        with as_value_error(f"{path}: its pieces cannot be used"):
            if model.trainer_spec.model_type == _UNIGRAM:
                algorithm = models.Unigram(pieces, unknown, self.byte_fallback)
                backend = tokenizers.Tokenizer(algorithm)
            else:
                original = {piece.piece: index for index, piece in enumerate(model.pieces)}
                ids = {piece: index for index, (piece, _) in enumerate(pieces)}
                backend = merges.build(
                    ids,
                    merges.merges_of(original | ids, dict(pieces)),
                    str(path),
                    unk_token=model.trainer_spec.unk_piece,
                    fuse_unk=True,
                    byte_fallback=self.byte_fallback,
                )
            backend.add_tokens(
                [
                    AddedToken(
                        piece.piece,
                        normalized=False,
                        special=piece.type == _CONTROL or piece.piece in self.special_pieces,
                    )
                    for piece in model.pieces
                    if piece.type in (_CONTROL, _USER_DEFINED)
                ]
            )
        charsmap = model.normalizer_spec.precompiled_charsmap
        with as_value_error(f"{path}: precompiled_charsmap cannot be used"):
            own = [normalizers.Precompiled(charsmap)] if charsmap else []
            parts = self._normalizers(own, settings)
            if parts:
                backend.normalizer = normalizers.Sequence(parts)
                backend.normalizer.normalize_str("a Ａé ①\t漢")  # what a malformed one dies of, it dies of now
        pre_tokenizer = self._pre_tokenizer(settings)
        if pre_tokenizer is not None:
            backend.pre_tokenizer = pre_tokenizer
        backend.decoder = self._decoder(settings)
        return backend

    def _pieces(self, model: Any, settings: Mapping[str, Any]) -> tuple[Pieces, int]:
        """The vocabulary, and the id of what stands for unknown characters."""
        return [(piece.piece, piece.score) for piece in model.pieces], model.trainer_spec.unk_id

    def _normalizers(self, own: list[Any], settings: Mapping[str, Any]) -> list[Any]:
        """What happens to texts first; `own`: what the file says of it."""
        return [*own, normalizers.Strip(left=False, right=True), normalizers.Replace(Regex(" {2,}"), SPACE)]

    def _pre_tokenizer(self, settings: Mapping[str, Any]) -> pre_tokenizers.PreTokenizer | None:
        """What splits texts into words."""
        return pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme="always")

    def _decoder(self, settings: Mapping[str, Any]) -> decoders.Decoder:
        """What makes texts of pieces."""
        return decoders.Metaspace(replacement=SPACE, prepend_scheme="always")


_ROBERTA_ROLES = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "sep_token": "</s>",
    "cls_token": "<s>",
    "unk_token": "<unk>",
    "pad_token": "<pad>",
    "mask_token": AddedToken("<mask>", lstrip=True),
}


class XLMRobertaTokenizer(SentencePieceTokenizer):
    """XLM-R's tokenizer: fairseq's order, `<s> <pad> </s> <unk>` before and `<mask>` behind the pieces of the file
    (Conneau et al. 2019, arXiv 1911.02116).
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "sentencepiece.bpe.model"}
    tokenizer_class: ClassVar[str] = "XLMRobertaTokenizer"
    defaults: ClassVar[Mapping[str, Any]] = _ROBERTA_ROLES
    built_defaults: ClassVar[Mapping[str, Any]] = {"mask_token": AddedToken("<mask>", lstrip=True, special=True)}
    template: ClassVar[Templates | None] = ROBERTA

    def _pieces(self, model: Any, settings: Mapping[str, Any]) -> tuple[Pieces, int]:
        first = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")]
        return [*first, *super()._pieces(model, settings)[0][3:], ("<mask>", 0.0)], 3


class CamembertTokenizer(XLMRobertaTokenizer):
    """CamemBERT's tokenizer: `<s>` and `</s>` are those of the file, behind five that are its own (Martin et al. 2019,
    arXiv 1911.03894).
    """

    tokenizer_class: ClassVar[str] = "CamembertTokenizer"
    defaults: ClassVar[Mapping[str, Any]] = {
        **_ROBERTA_ROLES,
        "mask_token": AddedToken("<mask>", lstrip=True, special=True),
        "additional_special_tokens": ["<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"],
    }
    built_defaults: ClassVar[Mapping[str, Any]] = {
        "mask_token": AddedToken("<mask>", lstrip=True, normalized=False, special=True)
    }

    def _pieces(self, model: Any, settings: Mapping[str, Any]) -> tuple[Pieces, int]:
        first = [(piece, 0.0) for piece in ("<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>")]
        first.append(("<unk>NOTUSED", -100.0))
        pieces = [(piece.piece, piece.score) for piece in model.pieces]
        return [*first, *pieces[1:], ("<mask>", 0.0)], 3


class AlbertTokenizer(SentencePieceTokenizer):
    """ALBERT's tokenizer (Lan et al. 2019, arXiv 1909.11942).

    Args:
        vocab_file: as in `SentencePieceTokenizer`.
        **settings: as in `Tokenizer`, and
            do_lower_case: lowercase texts;
            keep_accents: else accents are removed;
            remove_space: changes nothing, as in the reference's fast tokenizers.
    """

    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]  # noqa: RUF012 - replaced whole
    tokenizer_class: ClassVar[str] = "AlbertTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = dict.fromkeys(
        ("do_lower_case", "keep_accents", "remove_space"), boolean
    )
    defaults: ClassVar[Mapping[str, Any]] = {
        "do_lower_case": True,
        "keep_accents": False,
        "remove_space": True,
        "bos_token": "[CLS]",
        "eos_token": "[SEP]",
        "unk_token": "<unk>",
        "sep_token": "[SEP]",
        "pad_token": "<pad>",
        "cls_token": "[CLS]",
        "mask_token": AddedToken("[MASK]", lstrip=True, normalized=False),
    }
    template: ClassVar[Templates | None] = BERT

    def _pieces(self, model: Any, settings: Mapping[str, Any]) -> tuple[Pieces, int]:
        pieces, unknown = super()._pieces(model, settings)
        return [(piece, score - 100 * _number_and_comma(piece)) for piece, score in pieces], unknown

    def _normalizers(self, own: list[Any], settings: Mapping[str, Any]) -> list[Any]:
        return [*_quotes(), *_plain(settings), *own, _one_space()]


class FNetTokenizer(AlbertTokenizer):
    """ALBERT's tokenizer with FNet's settings; a model of FNet has no use for an attention mask."""

    model_input_names = ["input_ids", "token_type_ids"]  # noqa: RUF012 - replaced whole
    tokenizer_class: ClassVar[str] = "FNetTokenizer"
    defaults: ClassVar[Mapping[str, Any]] = {
        **{name: value for name, value in AlbertTokenizer.defaults.items() if name not in ("bos_token", "eos_token")},
        "do_lower_case": False,
        "keep_accents": True,
        "sep_token": AddedToken("[SEP]"),
        "cls_token": AddedToken("[CLS]"),
        "mask_token": AddedToken("[MASK]", lstrip=True),
    }
    built_defaults: ClassVar[Mapping[str, Any]] = {
        "sep_token": AddedToken("[SEP]", special=True),
        "cls_token": AddedToken("[CLS]", special=True),
        "mask_token": AddedToken("[MASK]", lstrip=True, special=True),
    }


class XLNetTokenizer(AlbertTokenizer):
    """XLNet's tokenizer: `text <sep> <cls>`, padded on the left (Yang et al. 2019, arXiv 1906.08237)."""

    padding_side = "left"
    pad_token_type_id = 3
    tokenizer_class: ClassVar[str] = "XLNetTokenizer"
    defaults: ClassVar[Mapping[str, Any]] = {
        "do_lower_case": False,
        "keep_accents": False,
        "remove_space": True,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "sep_token": "<sep>",
        "pad_token": "<pad>",
        "cls_token": "<cls>",
        "mask_token": AddedToken("<mask>", lstrip=True),
        "additional_special_tokens": ["<eop>", "<eod>"],
    }
    built_defaults: ClassVar[Mapping[str, Any]] = {"mask_token": AddedToken("<mask>", lstrip=True, special=True)}
    template: ClassVar[Templates | None] = (
        "$A:0 {sep_token}:0 {cls_token}:2",
        "$A:0 {sep_token}:0 $B:1 {sep_token}:1 {cls_token}:2",
    )


class RemBertTokenizer(SentencePieceTokenizer):
    """RemBERT's tokenizer (Chung et al. 2020, arXiv 2010.12821); settings as `AlbertTokenizer`."""

    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]  # noqa: RUF012 - replaced whole
    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "sentencepiece.model"}
    tokenizer_class: ClassVar[str] = "RemBertTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = AlbertTokenizer.own_settings
    defaults: ClassVar[Mapping[str, Any]] = {
        **AlbertTokenizer.defaults,
        "mask_token": AddedToken("[MASK]", lstrip=True),
    }
    built_defaults: ClassVar[Mapping[str, Any]] = {
        "do_lower_case": False,
        "keep_accents": True,
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
    }
    template: ClassVar[Templates | None] = BERT

    def _normalizers(self, own: list[Any], settings: Mapping[str, Any]) -> list[Any]:
        return [*_quotes(), _one_space(), *_plain(settings), *own]


class BigBirdTokenizer(SentencePieceTokenizer):
    """BigBird's tokenizer (Zaheer et al. 2020, arXiv 2007.14062)."""

    tokenizer_class: ClassVar[str] = "BigBirdTokenizer"
    defaults: ClassVar[Mapping[str, Any]] = {
        "unk_token": AddedToken("<unk>"),
        "bos_token": AddedToken("<s>"),
        "eos_token": AddedToken("</s>"),
        "pad_token": AddedToken("<pad>"),
        "sep_token": AddedToken("[SEP]"),
        "cls_token": AddedToken("[CLS]"),
        "mask_token": AddedToken("[MASK]", lstrip=True),
    }
    template: ClassVar[Templates | None] = BERT


class DebertaV2Tokenizer(SentencePieceTokenizer):
    """The tokenizer of DeBERTa-v2 and -v3 (He et al. 2021, arXiv 2111.09543).

    Args:
        vocab_file: as in `SentencePieceTokenizer`.
        **settings: as in `Tokenizer`, and
            do_lower_case: lowercase texts;
            split_by_punct: every punctuation mark is a word.
    """

    model_input_names = ["input_ids", "token_type_ids", "attention_mask"]  # noqa: RUF012 - replaced whole
    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "spm.model"}
    tokenizer_class: ClassVar[str] = "DebertaV2Tokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = dict.fromkeys(("do_lower_case", "split_by_punct"), boolean)
    defaults: ClassVar[Mapping[str, Any]] = {
        "do_lower_case": False,
        "split_by_punct": False,
        "bos_token": "[CLS]",
        "eos_token": "[SEP]",
        "unk_token": "[UNK]",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }
    built_defaults: ClassVar[Mapping[str, Any]] = {"unk_token": AddedToken("[UNK]", normalized=True, special=True)}
    template: ClassVar[Templates | None] = BERT

    def _normalizers(self, own: list[Any], settings: Mapping[str, Any]) -> list[Any]:
        lower = [normalizers.Lowercase()] if settings["do_lower_case"] else []
        return [*lower, normalizers.Strip(), *own, _one_space()]

    def _pre_tokenizer(self, settings: Mapping[str, Any]) -> pre_tokenizers.PreTokenizer | None:
        marks = [pre_tokenizers.Punctuation(behavior="isolated")] if settings["split_by_punct"] else []
        return pre_tokenizers.Sequence([*marks, super()._pre_tokenizer(settings)])


class XGLMTokenizer(SentencePieceTokenizer):
    """XGLM's tokenizer: fairseq's order as in `XLMRobertaTokenizer`, then seven words that stand for nothing; rows are
    `</s> text` (Lin et al. 2021, arXiv 2112.10668).
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "sentencepiece.bpe.model"}
    tokenizer_class: ClassVar[str] = "XGLMTokenizer"
    defaults: ClassVar[Mapping[str, Any]] = {
        **{name: token for name, token in _ROBERTA_ROLES.items() if name != "mask_token"},
        "additional_special_tokens": [f"<madeupword{number}>" for number in range(7)],
    }
    template: ClassVar[Templates | None] = (
        "{sep_token}:0 $A:0",
        "{sep_token}:0 $A:0 {sep_token}:0 {sep_token}:0 $B:0",
    )

    def _pieces(self, model: Any, settings: Mapping[str, Any]) -> tuple[Pieces, int]:
        first = [(piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")]
        last = [(piece, 0.0) for piece in self.defaults["additional_special_tokens"]]
        return [*first, *super()._pieces(model, settings)[0][3:], *last], 3


def _quotes() -> list[Any]:
    """Two marks that stand for a quotation mark become one."""
    return [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]


def _plain(settings: Mapping[str, Any]) -> list[Any]:
    """Without accents and capitals, as the settings say."""
    accents = [] if settings["keep_accents"] else [normalizers.NFKD(), normalizers.StripAccents()]
    return [*accents, normalizers.Lowercase()] if settings["do_lower_case"] else accents


def _one_space() -> Any:
    return normalizers.Replace(Regex(" {2,}"), " ")


def _number_and_comma(piece: str) -> bool:
    """Whether a piece ends in a digit and a comma, which are never to be one piece."""
    return len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()


XLMRobertaTokenizerFast = XLMRobertaTokenizer
CamembertTokenizerFast = CamembertTokenizer
AlbertTokenizerFast = AlbertTokenizer
FNetTokenizerFast = FNetTokenizer
XLNetTokenizerFast = XLNetTokenizer
RemBertTokenizerFast = RemBertTokenizer
BigBirdTokenizerFast = BigBirdTokenizer
DebertaV2TokenizerFast = DebertaV2Tokenizer
XGLMTokenizerFast = XGLMTokenizer
