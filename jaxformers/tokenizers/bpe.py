"""Byte-level BPE from vocab.json and merges.txt (Radford et al. 2019), and the classes of the Hub that read these."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors

from . import files
from .base import Tokenizer
from .merges import build, read_merges


class BPETokenizer(Tokenizer):
    """A tokenizer of byte-level BPE.

    Args:
        vocab_file, merges_file: the paths of a vocab.json and a merges.txt; or `tokenizer_file` or `tokenizer_object`
            as in `Tokenizer`.
        **settings: as in `Tokenizer`, and
            trim_offsets: offsets leave the spaces before words out.

    Raises:
        OSError, ValueError, TypeError: as `Tokenizer`; ValueError also for texts in words where `add_prefix_space` is
            not set.
    """

    vocab_files_names: ClassVar[Mapping[str, str]] = {"vocab_file": "vocab.json", "merges_file": "merges.txt"}
    own_settings: ClassVar[Mapping[str, files.Check]] = {"errors": files.anything}
    words_need_prefix_space: ClassVar[bool] = True

    def _build(self, paths: Mapping[str, Path], settings: Mapping[str, Any]) -> tokenizers.Tokenizer:
        missing = [file for name, file in self.vocab_files_names.items() if name not in paths]
        if missing:
            raise ValueError(f"{type(self).__name__} needs {' and '.join(missing)}, or a {files.BACKEND}")
        vocabulary = files.read_ids(paths["vocab_file"])
        merges = read_merges(paths["merges_file"])
        backend = build(vocabulary, merges, str(paths["merges_file"]))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=bool(settings.get("add_prefix_space")))
        backend.decoder = decoders.ByteLevel()
        backend.post_processor = processors.ByteLevel(trim_offsets=False)
        return backend

    def _vocabulary(self) -> dict[str, str | bytes]:
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
        **settings: as in `BPETokenizer`, and
            add_bos_token: put `bos_token` in front of each text.
    """

    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - replaced whole
    own_name: ClassVar[str] = "GPT2Tokenizer"
    own_settings: ClassVar[Mapping[str, files.Check]] = {**BPETokenizer.own_settings, "add_bos_token": files.boolean}
    defaults: ClassVar[Mapping[str, Any]] = dict.fromkeys(("unk_token", "bos_token", "eos_token"), "<|endoftext|>")
    built_defaults: ClassVar[Mapping[str, Any]] = dict.fromkeys(defaults, AddedToken("<|endoftext|>"))

    def _template(self) -> tuple[str, str] | None:
        return ("{bos_token}:0 $A:0", "{bos_token}:0 $A:0 $B:1") if self._own.get("add_bos_token") else None


class RobertaTokenizer(BPETokenizer):
    """RoBERTa's tokenizer: `<s> text </s>`, or `<s> text </s></s> pair </s>` (Liu et al. 2019, arXiv 1907.11692)."""

    model_input_names = ["input_ids", "attention_mask"]  # noqa: RUF012 - replaced whole
    own_name: ClassVar[str] = "RobertaTokenizer"
    own_settings: ClassVar[Mapping[str, files.Check]] = {**BPETokenizer.own_settings, "trim_offsets": files.boolean}
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
    template: ClassVar[tuple[str, str] | None] = (
        "{cls_token}:0 $A:0 {sep_token}:0",
        "{cls_token}:0 $A:0 {sep_token}:0 {sep_token}:0 $B:0 {sep_token}:0",
    )

    def _processor(self) -> processors.PostProcessor:
        tokens = {role: getattr(self, f"{role}_token") for role in ("sep", "cls")}
        ids = {role: self._backend.token_to_id(token or "") for role, token in tokens.items()}
        for role, token in tokens.items():
            if ids[role] is None:
                raise ValueError(f"{type(self).__name__}: every row gets a {role}_token, and {token!r} has no id")
        kind: Any = processors.RobertaProcessing
        return kind(*((tokens[role], ids[role]) for role in tokens), **self._spaces())

    def _spaces(self) -> dict[str, bool]:
        return {"add_prefix_space": bool(self.add_prefix_space), "trim_offsets": bool(self._own["trim_offsets"])}

    def _finish(self, built: bool) -> None:
        processor = self._backend.post_processor
        if built or not isinstance(processor, processors.RobertaProcessing | processors.ByteLevel):
            return super()._finish(built)
        state = json.loads(processor.__getstate__())
        kind: Any = type(processor)
        tokens = [tuple(state[name]) for name in ("sep", "cls") if name in state]
        self._backend.post_processor = kind(
            *tokens, **{name: value for name, value in self._spaces().items() if name in state}
        )
        return None


class LongformerTokenizer(RobertaTokenizer):
    """RoBERTa's tokenizer under the name of Longformer."""

    own_name: ClassVar[str] = "LongformerTokenizer"


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
    own_name: ClassVar[str] = "LukeTokenizer"
    keeps_files: ClassVar[bool] = True
    defaults: ClassVar[Mapping[str, Any]] = {
        **RobertaTokenizer.defaults,
        "additional_special_tokens": [AddedToken("<ent>"), AddedToken("<ent2>")],
    }
    built_defaults: ClassVar[Mapping[str, Any]] = {
        **RobertaTokenizer.built_defaults,
        "mask_token": AddedToken("<mask>", lstrip=True),
    }

    def _vocabulary(self) -> dict[str, str | bytes]:
        return self._files | super()._vocabulary()


class DebertaTokenizer(BPETokenizer):
    """DeBERTa's tokenizer: GPT-2's pieces in BERT's rows (He et al. 2020, arXiv 2006.03654)."""

    model_input_names = ["input_ids", "attention_mask", "token_type_ids"]  # noqa: RUF012 - replaced whole
    own_name: ClassVar[str] = "DebertaTokenizer"
    own_settings: ClassVar[Mapping[str, files.Check]] = {**BPETokenizer.own_settings, "add_bos_token": files.boolean}
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
    template: ClassVar[tuple[str, str] | None] = (
        "{cls_token}:0 $A:0 {sep_token}:0",
        "{cls_token}:0 $A:0 {sep_token}:0 $B:1 {sep_token}:1",
    )


GPT2TokenizerFast = GPT2Tokenizer
RobertaTokenizerFast = RobertaTokenizer
LongformerTokenizerFast = LongformerTokenizer
DebertaTokenizerFast = DebertaTokenizer
