"""Pipelines that read texts: what they refuse, how few programs they need, and what torch's do not do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxformers import AutoTokenizer, Pipeline, compilations, pipeline
from jaxformers.pipelines import PipelineException

from . import calls


@pytest.fixture(scope="module")
def pipes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pipeline]:
    return {
        task: pipeline(task, model=write(tmp_path_factory.mktemp("toy")))
        for task, write in (
            ("zero-shot-classification", calls.zero_shot),
            ("question-answering", calls.answers),
            ("token-classification", calls.tags),
            ("fill-mask", calls.masks),
        )
    }


WRONG: list[tuple[str, tuple[Any, ...], dict[str, Any], type[Exception], str]] = [
    ("zero-shot-classification", ("a",), {}, ValueError, "candidate_labels"),
    ("zero-shot-classification", ("a", []), {}, ValueError, "at least one label"),
    ("zero-shot-classification", ("a", ["b", 3]), {}, ValueError, "strings"),
    ("zero-shot-classification", ("", ["b"]), {}, ValueError, "not empty"),
    ("zero-shot-classification", ("a", ["b"]), {"hypothesis_template": "about"}, ValueError, "no place for the label"),
    ("zero-shot-classification", ("a", ["b"]), {"hypothesis_template": "{} {}"}, ValueError, "write {} into it, once"),
    ("zero-shot-classification", ("a", 5), {}, ValueError, "candidate_labels=5"),
    ("zero-shot-classification", ("a", ["b"]), {"candidate_labels": ["c"]}, TypeError, "candidate_labels twice"),
    ("zero-shot-classification", (["b"],), {"sequences": "a"}, TypeError, "sequences twice"),
    ("zero-shot-classification", (), {"candidate_labels": ["c"]}, ValueError, "(sequences, candidate_labels)"),
    ("zero-shot-classification", ("a", ["b"]), {"multi_labels": True}, TypeError, "did you mean 'multi_label'"),
    ("question-answering", (), {}, ValueError, "question= and context="),
    ("question-answering", (), {"question": "a"}, ValueError, "together"),
    ("question-answering", ("who?",), {}, ValueError, "needs a context"),
    ("question-answering", ({"question": "a"},), {}, KeyError, "no 'context'"),
    (
        "question-answering",
        ([calls.EXAMPLE, {"question": "a"}],),
        {},
        KeyError,
        "^input 1: the example has no 'context'",
    ),
    ("question-answering", ({"question": ["a", "b"], "context": ["c"]},), {}, ValueError, "2 questions and 1 contexts"),
    ("question-answering", (), calls.EXAMPLE | {"max_seq_len": 65}, ValueError, "takes 64: lower max_seq_len to 64"),
    (
        "question-answering",
        ([calls.EXAMPLE, calls.EXAMPLE | {"question": "a " * 80}],),
        {},
        ValueError,
        "^input 1: the question's 64 tokens and 3 special ones leave 0 of max_seq_len=64 for the context, of which "
        "neighbouring windows share doc_stride=32: raise max_seq_len (the model takes 64), or lower "
        "max_question_len=64 or doc_stride",
    ),
    (
        "question-answering",
        (),
        calls.EXAMPLE | {"max_seq_len": 20, "doc_stride": 11},
        ValueError,
        "^the question's 9 tokens and 3 special ones leave 8 of max_seq_len=20 for the context",
    ),
    ("question-answering", (), {"question": "a", "context": ""}, ValueError, "not empty"),
    ("question-answering", (), {"question": None, "context": "a"}, ValueError, "question= must be a text or"),
    ("question-answering", (), {"question": "a", "context": 5}, ValueError, "context= must be a text or"),
    ("question-answering", (), {"question": ["a", "b"], "context": ["c"]}, ValueError, "2 questions and 1 contexts"),
    ("question-answering", (), calls.EXAMPLE | {"top_k": 0}, ValueError, "top_k=0"),
    ("question-answering", (), calls.EXAMPLE | {"max_answer_len": -1}, ValueError, "max_answer_len=-1"),
    ("question-answering", (), calls.EXAMPLE | {"max_seq_len": 20, "doc_stride": 21}, ValueError, "doc_stride=21"),
    ("question-answering", (7,), {}, TypeError, "cannot read inputs from int"),
    ("token-classification", ([],), {}, ValueError, "At least one input"),
    ("token-classification", ("a",), {"aggregation_strategy": "best"}, KeyError, "one of none, simple"),
    ("token-classification", ("a",), {"ignore_labels": "O"}, ValueError, "expected a list of labels"),
    ("token-classification", ("a",), {"stride": 4}, ValueError, "choose an aggregation_strategy"),
    (
        "token-classification",
        ("a",),
        {"stride": 40, "aggregation_strategy": "simple"},
        ValueError,
        "stride=40 must be less than the 40 tokens of a window",
    ),
    ("token-classification", (["a"],), {"is_split_into_words": True, "offset_mapping": []}, ValueError, "one list of"),
    ("token-classification", ("a",), {"offset_mapping": []}, ValueError, "has 0 places, the text 3"),
    ("token-classification", ("a",), {"offset_mapping": 5}, ValueError, "offset_mapping=5"),
    ("token-classification", ("a",), {"offset_mapping": [[(0, 1)], [(0, 1)]]}, ValueError, "one for each token"),
    ("token-classification", ("a",), {"delimiter": 5}, ValueError, "delimiter=5"),
    ("token-classification", (["a", 3],), {}, ValueError, "input 1: token-classification takes texts; found int"),
    ("token-classification", ("a",), {"offset_mapping": [(0, 1)]}, ValueError, "has 1 places, the text 3"),
    ("fill-mask", ("a b",), {}, PipelineException, "No mask_token"),
    ("fill-mask", ("a [MASK]",), {"top_k": 0}, ValueError, "top_k=0"),
    ("fill-mask", ("a [MASK]",), {"targets": []}, ValueError, "targets= is empty"),
    ("fill-mask", ("a [MASK]",), {"targets": 3}, ValueError, "targets=3"),
    ("fill-mask", ("a [MASK]",), {"targets": [3]}, ValueError, "expected words"),
    ("fill-mask", (), {}, TypeError, "called with an input"),
    ("fill-mask", (["a [MASK]", "b"],), {}, PipelineException, "input 1: No mask_token"),
    ("fill-mask", ("a [MASK]",), {"tokenizer_kwargs": "x"}, ValueError, "tokenizer_kwargs='x'"),
    ("fill-mask", ("a [MASK]",), {"tokenizer_kwargs": {"trunc": True}}, TypeError, "did you mean 'truncation'"),
    (
        "fill-mask",
        (["a [MASK]" * 9, "b [MASK]"],),
        {"tokenizer_kwargs": {"truncation": True, "max_length": 6, "return_overflowing_tokens": True}},
        ValueError,
        "would not give one row a text",
    ),
    ("fill-mask", ("a [MASK] " * 30,), {}, ValueError, "pass tokenizer_kwargs={'truncation': True, 'max_length': 40}"),
]


@pytest.mark.parametrize(("task", "args", "keywords", "error", "message"), WRONG)
def test_what_is_wrong_is_said(
    pipes: dict[str, Pipeline],
    task: str,
    args: tuple[Any, ...],
    keywords: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    with pytest.raises(error) as raised:
        pipes[task](*args, **keywords)
    assert str(raised.value).startswith(message[1:]) if message.startswith("^") else message in str(raised.value)


def test_values_of_options_need_no_new_programs(pipes: dict[str, Pipeline]) -> None:
    answer, fill = pipes["question-answering"], pipes["fill-mask"]
    answer(**calls.EXAMPLE)
    fill("a [MASK] b")
    before = compilations()
    for top_k, longest in ((1, 15), (2, 9), (3, 16), (3, 1)):
        answer(**calls.EXAMPLE, top_k=top_k, max_answer_len=longest)
    for top_k in (1, 3, 8):
        fill("a [MASK] c", top_k=top_k)
    assert compilations() == before


def test_a_question_is_cut(pipes: dict[str, Pipeline]) -> None:
    answer = pipes["question-answering"]
    cut = answer(question="a b c d e f", context="x y z", max_question_len=2)
    assert cut == answer(question="a b", context="x y z")
    assert cut != answer(question="a b c d e f", context="x y z")


def test_more_words_than_there_are_are_all(pipes: dict[str, Pipeline]) -> None:
    assert len(pipes["fill-mask"]("a [MASK]", top_k=1000)) == 60


def test_targets_that_the_model_lacks_are_refused(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(calls.masks(tmp_path))
    tokenizer.add_tokens([f"NEW{i}" for i in range(4)])
    fill = pipeline("fill-mask", model=tmp_path, tokenizer=tokenizer)
    with pytest.raises(ValueError, match="token 60 is none of the model's 60"):
        fill("a [MASK]", targets=["a", "NEW3"])
    assert fill("a [MASK]", targets=["a", "NEW2"])[1]["token"] in (5, 59)


def test_places_that_the_caller_gives(pipes: dict[str, Pipeline]) -> None:
    places = [(0, 0), (10, 11), (12, 13), (0, 0)]
    (one, two) = pipes["token-classification"]("a b", offset_mapping=places, ignore_labels=[])
    assert (one["start"], one["end"], two["start"], two["end"]) == (10, 11, 12, 13)


def test_generators_are_answered_as_they_come(pipes: dict[str, Pipeline]) -> None:
    examples = [calls.EXAMPLE, {"question": "a?", "context": "b c d"}]
    answers = pipes["question-answering"](iter(examples))
    assert [one["answer"] for one in answers] == [one["answer"] for one in pipes["question-answering"](examples)]
    labels = pipes["zero-shot-classification"](iter(["a", "b"]), ["x", "y"])
    assert [one["sequence"] for one in labels] == ["a", "b"]


def test_arrays_are_lists(pipes: dict[str, Pipeline]) -> None:
    labels = pipes["zero-shot-classification"]("a b c", np.array(calls.LABELS))
    assert labels == pipes["zero-shot-classification"]("a b c", calls.LABELS)
    assert {type(label) for label in labels["labels"]} == {str}
    words = [["abc", "de"], ["fghi", "jk"]]
    for given in (words, words[0]):
        tags = pipes["token-classification"](np.array(given), is_split_into_words=True)
        assert tags == pipes["token-classification"](given, is_split_into_words=True)


@pytest.mark.parametrize("task", ["token-classification", "question-answering", "zero-shot-classification"])
def test_rows_fit_the_model_where_the_tokenizer_has_no_limit(task: str, pipes: dict[str, Pipeline]) -> None:
    pipe = pipes[task]
    unlimited = AutoTokenizer.from_pretrained(pipe.tokenizer.name_or_path, model_max_length=None)
    assert unlimited.model_max_length > 10**20
    given: dict[str, tuple[Any, dict[str, Any]]] = {
        "token-classification": (calls.LONG, {"stride": 4, "aggregation_strategy": "simple"}),
        "question-answering": (calls.EXAMPLE, {}),
        "zero-shot-classification": (calls.LONG, {"candidate_labels": calls.LABELS}),
    }
    args, keywords = given[task]
    free = pipeline(task, model=pipe.model, tokenizer=unlimited)
    assert free(args, **keywords) == pipe(args, **keywords)


def test_old_spellings_warn(pipes: dict[str, Pipeline]) -> None:
    with pytest.warns(FutureWarning, match="aggregation_strategy='simple'"):
        old = pipes["token-classification"](calls.WORDS, grouped_entities=True)
    assert old == pipes["token-classification"](calls.WORDS, aggregation_strategy="simple")
    with pytest.warns(FutureWarning, match="multi_label"):
        old = pipes["zero-shot-classification"]("a b c", calls.LABELS, multi_class=True)
    assert old == pipes["zero-shot-classification"]("a b c", calls.LABELS, multi_label=True)
    with pytest.warns(FutureWarning, match="top_k"):
        assert len(pipes["question-answering"](**calls.EXAMPLE, topk=2)) == 2


def test_ner_is_an_alias(tmp_path: Path) -> None:
    assert pipeline("ner", model=calls.tags(tmp_path)).task == "token-classification"
