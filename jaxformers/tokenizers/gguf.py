"""The tokenizer that a GGUF file holds: byte-level BPE with its merges, or sentencepiece's BPE by scores.

A file names its pre-tokenizer, which splits texts into words, as llama.cpp does ("tokenizer.ggml.pre"); the table says
what is meant.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from tokenizers import AddedToken, Regex, decoders, normalizers, pre_tokenizers, processors

from ..gguf import Header, read_file
from . import merges, metaspace, patterns, post_processor
from .backend import as_value_error

logger = logging.getLogger(__name__)

_LONGEST = 4096  # characters of a token: looking for its merges takes the square of it
_NORMAL, _UNKNOWN, _CONTROL, _USER_DEFINED, _BYTE = 1, 2, 3, 4, 6  # in tokenizer.ggml.token_type; 5 is no token

# Roles by the file's names for them.
_ROLES: Mapping[str, str] = {
    "bos_token": "bos",
    "eos_token": "eos",
    "unk_token": "unknown",
    "pad_token": "padding",
    "sep_token": "seperator",  # as the format spells it
    "cls_token": "cls",
    "mask_token": "mask",
}
_SENTENCEPIECE_IDS: Mapping[str, int] = {"unk_token": 0, "bos_token": 1, "eos_token": 2}  # unless said

# Phi-3's special tokens swallow the spaces behind them, but for these.
_TIGHT = ("<unk>", "<s>", "<|endoftext|>")

_Step = str | Callable[[], pre_tokenizers.PreTokenizer]
"""A pattern of which each match is a word; or what the tokenizers library has a name for."""


@dataclass(frozen=True)
class _PreTokenization:
    """How byte-level BPE splits texts.

    Attributes:
        steps: applied one after the other.
        gpt2: split as GPT-2 does too.
        ignore_merges: words that are tokens stay whole, whatever the merges.
        add_bos: a text begins with bos unless the file says otherwise.
        nfc: texts are brought to the normal form NFC first.
        after: what splits the words of GPT-2 further.
    """

    steps: tuple[_Step, ...] = ()
    gpt2: bool = False
    ignore_merges: bool = False
    add_bos: bool = False
    nfc: bool = False
    after: tuple[_Step, ...] = ()


_DIGIT = partial(pre_tokenizers.Digits, individual_digits=True)
_DIGITS = _PreTokenization((_DIGIT,), gpt2=True)
_GPT2 = _PreTokenization(gpt2=True)
_LLAMA3 = _PreTokenization((patterns.CL100K,), ignore_merges=True, add_bos=True)
_FALCON = _PreTokenization(
    (partial(pre_tokenizers.Punctuation, behavior="contiguous"),),
    gpt2=True,
    after=(partial(pre_tokenizers.Digits, individual_digits=False), "[0-9][0-9][0-9]"),
)
_PRE_TOKENIZATIONS: Mapping[str, _PreTokenization] = {
    **dict.fromkeys(("gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "exaone4", "a.x-4.0", "mellum"), _GPT2),
    **dict.fromkeys(("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"), _DIGITS),
    **dict.fromkeys(("llama3", "llama-v3", "llama-bpe", "falcon3", "pixtral", "midm-2.0", "lfm2"), _LLAMA3),
    **dict.fromkeys(("dbrx", "smaug-bpe", "chatglm-bpe"), _PreTokenization((patterns.CL100K,))),
    "glm4": _PreTokenization((patterns.CL100K,), ignore_merges=True),
    **dict.fromkeys(("qwen2", "deepseek-r1-qwen", "megrez", "kormo"), _PreTokenization((patterns.QWEN2,), nfc=True)),
    **dict.fromkeys(("stablelm2", "hunyuan", "solar-open"), _PreTokenization((patterns.QWEN2,))),
    "seed-coder": _PreTokenization((patterns.SEED,)),
    "tekken": _PreTokenization((patterns.TEKKEN,), ignore_merges=True, add_bos=True),
    **dict.fromkeys(("gpt-4o", "llama4", "kanana2"), _PreTokenization((patterns.GPT4O,))),
    "falcon": _FALCON,
    "deepseek-coder": _PreTokenization((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", patterns.HAN, _DIGIT)),
}

# What "default" was written for, by architecture, before files named their pre-tokenizer.
_BEFORE_NAMES: Mapping[str, str] = {"falcon": "falcon", "qwen2": "qwen2", "starcoder2": "starcoder"}


def settings(path: Path) -> dict[str, Any]:
    """The settings of a tokenizer that the file gives: those of a tokenizer_config.json.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no GGUF file, damaged, or has no tokenizer.
    """
    vocabulary = _FileVocabulary.of(path)
    header, tokens = vocabulary.header, vocabulary.tokens
    found: dict[str, Any] = {role: tokens[index] for role, index in vocabulary.roles.items()}
    length = header.whole(f"{header.text('general.architecture')}.context_length")
    if length:
        found["model_max_length"] = length
    templates = {"default": header.text("tokenizer.chat_template")}
    for name in header.texts("tokenizer.chat_templates") or ():
        templates.setdefault(name, header.text(f"tokenizer.chat_template.{name}"))
    given = {name: text for name, text in templates.items() if text is not None}
    if given:
        found["chat_template"] = given["default"] if list(given) == ["default"] else given
    # A prompt ends where its answer begins, so what fills the shorter ones up stands in front.
    return {**found, "padding_side": "left", "model_input_names": ["input_ids", "attention_mask"]}


def build(path: Path) -> tokenizers.Tokenizer:
    """The tokenizer of a file.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no GGUF file, damaged, or has no tokenizer, or one of a kind that is not known here.
    """
    vocabulary = _FileVocabulary.of(path)
    if vocabulary.model == "gpt2":
        backend, add_bos = _byte_level(vocabulary)
    elif vocabulary.model == "llama":
        backend, add_bos = _sentencepiece(vocabulary), True
    else:
        raise ValueError(
            f"{path}: tokenizer.ggml.model {vocabulary.model!r:.40} is not read: known are 'gpt2' and 'llama'"
        )
    with as_value_error(f"{path}: its special tokens cannot be used"):
        backend.add_tokens(vocabulary.added())
    processor = _post_processor(vocabulary, add_bos, backend)
    if vocabulary.model == "gpt2":
        around = processors.ByteLevel(trim_offsets=False)
        backend.post_processor = around if processor is None else processors.Sequence([around, processor])
    elif processor is not None:
        backend.post_processor = processor
    return backend


@dataclass(frozen=True)
class _FileVocabulary:
    """The tokens of a file.

    Attributes:
        model: what the file calls the algorithm.
        tokens: each once, by id.
        kinds: [tokens].
        roles: id by role. Ids outside the vocabulary mean none.
    """

    header: Header
    model: str | None
    tokens: list[str]
    kinds: np.ndarray
    roles: dict[str, int]

    @classmethod
    def of(cls, path: Path) -> _FileVocabulary:
        header = read_file(path)
        tokens = header.texts("tokenizer.ggml.tokens")
        if not tokens:
            raise ValueError(f"{path}: no tokenizer.ggml.tokens in it: load the tokenizer of the original model")
        tokens = [token or f"[EMPTY_{index}]" for index, token in enumerate(tokens)]
        if len(set(tokens)) < len(tokens):
            twice = next(token for token, count in Counter(tokens).items() if count > 1)
            raise ValueError(f"{path}: tokenizer.ggml.tokens has {twice!r:.40} twice")
        longest = max(tokens, key=len)
        if len(longest) > _LONGEST:
            raise ValueError(f"{path}: tokenizer.ggml.tokens has one of {len(longest)} characters, {longest!r:.40}")
        kinds = header.numbers("tokenizer.ggml.token_type")
        if kinds is None:
            kinds = np.full(len(tokens), _NORMAL)
        if len(kinds) != len(tokens):
            raise ValueError(f"{path}: {len(kinds)} token types for {len(tokens)} tokens")
        model = header.text("tokenizer.ggml.model")
        usual = _SENTENCEPIECE_IDS if model == "llama" else {}
        said = {role: header.whole(f"tokenizer.ggml.{name}_token_id") for role, name in _ROLES.items()}
        ids = {role: usual.get(role) if index is None else index for role, index in said.items()}
        roles = {role: index for role, index in ids.items() if index is not None and 0 <= index < len(tokens)}
        return cls(header, model, tokens, kinds, roles)

    @property
    def where(self) -> Path:
        return self.header.files[0]

    def ids(self) -> dict[str, int]:
        return {token: index for index, token in enumerate(self.tokens)}

    def added(self) -> list[AddedToken]:
        """The tokens that are found in texts as they are, before anything is split."""
        loose = self.header.text("general.architecture") == "phi3" and self.model == "llama"
        return [
            AddedToken(
                self.tokens[index],
                normalized=False,
                special=bool(self.kinds[index] != _USER_DEFINED),
                rstrip=loose and self.tokens[index] not in _TIGHT,
            )
            for index in np.flatnonzero(np.isin(self.kinds, (_UNKNOWN, _CONTROL, _USER_DEFINED)))
        ]

    def pairs(self) -> merges.Merges | None:
        """The merges; None if the file has none."""
        found = self.header.texts("tokenizer.ggml.merges")
        if found is None:
            return None
        pairs = []
        for merge in found:
            cut = merge.find(" ", 1)  # a piece may begin with a space, but holds none
            if cut < 0:
                raise ValueError(f"{self.where}: tokenizer.ggml.merges has {merge!r:.40}, expected two pieces")
            pairs.append((merge[:cut], merge[cut + 1 :]))
        return pairs


def _byte_level(vocabulary: _FileVocabulary) -> tuple[tokenizers.Tokenizer, bool]:
    """The tokenizer without what stands around texts; and whether they usually begin with bos."""
    header, where = vocabulary.header, vocabulary.where
    name = header.text("tokenizer.ggml.pre") or "default"
    if name == "default":
        name = _BEFORE_NAMES.get(header.text("general.architecture") or "", "gpt-2")
        logger.warning("%s does not say how texts are split into words: it is read as %r", where, name)
    pre_tokenization = _PRE_TOKENIZATIONS.get(name)
    if pre_tokenization is None:
        raise ValueError(
            f"{where}: tokenizer.ggml.pre {name!r:.40} is not known; load the tokenizer of the original model instead"
        )
    pairs = vocabulary.pairs()
    if pairs is None:
        raise ValueError(f"{where}: no tokenizer.ggml.merges in it: load the tokenizer of the original model")
    backend = merges.build(vocabulary.ids(), pairs, str(where), ignore_merges=pre_tokenization.ignore_merges)
    if pre_tokenization.nfc:
        backend.normalizer = normalizers.NFC()
    parts = [_pre_tokenizer(step) for step in pre_tokenization.steps]
    parts.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pre_tokenization.gpt2))
    parts += [_pre_tokenizer(step) for step in pre_tokenization.after]
    backend.pre_tokenizer = parts[0] if len(parts) == 1 else pre_tokenizers.Sequence(parts)
    backend.decoder = decoders.ByteLevel()
    return backend, pre_tokenization.add_bos


def _pre_tokenizer(step: _Step) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Split(Regex(step), behavior="isolated") if isinstance(step, str) else step()


def _sentencepiece(vocabulary: _FileVocabulary) -> tokenizers.Tokenizer:
    header, tokens, kinds = vocabulary.header, vocabulary.tokens, vocabulary.kinds
    ids, pairs = vocabulary.ids(), vocabulary.pairs()
    if pairs is None:
        scores = header.numbers("tokenizer.ggml.scores")
        if scores is None or len(scores) != len(tokens) or not np.isfinite(scores).all():
            raise ValueError(
                f"{vocabulary.where}: tokenizer.ggml.scores must be a finite number for each of {len(tokens)} tokens"
            )
        pieces = {tokens[index]: float(scores[index]) for index in np.flatnonzero(kinds == _NORMAL)}
        pairs = merges.merges_of(ids, pieces)
    unknown = vocabulary.roles.get("unk_token")
    backend = merges.build(
        ids,
        pairs,
        str(vocabulary.where),
        unk_token=None if unknown is None else tokens[unknown],
        fuse_unk=True,
        byte_fallback=bool((kinds == _BYTE).any()),
    )
    add_prefix_space = header.flag("tokenizer.ggml.add_space_prefix") is not False
    steps = metaspace.normalizer_steps(add_prefix_space)
    backend.normalizer = normalizers.Sequence(steps) if len(steps) > 1 else steps[0]
    backend.decoder = metaspace.decoder(add_prefix_space)
    return backend


def _post_processor(
    vocabulary: _FileVocabulary, add_bos: bool, backend: tokenizers.Tokenizer
) -> processors.PostProcessor | None:
    """What puts special tokens around texts; None if nothing does."""
    header, ids = vocabulary.header, vocabulary.roles
    bos, eos = (header.flag(f"tokenizer.ggml.add_{name}_token") for name in ("bos", "eos"))
    if bos is None:
        bos = add_bos and "bos_token" in ids
    roles = [role for role, wanted in (("bos_token", bos), ("eos_token", eos)) if wanted]
    if lacking := [role for role in roles if role not in ids]:
        raise ValueError(f"{vocabulary.where}: every text gets a {lacking[0]}, which has no id")
    if not roles:
        return None
    tokens = {role: vocabulary.tokens[ids[role]] for role in roles}
    return post_processor.build(post_processor.bos_eos(bos, bool(eos)), tokens, backend, str(vocabulary.where))
