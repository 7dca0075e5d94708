"""Ranking by a decoder: it is asked whether a document fits a query, and how much likelier "yes" follows than "no" is
the score, as Qwen3-Reranker was trained (Zhang et al. 2025, arXiv 2506.05176).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from ..bundle import Model
from ..layers.embedding import embed
from ..layers.inputs import Inputs
from ..tokenizers import Tokenizer
from .task import Extra, Forward

INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"

_BEFORE = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
_BEHIND = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"


def prompts(pairs: Sequence[tuple[str, str]], tokenizer: Tokenizer, instruction: str, size: int) -> list[list[int]]:
    """The tokens of a question for each query and document, at most `size`: longer documents lose their end.

    Raises:
        ValueError: a document would lose all of its tokens.
    """

    def ids(texts: list[str]) -> list[list[int]]:
        return tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]

    before, behind = ids([_BEFORE, _BEHIND])
    room = size - len(before) - len(behind)
    asked = [f"<Instruct>: {instruction}\n<Query>: {query}\n<Document>:" for query, _ in pairs]
    found = ids([f"{words} {document}" for words, (_, document) in zip(asked, pairs, strict=True)])
    for words, row in zip(asked, found, strict=True):
        if len(row) > room and (taken := len(ids([words])[0])) >= room:
            raise ValueError(
                f"the {len(before) + len(behind)} tokens of the question and {taken} of instruction and query leave "
                f"nothing of the {size} tokens that a row may have here (max_length) for the document: raise "
                "max_length or shorten them"
            )
    return [[*before, *row[:room], *behind] for row in found]


def words(tokenizer: Tokenizer) -> list[int]:
    """The tokens of "no" and "yes".

    Raises:
        ValueError: the tokenizer lacks one of them, or a mark of the question.
    """
    marks = ["no", "yes", "<|im_start|>", "<|im_end|>"]
    if missing := [mark for mark in marks if tokenizer.backend_tokenizer.token_to_id(mark) is None]:
        raise ValueError(
            "text-ranking asks a model that has no classifier as Qwen3-Reranker is asked, in one token for each of "
            f"{marks}; the tokenizer has none for {missing}: name a checkpoint that was trained to rank"
        )
    return tokenizer.convert_tokens_to_ids(marks[:2])


def params(model: Model, tokenizer: Tokenizer) -> Any:
    """The model's tree with a head that knows two words, "no" and "yes", in float32: of all others no score is used."""
    head, spoken = model.params["head"], jnp.array(words(tokenizer))
    two = {"decoder": {"table": embed(head.get("decoder", model.params["word"]), spoken).astype("float32")}}
    return model.prepared | {"head": two | ({"bias": head["bias"][spoken]} if "bias" in head else {})}


def compute(forward: Forward, inputs: Inputs, extra: Extra) -> jax.Array:
    """How much more likely "yes" is than "no" behind each question, in logits [N, 1]."""
    scores = forward(inputs)["logits"].astype("float32")
    return (scores[..., 1] - scores[..., 0]).reshape(-1)[inputs.ends(None)][:, None]
