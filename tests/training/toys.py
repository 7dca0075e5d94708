"""A small tokenizer, tokenized texts, and what the collators are asked, here and by `record_collators.py`."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["berlin", "maria", "went", "to", "town", "##n", "##ish", *string.ascii_lowercase]
PIECES = [*SPECIAL, *WORDS, *(f"##{letter}" for letter in string.ascii_lowercase if letter != "n")]


def put_tokenizer(folder: Path) -> Path:
    """The folder, with a tokenizer of BERT's kind."""
    made = tokenizers.Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens([tokenizers.AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.save(str(folder / "tokenizer.json"))
    tokens = {f"{name.strip('[]').lower()}_token": name for name in SPECIAL}
    names = ["input_ids", "token_type_ids", "attention_mask"]
    config = {"tokenizer_class": "BertTokenizerFast", "model_max_length": 64, "model_input_names": names, **tokens}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    return folder


def row(*ids: int, **fields: Any) -> dict[str, Any]:
    """A tokenized text with its special tokens, and other fields."""
    whole = [2, *ids, 3]
    return {"input_ids": whole, "token_type_ids": [0] * len(whole), "attention_mask": [1] * len(whole), **fields}


ROWS = [row(5, 6), row(7, 8, 9, 10, 11), row(12)]
CLASSES = [example | {"label": i % 2} for i, example in enumerate(ROWS)]
VALUES = [example | {"label": i / 2} for i, example in enumerate(ROWS)]
KINDS = [example | {"label_ids": [i, 1 - i]} for i, example in enumerate(ROWS)]
TAGGED = [example | {"labels": [-100, *range(len(example["input_ids"]) - 2), -100]} for example in ROWS]
SOURCES = [example | {"labels": [9, 8, 7, 3][i:]} for i, example in enumerate(ROWS)]
CHOICES = [
    {name: [one[name], two[name]] for name in one} | {"label": label}
    for one, two, label in ((ROWS[0], ROWS[1], 1), (ROWS[2], ROWS[0], 0))
]
SAME = [{"input_ids": [1, 2, 3], "weight": 0.5, "label": 1}, {"input_ids": [4, 5, 6], "weight": 1.5, "label": 0}]
BARE = [{"input_ids": [5, 6, 7]}, {"input_ids": [8]}, {"input_ids": [9, 10]}]
PAIRS = [{"input_ids": [5, 6, 7], "labels": [5, -100, 7]}, {"input_ids": [8], "labels": [8]}]
LISTS = [[2, 5, 6, 3], [2, 7, 3]]
EVERY = {"mlm_probability": 1.0, "mask_replace_prob": 1.0, "random_replace_prob": 0.0, "seed": 1}

# name → class, keywords, features, side of padding
CASES: dict[str, tuple[str, dict[str, Any], list[Any], str]] = {
    "default": ("DefaultDataCollator", {}, SAME, "right"),
    "default, lists of labels": ("DefaultDataCollator", {}, [{"label_ids": [0, 1]}, {"label_ids": [1, 0]}], "right"),
    "default, values": ("DefaultDataCollator", {}, [{"label": 0.5, "text": "a"}, {"label": 1.0, "text": "b"}], "right"),
    "padding": ("DataCollatorWithPadding", {}, CLASSES, "right"),
    "padding on the left": ("DataCollatorWithPadding", {}, CLASSES, "left"),
    "padding to 16": ("DataCollatorWithPadding", {"padding": "max_length", "max_length": 16}, CLASSES, "right"),
    "padding to multiples": ("DataCollatorWithPadding", {"pad_to_multiple_of": 8}, KINDS, "right"),
    "padding of values": ("DataCollatorWithPadding", {}, VALUES, "right"),
    "tokens": ("DataCollatorForTokenClassification", {}, TAGGED, "right"),
    "tokens on the left": ("DataCollatorForTokenClassification", {"label_pad_token_id": -1}, TAGGED, "left"),
    "tokens without labels": ("DataCollatorForTokenClassification", {"pad_to_multiple_of": 4}, ROWS, "right"),
    "targets": ("DataCollatorForSeq2Seq", {}, SOURCES, "right"),
    "targets on the left": ("DataCollatorForSeq2Seq", {"pad_to_multiple_of": 8}, SOURCES, "left"),
    "targets to 12": ("DataCollatorForSeq2Seq", {"padding": "max_length", "max_length": 12}, SOURCES, "right"),
    "choices": ("DataCollatorForMultipleChoice", {}, CHOICES, "right"),
    "causal": ("DataCollatorForLanguageModeling", {"mlm": False}, ROWS, "right"),
    "causal lists": ("DataCollatorForLanguageModeling", {"mlm": False, "pad_to_multiple_of": 8}, LISTS, "right"),
    "all hidden": ("DataCollatorForLanguageModeling", EVERY, ROWS, "right"),
    "all hidden on the left": ("DataCollatorForLanguageModeling", EVERY, ROWS, "left"),
    "nothing hidden": ("DataCollatorForLanguageModeling", {"mlm_probability": 0.0}, ROWS, "right"),
    "all words hidden": ("DataCollatorForWholeWordMask", EVERY, BARE, "right"),
    "flat": ("DataCollatorWithFlattening", {}, BARE, "right"),
    "flat with labels": (
        "DataCollatorWithFlattening",
        {"return_flash_attn_kwargs": True, "return_seq_idx": True, "separator_id": -7},
        PAIRS,
        "right",
    ),
    "flat without positions": ("DataCollatorWithFlattening", {"return_position_ids": False}, BARE, "right"),
}
