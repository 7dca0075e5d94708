"""Text ranking: how well documents fit a query, by a cross-encoder that reads both together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..config import Config
from ..tokenizers import Tokenizer
from . import inputs as reading
from . import text
from .object import Pipeline
from .task import MissingKey, Row, Task
from .text_classification import compute

_ACTIVATIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "Identity": lambda x: x,
    "Sigmoid": lambda x: 0.5 * (1 + np.tanh(x / 2)),
    "Tanh": np.tanh,
}
"""By the last part of the name of torch's class."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What users may say.

    top_k: how many documents, best first; None: all. return_documents: their texts too.
    max_length: tokens of a pair, at most what the model takes; longer ones are cut, the longer text first.
    activation_fn: from logits [n, labels] to scores: a function, or one of "Identity", "Sigmoid", "Tanh"; None: by the
        config.
    """

    top_k: int | None = None
    return_documents: bool = False
    max_length: int | None = None
    activation_fn: str | Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        for name in ("top_k", "max_length"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name}={value!r}: expected a whole number, 1 or more")
        if self.activation_fn is not None and not callable(self.activation_fn):
            _named(self.activation_fn, "activation_fn=")


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
            raise MissingKey(f"the input has no {name!r}; it has {sorted(map(str, item))}")
    query, documents = item["query"], item["documents"]
    listed = isinstance(documents, Collection) and not isinstance(documents, str)
    if not listed or not all(isinstance(one, str) for one in (query, *documents)):
        raise ValueError("'query' must be a text and 'documents' a list of texts")
    return query, list(documents)


def rows(items: Sequence[Any], tokenizer: Tokenizer, options: Options, longest: int) -> list[list[Row]]:
    """A row for each document, behind its query."""
    groups = [_parts(item) for item in items]
    pairs = [(query, document) for query, documents in groups for document in documents]
    flat = iter(_pairs(pairs, tokenizer, options, longest))
    return [[row for _ in documents for row in next(flat)] for _, documents in groups]


def _pairs(items: Sequence[Any], tokenizer: Tokenizer, options: Options, longest: int) -> list[list[Row]]:
    """A row for each pair of texts."""
    for pair in items:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(one, str) for one in pair):
            raise ValueError(f"predict takes pairs of texts; found {pair!r:.60}")
    size = text.limit(tokenizer, longest, options.max_length)
    firsts, seconds = [str(first) for first, _ in items], [str(second) for _, second in items]
    encoded = tokenizer(firsts, seconds, truncation=True, max_length=size, verbose=False)
    return [[Row(fields)] for fields in text.fields(encoded)]


def answer(item: Any, results: Sequence[tuple[Row, np.ndarray]], options: Options, config: Config) -> Any:
    """A list of `{corpus_id, score}`, best first."""
    if config.num_labels != 1:
        raise ValueError(f"ranking needs a model with one score, this one has {config.num_labels}: use predict")
    _, documents = _parts(item)
    scores = activated(np.array([logits for _, logits in results]).reshape(-1, 1), options, config)[:, 0]
    best = np.argsort(-scores, kind="stable")[: options.top_k]
    return [
        {"corpus_id": int(i), "score": float(scores[i])} | ({"text": documents[i]} if options.return_documents else {})
        for i in best
    ]


def activated(logits: np.ndarray, options: Options, config: Config) -> np.ndarray:
    """Scores [n, labels] from logits [n, labels]: by the function that the options or the config name, else the sigmoid
    of a single score.

    Raises:
        ValueError: the config names an unknown function.
    """
    if callable(options.activation_fn):
        return np.asarray(options.activation_fn(logits), np.float32)
    saved = getattr(config, "sentence_transformers", None)
    saved = saved.get("activation_fn") if isinstance(saved, Mapping) else None
    saved = saved or getattr(config, "sbert_ce_default_activation_function", None)
    if options.activation_fn is not None:
        function = _named(options.activation_fn, "activation_fn=")
    elif saved:
        function = _named(saved, "the config's activation_fn ")
    else:
        function = _ACTIVATIONS["Sigmoid" if config.num_labels == 1 else "Identity"]
    return function(logits.astype(np.float64)).astype(np.float32)


def _named(name: Any, what: str) -> Callable[[np.ndarray], np.ndarray]:
    """The function of a name, such as "Sigmoid" or "torch.nn.modules.activation.Sigmoid"."""
    function = _ACTIVATIONS.get(str(name).rpartition(".")[2])
    if function is None:
        raise ValueError(f"{what}{name!r} is none of {', '.join(_ACTIVATIONS)}")
    return function


class Ranker(Pipeline):
    """Documents in the order of how well they fit; `rank` and `predict` are called as a `CrossEncoder`'s."""

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        top_k: int | None = None,
        return_documents: bool = False,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        activation_fn: str | Callable[[Any], Any] | None = None,
        apply_softmax: bool = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        max_length: int | None = None,
    ) -> list[dict[str, Any]]:
        """The documents, best first: a list of `{corpus_id, score}`, with `return_documents=True` also `text`.

        Args:
            query: a text.
            documents: texts; there may be none.
            top_k: how many of them; None: as the pipeline was made.
            return_documents: give their texts too.
            batch_size: a hint.
            show_progress_bar: accepted; one query shows none.
            activation_fn: as in `predict`.
            apply_softmax: accepted; one score a document has nothing to share.
            convert_to_numpy: accepted; scores are Python's numbers.
            convert_to_tensor: accepted.
            max_length: tokens of a pair, at most what the model takes.

        Raises:
            ValueError: the model has several scores, or something is no text.
        """
        said = {
            "top_k": top_k,
            "return_documents": return_documents or None,
            "activation_fn": activation_fn,
            "max_length": max_length,
        }
        given = {"query": query, "documents": documents}
        return self._answered(self._task, given, _said(said), batch_size)

    def predict(  # type: ignore[override]  # the name is a CrossEncoder's
        self,
        sentences: Any,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        activation_fn: str | Callable[[Any], Any] | None = None,
        apply_softmax: bool = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        max_length: int | None = None,
    ) -> Any:
        """Scores of pairs of texts.

        Args:
            sentences: one pair, or any number of them; there may be none.
            batch_size: a hint.
            show_progress_bar: whether to show one; None: for long lists on a terminal.
            activation_fn: from logits [n, labels] to scores: a function, or one of "Identity", "Sigmoid", "Tanh";
                None: by the config.
            apply_softmax: of models with several scores, probabilities.
            convert_to_numpy: False: a list of `jax.Array`.
            convert_to_tensor: a `jax.Array` instead of numpy's.
            max_length: tokens of a pair, at most what the model takes.

        Returns:
            [n], or [n, num_labels]; of one pair without the first axis.

        Raises:
            ValueError: something is no pair of texts.
            TypeError: nothing that pairs could be read from.
        """
        kind = reading.kind(sentences)
        if kind is reading.Kind.ONE:
            raise ValueError(f"predict takes pairs of texts; found {sentences!r:.60}")
        listed = [pair.tolist() if isinstance(pair, np.ndarray) else pair for pair in reading.each(sentences)]
        one = kind is reading.Kind.LIST and len(listed) > 0 and isinstance(listed[0], str)
        options = _said({"activation_fn": activation_fn, "max_length": max_length})
        logits = self._answered(_SCORING, [tuple(listed)] if one else listed, options, batch_size, show_progress_bar)
        labels = self.model.config.num_labels
        chosen = dataclasses.replace(self._options, **options)
        scores = activated(np.array(logits, np.float32).reshape(-1, labels), chosen, self.model.config)
        if apply_softmax and labels > 1:
            odds = np.exp(scores - scores.max(-1, keepdims=True))
            scores = odds / odds.sum(-1, keepdims=True)
        scores = scores[:, 0] if labels == 1 else scores
        found = scores[0] if one else scores
        if convert_to_tensor:
            return jnp.asarray(found)
        return found if convert_to_numpy else list(jnp.asarray(scores))


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that a caller gave; the others stay as the pipeline has them."""
    return {name: value for name, value in options.items() if value is not None}


def _logits(item: Any, results: Sequence[tuple[Row, np.ndarray]], options: Options, config: Config) -> Any:
    """The model's scores of a pair [labels], before any function."""
    ((_, logits),) = results
    return logits


TASK = Task("text-ranking", "SequenceClassification", Options, rows, compute, answer, packs=True, pipeline_class=Ranker)
_SCORING = dataclasses.replace(TASK, rows=_pairs, answer=_logits)
