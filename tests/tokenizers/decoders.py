"""Tokenizers of decoders: small files of each family, under every class that names them, and what is asked of them.

Works on any object with the calls of a Hub tokenizer, so that the recorder and the checks ask the same questions.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cases
import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors

GOLDEN = cases.GOLDEN / "decoders.json"

END = "<|endoftext|>"
SPECIAL: Mapping[str, Sequence[str]] = {
    "GPT2": (END,),
    "CodeGen": (END,),
    "GPTNeoX": (END, "<|padding|>"),
    "Qwen2": (END, "<|im_end|>"),
    "Cohere": ("<PAD>", "<UNK>", "<CLS>", "<SEP>", "<MASK_TOKEN>", "<BOS_TOKEN>", "<|END_OF_TURN_TOKEN|>"),
    "Bloom": ("<unk>", "<s>", "</s>", "<pad>"),
    "Llama": ("<unk>", "<s>", "</s>"),
    "Gemma": ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>"),
    "XGLM": ("<s>", "<pad>", "</s>", "<unk>"),
    "OpenAIGPT": ("<unk>",),
    "CTRL": ("<unk>",),
    "BioGpt": ("<unk>", "<s>", "</s>", "<pad>"),
    "PreTrained": ("<unk>", "<s>", "</s>", "<pad>"),
    "Llama of bytes": ("<|begin|>", "<|end|>", "<s>"),
}
"""Family, which is the beginning of its classes' names → tokens that its vocabulary has beside the pieces."""

WORDS = "the then they we are were happy ray day 12 ab abc".split()
TEXTS = ("the day", " we're happy, 12 rays", "é e\u0301\n漢 x", "")
PAIR = ("the ray", "abc then")


def pieces(space: str, letters: Sequence[str], end: str = "") -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A vocabulary of letters and words, also behind a space, and the merges that make them."""
    vocabulary, merges = list(letters), []

    def merge(first: str, second: str) -> str:
        if first + second not in vocabulary:
            vocabulary.append(first + second)
            merges.append((first, second))
        return first + second

    for word in WORDS:
        functools.reduce(merge, [*word[:-1], word[-1] + end])
    for word in WORDS if space else ():
        merge(space, word)
    return {piece: index for index, piece in enumerate(dict.fromkeys(vocabulary))}, merges


def backend(family: str, added: Sequence[str]) -> tokenizers.Tokenizer:
    """The tokenizer of a family, with these tokens in front of its pieces, and nothing around texts."""
    if family in ("OpenAIGPT", "CTRL", "BioGpt"):
        letters = [chr(code) for code in range(33, 127)]
        vocabulary, merges = pieces("", [*added, *letters, *(letter + "</w>" for letter in letters)], "</w>")
        made = tokenizers.Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", end_of_word_suffix="</w>"))
        made.normalizer = normalizers.BertNormalizer(lowercase=True)
        made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        made.decoder = decoders.BPEDecoder(suffix="</w>")
    elif family == "XGLM":
        scored = [(piece, 0.0) for piece in added]
        scored += [("▁" + word, -float(rank)) for rank, word in enumerate(WORDS, 1)]
        scored += [(letter, -20.0) for letter in "▁abcdehnprtwy12"]
        made = tokenizers.Tokenizer(models.Unigram([*scored, *((f"<madeupword{n}>", 0.0) for n in range(7))], 3))
        made.normalizer = normalizers.Replace(Regex(" {2,}"), " ")
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
        made.decoder = decoders.Metaspace(prepend_scheme="always")
    elif family in ("Llama", "Gemma", "PreTrained"):
        codes = [f"<0x{code:02X}>" for code in range(256)]
        vocabulary, merges = pieces("▁", [*added, *codes, "▁", *"abcdehnprtwy12"])
        made = tokenizers.Tokenizer(
            models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
        )
        parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        if family == "Gemma":
            made.normalizer = normalizers.Replace(" ", "▁")
            made.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        else:
            made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
            parts.append(decoders.Strip(content=" ", left=1))
        made.decoder = decoders.Sequence(parts)
    else:
        vocabulary, merges = pieces("Ġ", [*added, *sorted(pre_tokenizers.ByteLevel.alphabet())])
        made = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
        if family in ("GPTNeoX", "Qwen2", "Cohere"):
            made.normalizer = normalizers.NFC()
        steps: list[Any] = {
            "Qwen2": [pre_tokenizers.Split(Regex(QWEN2), "isolated")],
            "Bloom": [pre_tokenizers.Split(Regex(" ?[^(\\s|[.,!?…。，、।۔،])]+"), "isolated")],
            "Cohere": [pre_tokenizers.Digits(individual_digits=True)],
        }.get(family, [])
        of_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=family not in ("Qwen2", "Bloom"))
        made.pre_tokenizer = pre_tokenizers.Sequence([*steps, of_bytes]) if steps else of_bytes
        made.decoder = decoders.ByteLevel()
    made.add_special_tokens([token for token in added if made.token_to_id(token) is not None])
    return made


QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def family_of(kind: str) -> str:
    """The family whose files a class reads."""
    plain = kind.removesuffix("Fast").removesuffix("Tokenizer")
    return plain if plain in SPECIAL else "PreTrained"


def _ctrl(piece: str) -> str:
    """A piece as CTRL's files have it: those that end no word are marked."""
    return piece if piece in SPECIAL["CTRL"] else piece.removesuffix("</w>") if piece.endswith("</w>") else piece + "@@"


VOCABULARY: Mapping[str, Callable[[str], str]] = {
    **dict.fromkeys(("GPT2", "CodeGen", "Qwen2", "GPTNeoX", "OpenAIGPT", "BioGpt"), str),
    "CTRL": _ctrl,
}
"""Family that has files older than tokenizer.json in both versions → how its vocab.json writes a piece."""

ROLES = ("bos_token", "eos_token", "pad_token")


@functools.cache
def folders(family: str) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The cases of `_folders`."""
    return list(_folders(family))


def _folders(family: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """What the case is called, the files without config.json and the class, and the settings at the call."""
    added = SPECIAL[family]
    made = backend(family, added)
    bare = json.loads(made.to_str())
    sides = {"model_input_names": ["input_ids", "token_type_ids"], "padding_side": "right", "truncation_side": "left"}
    if family in VOCABULARY:
        model = bare["model"]
        merges = "".join(f"{' '.join(merge)}\n" for merge in model["merges"])
        vocabulary = {VOCABULARY[family](piece): index for piece, index in model["vocab"].items()}
        first = "" if family == "BioGpt" else "#version: 0.2\n"
        old = {"vocab.json": json.dumps(vocabulary), "merges.txt": first + merges}
        yield "old files", old, {}
        yield "old files, said", old | {cases.CONFIG: sides}, {}
    if family in ("CTRL", "BioGpt"):
        return
    yield "bare", {"tokenizer.json": bare}, {}
    yield "named", {"tokenizer.json": bare, cases.CONFIG: dict.fromkeys(ROLES, added[0])}, {}
    yield "said", {"tokenizer.json": bare, cases.CONFIG: sides}, {}
    token = added[-1]
    made.post_processor = processors.TemplateProcessing(
        single=f"{token} $A", pair=f"{token} $A $B:1", special_tokens=[(token, made.token_to_id(token))]
    )
    rows = json.loads(made.to_str())
    yield "rows", {"tokenizer.json": rows}, {}
    both = {"bos_token": token, "eos_token": added[0]}
    yield "bos off", {"tokenizer.json": rows, cases.CONFIG: both | {"add_bos_token": False}}, {}
    yield "eos on", {"tokenizer.json": bare, cases.CONFIG: both | {"add_eos_token": True}}, {}
    asked = {"add_bos_token": True, "add_eos_token": True}
    yield "asked for", {"tokenizer.json": bare, cases.CONFIG: both}, asked
    yield "asked against", {"tokenizer.json": rows, cases.CONFIG: both}, dict.fromkeys(asked, False)


def write(folder: Path, model_type: str, kind: str, files: Mapping[str, Any]) -> Path:
    """The files of one case in a folder; "" is no class."""
    config = files.get(cases.CONFIG, {}) | ({"tokenizer_class": kind} if kind else {})
    return cases.write(folder, files | {cases.CONFIG: config, "config.json": {"model_type": model_type}})


def answers(tokenizer: Any) -> dict[str, Any]:
    """What a tokenizer is, and what it makes of texts."""
    ids = [tokenizer(text)["input_ids"] for text in TEXTS]
    return {
        "inputs": [sorted(tokenizer.model_input_names), sorted(tokenizer(TEXTS[0]))],
        "sides": [tokenizer.padding_side, tokenizer.truncation_side],
        "roles": {
            role: getattr(tokenizer, role)
            for role in ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
            if getattr(tokenizer, role) is not None
        },
        "rows": [len(tokenizer), *ids, tokenizer(*PAIR)["input_ids"]],
    }


PLAIN = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Classes that every tokenizer.json may name."""


def cells(classes: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str, str, dict[str, Any], dict[str, Any]]]:
    """Model type, class ("" for none), case, files, settings: for each model type the classes that are named for it."""
    for model_type, named in classes.items():
        usual = next((family_of(kind) for kind in named if family_of(kind) != "PreTrained"), "PreTrained")
        for kind in dict.fromkeys(["", *named, *PLAIN]):
            family = family_of(kind) if kind in named and kind not in PLAIN else usual
            if family in ("CTRL", "BioGpt") and kind in PLAIN:
                family = "PreTrained"
            families = [family, "Llama of bytes"] if family == "Llama" else [family]
            for one in families:
                for name, files, settings in folders(one):
                    if kind not in PLAIN or not name.startswith("old"):
                        yield model_type, kind, name if one == family else f"{name}, {one}", files, settings
