"""Text embedding: one vector for a text, as the checkpoint's own modules make it from the vectors of its tokens."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ..bundle import Model
from ..config import Config
from ..durable import Replacement
from ..hub import Source
from ..tokenizers import Tokenizer
from . import inputs as reading
from . import sentence_files, sentence_saving, text
from .object import Pipeline, device_named
from .sentence_files import Settings, Transformer
from .sentence_modules import VECTOR, Pooling
from .task import Row, Task

logger = logging.getLogger(__name__)

_PRECISIONS = ("float32", "int8", "uint8", "binary", "ubinary")
_DOCUMENTS = ("document", "passage", "corpus")


class Sparse(NamedTuple):
    """The words of a text with their weights: indices [n] into a vocabulary of `size`, values [n]."""

    indices: np.ndarray
    values: np.ndarray
    size: int

    def todense(self) -> np.ndarray:
        """The vector [size]."""
        dense = np.zeros(self.size, self.values.dtype)
        dense[self.indices] = self.values
        return dense


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What users may say.

    task: which of the checkpoint's tasks the vectors are for (Jina v3); its words stand before each text.
    prompt: words before each text. prompt_name: one of the checkpoint's prompts instead.
    normalize_embeddings: vectors of length 1. truncate_dim: only so many numbers of each vector.
    output_value: "sentence_embedding", or "token_embeddings" [tokens, dim].
    max_length: tokens of a text, at most what the checkpoint says.
    """

    task: str | None = None
    prompt: str | None = None
    prompt_name: str | None = None
    normalize_embeddings: bool = False
    truncate_dim: int | None = None
    output_value: str = "sentence_embedding"
    max_length: int | None = None

    def __post_init__(self) -> None:
        if self.output_value not in ("sentence_embedding", "token_embeddings"):
            raise ValueError(f"output_value={self.output_value!r}: 'sentence_embedding' or 'token_embeddings'")
        for name in ("task", "prompt", "prompt_name"):
            if not isinstance(getattr(self, name), str | None):
                raise ValueError(f"{name}={getattr(self, name)!r}: expected a string")
        for name in ("truncate_dim", "max_length"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name}={value!r}: expected a whole number, 1 or more")


def rows(
    settings: Settings, items: Sequence[Any], tokenizer: Tokenizer, options: Options, longest: int
) -> list[list[Row]]:
    """A row a text, behind the prompt."""
    if options.task is not None and options.task not in settings.tasks:
        raise ValueError(f"task={options.task!r}: the checkpoint has {list(settings.tasks) or 'no tasks'}")
    prompt = prompt_of(settings, options)
    chosen = {} if options.task is None else {"adapter": list(settings.tasks).index(options.task)}
    texts = [_text(item) for item in items]
    size = min(text.limit(tokenizer, longest, settings.transformer.longest), options.max_length or longest)
    if settings.transformer.chat is not None:
        front = (("system", prompt),) if prompt else ()
        chats = [(*front, ("user", words)) for words in texts]
        return [[Row({"input_ids": ids}, chosen)] for ids in settings.transformer.chat.rows(chats, tokenizer, size)]
    given = settings.transformer.as_read([prompt + words for words in texts], tokenizer)
    skipped = _skipped(settings, prompt, tokenizer, size) if prompt else 0
    pooled = lambda row: {"pooled": [int(i >= skipped) for i in range(len(row))]} if skipped else {}  # noqa: E731
    cut = {"truncation": True, "max_length": size}
    return [
        [Row(row.fields, {**pooled(row), **chosen})] for (row,) in text.rows(given, tokenizer, TASK.name, cut, longest)
    ]


def _skipped(settings: Settings, prompt: str, tokenizer: Tokenizer, size: int) -> int:
    """How many tokens at the beginning of a row are not pooled: those of the prompt, and the special one before it.

    Raises:
        ValueError: no others have room.
    """
    if all(module.include_prompt for module in settings.modules if isinstance(module, Pooling)):
        return 0
    (ids,) = tokenizer(settings.transformer.as_read([prompt], tokenizer), verbose=False)["input_ids"]
    behind = int(len(ids) > 0 and ids[-1] in tokenizer.all_special_ids)
    if len(ids) >= size:
        raise ValueError(
            f"the prompt's {len(ids)} tokens, special ones among them, leave nothing of the {size} tokens that a text "
            "may have here (max_length, max_seq_length): use a shorter prompt"
        )
    return len(ids) - behind


def _text(item: Any) -> str:
    """The text of an input: itself, or what `{"text": ...}` holds."""
    words = item["text"] if isinstance(item, Mapping) and list(item) == ["text"] else item
    if not isinstance(words, str):
        names = f" with {sorted(map(str, words))}" if isinstance(words, Mapping) else ""
        raise ValueError(f"text-embedding takes texts; found {type(words).__name__}{names}")
    return str(words)


def prompt_of(settings: Settings, options: Options) -> str:
    """The words before each text.

    Raises:
        ValueError: a name that the checkpoint does not have.
    """
    if options.task is not None and options.prompt is None and options.prompt_name is None:
        return settings.tasks[options.task]
    return settings.prompt(options.prompt, options.prompt_name)


def static(settings: Settings, options: Options, rows: Sequence[Row]) -> tuple[int]:
    """Whether token vectors are wanted."""
    return (int(options.output_value == "token_embeddings" and not settings.sparse),)


def answer(
    settings: Settings, item: Any, results: Sequence[tuple[Row, np.ndarray]], options: Options, config: Config
) -> Any:
    """A vector [dim] float32, or [tokens, dim], or `Sparse`."""
    ((row, x),) = results
    if settings.sparse:
        (indices,) = np.nonzero(x)
        if settings.most_words is not None and len(indices) > settings.most_words:
            indices = np.sort(indices[np.argsort(-np.abs(x[indices]), kind="stable")[: settings.most_words]])
        return Sparse(indices, x[indices], len(x))
    x = x[: len(row)] if options.output_value == "token_embeddings" else x
    size = options.truncate_dim or settings.truncate_dim
    x = x if size is None else x[..., :size]
    if options.normalize_embeddings:
        x = x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
    return np.array(x)  # of its own: an entry of a batch would keep the whole batch


_MEAN = Settings.of(Transformer(), Pooling())


def bind(task: Task, source: Source | None, trained: type[Model] | None) -> Task:
    """The task with the settings of a checkpoint; without any the mean of the vectors of tokens."""
    settings = _MEAN
    if source is not None:
        absent = _MEAN if source.gguf_file is None else sentence_files.of_gguf(source)
        settings = sentence_files.read(source, absent, VECTOR)
    return dataclasses.replace(
        task,
        head=settings.transformer.head.task,
        rows=partial(rows, settings),
        compute=settings.compute(VECTOR),
        answer=partial(answer, settings),
        static=partial(static, settings),
        settle=partial(settle, settings),
        arrays={"modules": settings.arrays},
        settings=settings,
        asked=partial(_asked, settings),
        packs=not settings.sparse,
    )


def settle(settings: Settings, options: Options, model: Model, tokenizer: Tokenizer) -> Options:
    """The options, where the model fits the checkpoint's modules.

    Raises:
        ValueError: it does not.
    """
    if (model.task or None) != settings.transformer.head.task:
        raise ValueError(f"{type(model).__name__} gives no vectors of tokens: load it without its head, by AutoModel")
    if any(settings.arrays):
        settings.widths(model)
    return options


def _asked(settings: Settings, options: Options) -> int | None:
    """The tokens of a text, where the checkpoint says so."""
    return settings.transformer.longest


class Embedder(Pipeline):
    """Vectors of texts; `encode` and its relatives are called as those of sentence-transformers."""

    @property
    def settings(self) -> Settings:
        """What the checkpoint says beside its weights."""
        return self._task.settings

    @property
    def prompts(self) -> Mapping[str, str]:
        """The checkpoint's prompts by name."""
        return self.settings.prompts

    def encode(
        self,
        sentences: Any,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        output_value: str = "sentence_embedding",
        precision: str = "float32",
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: str | int | jax.Device | None = None,
        normalize_embeddings: bool = False,
        truncate_dim: int | None = None,
        task: str | None = None,
    ) -> Any:
        """Vectors of one or several texts. What is None or False is as the pipeline was made.

        Args:
            sentences: a text (or `{"text": ...}`), or any number of them.
            prompt_name: one of `prompts`, put before each text. prompt: other words instead.
            prompt: see there.
            batch_size: a hint; batches are as large as is fast.
            show_progress_bar: whether to show one; None: for long lists on a terminal.
            output_value: "sentence_embedding", or "token_embeddings": a list of [tokens, dim].
            precision: "float32"; "int8", "uint8": each dimension's range over these texts in 256 steps; "binary",
                "ubinary": a bit a dimension, eight a byte.
            convert_to_numpy: False: a list of `jax.Array`.
            convert_to_tensor: a `jax.Array` instead of numpy's.
            device: as in `pipeline()`; where it is another one, the weights are copied there for this call.
            normalize_embeddings: vectors of length 1.
            truncate_dim: only so many numbers of each vector.
            task: one of the checkpoint's tasks (Jina v3), such as "retrieval.query"; its words stand before each text
                unless a prompt is given.

        Returns:
            [dim] of a text, [n, dim] of several. Of sparse checkpoints `Sparse`, or a list of them.

        Raises:
            ValueError: an unknown prompt, task, precision, output_value or device, or something that is no text.
            TypeError: nothing that texts could be read from.
        """
        if precision not in _PRECISIONS:
            raise ValueError(f"precision={precision!r}: one of {', '.join(_PRECISIONS)}")
        one = reading.kind(sentences) is reading.Kind.ONE
        said = {
            "prompt_name": prompt_name,
            "prompt": prompt,
            "output_value": output_value,
            "normalize_embeddings": normalize_embeddings or None,
            "truncate_dim": truncate_dim,
            "task": task,
        }
        options = {name: value for name, value in said.items() if value is not None}
        listed = [sentences] if one else list(reading.each(sentences))
        found = self._on(device)._answered(self._task, listed, options, batch_size, show_progress_bar)
        by_token = output_value == "token_embeddings"
        as_jax = convert_to_tensor or not convert_to_numpy
        if self.settings.sparse or by_token:
            found = list(map(jnp.asarray, found)) if as_jax and by_token else found
            return found[0] if one else found
        vectors = quantized(np.stack(found), precision) if found else np.zeros((0,), np.float32)
        if one:
            return jnp.asarray(vectors[0]) if as_jax else vectors[0]
        if convert_to_tensor:
            return jnp.asarray(vectors)
        return vectors if convert_to_numpy else list(jnp.asarray(vectors))

    def _write_beside(self, files: Replacement) -> Callable[[], None]:
        kind = "SparseEncoder" if self.settings.sparse else "SentenceTransformer"
        return sentence_saving.write(files, self.settings, self.model, kind)

    def _on(self, device: str | int | jax.Device | None) -> Embedder:
        """This, or the same with its weights on another device."""
        if device is None or device_named(device) == self.device:
            return self
        model = jax.device_put(self.model, device_named(device))
        return type(self)(self._task, model, self.tokenizer, self._options, self._batch_size)

    def encode_query(self, sentences: Any, **options: Any) -> Any:
        """As `encode`, with the prompt "query" or for the task "retrieval.query" where the checkpoint has one.

        Where it has none its default prompt is not used either.
        """
        return self.encode(sentences, **self._prompted(("query",), "retrieval.query", options))

    def encode_document(self, sentences: Any, **options: Any) -> Any:
        """As `encode_query`, with the prompt "document", "passage" or "corpus", or for the task "retrieval.passage"."""
        return self.encode(sentences, **self._prompted(_DOCUMENTS, "retrieval.passage", options))

    def _prompted(self, names: Sequence[str], task: str, options: dict[str, Any]) -> dict[str, Any]:
        if task in self.settings.tasks and options.get("task") is None:
            options = options | {"task": task}
        if options.get("prompt") is not None or options.get("prompt_name") is not None:
            return options
        name = next((name for name in names if name in self.prompts), None)
        if name is not None:
            return options | {"prompt_name": name}
        own = (self._options.prompt, self._options.prompt_name, options.get("task"))
        return options | ({"prompt": ""} if own == (None, None, None) else {})

    def similarity(self, embeddings1: Any, embeddings2: Any) -> np.ndarray:
        """How near vectors [n, dim] and [m, dim] are, [n, m], as the checkpoint's `similarity_fn_name` measures it.

        Raises:
            ValueError: the vectors are of two sizes.
        """
        a, b = (_dense(x) for x in (embeddings1, embeddings2))
        if a.shape[-1] != b.shape[-1]:
            raise ValueError(f"embeddings of {a.shape[-1]} and of {b.shape[-1]} numbers: they must be of one size")
        match self.settings.similarity or ("dot" if self.settings.sparse else "cosine"):
            case "cosine":
                norm = lambda x: x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)  # noqa: E731
                return norm(a) @ norm(b).T
            case "dot":
                return a @ b.T
            case "euclidean":
                return _distances(a, b, 2)
            case _:
                return _distances(a, b, 1)


def _distances(a: np.ndarray, b: np.ndarray, order: int) -> np.ndarray:
    """Minus how far vectors [n, dim] and [m, dim] are apart, [n, m]: from differences, which near vectors keep."""
    far = np.empty((len(a), len(b)), np.float32)
    for i, one in enumerate(a):
        far[i] = -np.linalg.norm(one - b, ord=order, axis=-1)
    return far


def _dense(x: Any) -> np.ndarray:
    listed = [x] if isinstance(x, Sparse) else x
    if isinstance(listed, list) and listed and isinstance(listed[0], Sparse):
        return np.stack([one.todense() for one in listed])
    return np.atleast_2d(np.asarray(x, np.float32))


def quantized(x: np.ndarray, precision: str) -> np.ndarray:
    """Vectors [n, dim] in another precision: see `Embedder.encode`."""
    if precision == "float32":
        return x
    if precision in ("binary", "ubinary"):
        bits = np.packbits(x > 0, axis=-1)
        return bits if precision == "ubinary" else (bits.astype(np.int16) - 128).astype(np.int8)
    if len(x) < 100:
        logger.warning("the ranges of %s come from these %d texts: 100 or more are better", precision, len(x))
    low, high = x.min(axis=0), x.max(axis=0)
    steps = (x - low) / np.where(high > low, (high - low) / 255, 1)
    return steps.astype(np.uint8) if precision == "uint8" else (steps - 128).astype(np.int8)


TASK = Task(
    "text-embedding",
    None,
    Options,
    partial(rows, _MEAN),
    _MEAN.compute(VECTOR),
    partial(answer, _MEAN),
    static=partial(static, _MEAN),
    inside=sentence_files.inside,
    bind=bind,
    pipeline_class=Embedder,
    promised=True,
)
