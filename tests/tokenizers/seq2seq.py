"""Tokenizers of encoder-decoders: their files, and what both libraries are asked of each."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cases
import lines
import old

FILES = cases.GOLDEN / "seq2seq"
"""Vocabularies of some hundred pieces in eight languages; `record_seq2seq.py` trains them."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """A tokenizer's files.

    model_type: in config.json; "" for a class that none implies. tokenizer_class: in tokenizer_config.json, the second
    way to name the class. files: name in the folder → name among the trained ones. settings: each is a case.
    languages: sources and targets. slow: the reference has no fast tokenizer, hence no offsets. unasked: questions that
    it cannot answer.
    """

    model_type: str
    tokenizer_class: str
    files: Mapping[str, str]
    settings: Sequence[Mapping[str, Any]] = ({},)
    languages: Sequence[tuple[str, str]] = ()
    slow: bool = False
    unasked: Sequence[str] = ()


BPE = {"vocab.json": "bpe.json", "merges.txt": "bpe.txt"}
SPIECE = {"spiece.model": "t5.model"}
FAIRSEQ = {"sentencepiece.bpe.model": "fairseq.model"}
M2M = {"vocab.json": "m2m.json", "special_tokens_map.json": "m2m_roles.json"}
MARIAN = {"source.spm": "plain.model", "target.spm": "target.model", "vocab.json": "marian.json"}
SIDES = ({}, {"add_prefix_space": True}, {"trim_offsets": False})

KINDS: Mapping[str, Kind] = {
    "t5": Kind(
        "t5",
        "T5Tokenizer",
        SPIECE,
        ({}, {"legacy": False}, {"legacy": True}, {"extra_ids": 7}, {"legacy": False, "add_prefix_space": False}),
    ),
    "mt5": Kind("mt5", "MT5Tokenizer", SPIECE),
    "umt5": Kind("umt5", "T5Tokenizer", {"spiece.model": "pairs.model"}, ({}, {"legacy": False})),
    "bart": Kind("bart", "BartTokenizer", BPE, SIDES),
    "led": Kind("led", "LEDTokenizer", BPE),
    "mvp": Kind("mvp", "MvpTokenizer", BPE),
    "blenderbot": Kind("blenderbot", "BlenderbotTokenizer", BPE, SIDES, unasked=("built",)),
    "pegasus": Kind(
        "pegasus",
        "PegasusTokenizer",
        SPIECE,
        (
            {},
            {"offset": 9},
            {"additional_special_tokens": ["<one>", "<two>"], "offset": 9},
            {"mask_token_sent": None, "offset": 0, "mask_token": "[MASK]"},
        ),
    ),
    "mbart": Kind(
        "mbart",
        "MBartTokenizer",
        FAIRSEQ,
        ({}, {"src_lang": "de_DE"}, {"additional_special_tokens": ["<one>", "en_XX"]}),
        (("en_XX", "ro_RO"), ("zh_CN", "ar_AR")),
    ),
    "mbart50": Kind("", "MBart50Tokenizer", FAIRSEQ, languages=(("en_XX", "sl_SI"), ("zh_CN", "ar_AR"))),
    "nllb": Kind(
        "nllb-moe",
        "NllbTokenizer",
        {"sentencepiece.bpe.model": "nllb.model"},
        ({}, {"legacy_behaviour": True}, {"additional_special_tokens": ["eng_Latn", "xyz_Latn", "fra_Latn"]}),
        (("eng_Latn", "fra_Latn"), ("fra_Latn", "eng_Latn")),
    ),
    "plbart": Kind(
        "plbart",
        "PLBartTokenizer",
        {"sentencepiece.bpe.model": "plain.model"},
        ({}, {"language_codes": "multi"}, {"src_lang": "python", "tgt_lang": "en_XX"}),
        (("java", "__en_XX__"), ("__python__", "java")),
        slow=True,
    ),
    "plbart of pairs": Kind("plbart", "PLBartTokenizer", {"sentencepiece.bpe.model": "plain_pairs.model"}, slow=True),
    "m2m": Kind(
        "m2m_100",
        "M2M100Tokenizer",
        {**M2M, "sentencepiece.bpe.model": "plain.model"},
        ({}, {"src_lang": "de"}),
        (("en", "fr"), ("zh", "ar")),
        slow=True,
    ),
    "m2m of pairs": Kind(
        "m2m_100",
        "M2M100Tokenizer",
        {**M2M, "sentencepiece.bpe.model": "plain_pairs.model"},
        languages=(("en", "fr"),),
        slow=True,
    ),
    "marian": Kind("marian", "MarianTokenizer", MARIAN, slow=True),
    "marian apart": Kind(
        "marian",
        "MarianTokenizer",
        {**MARIAN, "target_vocab.json": "marian_target.json"},
        ({"separate_vocabs": True},),
        slow=True,
        unasked=("decoded", "tokens", "labels"),  # special tokens of targets get ids of sources
    ),
    "byt5": Kind("", "ByT5Tokenizer", {}, ({}, {"extra_ids": 3}), slow=True, unasked=("tokens",)),
    "blenderbot-small": Kind(
        "blenderbot-small",
        "BlenderbotSmallTokenizer",
        {"vocab.json": "small.json", "merges.txt": "small.txt"},
        slow=True,
    ),
    "fsmt": Kind(
        "fsmt",
        "FSMTTokenizer",
        {
            "vocab-src.json": "fsmt_source.json",
            "vocab-tgt.json": "fsmt_target.json",
            "merges.txt": "fsmt.txt",
            "tokenizer_config.json": "fsmt_config.json",
        },
        ({}, {"do_lower_case": True}),
        slow=True,
        unasked=("labels",),  # are in the language of texts
    ),
    "prophetnet": Kind(
        "prophetnet",
        "ProphetNetTokenizer",
        {"prophetnet.tokenizer": "words.txt"},
        ({}, {"do_lower_case": False}),
        slow=True,
    ),
    "xlm-prophetnet": Kind(
        "xlm-prophetnet", "XLMProphetNetTokenizer", {"prophetnet.tokenizer": "plain.model"}, slow=True
    ),
}

CASES = [(name, number) for name, kind in KINDS.items() for number in range(len(kind.settings))]


def write(folder: Path, kind: Kind, named: bool = False, trained: Path = FILES) -> Path:
    """The files of a tokenizer in a folder, whose class config.json implies, or tokenizer_config.json names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in kind.files.items():
        found = trained / source
        shutil.copyfile(found if found.exists() else old.FILES / source, folder / name)
    named = named or not kind.model_type
    (folder / "config.json").write_text("{}" if named else json.dumps({"model_type": kind.model_type}))
    if named:
        config = folder / "tokenizer_config.json"
        fields = json.loads(config.read_text()) if config.exists() else {}
        config.write_text(json.dumps(fields | {"tokenizer_class": kind.tokenizer_class}))
    return folder


PAIRS = [
    ("The file could not be opened.", "Le fichier n’a pas pu être ouvert."),
    ("unbelievable 漢字<s>x <mask> x</s>y <extra_id_0> z<pad>", "a b c"),
    ("", "<extra_id_3><unk> <mask_1>, >>fra<< été"),
]


def answers(tokenizer: Any, kind: Kind) -> dict[str, Any]:
    """What a tokenizer is, and what it does with pairs of texts and with targets."""
    texts = [text for pair in PAIRS for text in pair]
    ids = [tokenizer(text)["input_ids"] for text in texts]
    # of texts that are equally long, slow tokenizers cut another
    cut = {} if kind.slow else {"truncation": True, "max_length": 24}
    told = {
        "special_tokens_map": tokenizer.special_tokens_map,
        "special_ids": tokenizer.all_special_ids,
        "sizes": [len(tokenizer), tokenizer.vocab_size],
        "sides": [tokenizer.padding_side, tokenizer.truncation_side, tokenizer.model_max_length],
        "inputs": list(tokenizer.model_input_names),
        "clean": tokenizer.clean_up_tokenization_spaces,
        "pairs": dict(tokenizer(*map(list, zip(*PAIRS, strict=True)), padding=True, **cut)),
        "built": tokenizer.build_inputs_with_special_tokens([7, 8, 9], [10, 11]),
        "decoded": [tokenizer.decode(row, skip_special_tokens=skip) for row in ids for skip in (False, True)],
        "tokens": [tokenizer.convert_ids_to_tokens(row) for row in ids],
    }
    if not kind.languages:
        told["labels"] = tokenizer(texts, text_target=texts[::-1])["labels"]
    before = (tokenizer.src_lang, tokenizer.tgt_lang) if kind.languages else ()
    for source, target in kind.languages:
        tokenizer.src_lang, tokenizer.tgt_lang = source, target
        encoded = tokenizer(texts, text_target=texts[::-1])
        told[f"{source} {target}"] = [
            encoded["input_ids"],
            encoded["labels"],
            tokenizer(text_target=texts[0])["input_ids"],
        ]
    if before:
        tokenizer.src_lang, tokenizer.tgt_lang = before
    if not kind.slow:
        told["added"] = {str(index): repr(token) for index, token in sorted(tokenizer.added_tokens_decoder.items())}
    return {name: _short(value) for name, value in told.items() if name not in kind.unasked}


LONG = 1500
"""Letters of an answer as JSON above which a digest is kept."""


def _short(value: Any) -> Any:
    return lines.digest(value) if len(json.dumps(value)) > LONG else value


def rows(tokenizer: Any, kind: Kind, texts: list[str]) -> list[Any]:
    """Ids of each text, their text, and offsets where the reference has them."""
    if kind.tokenizer_class == "ByT5Tokenizer":  # which adds no end to texts that say it themselves
        texts = [f"{text}." for text in texts]
    encoded = tokenizer(texts, verbose=False, **({} if kind.slow else {"return_offsets_mapping": True}))
    decoded = [tokenizer.decode(row, skip_special_tokens=True) for row in encoded["input_ids"]]
    found = [[ids, text] for ids, text in zip(encoded["input_ids"], decoded, strict=True)]
    if not kind.slow:
        for row, offsets in zip(found, encoded["offset_mapping"], strict=True):
            row.append([list(pair) for pair in offsets])
    return found
