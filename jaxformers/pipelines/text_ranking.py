"""Text ranking: how well documents fit a query, by a cross-encoder that reads both together."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ..config import Config
from ..tokenizers import Tokenizer
from .object import Pipeline
from .task import Row, Task
from .text_classification import compute

_ACTIVATIONS = ("Identity", "Sigmoid", "Tanh")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What users may say.

    top_k: how many documents, best first; None: all. return_documents: their texts too.
    max_length: tokens of a pair; longer ones are cut, the longer text first.
    """

    top_k: int | None = None
    return_documents: bool = False
    max_length: int | None = None

    def __post_init__(self) -> None:
        for name in ("top_k", "max_length"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name}={value!r}: expected a whole number, 1 or more")


def _parts(item: Any) -> tuple[str, list[str]]:
    """Query and documents.

    Raises:
        KeyError: one of them is missing.
        ValueError: this is no such input.
    """
    if not isinstance(item, Mapping):
        raise ValueError(f"text-ranking takes {{'query': ..., 'documents': [...]}}; found {type(item).__name__}")
    for name in ("query", "documents"):
        if name not in item:
            raise KeyError(f"the input has no {name!r}; it has {sorted(map(str, item))}")
    query, documents = item["query"], item["documents"]
    listed = isinstance(documents, Collection) and not isinstance(documents, str) and len(documents) > 0
    if not listed or not all(isinstance(text, str) for text in (query, *documents)):
        raise ValueError("'query' must be a text and 'documents' a list of texts that is not empty")
    return query, list(documents)


def rows(items: Sequence[Any], tokenizer: Tokenizer, options: Options) -> list[list[Row]]:
    """A row for each document, behind its query."""
    pairs = [(query, document) for query, documents in map(_parts, items) for document in documents]
    queries, documents = [query for query, _ in pairs], [document for _, document in pairs]
    encoded = tokenizer(queries, documents, truncation=True, max_length=options.max_length, verbose=False)
    fields = {name: encoded[name] for name in encoded if name not in ("attention_mask", "length")}
    flat = iter(Row({name: values[i] for name, values in fields.items()}) for i in range(len(pairs)))
    return [[next(flat) for _ in _parts(item)[1]] for item in items]


def answer(item: Any, results: Sequence[tuple[Row, np.ndarray]], options: Options, config: Config) -> Any:
    """A list of `{corpus_id, score}`, best first."""
    if config.num_labels != 1:
        raise ValueError(f"ranking needs a model with one score, this one has {config.num_labels}: use predict")
    _, documents = _parts(item)
    scores = activated(np.array([float(logits[0]) for _, logits in results]), config)
    best = np.argsort(-scores, kind="stable")[: options.top_k]
    return [
        {"corpus_id": int(i), "score": float(scores[i])} | ({"text": documents[i]} if options.return_documents else {})
        for i in best
    ]


def activated(logits: np.ndarray, config: Config) -> np.ndarray:
    """Scores from logits: by the function that the config names, else the sigmoid of a single score.

    Raises:
        ValueError: the config names an unknown function.
    """
    saved = getattr(config, "sentence_transformers", None)
    saved = saved.get("activation_fn") if isinstance(saved, Mapping) else None
    saved = saved or getattr(config, "sbert_ce_default_activation_function", None)
    name = str(saved).rpartition(".")[2] if saved else ("Sigmoid" if config.num_labels == 1 else "Identity")
    if name not in _ACTIVATIONS:
        raise ValueError(f"the config's activation_fn {saved!r} is none of {', '.join(_ACTIVATIONS)}")
    if name == "Identity":
        return logits
    return np.tanh(logits) if name == "Tanh" else 0.5 * (1 + np.tanh(logits / 2))


def single(answer: Any, item: Any, options: Options) -> Any:
    """The same alone as in a list."""
    return answer


class Ranker(Pipeline):
    """Documents in the order of how well they fit; `rank` and `predict` are called as a `CrossEncoder`'s."""

    def rank(self, query: str, documents: Sequence[str], top_k: int | None = None, **options: Any) -> Any:
        """The documents, best first: a list of `{corpus_id, score}`, with `return_documents=True` also `text`."""
        return self({"query": query, "documents": documents}, top_k=top_k, **options)

    def predict(  # type: ignore[override]  # the name is a CrossEncoder's
        self, sentences: Any, apply_softmax: bool = False, batch_size: int | None = None
    ) -> np.ndarray:
        """Scores of pairs of texts.

        Args:
            sentences: one pair, or a list of them.
            apply_softmax: of models with several scores, probabilities.
            batch_size: a hint.

        Returns:
            [n], or [n, num_labels]; of one pair without the first axis.

        Raises:
            ValueError: something is no pair of texts.
        """
        one = len(sentences) == 2 and all(isinstance(text, str) for text in sentences)
        pairs = [sentences] if one else list(sentences)
        for pair in pairs:
            if isinstance(pair, str) or len(pair) != 2:
                raise ValueError(f"predict takes pairs of texts; found {pair!r:.60}")
        scoring = dataclasses.replace(self._task, options=Options, rows=_pair_rows, answer=_scores)
        pipe = type(self)(scoring, self.model, self.tokenizer, Options(), batch_size)
        pipe.__dict__["_prepared"] = self._prepared
        scores = np.array(pipe([tuple(pair) for pair in pairs]), np.float32).reshape(len(pairs), -1)
        if apply_softmax and scores.shape[1] > 1:
            odds = np.exp(scores - scores.max(-1, keepdims=True))
            scores = odds / odds.sum(-1, keepdims=True)
        scores = scores[:, 0] if scores.shape[1] == 1 else scores
        return scores[0] if one else scores


def _pair_rows(items: Sequence[Any], tokenizer: Tokenizer, options: Options) -> list[list[Row]]:
    return rows([{"query": query, "documents": [document]} for query, document in items], tokenizer, options)


def _scores(item: Any, results: Sequence[tuple[Row, np.ndarray]], options: Options, config: Config) -> Any:
    ((_, logits),) = results
    return activated(logits.astype(np.float64), config)


TASK = Task(
    "text-ranking",
    "SequenceClassification",
    Options,
    rows,
    compute,
    answer,
    single,
    packs=True,
    pipeline_class=Ranker,
)
