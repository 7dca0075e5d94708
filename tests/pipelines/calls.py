"""Calls of pipelines whose answers torch's pipelines have given too: see `record.py`.

A toy model for each task, and calls as (positional arguments, keywords).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxformers import BertForMaskedLM, BertForQuestionAnswering, BertForTokenClassification

from . import toy_tokenizers
from .conftest import write_classifier

Call = tuple[Sequence[Any], Mapping[str, Any]]

LONG = " ".join("abcdefghijklmnopqrstuvwxyz" * 4).replace("e f", "ef,").replace("k l m", "klm. N")
QUESTION = "who is k l m?"
EXAMPLE = {"question": QUESTION, "context": LONG}
LABELS = ["a b", "c", "d e f"]


def zero_shot(folder: Path) -> Path:
    """A toy that tells what follows from what."""
    return write_classifier(folder, id2label={0: "contradiction", 1: "neutral", 2: "ENTAILMENT"})


def zero_shot_unnamed(folder: Path) -> Path:
    """The same without names."""
    return write_classifier(folder, num_labels=3)


def answers(folder: Path) -> Path:
    """A toy that finds answers."""
    return write_classifier(folder, 1, BertForQuestionAnswering, max_position_embeddings=64)


TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC", 5: "MISC"}
WORDS = "abc de fghi. jk, lmn A\u00e9 \u4f60 (xy) zzz abcabc"


def tags(folder: Path) -> Path:
    """A toy that names tokens."""
    return write_classifier(folder, 2, BertForTokenClassification, id2label=TAGS)


BYTES = "abc de, fghi. jk-lmn A\u00e9 (xy) zzz don't abcabc"
PIECES = "abc de, fghi. jk-lmn (xy) zzz don't abcabc"


def tags_of_bytes(folder: Path) -> Path:
    """The same for bytes of text, which a byte-level tokenizer has joined here and there."""
    return toy_tokenizers.put(toy_tokenizers.byte_level(), write_tags(folder))


def tags_of_pieces(folder: Path) -> Path:
    """The same for pieces of a Unigram vocabulary."""
    return toy_tokenizers.put(toy_tokenizers.unigram(), write_tags(folder))


def write_tags(folder: Path) -> Path:
    """The model for these two."""
    return write_classifier(folder, 2, BertForTokenClassification, id2label=TAGS, vocab_size=350)


def masks(folder: Path) -> Path:
    """A toy that fills masks."""
    return write_classifier(folder, 3, BertForMaskedLM)


CASES: Mapping[str, tuple[str, Callable[[Path], Path], Sequence[Call]]] = {
    "zero_shot": (
        "zero-shot-classification",
        zero_shot,
        [
            (["a b c"], {"candidate_labels": LABELS}),
            (["a b c", LABELS], {}),
            (["a b c", "a b, c,  d e f"], {}),
            ([["a b c", "x y z z", LONG]], {"candidate_labels": LABELS}),
            ([["a b c"]], {"candidate_labels": LABELS}),
            ([[]], {"candidate_labels": LABELS}),
            (["a b c"], {"candidate_labels": ["a"]}),
            (["a b c"], {"candidate_labels": LABELS, "multi_label": True}),
            (["a b c"], {"candidate_labels": LABELS, "hypothesis_template": "x {} y"}),
            (["a b c"], {"candidate_labels": ["a", ""]}),
        ],
    ),
    "zero_shot_unnamed": (
        "zero-shot-classification",
        zero_shot_unnamed,
        [(["a b c", LABELS], {}), (["a b c", LABELS], {"multi_label": True})],
    ),
    "token_classification": (
        "token-classification",
        tags,
        [
            ([WORDS], {}),
            ([WORDS], {"ignore_labels": []}),
            ([[WORDS, "a", "abc abc"]], {}),
            *(
                ([WORDS], {"aggregation_strategy": strategy, "ignore_labels": ignored})
                for strategy in ("simple", "first", "average", "max")
                for ignored in (["O"], [], ["PER", "B-PER"])
            ),
            *(
                ([f"{WORDS} {WORDS} {WORDS}"], {"aggregation_strategy": strategy, "stride": 4})
                for strategy in ("simple", "first", "average", "max")
            ),
            ([WORDS.split()], {"is_split_into_words": True, "aggregation_strategy": "simple"}),
            ([[WORDS.split(), ["abc", "de"]]], {"is_split_into_words": True, "delimiter": "--"}),
            ([f"{WORDS} {WORDS} {WORDS}"], {"aggregation_strategy": "simple"}),
        ],
    ),
    **{
        name: (
            "token-classification",
            write,
            [
                ([text], {"ignore_labels": []}),
                *(
                    ([text], {"aggregation_strategy": strategy, "ignore_labels": []})
                    for strategy in ("simple", "first", "average", "max")
                ),
                ([f"{text} {text}"], {"aggregation_strategy": "first", "stride": 4}),
            ],
        )
        for name, write, text in (
            ("token_classification_bytes", tags_of_bytes, BYTES),
            ("token_classification_pieces", tags_of_pieces, PIECES),
        )
    },
    "fill_mask": (
        "fill-mask",
        masks,
        [
            (["a b [MASK] d"], {}),
            (["a b [MASK] d"], {"top_k": 2}),
            (["a b [MASK] d"], {"top_k": 17}),
            (["a [MASK] [MASK] d [MASK]"], {"top_k": 2}),
            ([["a [MASK] d", "x y [MASK] [MASK]"]], {"top_k": 1}),
            ([["a [MASK] d"]], {}),
            (["a [MASK] d"], {"targets": ["a", "x", "zq", "b", "a"]}),
            (["a [MASK] d"], {"targets": "x"}),
            (["a [MASK] d [MASK]"], {"targets": ["a", "x", "b"], "top_k": 2}),
            (["a [MASK] d e f g"], {"tokenizer_kwargs": {"truncation": True, "max_length": 5}}),
        ],
    ),
    "question_answering": (
        "question-answering",
        answers,
        [
            ([], EXAMPLE),
            ([], EXAMPLE | {"top_k": 3}),
            ([], EXAMPLE | {"top_k": 40, "max_answer_len": 3}),
            ([], EXAMPLE | {"max_seq_len": 24, "doc_stride": 5, "top_k": 4}),
            ([], EXAMPLE | {"max_seq_len": 30, "doc_stride": 10, "handle_impossible_answer": True, "top_k": 3}),
            ([], EXAMPLE | {"align_to_words": False, "top_k": 5}),
            ([], EXAMPLE | {"align_to_words": False}),
            ([], EXAMPLE | {"max_answer_len": 1}),
            ([], EXAMPLE | {"max_answer_len": 60, "top_k": 2}),
            ([], {"question": QUESTION, "context": "a"}),
            ([], {"question": QUESTION, "context": "a", "top_k": 5, "handle_impossible_answer": True}),
            ([EXAMPLE], {}),
            ([[EXAMPLE]], {}),
            ([[EXAMPLE, {"question": "a?", "context": "b c d. E f"}]], {"top_k": 2}),
            ([], {"question": [QUESTION, "a?"], "context": LONG}),
            ([], {"question": [QUESTION, "a?"], "context": [LONG, "b c d"]}),
            ([], {"question": [QUESTION], "context": [LONG]}),
            ([{"question": [QUESTION, "a?"], "context": [LONG, "b c d"]}], {}),
            ([{"question": [QUESTION], "context": [LONG]}], {}),
            ([[]], {}),
        ],
    ),
}
