"""Byte-level BPE from vocab.json and merges.txt (Radford et al. 2019), and the classes of the Hub that read these."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import tokenizers
from tokenizers import AddedToken, Regex, decoders, models, normalizers, pre_tokenizers, processors

from . import backend as backends
from . import files, patterns
from .base import Tokenizer
from .merges import build, read_merges
from .post_processor import BERT, ROBERTA, Templates
from .settings import BOS_EOS, Check, anything, boolean


class BPETokenizer(Tokenizer):
    """A tokenizer of byte-level BPE.

    Args:
        vocab_file, merges_file: the paths of a vocab.json and a merges.txt; or `tokenizer_file` or `tokenizer_object`
            as in `Tokenizer`.
        **settings: as in `Tokenizer`, and
            add_bos_token, add_eos_token: put them around each text, in classes that have no rows of their own;
            trim_offsets: offsets leave the spaces before words out, in those that have.

    Raises:
        OSError, ValueError, TypeError: as `Tokenizer`; ValueError also for texts in words where `add_prefix_space` is
            not set.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "vocab.json", "merges_file": "merges.txt"}
    own_settings: ClassVar[Mapping[str, Check]] = {"errors": anything, **BOS_EOS}
    words_need_prefix_space: ClassVar[bool] = True
    nfc: ClassVar[bool] = False
    """Whether texts are brought to the normal form NFC."""
    pattern: ClassVar[str | None] = None
    """The regular expression of which each match is a word; None: that of GPT-2."""
    individual_digits: ClassVar[bool] = False
    """Whether every digit is a word."""
    prefix_space_in_sequence: ClassVar[bool] = False
    """Whether `add_prefix_space` counts, too, where a tokenizer.json has a sequence of pre-tokenizers."""

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        files.check_complete(paths, self.vocab_files_names, type(self).__name__)
        vocabulary = files.read_ids(paths["vocab_file"])
        merges = read_merges(paths["merges_file"])
        backend = build(vocabulary, merges, str(paths["merges_file"]))
        if self.nfc:
            backend.normalizer = normalizers.NFC()
        parts: list[Any] = [pre_tokenizers.Digits(individual_digits=True)] if self.individual_digits else []
        parts += [] if self.pattern is None else [pre_tokenizers.Split(Regex(self.pattern), "isolated")]
        bytes_ = pre_tokenizers.ByteLevel(bool(settings.get("add_prefix_space")), use_regex=self.pattern is None)
        backend.pre_tokenizer = pre_tokenizers.Sequence([*parts, bytes_]) if parts else bytes_
        backend.decoder = decoders.ByteLevel()
        backend.post_processor = processors.ByteLevel(trim_offsets=False)
        return backend

    def _apply_settings(self, built: bool) -> None:
        super()._apply_settings(built)
        if self.prefix_space_in_sequence and self.add_prefix_space:
            backends.set_prefix_space(self._backend, True, in_sequence=True)

    def _vocabulary_files(self) -> dict[str, str | bytes]:
        model = self._backend.model
        if not isinstance(model, models.BPE):
            return {}
        with tempfile.TemporaryDirectory() as folder:
            model.save(folder)
            return {name: (Path(folder) / file).read_bytes() for name, file in BPETokenizer.vocab_files_names.items()}


class GPT2Tokenizer(BPETokenizer):
    """GPT-2's tokenizer.

    Args:
        vocab_file, merges_file: as in `BPETokenizer`.
        **settings: as in `BPETokenizer`; add_bos_token alone puts one in front of a row, be it of one text or two.
    """

    tokenizer_class: ClassVar[str] = "GPT2Tokenizer"
    defaults: ClassVar[Mapping[str, Any]] = dict.fromkeys(("unk_token", "bos_token", "eos_token"), "<|endoftext|>")
    built_defaults: ClassVar[Mapping[str, Any]] = dict.fromkeys(defaults, AddedToken("<|endoftext|>"))

    def _bos_eos(self, bos: bool, eos: bool) -> Templates:
        if bos and not eos:
            return "{bos_token}:0 $A:0", "{bos_token}:0 $A:0 $B:1"
        return super()._bos_eos(bos, eos)


class CodeGenTokenizer(GPT2Tokenizer):
    """GPT-2's tokenizer under the name of CodeGen (Nijkamp et al. 2022, arXiv 2203.13474).

    Args:
        vocab_file, merges_file: as in `BPETokenizer`.
        **settings: as in `GPT2Tokenizer`, and
            return_token_type_ids: calls return them.
    """

    tokenizer_class: ClassVar[str] = "CodeGenTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {
        **GPT2Tokenizer.own_settings,
        "return_token_type_ids": boolean,
    }
    built_defaults: ClassVar[Mapping[str, Any]] = dict.fromkeys(
        GPT2Tokenizer.defaults, AddedToken("<|endoftext|>", normalized=False, special=True)
    )

    def _apply_settings(self, built: bool) -> None:
        super()._apply_settings(built)
        if self._own_settings.get("return_token_type_ids") and "token_type_ids" not in self.model_input_names:
            self.model_input_names = [*self.model_input_names, "token_type_ids"]

    def _bos_eos_fields(self) -> dict[str, bool]:
        return {}  # with them the reference refuses the folder; tokenizer.json has the rows


class GPTNeoXTokenizer(BPETokenizer):
    """The tokenizer of GPT-NeoX and Pythia (Black et al. 2022, arXiv 2204.06745).

    Args:
        vocab_file, merges_file: as in `BPETokenizer`.
        **settings: as in `BPETokenizer`; add_bos_token and add_eos_token go before what a tokenizer.json says.
    """

    tokenizer_class: ClassVar[str] = "GPTNeoXTokenizer"
    defaults: ClassVar[Mapping[str, Any]] = {"add_bos_token": False, "add_eos_token": False, **GPT2Tokenizer.defaults}
    present_defaults: ClassVar[Mapping[str, str]] = {"pad_token": "<|padding|>"}
    words_need_prefix_space: ClassVar[bool] = False
    nfc: ClassVar[bool] = True


class Qwen2Tokenizer(BPETokenizer):
    """The tokenizer of Qwen2 and Qwen3 (Yang et al. 2024, arXiv 2407.10671)."""

    tokenizer_class: ClassVar[str] = "Qwen2Tokenizer"
    defaults: ClassVar[Mapping[str, Any]] = dict.fromkeys(
        ("unk_token", "eos_token", "pad_token"), AddedToken("<|endoftext|>", normalized=False, special=True)
    )
    words_need_prefix_space: ClassVar[bool] = False
    nfc: ClassVar[bool] = True
    pattern: ClassVar[str | None] = patterns.QWEN2
    prefix_space_in_sequence: ClassVar[bool] = True


class CohereTokenizer(BPETokenizer):
    """Cohere's tokenizer: digits one by one, a token in front of each text.

    Args:
        vocab_file, merges_file: as in `BPETokenizer`.
        **settings: as in `BPETokenizer`; add_bos_token and add_eos_token go before what a tokenizer.json says.
    """

    padding_side = "left"
    tokenizer_class: ClassVar[str] = "CohereTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {
        **BPETokenizer.own_settings,
        "use_default_system_prompt": boolean,
    }
    defaults: ClassVar[Mapping[str, Any]] = {
        "add_bos_token": True,
        "add_eos_token": False,
        "unk_token": "<UNK>",
        "bos_token": "<BOS_TOKEN>",
        "eos_token": "<|END_OF_TURN_TOKEN|>",
    }
    present_defaults: ClassVar[Mapping[str, str]] = {
        "pad_token": "<PAD>",
        "cls_token": "<CLS>",
        "sep_token": "<SEP>",
        "mask_token": "<MASK_TOKEN>",
    }
    nfc: ClassVar[bool] = True
    individual_digits: ClassVar[bool] = True
    prefix_space_in_sequence: ClassVar[bool] = True


class BloomTokenizer(BPETokenizer):
    """BLOOM's tokenizer (Scao et al. 2022, arXiv 2211.05100)."""

    tokenizer_class: ClassVar[str] = "BloomTokenizer"
    defaults: ClassVar[Mapping[str, Any]] = {
        "unk_token": "<unk>",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "pad_token": "<pad>",
    }
    pattern: ClassVar[str | None] = r" ?[^(\s|[.,!?…。，、।۔،])]+"
    prefix_space_in_sequence: ClassVar[bool] = True


class RobertaTokenizer(BPETokenizer):
    """RoBERTa's tokenizer: `<s> text </s>`, or `<s> text </s></s> pair </s>` (Liu et al. 2019, arXiv 1907.11692)."""

    tokenizer_class: ClassVar[str] = "RobertaTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {"errors": anything, "trim_offsets": boolean}
    defaults: ClassVar[Mapping[str, Any]] = {
        "trim_offsets": True,
        "bos_token": "<s>",
        "eos_token": "</s>",
        "sep_token": "</s>",
        "cls_token": "<s>",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": AddedToken("<mask>", lstrip=True, normalized=False),
    }
    built_defaults: ClassVar[Mapping[str, Any]] = {
        "bos_token": AddedToken("<s>"),
        "eos_token": AddedToken("</s>"),
        "sep_token": AddedToken("</s>"),
        "cls_token": AddedToken("<s>"),
        "unk_token": AddedToken("<unk>"),
        "pad_token": AddedToken("<pad>"),
    }
    template: ClassVar[Templates | None] = ROBERTA

    def _post_processor(self, templates: Templates) -> processors.PostProcessor:
        tokens = {role: getattr(self, f"{role}_token") for role in ("sep", "cls")}
        ids = {role: self._backend.token_to_id(token or "") for role, token in tokens.items()}
        for role, token in tokens.items():
            if ids[role] is None:
                raise ValueError(f"{type(self).__name__}: every row gets a {role}_token, and {token!r} has no id")
        kind: Any = processors.RobertaProcessing
        return kind(*((tokens[role], ids[role]) for role in tokens), **self._spaces())

    def _spaces(self) -> dict[str, bool]:
        return {
            "add_prefix_space": bool(self.add_prefix_space),
            "trim_offsets": bool(self._own_settings["trim_offsets"]),
        }

    def _apply_settings(self, built: bool) -> None:
        processor = self._backend.post_processor
        if built or not isinstance(processor, processors.RobertaProcessing | processors.ByteLevel):
            return super()._apply_settings(built)
        state = json.loads(processor.__getstate__())
        kind: Any = type(processor)
        tokens = [tuple(state[name]) for name in ("sep", "cls") if name in state]
        self._backend.post_processor = kind(
            *tokens, **{name: value for name, value in self._spaces().items() if name in state}
        )
        return None


class LongformerTokenizer(RobertaTokenizer):
    """RoBERTa's tokenizer under the name of Longformer."""

    tokenizer_class: ClassVar[str] = "LongformerTokenizer"


class BartTokenizer(RobertaTokenizer):
    """RoBERTa's tokenizer under the name of BART, with another `<mask>` (Lewis et al. 2019, arXiv 1910.13461)."""

    tokenizer_class: ClassVar[str] = "BartTokenizer"
    defaults: ClassVar[Mapping[str, Any]] = {
        **RobertaTokenizer.defaults,
        "mask_token": AddedToken("<mask>", lstrip=True, normalized=True, special=True),
    }


class LEDTokenizer(BartTokenizer):
    """BART's tokenizer under the name of LED; `pad` fills a `global_attention_mask` up with -1 (arXiv 2004.05150)."""

    tokenizer_class: ClassVar[str] = "LEDTokenizer"


class MvpTokenizer(RobertaTokenizer):
    """RoBERTa's tokenizer under the name of MVP (Tang et al. 2022, arXiv 2206.12131)."""

    tokenizer_class: ClassVar[str] = "MvpTokenizer"
    built_defaults: ClassVar[Mapping[str, Any]] = {
        name: AddedToken(token, normalized=False, special=True)
        for name, token in RobertaTokenizer.defaults.items()
        if isinstance(token, str)
    }


class BlenderbotTokenizer(RobertaTokenizer):
    """RoBERTa's pieces with an end alone: `text </s>` (Roller et al. 2020, arXiv 2004.13637).

    Rows of pairs are both texts without anything between or behind, as the reference has them.
    """

    tokenizer_class: ClassVar[str] = "BlenderbotTokenizer"
    template: ClassVar[Templates | None] = ("$A:0 {eos_token}:0", "$A:0 $B:1")

    def _config(self) -> dict[str, Any]:
        # The space stands there in any case: in version 5 of the reference there is one unless the file says otherwise
        return super()._config() | {"add_prefix_space": self.add_prefix_space}

    def _post_processor(self, templates: Templates) -> processors.PostProcessor:
        return Tokenizer._post_processor(self, templates)


class LukeTokenizer(RobertaTokenizer):
    """RoBERTa's tokenizer with two marks for entities (Yamada et al. 2020, arXiv 2010.01057); of texts, no entities.

    Args:
        vocab_file, merges_file: as in `RobertaTokenizer`.
        entity_vocab_file: the path of an entity_vocab.json, which is kept as it is.
        **settings: as in `RobertaTokenizer`.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {
        **RobertaTokenizer.vocab_files_names,
        "entity_vocab_file": "entity_vocab.json",
    }
    tokenizer_class: ClassVar[str] = "LukeTokenizer"
    keeps_files: ClassVar[bool] = True
    defaults: ClassVar[Mapping[str, Any]] = {
        **RobertaTokenizer.defaults,
        "additional_special_tokens": [AddedToken("<ent>"), AddedToken("<ent2>")],
    }
    built_defaults: ClassVar[Mapping[str, Any]] = {
        **RobertaTokenizer.built_defaults,
        "mask_token": AddedToken("<mask>", lstrip=True),
    }

    def _vocabulary_files(self) -> dict[str, str | bytes]:
        return self._file_contents | super()._vocabulary_files()


class DebertaTokenizer(BPETokenizer):
    """DeBERTa's tokenizer: GPT-2's pieces in BERT's rows (He et al. 2020, arXiv 2006.03654)."""

    model_input_names = ["input_ids", "attention_mask", "token_type_ids"]  # noqa: RUF012 - replaced whole
    tokenizer_class: ClassVar[str] = "DebertaTokenizer"
    own_settings: ClassVar[Mapping[str, Check]] = {"errors": anything}
    defaults: ClassVar[Mapping[str, Any]] = {
        "bos_token": "[CLS]",
        "eos_token": "[SEP]",
        "sep_token": "[SEP]",
        "cls_token": "[CLS]",
        "unk_token": "[UNK]",
        "pad_token": "[PAD]",
        "mask_token": "[MASK]",
    }
    built_defaults: ClassVar[Mapping[str, Any]] = {
        **{name: AddedToken(token, special=True) for name, token in defaults.items()},
        "mask_token": AddedToken("[MASK]", lstrip=True),
    }
    template: ClassVar[Templates | None] = BERT


GPT2TokenizerFast = GPT2Tokenizer
CodeGenTokenizerFast = CodeGenTokenizer
GPTNeoXTokenizerFast = GPTNeoXTokenizer
Qwen2TokenizerFast = Qwen2Tokenizer
CohereTokenizerFast = CohereTokenizer
BloomTokenizerFast = BloomTokenizer
RobertaTokenizerFast = RobertaTokenizer
LongformerTokenizerFast = LongformerTokenizer
BartTokenizerFast = BartTokenizer
LEDTokenizerFast = LEDTokenizer
MvpTokenizerFast = MvpTokenizer
BlenderbotTokenizerFast = BlenderbotTokenizer
DebertaTokenizerFast = DebertaTokenizer
