"""What the text-classification pipeline gives for every form of input and option."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, Pipeline, pipeline
from jaxformers.pipelines.text_classification import Options, function

from .conftest import SIZES, write_classifier


def test_one_text_gives_a_list_of_the_models_own_score(classify: Pipeline, folder: Path) -> None:
    answer = classify("a b c")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder)
    logits = np.asarray(model(**tokenizer("a b c", return_tensors="np")).logits[0])
    odds = np.exp(logits) / np.exp(logits).sum()
    assert answer == [{"label": ["NEGATIVE", "POSITIVE"][odds.argmax()], "score": pytest.approx(odds.max(), abs=1e-6)}]
    assert type(answer[0]["score"]) is float
    json.dumps(answer)


def test_shapes_by_input_and_top_k(classify: Pipeline) -> None:
    def shape(answer: Any) -> Any:
        return [shape(one) for one in answer] if isinstance(answer, list) else "d"

    pair = {"text": "a", "text_pair": "b"}
    table = [
        ("a", {}, ["d"]),
        (pair, {}, "d"),
        (["a", "b"], {}, ["d", "d"]),
        ([pair, pair], {}, ["d", "d"]),
        ("a", {"top_k": 1}, ["d"]),
        ("a", {"top_k": None}, ["d", "d"]),
        ("a", {"top_k": 9}, ["d", "d"]),
        (["a", "b"], {"top_k": None}, [["d", "d"], ["d", "d"]]),
        (["a"], {"top_k": 1}, [["d"]]),
        (pair, {"top_k": 2}, ["d", "d"]),
        ("a", {"return_all_scores": True}, [["d", "d"]]),
        (["a"], {"return_all_scores": True}, [["d", "d"]]),
        ("a", {"return_all_scores": False}, ["d"]),
        ([[["a", "b"]]], {}, ["d"]),
        ("", {}, ["d"]),
    ]
    for inputs, options, expected in table:
        assert shape(classify(inputs, **options)) == expected, (inputs, options)
    assert classify([[["a", "b"]]]) == [classify(pair)]


def test_options_at_construction_are_as_at_the_call(classify: Pipeline, folder: Path) -> None:
    every = pipeline("text-classification", model=classify.model, tokenizer=classify.tokenizer, top_k=None)
    assert every("a") == classify("a", top_k=None)
    assert every("a", top_k=1) == classify("a", top_k=1)
    assert [one["score"] for one in every("a")] == sorted((one["score"] for one in every("a")), reverse=True)
    unsorted = classify("a", return_all_scores=True)[0]
    assert [one["label"] for one in unsorted] == ["NEGATIVE", "POSITIVE"]


def test_the_function_follows_the_config_in_the_references_order() -> None:
    from jaxformers import BertConfig

    def of(asked: str | None = None, **fields: Any) -> str:
        return function(Options(function_to_apply=asked), BertConfig(**fields))

    assert of(problem_type="regression", num_labels=1) == "none"
    assert of(problem_type="multi_label_classification", num_labels=3) == "sigmoid"
    assert of(num_labels=1) == "sigmoid"
    assert of(problem_type="single_label_classification", num_labels=1) == "sigmoid"
    assert of(num_labels=3) == "softmax"
    assert of(num_labels=3, function_to_apply="none") == "softmax"
    assert of("none", num_labels=3) == "none"
    assert of("default", num_labels=3) == "softmax"
    assert of("SIGMOID", num_labels=3) == "sigmoid"


def test_functions_give_the_models_numbers(classify: Pipeline) -> None:
    raw = {one["label"]: one["score"] for one in classify("a b", top_k=None, function_to_apply="none")}
    sigmoid = {one["label"]: one["score"] for one in classify("a b", top_k=None, function_to_apply="sigmoid")}
    for label, score in raw.items():
        assert sigmoid[label] == pytest.approx(1 / (1 + np.exp(-score)), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"top_k": 0}, ValueError, "top_k=0"),
        ({"top_k": -1}, ValueError, "top_k=-1"),
        ({"function_to_apply": "softmin"}, ValueError, "softmin"),
        ({"topk": 1}, TypeError, "did you mean 'top_k'"),
        ({"batch_size": 0}, ValueError, "batch_size"),
    ],
)
def test_bad_options_are_named(classify: Pipeline, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        classify("a", **options)


def test_bad_inputs_are_named(classify: Pipeline) -> None:
    with pytest.raises(ValueError, match="'text' and, for pairs, 'text_pair'"):
        classify({"txt": "a"})
    with pytest.raises(ValueError, match="found list"):
        classify([["a", "b"]])
    with pytest.raises(ValueError, match="found NoneType"):
        classify(["a", None])


def test_a_folder_tells_its_task(folder: Path, classify: Pipeline) -> None:
    assert pipeline(model=folder).task == "text-classification"
    assert pipeline(model=classify.model, tokenizer=classify.tokenizer).task == "text-classification"


@pytest.mark.parametrize("task", ["automatic-speech-recognition", "image-classification", "vqa"])
def test_tasks_that_are_not_here_yet_are_no_misspellings(task: str) -> None:
    with pytest.raises(KeyError) as error:
        pipeline(task)
    assert f"The task '{task}' is not here yet, available tasks are [" in str(error.value)
    assert "did you mean" not in str(error.value)


@pytest.mark.parametrize(
    ("task", "named"),
    [("sentiment-analysis", True), ("text-classification", True), ("ner", False), ("fill-mask", False)],
)
def test_without_the_hub_what_ships_is_named_where_it_fits(
    task: str, named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(OSError, match="pass a local folder instead") as error:
        pipeline(task)
    assert ("'jaxformers/tiny-sentiment', which ships with the package" in str(error.value)) == named


def test_construction_refuses_what_cannot_work(folder: Path, classify: Pipeline, tmp_path: Path) -> None:
    with pytest.raises(KeyError, match=r"did you mean 'sentiment-analysis'.*feature-extraction"):
        pipeline("sentiment")
    with pytest.raises(ValueError, match="needs a task or a model"):
        pipeline()
    with pytest.raises(ValueError, match="needs tokenizer="):
        pipeline("sentiment-analysis", model=classify.model)
    with pytest.raises(TypeError, match="no 'top_kk'; did you mean 'top_k'"):
        pipeline("sentiment-analysis", model=folder, top_kk=1)
    with pytest.raises(OSError, match="no such folder"):
        pipeline("sentiment-analysis", model="/no/such/folder")
    with pytest.raises(ValueError, match="device='gpu:7' is not here"):
        pipeline("sentiment-analysis", model=folder, device="gpu:7")
    other = write_other_head(tmp_path / "mlm")
    with pytest.raises(ValueError, match="BertForMaskedLM has no head for 'text-classification'"):
        pipeline("sentiment-analysis", model=other)
    assert pipeline("sentiment-analysis", model=other, allow_new_head=True)("a")[0]["score"] > 0
    headless = write_other_head(tmp_path / "base", head="")
    with pytest.raises(
        ValueError, match=r"no weights for the head of BertForSequenceClassification \(classifier.bias, "
    ):
        pipeline("sentiment-analysis", model=headless)
    with pytest.raises(ValueError, match="BertModel has no head"):
        pipeline("sentiment-analysis", model=AutoModel.from_pretrained(headless), tokenizer=classify.tokenizer)


@pytest.mark.parametrize("said", [["BertModel"], ["BertForSequenceClassification"], None])
def test_a_head_is_trained_if_its_weights_are_there_whatever_the_config_says(
    folder: Path, classify: Pipeline, tmp_path: Path, said: list[str] | None, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    fields = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(fields | {"architectures": said}))
    assert pipeline("text-classification", model=tmp_path)("a b") == classify("a b")
    assert not caplog.records


def write_other_head(folder: Path, head: str = "MaskedLM") -> Path:
    from jaxformers import BertConfig
    from jaxformers.auto import class_for

    write_classifier(folder)
    class_for(BertConfig, head)(BertConfig(**SIZES)).save_pretrained(folder)
    return folder


def test_dtype_is_the_users_choice(folder: Path) -> None:
    assert "bfloat16" in repr(pipeline("sentiment-analysis", model=folder, dtype="bfloat16").model)
    assert "float32" in repr(pipeline("sentiment-analysis", model=folder).model)


def test_a_saved_pipeline_loads_again(classify: Pipeline, tmp_path: Path) -> None:
    classify.save_pretrained(tmp_path)
    assert pipeline("sentiment-analysis", model=tmp_path)("a b") == classify("a b")


def test_the_default_model_is_named_with_its_revision(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(OSError, match="jaxformers/tiny-sentiment"):
        pipeline("sentiment-analysis", revision=None, cache_dir=tmp_path)
    assert "distilbert-base-uncased-finetuned-sst-2-english" in caplog.text
    assert "714eb0f" in caplog.text
