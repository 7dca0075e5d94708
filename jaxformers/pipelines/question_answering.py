"""Question answering: which words of a context answer a question. Long contexts are read in overlapping windows.

Spans are searched on the device, in all windows at once, and only a few candidates of each window are fetched.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import jax
import jax.numpy as jnp

from ..config import Config
from ..layers.inputs import Inputs
from ..tokenizers import Tokenizer
from . import shapes, text
from .task import Extra, Forward, MissingKey, Row, Task

_NEVER = -10_000.0  # the score of a token that is no part of any answer, as in the reference


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What users may say.

    top_k: how many answers; there may be fewer. topk: its older spelling.
    doc_stride: tokens that neighbouring windows share; default min(max_seq_len // 2, 128).
    max_answer_len: the most tokens of an answer.
    max_seq_len: the most tokens of a window, with the question; default 384, less if the tokenizer says so.
    max_question_len: the question is cut behind so many tokens.
    handle_impossible_answer: whether "no answer" is one.
    align_to_words: widen answers to whole words.
    padding: accepted; rows are padded where it is needed.
    """

    top_k: int = 1
    topk: int | None = None
    doc_stride: int | None = None
    max_answer_len: int = 15
    max_seq_len: int | None = None
    max_question_len: int = 64
    handle_impossible_answer: bool = False
    align_to_words: bool = True
    padding: bool | str | None = None

    def __post_init__(self) -> None:
        if self.topk is not None:
            warnings.warn("topk is now called top_k", FutureWarning, stacklevel=3)
            object.__setattr__(self, "top_k", self.topk)
            object.__setattr__(self, "topk", None)
        for name in ("top_k", "max_answer_len", "max_question_len", "max_seq_len"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or value < 1):
                raise ValueError(f"{name}={value!r}: expected a whole number, 1 or more")
        if self.doc_stride is not None and (not isinstance(self.doc_stride, int) or self.doc_stride < 0):
            raise ValueError(f"doc_stride={self.doc_stride!r}: expected a whole number, 0 or more")
        if None not in (self.doc_stride, self.max_seq_len) and self.doc_stride > self.max_seq_len:  # type: ignore[operator]
            raise ValueError(f"doc_stride={self.doc_stride} is larger than max_seq_len={self.max_seq_len}")

    @property
    def candidates(self) -> int:
        """Spans that are looked at in each window: some become the same words when they are aligned."""
        return 2 * self.top_k + 10 if self.align_to_words else self.top_k


@dataclasses.dataclass(frozen=True)
class Window:
    """Where a window's tokens stand in the context: the tokenizer's record, and whether it holds the context second."""

    encoding: Any
    context: int

    def characters(self, start: int, end: int, words: bool) -> tuple[int, int]:
        """The span of the context that tokens start to end stand for, of their whole words if asked."""
        offsets = self.encoding.offsets
        first, last = offsets[start][0], offsets[end][1]
        if words:
            spans = [
                None if word is None else self.encoding.word_to_chars(word, self.context)
                for word in (self.encoding.word_ids[start], self.encoding.word_ids[end])
            ]
            if spans[0] is not None and spans[1] is not None:
                return spans[0][0], spans[1][1]
        return first, last


def read(given: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Every way to ask: keywords, two strings, a dict (of lists too), an example with `question_text`, or several."""
    options = dict(options)
    named = {name: options.pop(name) for name in ("question", "context") if name in options}
    old = [options.pop(name) for name in ("X", "data") if name in options]
    if named:
        if given or old or len(named) < 2:
            raise ValueError("question-answering needs question= and context= together, or examples with both")
        listed = _examples(named["question"], named["context"])
        return (listed[0] if len(listed) == 1 else listed), options
    if len(given) == 2 and all(isinstance(part, str) for part in given):
        return _examples(*given)[0], options
    given = (*given, *old)
    if not given:
        raise ValueError("question-answering needs question= and context=, or an example {'question', 'context'}")
    examples = given[0] if len(given) == 1 else list(given)
    if isinstance(examples, list | tuple) and len(examples) == 1:
        examples = examples[0]
    if isinstance(examples, str):
        raise ValueError("question-answering needs a context beside the question: question=..., context=...")
    if isinstance(examples, Mapping) or hasattr(examples, "question_text"):
        parts = _parts(examples)
        listed = _examples(*parts)
        return (listed if any(isinstance(part, list | tuple) for part in parts) else listed[0]), options
    return examples, options


def _examples(question: Any, context: Any) -> list[dict[str, str]]:
    """The examples that texts or lists of them make; one context may serve several questions."""
    for name, value in (("question", question), ("context", context)):
        if not isinstance(value, str | list | tuple):
            raise ValueError(f"{name}= must be a text or a list of texts; found {type(value).__name__}")
    questions = [question] if isinstance(question, str) else list(question)
    contexts = [context] * len(questions) if isinstance(context, str) else list(context)
    if len(questions) != len(contexts):
        raise ValueError(f"{len(questions)} questions and {len(contexts)} contexts: as many of one as of the other")
    return [{"question": q, "context": c} for q, c in zip(questions, contexts, strict=True)]


def _parts(item: Any) -> tuple[Any, Any]:
    """Question and context of an example.

    Raises:
        KeyError: one of them is missing.
        ValueError: this is no example.
    """
    if hasattr(item, "question_text"):
        return item.question_text, item.context_text
    if not isinstance(item, Mapping):
        raise ValueError(f"question-answering takes {{'question': ..., 'context': ...}}; found {type(item).__name__}")
    for name in ("question", "context"):
        if name not in item:
            raise MissingKey(f"the example has no {name!r}; it has {sorted(map(str, item))}")
    return item["question"], item["context"]


def _texts(item: Any) -> tuple[str, str]:
    """The same, each a text.

    Raises:
        ValueError: one is no text, or empty.
    """
    question, context = _parts(item)
    for name, value in (("question", question), ("context", context)):
        if not isinstance(value, str) or not value:
            raise ValueError(f"{name!r} must be a text that is not empty; found {value!r:.60}")
    return question, context


def rows(items: Sequence[Any], tokenizer: Tokenizer, options: Options, longest: int) -> list[list[Row]]:
    """A row for each window of an example's context."""
    size = options.max_seq_len or min(text.limit(tokenizer, longest), 384)
    stride = min(size // 2, 128) if options.doc_stride is None else options.doc_stride
    if stride > size:
        raise ValueError(f"doc_stride={stride} is larger than max_seq_len={size}")
    pairs = [_texts(item) for item in items]
    questions = [_cut(question, tokenizer, options.max_question_len) for question, _ in pairs]
    contexts = [context for _, context in pairs]
    second = tokenizer.padding_side == "right"  # the context comes last where padding does
    try:
        encoded = tokenizer(
            *((questions, contexts) if second else (contexts, questions)),
            truncation="only_second" if second else "only_first",
            max_length=size,
            stride=stride,
            return_overflowing_tokens=True,
            verbose=False,
        )
    except ValueError as error:
        raise _too_long(questions, tokenizer, options, size, stride, longest) or error from None
    whose = encoded["overflow_to_sample_mapping"]
    out: list[list[Row]] = [[] for _ in items]
    for owner, fields, encoding in zip(whose, text.fields(encoded), encoded.encodings or (), strict=True):
        allowed = [
            int(sequence == second or token == tokenizer.cls_token_id)
            for sequence, token in zip(encoding.sequence_ids, encoding.ids, strict=True)
        ]
        extra: dict[str, Any] = {"allowed": allowed, "most": options.max_answer_len}
        out[owner].append(Row(fields, extra, Window(encoding, int(second))))
    return out


def _too_long(
    questions: Sequence[str], tokenizer: Tokenizer, options: Options, size: int, stride: int, longest: int
) -> ValueError | None:
    """The error for a question that leaves no room for its context, where one is so long."""
    special = tokenizer.num_special_tokens_to_add(pair=True)
    taken = max(len(ids) for ids in tokenizer(list(questions), add_special_tokens=False, verbose=False)["input_ids"])
    room = size - special - taken
    if room > stride:
        return None
    return ValueError(
        f"the question's {taken} tokens and {special} special ones leave {max(room, 0)} of max_seq_len={size} for the "
        f"context, of which neighbouring windows share doc_stride={stride}: raise max_seq_len (the model takes "
        f"{longest}), or lower max_question_len={options.max_question_len} or doc_stride"
    )


def _cut(question: str, tokenizer: Tokenizer, most: int) -> str:
    encoded = tokenizer(question, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets = encoded["offset_mapping"]
    return question if len(offsets) <= most else question[: offsets[most - 1][1]]


def compute(forward: Forward, inputs: Inputs, extra: Extra, reach: int, count: int) -> Any:
    """The best spans of each window.

    extra: "allowed" [B, T], whether a token may be part of an answer; "most" [B], tokens of an answer.
    reach, count: at least the tokens of an answer, and spans a window.

    Returns score, start, end [B, count], best first, and null [B]: the score of the first token as an answer.
    """
    out = forward(inputs)
    chances = [
        jax.nn.softmax(jnp.where(extra["allowed"] == 1, out[name].astype("float32"), _NEVER), axis=-1)
        for name in ("start_logits", "end_logits")
    ]
    null = chances[0][:, 0] * chances[1][:, 0]
    starts, ends = (chance.at[:, 0].set(0.0) for chance in chances)
    length = starts.shape[1]
    further = jnp.arange(reach)
    place = jnp.arange(length)[:, None] + further
    near = (place < length) & (further < extra["most"][:, None, None])
    scores = starts[:, :, None] * jnp.where(near, ends[:, jnp.minimum(place, length - 1)], 0.0)
    score, cell = jax.lax.top_k(scores.reshape(scores.shape[0], -1), min(count, length * reach))
    return {"score": score, "start": cell // reach, "end": cell // reach + cell % reach, "null": null}


def static(options: Options, rows: Sequence[Row]) -> tuple[int, int]:
    """How far an answer reaches and how many spans are fetched, in steps, so that few programs serve all values."""
    reach, spans = (
        shapes.rounded_up(count, first=16, factor=2) for count in (options.max_answer_len, options.candidates)
    )
    return reach, spans


def answer(item: Any, results: Sequence[tuple[Row, Any]], options: Options, config: Config) -> Any:
    """`{score, start, end, answer}`, or a list of them where there is not exactly one."""
    _, context = _texts(item)
    answers: dict[str, dict[str, Any]] = {}
    for row, found in results:
        allowed = row.extra["allowed"]
        assert not isinstance(allowed, int)
        best = slice(options.candidates)
        for score, start, end in zip(found["score"][best], found["start"][best], found["end"][best], strict=True):
            if end >= len(row) or not (allowed[start] and allowed[end]):
                continue
            first, last = row.about.characters(int(start), int(end), options.align_to_words)
            words = context[first:last]
            one = {"score": float(score), "start": first, "end": last, "answer": words}
            if words.lower() in answers:
                answers[words.lower()]["score"] += one["score"]
            else:
                answers[words.lower()] = one
    listed = list(answers.values())
    if options.handle_impossible_answer:
        null = min(float(found["null"]) for _, found in results)
        listed.append({"score": null, "start": 0, "end": 0, "answer": ""})
    listed = sorted(listed, key=lambda one: -one["score"])[: options.top_k]
    return listed[0] if len(listed) == 1 else listed


def shorter(options: Options, longest: int) -> str:
    """What to do about a window that is too long."""
    return f"lower max_seq_len to {longest}"


TASK = Task(
    "question-answering",
    "QuestionAnswering",
    Options,
    rows,
    compute,
    answer,
    static=static,
    read=read,
    shorter=shorter,
    asked=attrgetter("max_seq_len"),
)
