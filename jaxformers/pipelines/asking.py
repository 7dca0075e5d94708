"""Ranking by a decoder: it is asked whether a document fits a query, and how much likelier "yes" follows than "no" is
the score, as Qwen3-Reranker was trained (Zhang et al. 2025, arXiv 2506.05176).
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from ..bundle import Model
from ..layers.embedding import embed
from ..parallel import explicit
from ..tokenizers import Tokenizer
from .templates import Chat

INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
_SAID = '{{{{ messages | selectattr("role", "eq", "{}") | map(attribute="content") | first{} }}}}'
QUESTION = Chat(
    style="flat",
    template="<|im_start|>system\n"
    "Judge whether the Document meets the requirements based on the Query and the Instruct provided. "
    'Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n"
    f"<Instruct>: {_SAID.format('system', f' | default({INSTRUCTION!r})')}\n"
    f"<Query>: {_SAID.format('query', '')}\n"
    f"<Document>: {_SAID.format('document', '')}<|im_end|>\n"
    "<|im_start|>assistant\n"
    "<think>{{ '\\n\\n' }}</think>{{ '\\n\\n' }}",
)
"""Qwen3-Reranker's question, for checkpoints that have no template of their own for a query and a document."""
MARKS = ("<|im_start|>", "<|im_end|>")
"""What the question is made of."""


def words(tokenizer: Tokenizer, marks: tuple[str, ...] = ()) -> tuple[int, int]:
    """The tokens of "yes" and "no".

    Raises:
        ValueError: the tokenizer lacks one of them, or of the marks.
    """
    wanted = ("yes", "no", *marks)
    if missing := [word for word in wanted if tokenizer.backend_tokenizer.token_to_id(word) is None]:
        raise ValueError(
            "text-ranking asks a model that has no classifier as Qwen3-Reranker is asked, in one token for each of "
            f"{list(wanted)}; the tokenizer has none for {missing}: name a checkpoint that was trained to rank"
        )
    yes, no = tokenizer.convert_tokens_to_ids(list(wanted[:2]))
    return yes, no


def params(spoken: tuple[int, ...] | None, model: Model, tokenizer: Tokenizer) -> Any:
    """The model's tree with a head that knows a few words, in float32: of all others no score is used.

    spoken: their tokens; None: those of "yes" and "no".
    """
    whole = explicit.to_automatic({name: model.params[name] for name in ("head", "word")})
    with explicit.automatic():
        head, ids = whole["head"], jnp.array(spoken or words(tokenizer))
        few = {"decoder": {"table": embed(head.get("decoder", whole["word"]), ids).astype("float32")}}
        return model.prepared | {"head": few | ({"bias": head["bias"][ids]} if "bias" in head else {})}
