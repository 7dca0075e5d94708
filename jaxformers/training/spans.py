"""Questions about contexts: to windows of tokens with the places of answers, and from scores back to texts."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..tokenizers.text_encoder import TextEncoder
from .examples import Example
from .tokenized import rows_of

_OUTSIDE = (-1, -1)  # the offsets of tokens that are not of the context


@dataclasses.dataclass(frozen=True)
class Question:
    """A question about a context, and where answers stand in it.

    answers: texts, all of them right; none: the context does not say. starts: the first character of each.
    """

    question: str
    context: str
    answers: tuple[str, ...] = ()
    starts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.answers) != len(self.starts):
            raise ValueError(f"{len(self.answers)} answers and {len(self.starts)} starts: give each answer one")
        for answer, start in zip(self.answers, self.starts, strict=True):
            found = self.context[start : start + len(answer)] if start >= 0 else ""
            if not answer or found != answer:
                raise ValueError(
                    f"the answer {answer!r:.60} does not stand at character {start} of its context, where there is "
                    f"{found!r:.60}: answers are taken from their contexts letter by letter"
                )

    @classmethod
    def of(cls, example: Any) -> Question:
        """Of a mapping as SQuAD's: question, context, and answers with the lists text and answer_start."""
        answers = example.get("answers") or {"text": (), "answer_start": ()}
        return cls(example["question"], example["context"], tuple(answers["text"]), tuple(answers["answer_start"]))


def windows(
    tokenizer: TextEncoder, questions: Sequence[Question], *, max_length: int = 384, stride: int = 128
) -> list[Example]:
    """Rows of a question and a part of its context, with the first answer as `start_positions` and `end_positions`.

    Where the part does not hold all of the answer, both are the place of the first special token, as where there is no
    answer. Beside what models take, a row has `example`, the number of its question, and `offset_mapping`, the
    characters of the context that each token is, (-1, -1) for those that are none of it.

    Args:
        tokenizer: makes the ids; where it pads on the left, the context stands first.
        questions: what is asked.
        max_length: tokens of a row.
        stride: tokens that neighbouring windows share.

    Raises:
        ValueError: a question that leaves no room for its context.
    """
    second = tokenizer.padding_side == "right"
    asked, contexts = [one.question.lstrip() for one in questions], [one.context for one in questions]
    encoded = tokenizer(
        *((asked, contexts) if second else (contexts, asked)),
        truncation="only_second" if second else "only_first",
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    rows, owners = rows_of(encoded), encoded["overflow_to_sample_mapping"]
    for place, (row, owner) in enumerate(zip(rows, owners, strict=True)):
        of_context = [side == int(second) for side in encoded.sequence_ids(place)]
        offsets = [
            tuple(pair) if own else _OUTSIDE for pair, own in zip(row["offset_mapping"], of_context, strict=True)
        ]
        start, end = _place(questions[owner], offsets, _nowhere(tokenizer, row["input_ids"]))
        row |= {"offset_mapping": offsets, "example": int(owner), "start_positions": start, "end_positions": end}
    return rows


def answers(
    rows: Sequence[Example],
    start_logits: np.ndarray,
    end_logits: np.ndarray,
    questions: Sequence[Question],
    *,
    best: int = 20,
    longest: int = 30,
) -> list[str]:
    """The best answer to each question, of all its windows; "" where none of them has a span.

    Args:
        rows: the windows, as `windows` has made them.
        start_logits: [rows, T] the score of each token as the first of an answer.
        end_logits: [rows, T] likewise as the last.
        questions: what was asked.
        best: how many of the best firsts and lasts of a window are looked at.
        longest: the most tokens of an answer.

    Raises:
        ValueError: more or fewer scores than windows.
    """
    if not len(rows) == len(start_logits) == len(end_logits):
        raise ValueError(f"{len(rows)} windows, scores of {len(start_logits)} and {len(end_logits)}: give as many")
    found: list[tuple[float, str]] = [(-np.inf, "")] * len(questions)
    for row, starts, ends in zip(rows, start_logits, end_logits, strict=True):
        span = _best_span(row["offset_mapping"], np.asarray(starts), np.asarray(ends), best, longest)
        if span is not None and span[0] > found[row["example"]][0]:
            score, first, last = span
            found[row["example"]] = score, questions[row["example"]].context[first:last]
    return [text for _, text in found]


def _best_span(
    offsets: Sequence[tuple[int, int]], starts: np.ndarray, ends: np.ndarray, best: int, longest: int
) -> tuple[float, int, int] | None:
    """The score and the characters of a window's best span; None where it has no token of the context."""
    inside = np.array([first >= 0 for first, _ in offsets])
    own = np.flatnonzero(inside)
    if not len(own):
        return None
    begins = own[np.argsort(-starts[own], kind="stable")[:best]][:, None]
    stops = own[np.argsort(-ends[own], kind="stable")[:best]][None]
    scores = np.where((begins <= stops) & (stops - begins < longest), starts[begins] + ends[stops], -np.inf)
    i, j = np.unravel_index(scores.argmax(), scores.shape)
    if not np.isfinite(scores[i, j]):
        return None
    return float(scores[i, j]), offsets[begins[i, 0]][0], offsets[stops[0, j]][1]


def _place(question: Question, offsets: Sequence[tuple[int, int]], nowhere: int) -> tuple[int, int]:
    """The first and the last token of the first answer, or twice `nowhere`."""
    own = [i for i, pair in enumerate(offsets) if pair != _OUTSIDE]
    if not question.answers or not own:
        return nowhere, nowhere
    first, last = question.starts[0], question.starts[0] + len(question.answers[0])
    if offsets[own[0]][0] > first or offsets[own[-1]][1] < last:
        return nowhere, nowhere
    return max(i for i in own if offsets[i][0] <= first), min(i for i in own if offsets[i][1] >= last)


def _nowhere(tokenizer: TextEncoder, ids: Sequence[int]) -> int:
    """The place of a row that stands for no answer."""
    for special in (tokenizer.cls_token_id, tokenizer.bos_token_id):
        if special is not None and special in ids:
            return ids.index(special)
    return 0
