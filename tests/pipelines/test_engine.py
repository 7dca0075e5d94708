"""Many texts through few programs: order, shapes, laziness, threads, settings of the caller, errors in their place."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import AxisType

from jaxformers import Pipeline, compilations, forbid, pipeline
from jaxformers.pipelines import KeyDataset, KeyPairDataset, shapes

from .conftest import write_classifier


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


def test_a_plan_holds_every_row_once_and_few_shapes() -> None:
    sizes = list(np.random.RandomState(0).randint(1, 401, size=1000))
    batches = shapes.plan(sizes, shapes.lengths(512), 1024)
    assert sorted(place for batch in batches for place in batch.places) == list(range(1000))
    for batch in batches:
        assert max(sizes[place] for place in batch.places) <= batch.length
        assert len(batch.places) <= batch.rows <= max(1, 1024 // batch.length)
    assert len({(batch.rows, batch.length) for batch in batches}) <= 13
    full = sum(batch.rows * batch.length for batch in batches)
    assert full < 1.25 * sum(sizes), "padding is work for nothing"


def test_short_lists_are_not_filled_to_full_batches() -> None:
    (batch,) = shapes.plan([5, 7, 3], shapes.lengths(512), 1024)
    assert (batch.rows, batch.length) == (4, 8)


def test_a_list_gives_the_answers_of_single_calls_in_its_order(
    classify: Pipeline, texts: list[str], expected: list[Any]
) -> None:
    answers = classify(texts)
    assert [answer["label"] for answer in answers] == [answer["label"] for answer in expected]
    np.testing.assert_allclose(scores(answers), scores(expected), atol=1e-6)
    np.testing.assert_allclose(scores(classify(texts, batch_size=3)), scores(expected), atol=1e-6)


def test_a_second_pass_compiles_nothing_and_forbid_catches_what_would(classify: Pipeline, texts: list[str]) -> None:
    classify(texts)
    before = compilations()
    with forbid():
        classify(texts)
        classify(list(reversed(texts)), top_k=None, function_to_apply="sigmoid")
    assert compilations() == before
    with forbid(), pytest.raises(RuntimeError, match="jaxformers_task"):
        classify(texts, batch_size=7)


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
    assert not [thread for thread in threading.enumerate() if thread.name == "jaxformers-worker"]


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
    with pytest.raises(ValueError, match=r"input 3: 152 tokens, the model takes 100: pass truncation=True"):
        classify(bad)
    answers = classify(iter(bad))
    for _ in range(3):
        assert next(answers)["label"]
    with pytest.raises(ValueError, match="input 3"):
        next(answers)
    assert len(classify(bad, truncation=True)) == 5
    with pytest.raises(ValueError, match="152 tokens"):
        classify("a " * 150)
    with pytest.raises(ValueError, match="input 1: text-classification takes a string"):
        classify(["a", 3])
    with pytest.raises(TypeError, match="cannot read inputs from int"):
        classify(3)


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
    assert not [thread for thread in threading.enumerate() if thread.name == "jaxformers-worker"]


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
    setting: str, classify: Pipeline, texts: list[str], expected: list[Any], monkeypatch: pytest.MonkeyPatch
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
    entered: dict[str, tuple[Any, Any]] = {
        "x64": (jax.enable_x64(True), True),
        "precision": (jax.default_matmul_precision("highest"), "highest"),
        "device": (jax.default_device(jax.devices("cpu")[0]), jax.devices("cpu")[0]),
        "mesh": (jax.set_mesh(mesh), mesh.shape),
    }
    context, value = entered[setting]
    with context:
        answers = classify(texts)
    assert {name for name, _ in seen} == {"jaxformers-worker"}
    assert all(read == value for _, read in seen)
    np.testing.assert_allclose(scores(answers), scores(expected), atol=1e-6)


def test_a_second_process_compiles_nothing(folder: Path, texts: list[str], tmp_path: Path) -> None:
    program = f"""
from jaxformers import compilations, pipeline
classify = pipeline("sentiment-analysis", model={str(folder)!r})
classify({texts[:40]!r}); classify("a b")
print(sum(compilations().values()))
"""
    runs = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | {"XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": ":".join(sys.path)} | switch,
        )
        for switch in ({}, {}, {"JAXFORMERS_COMPILATION_CACHE": "0"})
    ]
    first, second, without = (int(run.stdout or run.stderr) for run in runs)
    assert first > 5
    assert second == 0
    assert without == first
