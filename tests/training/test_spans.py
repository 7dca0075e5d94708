"""Questions to windows, and scores back to answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from jaxformers import AutoTokenizer
from jaxformers.training import spans
from jaxformers.training.spans import Question

from .toys import put_tokenizer

CONTEXT = "maria went to townish berlin"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return AutoTokenizer.from_pretrained(put_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def asked(answer: str, question: str = "to") -> Question:
    return Question(question, CONTEXT, (answer,), (CONTEXT.index(answer),))


def test_an_answer_is_the_tokens_that_hold_it(tokenizer: Any) -> None:
    # [CLS] to [SEP] maria went to town ##ish berlin [SEP]
    whole, part, none = spans.windows(tokenizer, [asked("townish berlin"), asked("own"), Question(" to", CONTEXT)])
    assert (whole["start_positions"], whole["end_positions"]) == (6, 8)
    assert (part["start_positions"], part["end_positions"]) == (6, 6)
    assert (none["start_positions"], none["end_positions"]) == (0, 0)
    assert whole["offset_mapping"] == [(-1, -1)] * 3 + [
        (0, 5),
        (6, 10),
        (11, 13),
        (14, 18),
        (18, 21),
        (22, 28),
        (-1, -1),
    ]
    assert none["input_ids"] == whole["input_ids"]


def test_windows_share_tokens_and_one_without_the_answer_says_so(tokenizer: Any) -> None:
    rows = spans.windows(tokenizer, [asked("went to"), asked("berlin")], max_length=7, stride=1)
    assert [row["example"] for row in rows] == [0, 0, 0, 1, 1, 1]
    assert [row["offset_mapping"][3] for row in rows[:3]] == [(0, 5), (11, 13), (18, 21)]
    assert [(row["start_positions"], row["end_positions"]) for row in rows[:3]] == [(4, 5), (0, 0), (0, 0)]
    assert [row["start_positions"] for row in rows[3:]] == [0, 0, 4]


def test_scores_become_the_best_answer_of_all_windows(tokenizer: Any) -> None:
    questions = [asked("went to"), asked("berlin")]
    rows = spans.windows(tokenizer, questions, max_length=7, stride=1)
    starts, ends = np.zeros((2, 6, 7))
    starts[0, 4], ends[0, 5] = 3, 3  # went to
    starts[1, 3], ends[1, 3] = 2, 2  # to, in the second window
    starts[0, 1], ends[2, 6] = 9, 9  # of the question, and special: no part of the context
    ends[3, 3], starts[3, 5] = 9, 9  # ends before it begins
    starts[4, 3], ends[4, 5] = 8, 8
    assert spans.answers(rows, starts, ends, questions) == ["went to", "to townish"]
    assert spans.answers(rows, starts, ends, questions, longest=1)[0] == "to"


def test_there_and_back(tokenizer: Any) -> None:
    questions = [asked(answer) for answer in ("maria", "went to", "townish", "berlin", CONTEXT)]
    rows = spans.windows(tokenizer, questions)
    starts, ends = (np.eye(16)[[row[name] for row in rows]] for name in ("start_positions", "end_positions"))
    assert spans.answers(rows, starts, ends, questions) == [question.answers[0] for question in questions]


def test_a_context_may_stand_first(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "padding_side", "left")
    (row,) = spans.windows(tokenizer, [asked("went to")])
    assert (row["start_positions"], row["end_positions"]) == (2, 3)
    assert row["offset_mapping"][1] == (0, 5)


def test_questions_of_squads_form() -> None:
    example = {"question": "Who?", "context": CONTEXT, "answers": {"text": ["maria"], "answer_start": [0]}, "id": "7"}
    assert Question.of(example) == Question("Who?", CONTEXT, ("maria",), (0,))
    assert Question.of({"question": "Who?", "context": CONTEXT}) == Question("Who?", CONTEXT)


@pytest.mark.parametrize(
    ("answers", "starts", "said"),
    [
        (("maria",), (1,), "does not stand at character 1 of its context, where there is 'aria '"),
        (("maria",), (-1,), "does not stand at character -1"),
        (("",), (0,), "does not stand"),
        (("maria",), (), "1 answers and 0 starts"),
    ],
)
def test_answers_stand_in_their_contexts(answers: Any, starts: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Question("Who?", CONTEXT, answers, starts)


def test_there_are_scores_for_each_window(tokenizer: Any) -> None:
    rows = spans.windows(tokenizer, [asked("maria")])
    with pytest.raises(ValueError, match="1 windows, scores of 2 and 1"):
        spans.answers(rows, np.zeros((2, 9)), np.zeros((1, 9)), [asked("maria")])
