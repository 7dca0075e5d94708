"""Text ranking: how well documents fit a query, by a cross-encoder that reads both, or a decoder that is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..bundle import Model
from ..config import Config
from ..hub import Source
from ..tokenizers import Tokenizer
from . import asking, text
from . import inputs as reading
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked(Options):
    """What users may say where a decoder is asked; of rows that are too long the document's end is cut.

    instruction: what documents are wanted for.
    """

    instruction: str = asking.INSTRUCTION

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.instruction, str):
            raise ValueError(f"instruction={self.instruction!r:.60}: expected a text")


Encode = Callable[[Sequence[tuple[str, str]], Tokenizer, Any, int], list[Row]]
"""(pairs, tokenizer, options, tokens that the model takes) → a row for each pair."""


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


def together(pairs: Sequence[tuple[str, str]], tokenizer: Tokenizer, options: Options, longest: int) -> list[Row]:
    """Both texts of each pair, as the tokenizer joins them."""
    size = text.limit(tokenizer, longest, options.max_length)
    firsts, seconds = [first for first, _ in pairs], [second for _, second in pairs]
    encoded = tokenizer(firsts, seconds, truncation=True, max_length=size, verbose=False)
    return [Row(fields) for fields in text.fields(encoded)]


def asked(pairs: Sequence[tuple[str, str]], tokenizer: Tokenizer, options: Asked, longest: int) -> list[Row]:
    """A question about each pair."""
    size = text.limit(tokenizer, longest, options.max_length)
    return [Row({"input_ids": ids}) for ids in asking.prompts(pairs, tokenizer, options.instruction, size)]


def rows(encode: Encode, items: Sequence[Any], tokenizer: Tokenizer, options: Options, longest: int) -> list[list[Row]]:
    """A row for each document, behind its query."""
    groups = [_parts(item) for item in items]
    pairs = [(query, document) for query, documents in groups for document in documents]
    flat = iter(encode(pairs, tokenizer, options, longest))
    return [[next(flat) for _ in documents] for _, documents in groups]


def _pairs(
    encode: Encode, items: Sequence[Any], tokenizer: Tokenizer, options: Options, longest: int
) -> list[list[Row]]:
    """A row for each pair of texts."""
    for pair in items:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(one, str) for one in pair):
            raise ValueError(f"predict takes pairs of texts; found {pair!r:.60}")
    pairs = [(str(first), str(second)) for first, second in items]
    return [[row] for row in encode(pairs, tokenizer, options, longest)]


def answer(item: Any, results: Sequence[tuple[Row, np.ndarray]], options: Options, config: Config) -> Any:
    """A list of `{corpus_id, score}`, best first."""
    _, documents = _parts(item)
    logits = np.array([logits for _, logits in results], np.float32)
    if (count := logits.shape[-1]) != 1 and results:
        raise ValueError(f"ranking needs a model with one score, this one has {count}: use predict")
    scores = activated(logits.reshape(-1, 1), options, config)[:, 0]
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
        function = _ACTIVATIONS["Sigmoid" if logits.shape[1] == 1 else "Identity"]
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
        instruction: str | None = None,
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
            instruction: as in `predict`.

        Raises:
            ValueError: the model has several scores, or something is no text.
            TypeError: an instruction for a model that is not asked.
        """
        said = {
            "top_k": top_k,
            "return_documents": return_documents or None,
            "activation_fn": activation_fn,
            "max_length": max_length,
            "instruction": instruction,
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
        instruction: str | None = None,
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
            instruction: of decoders that are asked, what documents are wanted for.

        Returns:
            [n], or [n, num_labels]; of one pair without the first axis.

        Raises:
            ValueError: something is no pair of texts.
            TypeError: nothing that pairs could be read from, or an instruction for a model that is not asked.
        """
        kind = reading.kind(sentences)
        if kind is reading.Kind.ONE:
            raise ValueError(f"predict takes pairs of texts; found {sentences!r:.60}")
        listed = [pair.tolist() if isinstance(pair, np.ndarray) else pair for pair in reading.each(sentences)]
        one = kind is reading.Kind.LIST and len(listed) > 0 and isinstance(listed[0], str)
        options = _said({"activation_fn": activation_fn, "max_length": max_length, "instruction": instruction})
        scoring = dataclasses.replace(self._task, rows=partial(_pairs, self._task.settings), answer=_logits)
        logits = self._answered(scoring, [tuple(listed)] if one else listed, options, batch_size, show_progress_bar)
        labels = 1 if self._task.head == "CausalLM" else self.model.config.num_labels
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


def bind(task: Task, source: Source | None, trained: type[Model] | None) -> Task:
    """The task as a decoder without a classifier does it, where the checkpoint is one."""
    return _ASKING if trained is not None and trained.task == "CausalLM" else task


def settle(options: Asked, model: Model, tokenizer: Tokenizer) -> Asked:
    """The options, where the tokenizer has the words of the question and of its answers."""
    asking.words(tokenizer)
    return options


TASK = Task(
    "text-ranking",
    "SequenceClassification",
    Options,
    partial(rows, together),
    compute,
    answer,
    bind=bind,
    settings=together,
    pipeline_class=Ranker,
    packs=True,
)
_ASKING = dataclasses.replace(
    TASK,
    head="CausalLM",
    options=Asked,
    rows=partial(rows, asked),
    compute=asking.compute,
    settle=settle,
    params=asking.params,
    settings=asked,
)
