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
from ..durable import Replacement
from ..hub import Source
from ..tokenizers import Tokenizer
from . import asking, sentence_files, sentence_saving, templates, text
from . import inputs as reading
from .object import Pipeline
from .sentence_files import Settings, Transformer
from .sentence_modules import SCORES, Dense, LogitScore
from .task import MissingKey, Row, Task

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
        checkpoint.
    prompt: words before each query; what the system says where a chat template is used. prompt_name: one of the
        checkpoint's prompts instead.
    """

    top_k: int | None = None
    return_documents: bool = False
    max_length: int | None = None
    activation_fn: str | Callable[[Any], Any] | None = None
    prompt: str | None = None
    prompt_name: str | None = None

    def __post_init__(self) -> None:
        for name in ("top_k", "max_length"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name}={value!r}: expected a whole number, 1 or more")
        for name in ("prompt", "prompt_name"):
            if not isinstance(getattr(self, name), str | None):
                raise ValueError(f"{name}={getattr(self, name)!r:.60}: expected a string")
        if self.activation_fn is not None and not callable(self.activation_fn):
            _named(self.activation_fn, "activation_fn=")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked(Options):
    """What users may say where a decoder is asked; of rows that are too long the document's end is cut.

    instruction: what documents are wanted for; the same as `prompt`.
    """

    instruction: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.instruction, str | None):
            raise ValueError(f"instruction={self.instruction!r:.60}: expected a text")


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


def together(
    settings: Settings, pairs: Sequence[tuple[str, str]], tokenizer: Tokenizer, options: Options, longest: int
) -> list[Row]:
    """Both texts of each pair, as the tokenizer joins them."""
    reader, prompt = settings.transformer, settings.prompt(options.prompt, options.prompt_name)
    firsts = reader.as_read([prompt + first for first, _ in pairs], tokenizer)
    seconds = reader.as_read([second for _, second in pairs], tokenizer)
    size = _size(settings, tokenizer, options, longest)
    encoded = tokenizer(firsts, seconds, truncation=True, max_length=size, verbose=False)
    return [Row(fields) for fields in text.fields(encoded)]


def asked(
    settings: Settings, pairs: Sequence[tuple[str, str]], tokenizer: Tokenizer, options: Asked, longest: int
) -> list[Row]:
    """A question about each pair, in the words of a chat template."""
    words = options.instruction if options.prompt is None else options.prompt
    said = settings.prompt(words, options.prompt_name)
    system = (("system", said),) if said else ()
    chats = [(*system, *zip(templates.PAIR, pair, strict=True)) for pair in pairs]
    rows = chat_of(settings, tokenizer).rows(chats, tokenizer, _size(settings, tokenizer, options, longest))
    return [Row({"input_ids": ids}) for ids in rows]


def asks(settings: Settings) -> bool:
    """Whether pairs are put into a chat template."""
    return settings.transformer.chat is not None or settings.modules == (LogitScore(),)


def chat_of(settings: Settings, tokenizer: Tokenizer) -> templates.Chat:
    """What puts a query and a document into a question: as the checkpoint says, else its template where that does, else
    Qwen3's.
    """
    if settings.transformer.chat is not None:
        return settings.transformer.chat
    own = templates.Chat()
    return own if own.carries_pairs(tokenizer) else asking.QUESTION


def _size(settings: Settings, tokenizer: Tokenizer, options: Options, longest: int) -> int:
    """The most tokens of a row."""
    return text.limit(tokenizer, longest, _asked(settings, options))


def _asked(settings: Settings, options: Options) -> int | None:
    """The tokens of a row that the caller or the checkpoint asks for."""
    return options.max_length or settings.transformer.longest


def _encoded(
    settings: Settings, pairs: Sequence[tuple[str, str]], tokenizer: Tokenizer, options: Any, longest: int
) -> list[Row]:
    """A row for each pair; there may be none."""
    if not pairs:
        return []
    return (asked if asks(settings) else together)(settings, pairs, tokenizer, options, longest)


def rows(
    settings: Settings, items: Sequence[Any], tokenizer: Tokenizer, options: Options, longest: int
) -> list[list[Row]]:
    """A row for each document, behind its query."""
    groups = [_parts(item) for item in items]
    pairs = [(query, document) for query, documents in groups for document in documents]
    flat = iter(_encoded(settings, pairs, tokenizer, options, longest))
    return [[next(flat) for _ in documents] for _, documents in groups]


def _pairs(
    settings: Settings, items: Sequence[Any], tokenizer: Tokenizer, options: Options, longest: int
) -> list[list[Row]]:
    """A row for each pair of texts."""
    for pair in items:
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(isinstance(one, str) for one in pair):
            raise ValueError(f"predict takes pairs of texts; found {pair!r:.60}")
    pairs = [(str(first), str(second)) for first, second in items]
    return [[row] for row in _encoded(settings, pairs, tokenizer, options, longest)]


def answer(
    settings: Settings, item: Any, results: Sequence[tuple[Row, np.ndarray]], options: Options, config: Config
) -> Any:
    """A list of `{corpus_id, score}`, best first."""
    _, documents = _parts(item)
    logits = np.array([logits for _, logits in results], np.float32)
    if (count := logits.shape[-1]) != 1 and results:
        raise ValueError(f"ranking needs a model with one score, this one has {count}: use predict")
    scores = activated(logits.reshape(-1, 1), options, settings, config)[:, 0]
    best = np.argsort(-scores, kind="stable")[: options.top_k]
    return [
        {"corpus_id": int(i), "score": float(scores[i])} | ({"text": documents[i]} if options.return_documents else {})
        for i in best
    ]


def activated(logits: np.ndarray, options: Options, settings: Settings, config: Config) -> np.ndarray:
    """Scores [n, labels] from logits [n, labels], by the function that the options name, else the checkpoint's."""
    if callable(options.activation_fn):
        return np.asarray(options.activation_fn(logits), np.float32)
    if options.activation_fn is not None:
        name = _named(options.activation_fn, "activation_fn=")
    else:
        name = activation(settings, config, logits.shape[1])
    return _ACTIVATIONS[name](logits.astype(np.float64)).astype(np.float32)


def labels_of(settings: Settings, config: Config) -> int:
    """How many scores a pair has."""
    for module, arrays in zip(reversed(settings.modules), reversed(settings.arrays), strict=True):
        if module.gives == SCORES:
            return len(arrays["linear.weight"]) if isinstance(module, Dense) else 1
    return config.num_labels


def activation(settings: Settings, config: Config, labels: int) -> str:
    """The function that the checkpoint names, in its newest spelling that is there; else the sigmoid of a single score.

    Raises:
        ValueError: the function is not known here.
    """
    saved = getattr(config, "sentence_transformers", None)
    saved = saved.get("activation_fn") if isinstance(saved, Mapping) else None
    name = settings.activation or saved or getattr(config, "sbert_ce_default_activation_function", None)
    if name:
        return sentence_files.activation_named(str(name), _ACTIVATIONS, "the checkpoint's activation_fn")
    return "Sigmoid" if labels == 1 else "Identity"


def _named(name: Any, what: str) -> str:
    """The name in the table of one such as "Sigmoid" or "torch.nn.modules.activation.Sigmoid"."""
    last = str(name).rpartition(".")[2]
    if last not in _ACTIVATIONS:
        raise ValueError(f"{what}{name!r} is none of {', '.join(_ACTIVATIONS)}")
    return last


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
        prompt_name: str | None = None,
        prompt: str | None = None,
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
            instruction: as in `predict`, like the next two.
            prompt_name: one of the checkpoint's prompts.
            prompt: other words.

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
            "prompt_name": prompt_name,
            "prompt": prompt,
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
        prompt_name: str | None = None,
        prompt: str | None = None,
    ) -> Any:
        """Scores of pairs of texts.

        Args:
            sentences: one pair, or any number of them; there may be none.
            batch_size: a hint.
            show_progress_bar: whether to show one; None: for long lists on a terminal.
            activation_fn: from logits [n, labels] to scores: a function, or one of "Identity", "Sigmoid", "Tanh";
                None: by the checkpoint.
            apply_softmax: of models with several scores, probabilities.
            convert_to_numpy: False: a list of `jax.Array`.
            convert_to_tensor: a `jax.Array` instead of numpy's.
            max_length: tokens of a pair, at most what the model takes.
            instruction: of decoders that are asked, what documents are wanted for.
            prompt_name: one of the checkpoint's prompts, put before each first text; of decoders that are asked, an
                instruction.
            prompt: other words instead.

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
        options = _said(
            {
                "activation_fn": activation_fn,
                "max_length": max_length,
                "instruction": instruction,
                "prompt_name": prompt_name,
                "prompt": prompt,
            }
        )
        settings, config = self._task.settings, self.model.config
        scoring = dataclasses.replace(self._task, rows=partial(_pairs, settings), answer=_logits)
        logits = self._answered(scoring, [tuple(listed)] if one else listed, options, batch_size, show_progress_bar)
        labels = labels_of(settings, config)
        chosen = dataclasses.replace(self._options, **options)
        scores = activated(np.array(logits, np.float32).reshape(-1, labels), chosen, settings, config)
        if apply_softmax and labels > 1:
            odds = np.exp(scores - scores.max(-1, keepdims=True))
            scores = odds / odds.sum(-1, keepdims=True)
        scores = scores[:, 0] if labels == 1 else scores
        found = scores[0] if one else scores
        if convert_to_tensor:
            return jnp.asarray(found)
        return found if convert_to_numpy else list(jnp.asarray(scores))

    def _write_beside(self, files: Replacement) -> Callable[[], None]:
        settings, config = self._task.settings, self.model.config
        name = activation(settings, config, labels_of(settings, config))
        settings = dataclasses.replace(settings, activation=sentence_saving.torch_path(name))
        if asks(settings):
            chat = chat_of(settings, self.tokenizer)
            if chat is asking.QUESTION:
                files.write(sentence_saving.TEMPLATE, str(chat.template).encode())
                chat = dataclasses.replace(chat, template=None)
            settings = dataclasses.replace(settings, transformer=dataclasses.replace(settings.transformer, chat=chat))
        if settings.modules == (LogitScore(),):
            settings = dataclasses.replace(settings, modules=(LogitScore(*asking.words(self.tokenizer)),))
        return sentence_saving.write(files, settings, self.model, "CrossEncoder")


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that a caller gave; the others stay as the pipeline has them."""
    return {name: value for name, value in options.items() if value is not None}


def _logits(item: Any, results: Sequence[tuple[Row, np.ndarray]], options: Options, config: Config) -> Any:
    """The model's scores of a pair [labels], before any function."""
    ((_, logits),) = results
    return logits


def bind(task: Task, source: Source | None, trained: type[Model] | None) -> Task:
    """The task as a checkpoint does it: by a classifier, by modules of its own, or as a decoder that is asked."""
    absent = _ASKED if trained is not None and trained.task == "CausalLM" else _CLASSIFIER
    settings = absent if source is None else sentence_files.read(source, absent, SCORES)
    task = dataclasses.replace(
        task,
        head=settings.transformer.head.task,
        options=Asked if asks(settings) else Options,
        rows=partial(rows, settings),
        compute=settings.compute(SCORES),
        answer=partial(answer, settings),
        settle=partial(settle, settings),
        asked=partial(_asked, settings),
        arrays={"modules": settings.arrays},
        settings=settings,
    )
    for module in settings.modules:
        if isinstance(module, LogitScore):
            return dataclasses.replace(task, params=partial(asking.params, module.words))
    return task


def settle(settings: Settings, options: Options, model: Model, tokenizer: Tokenizer) -> Options:
    """The options, where model and tokenizer fit what the checkpoint says.

    Raises:
        ValueError: they do not.
    """
    if any(settings.arrays):
        settings.widths(model)
    activation(settings, model.config, labels_of(settings, model.config))
    settings.prompt(options.prompt, options.prompt_name)
    for module in settings.modules:
        if isinstance(module, LogitScore) and not set(module.words) <= set(range(model.config.vocab_size)):
            size = model.config.vocab_size
            raise ValueError(f"LogitScore reads the tokens {list(module.words)}, and the model has {size}")
    if asks(settings):
        chat = chat_of(settings, tokenizer)
        if not chat.carries_pairs(tokenizer):
            raise ValueError("the checkpoint's chat template does not show what a 'query' and a 'document' say")
        if settings.modules == (LogitScore(),):
            asking.words(tokenizer, asking.MARKS if chat is asking.QUESTION else ())
    return options


_CLASSIFIER = Settings.of(Transformer("sequence-classification"))
_ASKED = Settings.of(Transformer("text-generation"), LogitScore())
TASK = Task(
    "text-ranking",
    "SequenceClassification",
    Options,
    partial(rows, _CLASSIFIER),
    _CLASSIFIER.compute(SCORES),
    partial(answer, _CLASSIFIER),
    inside=sentence_files.inside,
    bind=bind,
    pipeline_class=Ranker,
    asked=partial(_asked, _CLASSIFIER),
    promised=True,
    packs=True,
)
