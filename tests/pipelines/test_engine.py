"""Many texts through few programs: order, shapes, laziness, threads, settings of the caller, errors in their place."""

from __future__ import annotations

import dataclasses
import itertools
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import toy_writer
from jax.sharding import AxisType

from jaxformers import (
    AutoTokenizer,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    Model,
    Pipeline,
    compilations,
    forbid,
    pipeline,
    runtime,
)
from jaxformers.pipelines import KeyDataset, KeyPairDataset, PipelineException, engine, shapes

from . import calls
from .conftest import write_classifier

ENVIRONMENT = os.environ | {"PYTHONPATH": ":".join(sys.path)}


def workers() -> list[threading.Thread]:
    """The pipelines' threads that are alive."""
    return [thread for thread in threading.enumerate() if thread.name == "jaxformers-worker"]


def scores(answers: Any) -> np.ndarray:
    return np.array([answer["score"] for answer in answers])


@pytest.fixture(scope="module")
def expected(classify: Pipeline, texts: list[str]) -> list[Any]:
    """The answers one by one, without any batching."""
    return [classify(text)[0] for text in texts]


def test_lengths_grow_in_steps_up_to_the_models_longest_row() -> None:
    assert shapes.lengths(512) == [8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512]
    assert shapes.lengths(100) == [8, 12, 16, 24, 32, 48, 64, 96, 100]
    assert shapes.lengths(8) == [8]
    assert shapes.lengths(5) == [5]


@pytest.mark.parametrize(("pack", "waste"), [(False, 1.25), (True, 1.1)])
def test_a_plan_holds_every_text_once_and_few_shapes(pack: bool, waste: float) -> None:
    sizes = list(np.random.RandomState(0).randint(1, 401, size=1000))
    batches = shapes.plan(sizes, shapes.lengths(512), 1024, pack=pack)
    assert sorted(place for batch in batches for place, _, _ in batch.spots(sizes)) == list(range(1000))
    for batch in batches:
        assert all(sum(sizes[place] for place in row) <= batch.length for row in batch.places)
        assert len(batch.places) <= batch.rows <= max(1, 1024 // batch.length)
        assert len(list(batch.spots(sizes))) <= batch.texts
        assert pack or all(len(row) == 1 for row in batch.places)
    assert len({(batch.rows, batch.length) for batch in batches}) <= 13
    full = sum(batch.rows * batch.length for batch in batches)
    assert full < waste * sum(sizes), "padding is work for nothing"


def test_an_exact_plan_pads_nothing() -> None:
    sizes = [5, 7, 3, 7, 7, 5]
    batches = shapes.plan(sizes, shapes.lengths(512), 14, exact=True)
    assert [(batch.length, batch.places) for batch in batches] == [
        (7, ((1,), (3,))),
        (7, ((4,),)),
        (5, ((0,), (5,))),
        (3, ((2,),)),
    ]


@pytest.mark.parametrize("task", ["text-classification", "feature-extraction"])
def test_packed_texts_give_what_they_give_alone(folder: Path, texts: list[str], task: str) -> None:
    pipe = pipeline(task, model=folder, allow_new_head=True)
    seen: list[bool] = []
    real = shapes.plan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "token_budget", lambda platform: 64)
        patch.setattr(shapes, "plan", lambda *args, **kw: seen.append(kw["pack"]) or real(*args, **kw))
        packed = pipe(texts[:40])
    assert seen == [True]
    for answer, text in zip(packed, texts, strict=False):
        alone = pipe(text)
        if task == "feature-extraction":
            np.testing.assert_allclose(answer, alone, atol=1e-5)
        else:
            assert answer["score"] == pytest.approx(alone[0]["score"], abs=1e-6)


def test_where_padding_is_not_neutral_there_is_none(folder: Path, texts: list[str], monkeypatch: Any) -> None:
    classify = pipeline("sentiment-analysis", model=folder)
    monkeypatch.setattr(type(classify.model), "neutral", False)
    given: list[Any] = []
    real = engine.laid_out
    monkeypatch.setattr(engine, "laid_out", lambda *args: given.append(real(*args)) or given[-1])
    classify([*texts[:20], "a"])
    assert given
    assert all(row.all() or row.sum() == 1 for inputs in given for row in inputs.mask)  # the second kind are empty rows


def test_short_lists_are_not_filled_to_full_batches() -> None:
    (batch,) = shapes.plan([5, 7, 3], shapes.lengths(512), 1024)
    assert (batch.rows, batch.length) == (4, 8)


def test_a_list_gives_the_answers_of_single_calls_in_its_order(
    classify: Pipeline, texts: list[str], expected: list[Any]
) -> None:
    answers = classify(texts)
    assert [answer["label"] for answer in answers] == [answer["label"] for answer in expected]
    np.testing.assert_allclose(scores(answers), scores(expected), atol=1e-6)


def test_a_second_pass_compiles_nothing_and_forbid_catches_what_would(
    classify: Pipeline, texts: list[str], short: list[str]
) -> None:
    classify(texts)
    before = compilations()
    with forbid():
        classify(texts)
        classify(list(reversed(texts)), top_k=None, function_to_apply="sigmoid")
    assert compilations() == before
    shape = r"jaxformers_task was compiled for int32\[7, 8\], bool\[7, 8\]"
    with forbid(), pytest.raises(RuntimeError, match=shape):
        classify(short[:7], batch_size=7)


def test_seconds_of_compiling_are_said_once(
    classify: Pipeline, short: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jaxformers")
    classify(short[:11], batch_size=11)
    assert caplog.text.count("compiled ") == 1
    assert "programs in " in caplog.text
    classify(short[:11], batch_size=11)
    assert caplog.text.count("compiled ") == 1


def test_fine_tunes_share_their_programs_and_keep_their_labels(
    classify: Pipeline, texts: list[str], tmp_path: Path
) -> None:
    classify(texts)
    other = pipeline("sentiment-analysis", model=write_classifier(tmp_path, 5, id2label={0: "bad", 1: "good"}))
    with forbid():
        answers = other(texts)
    assert {answer["label"] for answer in answers} <= {"bad", "good"}
    assert {answer["label"] for answer in classify(texts)} <= {"NEGATIVE", "POSITIVE"}


def test_inputs_of_every_kind_lose_nothing(classify: Pipeline, texts: list[str], expected: list[Any]) -> None:
    some, wanted = texts[:20], scores(expected[:20])

    class Rows:
        def __len__(self) -> int:
            return len(some)

        def __getitem__(self, i: int) -> dict[str, str]:
            if i >= len(some):
                raise IndexError(i)
            return {"sentence": some[i], "other": "b"}

    assert isinstance(classify(tuple(some)), list)
    for inputs in (tuple(some), np.array(some), iter(some), map(str, some), KeyDataset(Rows(), "sentence")):
        np.testing.assert_allclose(scores(classify(inputs)), wanted, atol=1e-6)
    dicts = classify([{"text": text} for text in some])
    np.testing.assert_allclose(scores(dicts), wanted, atol=1e-6)
    pairs = list(classify(KeyPairDataset(Rows(), "sentence", "other")))
    np.testing.assert_allclose(
        scores(pairs), scores(classify([{"text": text, "text_pair": "b"} for text in some])), atol=1e-6
    )
    assert classify([]) == []
    assert list(classify(iter([]))) == []


def test_a_generator_is_read_only_as_far_as_needed(classify: Pipeline) -> None:
    read = []

    def endless() -> Iterator[str]:
        for i in itertools.count():
            read.append(i)
            yield "a b c"

    answers = classify(endless())
    assert read == []
    next(answers)
    assert read == [0]
    next(answers)
    assert len(read) <= 2000
    answers.close()
    assert not workers()


def test_whoever_waits_for_an_answer_before_the_next_input_gets_it(classify: Pipeline) -> None:
    answered = threading.Semaphore(1)

    def polite() -> Iterator[str]:
        for text in ("a", "b", "c"):
            answered.acquire()
            threading.Event().wait(0.05)  # a person types
            yield text

    for answer in classify(polite()):
        assert answer["label"]
        answered.release()


def test_an_error_stands_in_its_place(classify: Pipeline, texts: list[str]) -> None:
    bad = [*texts[:3], "a " * 150, texts[3]]
    with pytest.raises(ValueError, match=r"input 3: 152 tokens, the model takes 40: pass truncation=True"):
        classify(bad)
    answers = classify(iter(bad))
    for _ in range(3):
        assert next(answers)["label"]
    with pytest.raises(ValueError, match="input 3"):
        next(answers)
    np.testing.assert_allclose(next(answers)["score"], classify(texts[3])[0]["score"], atol=1e-6)  # unharmed
    with pytest.raises(StopIteration):
        next(answers)
    assert not workers()
    assert len(classify(bad, truncation=True)) == 5
    with pytest.raises(ValueError, match="152 tokens"):
        classify("a " * 150)
    with pytest.raises(ValueError, match="input 1: text-classification takes a string"):
        classify(["a", 3])
    with pytest.raises(ValueError, match=r"input 1: .*surrogate"):
        classify(["a", "\ud800"])
    with pytest.raises(TypeError, match="cannot read inputs from int"):
        classify(3)
    with pytest.raises(TypeError, match="bytes"):
        classify(b"a")


@pytest.mark.parametrize("kind", [ValueError, TypeError, KeyError, PipelineException])
def test_an_error_keeps_its_type(classify: Pipeline, kind: type[Exception]) -> None:
    def failing(items: Sequence[Any], *rest: Any) -> Any:
        if "bad" in items:
            raise kind("no 'mask' here")
        return classify._task.rows(items, *rest)

    task = dataclasses.replace(classify._task, rows=failing)
    pipe = Pipeline(task, classify.model, classify.tokenizer, classify._options)
    answers = pipe(iter(["a", "bad", "b"]))
    assert next(answers)["label"]
    with pytest.raises(kind) as raised:
        next(answers)
    assert type(raised.value) is kind or kind is KeyError
    assert str(raised.value) == "input 1: no 'mask' here"
    assert next(answers)["label"]


def test_a_source_that_breaks_is_answered_up_to_there(classify: Pipeline, texts: list[str]) -> None:
    def broken() -> Iterator[str]:
        yield from texts[:5]
        raise ConnectionError("the source is gone")

    answers = classify(broken())
    assert [next(answers)["label"] for _ in range(5)] == [answer["label"] for answer in classify(texts[:5])]
    with pytest.raises(ConnectionError, match="the source is gone"):
        next(answers)


def test_a_tokenizer_of_another_model_is_refused(classify: Pipeline) -> None:
    small = classify.model.resize_token_embeddings(20)
    pipe = pipeline("text-classification", model=small, tokenizer=classify.tokenizer)
    with pytest.raises(ValueError, match="none of the model's 20: the tokenizer belongs to another model"):
        pipe("z")


PAIRS: dict[str, tuple[Any, dict[str, Any]]] = {
    "text-classification": ({"text": "a", "text_pair": "b"}, {}),
    "zero-shot-classification": ("a", {"candidate_labels": ["b"]}),
    "text-ranking": ({"query": "a", "documents": ["b"]}, {}),
    "question-answering": ({"question": "a", "context": "b"}, {}),
    "feature-extraction": ({"text": "a", "text_pair": "b"}, {}),
}
"""By task an input that is fed as a pair of texts, and options."""


@pytest.mark.parametrize("task", PAIRS)
def test_types_that_the_model_lacks_are_refused_as_by_a_call(task: str, tmp_path: Path) -> None:
    cls = BertForQuestionAnswering if task == "question-answering" else BertForSequenceClassification
    write_classifier(tmp_path, cls=cls, type_vocab_size=1, num_labels=1 if task == "text-ranking" else 2)
    pipe = pipeline(task, model=tmp_path, allow_new_head=True)
    pair, options = PAIRS[task]
    pipe.model.prepared  # noqa: B018  (compiles)
    before = compilations()
    words = r"token_type_ids\[3\] is 1, allowed are 0 to 0: the model was not made for pairs of texts"
    with pytest.raises(ValueError, match=f"^{words}"):
        pipe(pair, **options)
    answers = pipe(iter([pair, pair]), **options)
    for place in range(2):
        with pytest.raises(ValueError, match=f"^input {place}: {words}"):
            next(answers)
    with pytest.raises(ValueError, match=r"token_type_ids\[0, 1\] is 1, allowed are 0 to 0"):
        pipe.model(input_ids=[[1, 2]], token_type_ids=[[0, 1]])
    assert compilations() == before


def test_types_that_the_tokenizer_does_not_name_are_not_fed(tmp_path: Path) -> None:
    write_classifier(tmp_path, cls=BertForQuestionAnswering, type_vocab_size=1)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path, model_input_names=["input_ids", "attention_mask"])
    pipe = pipeline("question-answering", model=tmp_path, tokenizer=tokenizer)
    assert 0 < pipe(question="a", context="b c d")["score"] < 1


def test_types_that_the_model_has_no_place_for_are_left_out(tmp_path: Path) -> None:
    """As sentence-transformers does with pairs: the tokens between the texts tell them apart."""
    tokenizer = AutoTokenizer.from_pretrained(write_classifier(tmp_path / "bert"))
    config = DistilBertConfig(vocab_size=len(tokenizer), dim=8, n_layers=1, n_heads=2, hidden_dim=8)
    model = DistilBertForSequenceClassification(config)
    pair = tokenizer("a", "b", return_tensors="np")
    assert pair["token_type_ids"].any()
    (logits,) = np.asarray(model(pair["input_ids"], pair["attention_mask"]).logits)
    found = pipeline("text-classification", model=model, tokenizer=tokenizer)({"text": "a", "text_pair": "b"})
    assert found["score"] == pytest.approx(float(np.exp(logits).max() / np.exp(logits).sum()), abs=1e-5)


BEYOND: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "text-classification": ("a NEW", "a", {}),
    "token-classification": ("a NEW", "a", {}),
    "zero-shot-classification": ("a NEW", "a", {"candidate_labels": ["b"]}),
    "text-ranking": ({"query": "a", "documents": ["b", "NEW"]}, {"query": "a", "documents": ["b"]}, {}),
    "question-answering": (calls.EXAMPLE | {"question": "NEW"}, calls.EXAMPLE, {}),
    "feature-extraction": ("a NEW", "a", {}),
    "text-embedding": ("a NEW", "a", {}),
    "fill-mask": ("a NEW [MASK]", "a [MASK]", {}),
}
"""By task an input with a word that has been added to the tokenizer alone, one without, and options."""


@pytest.mark.parametrize("task", BEYOND)
def test_words_that_the_model_lacks_are_refused_in_their_place(task: str, tmp_path: Path) -> None:
    heads: dict[str, type[Model]] = {
        "question-answering": BertForQuestionAnswering,
        "token-classification": BertForTokenClassification,
        "fill-mask": BertForMaskedLM,
    }
    labels = 1 if task == "text-ranking" else 2
    write_classifier(tmp_path, cls=heads.get(task, BertForSequenceClassification), num_labels=labels, vocab_size=57)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.add_tokens(["NEW"])
    tokenizer.add_special_tokens({"pad_token": "[NEW PAD]"})
    assert (len(tokenizer), tokenizer.pad_token_id) == (59, 58)
    pipe = pipeline(task, model=tmp_path, tokenizer=tokenizer, allow_new_head=True)
    bad, good, options = BEYOND[task]
    with pytest.raises(ValueError, match=r"^token 57 is none of the model's 57: .*resize_token_embeddings"):
        pipe(bad, **options)
    answers = pipe(iter([good, bad, good]), **options)
    first = next(answers)
    assert "nan" not in str(first)  # padded with no word of the tokenizer's
    with pytest.raises(ValueError, match=r"^input 1: token 57 is none of the model's 57"):
        next(answers)
    assert str(next(answers)) == str(first)


@pytest.mark.parametrize("pad", [None, -1, 0, 7])
def test_a_classifier_that_reads_in_one_direction_reads_no_padding(pad: int | None, tmp_path: Path) -> None:
    """Whatever its config says of padding, which is not what the tokenizer says: -1 is an old way to say none."""
    tokenizer = AutoTokenizer.from_pretrained(toy_writer.write(tmp_path))
    tokenizer.add_special_tokens({"pad_token": "9"})
    config = LlamaConfig.from_pretrained(tmp_path, pad_token_id=pad)
    pipe = pipeline("text-classification", model=LlamaForSequenceClassification(config), tokenizer=tokenizer)
    text = "abcab"
    logits = pipe.model([tokenizer(text)["input_ids"]]).logits[0]
    assert pipe(text, function_to_apply="none")[0]["score"] == pytest.approx(float(logits.max()), abs=1e-5)


def test_a_batch_size_may_be_given_with_the_model(classify: Pipeline, short: list[str]) -> None:
    pipe = pipeline(
        "text-classification", model=classify.model, tokenizer=classify.tokenizer, batch_size=3, num_workers=2
    )
    np.testing.assert_allclose(scores(pipe(short)), scores(classify(short, batch_size=3)), atol=1e-6)
    with pytest.raises(ValueError, match="batch_size=-1"):
        pipeline("text-classification", model=classify.model, tokenizer=classify.tokenizer, batch_size=-1)


def test_a_failure_in_a_worker_ends_the_call_and_the_threads(
    classify: Pipeline, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from jaxformers.pipelines import engine

    calls = itertools.count()
    real = engine.jaxformers_task

    def failing(*args: Any) -> Any:
        if next(calls) == 2:
            raise MemoryError("no room")
        return real(*args)

    monkeypatch.setattr(engine, "jaxformers_task", failing)
    with pytest.raises(MemoryError, match="no room"):
        classify(texts)
    assert not workers()


def test_a_worker_that_cannot_begin_ends_the_call(
    classify: Pipeline, texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unable(self: runtime.Surroundings) -> Any:
        raise OSError("no such setting")

    monkeypatch.setattr(runtime.Surroundings, "entered", unable)
    with pytest.raises(OSError, match="no such setting"):
        classify(texts)
    assert not workers()


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_joins_the_workers(folder: Path, texts: list[str]) -> None:
    program = f"""
import threading
from jaxformers import pipeline
classify = pipeline("sentiment-analysis", model={str(folder)!r})
answers = classify(text for _ in range(100_000) for text in {texts[:20]!r})
for _ in range(30): next(answers)
try:
    print("running", flush=True)
    for _ in answers: pass
except KeyboardInterrupt:
    answers.close()
    print([thread.name for thread in threading.enumerate()], next(answers, "end"), flush=True)
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0].strip() == "['MainThread'] end"


def test_eight_threads_may_call_one_pipeline(classify: Pipeline, texts: list[str], expected: list[Any]) -> None:
    results: dict[int, Any] = {}
    threads = [
        threading.Thread(target=lambda i=i: results.update({i: classify(texts[i::8], top_k=1 + i % 2)}))
        for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(8):
        np.testing.assert_allclose(
            [answer[0]["score"] for answer in results[i]], scores(expected[i::8]), atol=1e-6, err_msg=str(i)
        )


@pytest.mark.parametrize("setting", ["x64", "precision", "device", "mesh"])
def test_workers_compute_with_the_callers_settings(
    setting: str, classify: Pipeline, short: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from jaxformers.pipelines import engine

    seen = []
    real = engine.jaxformers_task

    def watching(*args: Any) -> Any:
        read = {
            "x64": lambda: jax.config.jax_enable_x64,  # type: ignore[attr-defined]
            "precision": lambda: jax.config.jax_default_matmul_precision,  # type: ignore[attr-defined]
            "device": lambda: jax.config.jax_default_device,  # type: ignore[attr-defined]
            "mesh": lambda: jax.sharding.get_mesh().shape,
        }
        seen.append((threading.current_thread().name, read[setting]()))
        return real(*args)

    monkeypatch.setattr(engine, "jaxformers_task", watching)
    mesh = jax.make_mesh((1,), ("dp",), axis_types=(AxisType.Auto,))
    entered: dict[str, tuple[Callable[[], Any], Any]] = {  # called late: set_mesh acts when it is called
        "x64": (lambda: jax.enable_x64(True), True),
        "precision": (lambda: jax.default_matmul_precision("highest"), "highest"),
        "device": (lambda: jax.default_device(jax.devices("cpu")[0]), jax.devices("cpu")[0]),
        "mesh": (lambda: jax.set_mesh(mesh), mesh.shape),
    }
    wanted = scores(classify(short, batch_size=4))
    seen.clear()
    context, value = entered[setting]
    with context():
        answers = classify(iter(short), batch_size=4)
    np.testing.assert_allclose(scores(answers), wanted, atol=1e-6)  # read outside: the call's settings hold
    assert "jaxformers-worker" in {name for name, _ in seen}
    assert all(read == value for _, read in seen)


def test_a_second_process_compiles_nothing(folder: Path, texts: list[str], tmp_path: Path) -> None:
    program = f"""
from jaxformers import compilations, pipeline
classify = pipeline("sentiment-analysis", model={str(folder)!r})
classify({texts[:20]!r}); classify("a b")
print(sum(compilations().values()))
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=120,
            env=ENVIRONMENT | {"XDG_CACHE_HOME": str(tmp_path)} | switch,
        )
        for switch in ({}, {}, {"JAXFORMERS_COMPILATION_CACHE": "0"})
    ]
    first, second, without = (int(run.stdout or run.stderr) for run in runs)
    assert first > 3
    assert second == 0
    assert without == first


@pytest.mark.parametrize("end", ["raise SystemExit(3)", "for _ in answers: break", "pass"])
def test_a_process_may_end_with_answers_left(end: str) -> None:
    code = f"""
from jaxformers import pipeline
classify = pipeline("sentiment-analysis", model="jaxformers/tiny-sentiment")
answers = classify(f"word {{i}} " * 20 for i in range(100_000))
next(answers)
{end}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (3 if "Exit" in end else 0, "")
