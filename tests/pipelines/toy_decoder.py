"""Toys in the files of Qwen3-Embedding and Qwen3-Reranker: random weights, a byte-level vocabulary with some words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jax
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors

from jaxformers import Model, Qwen3Config, Qwen3ForCausalLM, Qwen3Model, Tokenizer

MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
QUERY = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
BEFORE = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
BEHIND = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
"""What stands around each pair, as the card of Qwen3-Reranker has it."""
LIMIT = 256
SHORT = 48
"""Tokens that the ranker and the embedder take."""
SIZES: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "intermediate_size": 48,
    "max_position_embeddings": LIMIT,
    "initializer_range": 0.3,
    "tie_word_embeddings": True,
    "bos_token_id": None,
    "pad_token_id": None,
}


def tokenizer(ends: bool, answers: bool = True) -> tokenizers.Tokenizer:
    """Words of the prompts are one token, other texts bytes.

    ends: whether rows end with <|endoftext|>. answers: whether "yes" and "no" are words.
    """
    pieces = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges: dict[tuple[str, str], None] = {}
    known = re.findall(r" ?[a-z]{2,}", f"{QUERY} {BEFORE} <Document>: document assistant think")
    for word in [*known, *(("yes", "no") if answers else ())]:
        text = word.replace(" ", "\u0120")
        merges |= dict.fromkeys((text[:i], text[i]) for i in range(1, len(text)))
    if not answers:
        merges = {pair: None for pair in merges if pair not in {("n", "o"), ("ye", "s")}}
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys([*pieces, *map("".join, merges)]))}
    made = tokenizers.Tokenizer(models.BPE(vocabulary, list(merges)))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([tokenizers.AddedToken(mark, special=True, normalized=False) for mark in MARKS])
    end = made.token_to_id(MARKS[0])
    last = processors.TemplateProcessing(
        single=f"$A {MARKS[0]}", pair=f"$A {MARKS[0]} $B {MARKS[0]}", special_tokens=[(MARKS[0], end)]
    )
    byte_level = processors.ByteLevel(trim_offsets=False)
    made.post_processor = processors.Sequence([byte_level, last]) if ends else byte_level
    return made


def asked(pairs: list[tuple[str, str]], tokenizer: Tokenizer, instruction: str, limit: int) -> list[list[int]]:
    """The tokens of each question, put together as the card does."""
    before, behind = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (BEFORE, BEHIND))
    texts = [f"<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}" for query, document in pairs]
    rows = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    return [[*before, *row[: limit - len(before) - len(behind)], *behind] for row in rows]


def write_tokenizer(folder: Path, ends: bool, answers: bool = True) -> int:
    """The files of a tokenizer; how many tokens it has."""
    made = tokenizer(ends, answers)
    made.save(str(folder / "tokenizer.json"))
    said = {
        "tokenizer_class": "Qwen2Tokenizer",
        "model_max_length": 131072,
        "padding_side": "left",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(said))
    return made.get_vocab_size()


def write_embedder(folder: Path) -> Path:
    """As Qwen3-Embedding is on the Hub: arrays without prefix, a config that speaks of a CausalLM."""
    folder.mkdir(exist_ok=True)
    words = write_tokenizer(folder, ends=True)
    Qwen3Model(
        Qwen3Config(vocab_size=words, **SIZES | {"max_position_embeddings": SHORT}), key=jax.random.key(5)
    ).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["Qwen3ForCausalLM"]}))
    pooling = {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_lasttoken": True}
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling | {"include_prompt": True}))
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    listed = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(listed))
    about = {"prompts": {"query": QUERY, "document": ""}, "default_prompt_name": None, "similarity_fn_name": "cosine"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(about))
    return folder


def write_ranker(folder: Path, cls: type[Model] = Qwen3ForCausalLM, answers: bool = True, **fields: Any) -> Path:
    """As Qwen3-Reranker is on the Hub."""
    folder.mkdir(exist_ok=True)
    words = write_tokenizer(folder, ends=False, answers=answers)
    cls(Qwen3Config(vocab_size=words, **SIZES | fields), key=jax.random.key(6)).save_pretrained(folder)
    return folder


TEXTS = [
    "",
    "a",
    "the query",
    "What is the capital of China?",
    "no",
    "  spaces around  ",
    "retrieve relevant passages that answer the query",
    "\u00e9\u4f60 \u2603",
    "<|endoftext|>",
    "Gravity is a force that attracts two bodies towards each other.",
    "requirements based on " * 8,
    "cut " * LIMIT,
]
PAIRS = [
    ("What is the capital of China?", "The capital of China is Beijing."),
    ("What is the capital of China?", ""),
    ("What is the capital of China?", "no"),
    ("Explain gravity", "Gravity is a force that attracts two bodies towards each other."),
    ("Explain gravity", "retrieve relevant passages " * 5),
    ("", "a"),
    ("a", "\u00e9\u4f60 \u2603"),
    ("yes", "yes yes no"),
    ("query", "the document meets the requirements " * 3),
    ("query", "x"),
    ("query", "cut " * LIMIT),
    ("query", " around "),
]
