"""What is asked of both libraries: calls in every combination of options, folders of files, and what they answer.

Works on any object with the calls of a Hub tokenizer, so that the recorder and the checks ask the same questions.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

GOLDEN = Path(__file__).parent / "golden"
VOCABULARY = GOLDEN / "vocab.txt"

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "uncased": {},
    "cased": {"do_lower_case": False},
    "uncased, accents kept": {"strip_accents": False},
    "cased, accents removed": {"do_lower_case": False, "strip_accents": True},
    "chinese words whole": {"tokenize_chinese_chars": False},
}
"""Settings of BERT's normalizer."""

TEXTS = [
    "We are happy.",
    "unbelievable tokenization: the embeddings of another long year, and so on and on",
    "",
    "a [MASK] été 漢字",
]
PAIRS = ["it is not the same world", "no", "", "what is the matter with the photography of this film, would you say?"]
WORDS = [text.split() for text in TEXTS]
WORD_PAIRS = [text.split() for text in PAIRS]

OPTIONS: Mapping[str, tuple[Any, ...]] = {
    "padding": (False, True, "max_length"),
    "truncation": (None, False, True, "only_first", "only_second"),
    "max_length": (None, 8, 16),
    "stride": (0, 2),
    "padding_side": (None, "left"),
    "pad_to_multiple_of": (None, 4),
    "return_overflowing_tokens": (False, True),
    "add_special_tokens": (True, False),
}
SIDES = ("right", "left")
"""Of truncation: an attribute, not an option of the call."""


def inputs() -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """One text and many, alone and in pairs, whole and in words: arguments of a call."""
    yield (TEXTS[1],), {}
    yield (TEXTS[1], PAIRS[3]), {}
    yield (TEXTS,), {}
    yield (TEXTS, PAIRS), {}
    yield (WORDS[1], WORD_PAIRS[3]), {"is_split_into_words": True}
    yield (WORDS, WORD_PAIRS), {"is_split_into_words": True}


def calls() -> Iterator[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """The truncation side, the texts, the options: every third of all combinations, others for each kind of texts."""
    for number, (side, (texts, kind)) in enumerate(itertools.product(SIDES, inputs())):
        for values in itertools.islice(itertools.product(*OPTIONS.values()), number % 3, None, 3):
            yield side, texts, kind | dict(zip(OPTIONS, values, strict=True))


def answer(tokenizer: Any, texts: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
    """Everything that a call tells, as JSON."""
    encoded = tokenizer(
        *texts,
        **options,
        return_special_tokens_mask=True,
        return_offsets_mapping=True,
        return_length=True,
        verbose=False,
    )
    rows = [[row.tokens, row.word_ids, row.sequence_ids] for row in encoded.encodings]
    return [dict(encoded), rows]


SEQUENCES = (
    "Hello world! It's the state-of-the-art, isn't it? We 've said 3 . 14 ; they 're ' here ' .",
    "[CLS] unbelievable [MASK] embeddings [SEP] [PAD] [PAD]",
    "漢字 été naïve ##ing # # ing",
    "",
)
"""Texts whose ids are decoded."""


def decoded(tokenizer: Any) -> list[Any]:
    """What ids become, with and without special tokens and cleaning."""
    rows = [tokenizer(text)["input_ids"] for text in SEQUENCES]
    rows += [[0, 3, 10**6, 7], list(range(5, 60)), 7]
    found: list[Any] = [
        tokenizer.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=clean)
        for ids, skip, clean in itertools.product(rows, (False, True), (None, False, True))
    ]
    found += [tokenizer.convert_ids_to_tokens(rows[1], skip_special_tokens=skip) for skip in (False, True)]
    found += [tokenizer.convert_tokens_to_string(["un", "##believ", "##able", ".", "it", "'", "s"])]
    return [*found, tokenizer.convert_tokens_to_ids(["the", "nothing such", "[SEP]"]), tokenizer.tokenize(SEQUENCES[0])]


PIECES = """
[PAD] [UNK] [CLS] [SEP] [MASK] the we are happy to show you un ##believ ##able it ' s . , ! ? a b c d e ##a ##b ##c x y
été ete 漢 字 漢字 ##字 The A <s> </s> <unk> <pad> <mask> <extra> new token
""".split()


def backend(pieces: list[str] = PIECES, special: str = "[CLS] [SEP] [UNK]", **normalizer: Any) -> dict[str, Any]:
    """A tokenizer.json for `pieces`, as an object."""
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    cls, sep, unknown = special.split()
    made = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=unknown))
    made.normalizer = normalizers.BertNormalizer(**normalizer)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B:1 {sep}:1",
        special_tokens=[(cls, vocabulary[cls]), (sep, vocabulary[sep])],
    )
    made.add_special_tokens([piece for piece in pieces if piece.startswith("[")])
    return json.loads(made.to_str())


def _token(content: str, **options: bool) -> dict[str, Any]:
    plain = dict.fromkeys(("lstrip", "rstrip", "single_word", "normalized", "special"), False)
    return {"content": content, **plain, **options}


LINES = "".join(f"{piece}\n" for piece in PIECES)
CONFIG = "tokenizer_config.json"
SPECIAL = "special_tokens_map.json"
LIMITS = {
    "truncation": {"direction": "Left", "max_length": 4, "strategy": "LongestFirst", "stride": 1},
    "padding": {
        "strategy": {"Fixed": 9},
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    },
}
DECODER = {str(PIECES.index(piece)): _token(piece, special=True) for piece in PIECES[:5]}
NEW = {
    "70": _token("<new one>", special=True, lstrip=True),
    "71": _token("<word>", single_word=True, normalized=True),
    str(PIECES.index("new")): _token("new", normalized=True),
}
ROLES = {"cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "mask_token": "<mask>"}

FOLDERS: Mapping[str, Mapping[str, Any]] = {
    "vocab.txt": {"vocab.txt": LINES},
    "vocab.txt, cased": {"vocab.txt": LINES, CONFIG: {"do_lower_case": False}},
    "vocab.txt, accents, chinese": {
        "vocab.txt": LINES,
        CONFIG: {"strip_accents": False, "tokenize_chinese_chars": False},
    },
    "vocab.txt, clean": {"vocab.txt": LINES, CONFIG: {"clean_up_tokenization_spaces": False}},
    "vocab.txt, other roles": {"vocab.txt": LINES, CONFIG: ROLES},
    "vocab.txt, other roles, old": {"vocab.txt": LINES, SPECIAL: ROLES},
    "vocab.txt without specials": {"vocab.txt": LINES.replace("[PAD]\n", "").replace("[MASK]\n", "")},
    "vocab.txt without cls": {"vocab.txt": LINES.replace("[CLS]\n", "")},
    "vocab.txt, Windows, blank lines": {"vocab.txt": LINES.replace("\n", "\r\n") + "\r\n\r\nlast"},
    "vocab.txt, duplicates": {"vocab.txt": LINES + "the\nwe\nlast\n"},
    "vocab.txt, spaces in lines": {"vocab.txt": LINES + "sp \n nb\u00a0\nls\u2028b\nnel\u0085c\n\u3000\nlast\n"},
    "vocab.txt, old added tokens": {"vocab.txt": LINES, "added_tokens.json": {"<extra one>": len(PIECES), "<x>": 99}},
    "vocab.txt, old special map": {
        "vocab.txt": LINES,
        CONFIG: {"additional_special_tokens": ["token"], "mask_token": "[UNK]"},
        SPECIAL: {
            "mask_token": _token("[MASK]", lstrip=True),
            "additional_special_tokens": ["token", "<extra>", _token("<fresh>")],
        },
    },
    "vocab.txt, added_tokens_decoder": {"vocab.txt": LINES, CONFIG: {"added_tokens_decoder": DECODER | NEW}},
    "tokenizer.json": {"tokenizer.json": backend()},
    "tokenizer.json and vocab.txt that differ": {"tokenizer.json": backend(), "vocab.txt": LINES + "we are\n"},
    "tokenizer.json with limits": {"tokenizer.json": backend() | LIMITS},
    "tokenizer.json with limits, sides": {
        "tokenizer.json": backend() | LIMITS,
        CONFIG: {"padding_side": "right", "truncation_side": "right"},
    },
    "base with limits": {
        "tokenizer.json": backend() | LIMITS,
        CONFIG: {"tokenizer_class": "PreTrainedTokenizerFast"},
    },
    "base": {"tokenizer.json": backend(), CONFIG: {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "</s>"}},
    "base, roles": {
        "tokenizer.json": backend(),
        CONFIG: {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_input_names": ["input_ids", "attention_mask"],
            "extra_special_tokens": {"image_token": "<extra>"},
            "unk_token": "[UNK]",
            "pad_token": None,
            "cls_token": {"__type": "AddedToken", **_token("[CLS]", lstrip=True)},
        },
    },
    "tokenizer.json, cased, config silent": {"tokenizer.json": backend(lowercase=False)},
    "tokenizer.json, cased": {"tokenizer.json": backend(lowercase=False), CONFIG: {"do_lower_case": False}},
    "tokenizer.json, settings": {
        "tokenizer.json": backend(),
        CONFIG: {
            "model_max_length": 1e30,
            "padding_side": "left",
            "truncation_side": "left",
            "clean_up_tokenization_spaces": True,
            "additional_special_tokens": ["<extra>", "<fresh>"],
            "tokenizer_class": "BertTokenizerFast",
            "backend": "tokenizers",
        },
    },
    "tokenizer.json, max_len": {
        "tokenizer.json": backend(),
        CONFIG: {"max_len": 8, "tokenizer_class": "BertTokenizer"},
    },
    "tokenizer.json, specials split": {"tokenizer.json": backend(), CONFIG: {"split_special_tokens": True}},
    "tokenizer.json, added_tokens_decoder": {
        "tokenizer.json": backend(),
        CONFIG: {"added_tokens_decoder": DECODER | NEW, "additional_special_tokens": ["<new one>"]},
    },
    "tokenizer.json, old files": {
        "tokenizer.json": backend(),
        SPECIAL: {"cls_token": _token("[CLS]", rstrip=True), "additional_special_tokens": ["<extra>"]},
        "added_tokens.json": {"<extra one>": len(PIECES)},
    },
    "tokenizer.json, other roles": {
        "tokenizer.json": backend(special="<s> </s> <unk>"),
        CONFIG: ROLES | {"tokenizer_class": "DistilBertTokenizer"},
    },
    "distilbert": {"vocab.txt": LINES, "config.json": {"model_type": "distilbert"}},
    "no mask": {"tokenizer.json": backend(), CONFIG: {"mask_token": None, "tokenizer_class": "BertTokenizer"}},
}
"""Files that a tokenizer is loaded from; where nothing else is said, config.json names BERT."""

PROBES = [
    "We are happy, été!",
    "unbelievable [MASK]x 漢字 <new one> new  <word> <extra one>",
    "THE <extra> token <fresh>",
]


def write(folder: Path, files: Mapping[str, Any]) -> Path:
    """The files of one case in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in ({"config.json": {"model_type": "bert"}} | dict(files)).items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name).write_bytes(text.encode())
    return folder


def as_five(tokenizer: Any, folder: Path) -> Any:
    """A tokenizer of torch Transformers 4.57 with the inputs of 5.24, where the plain class has no token types."""
    file = folder / CONFIG
    said = json.loads(file.read_text()) if file.exists() else {}
    if type(tokenizer).__name__ == "PreTrainedTokenizerFast" and "model_input_names" not in said:
        tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return tokenizer


def loaded(load: Callable[[str], Any], folder: Path) -> dict[str, Any]:
    """What a tokenizer that was loaded from a folder is and does."""
    tokenizer = load(str(folder))
    ids = [tokenizer(probe)["input_ids"] for probe in PROBES]
    padded = tokenizer.pad_token is not None
    return {
        "special_tokens_map": tokenizer.special_tokens_map,
        "special_ids": tokenizer.all_special_ids,
        "added": {str(index): repr(token) for index, token in sorted(tokenizer.added_tokens_decoder.items())},
        "sizes": [len(tokenizer), tokenizer.vocab_size, float(tokenizer.model_max_length)],
        "sides": [tokenizer.padding_side, tokenizer.truncation_side],
        "clean": tokenizer.clean_up_tokenization_spaces,
        "inputs": list(tokenizer.model_input_names),
        "rows": dict(tokenizer(PROBES, return_offsets_mapping=True)),
        "pairs": dict(tokenizer(PROBES, PROBES[::-1], padding=padded, truncation=True, max_length=12)),
        "decoded": [tokenizer.decode(row, skip_special_tokens=skip) for row in ids for skip in (False, True)],
    }
