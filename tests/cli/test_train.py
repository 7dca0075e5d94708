"""`jaxformers train`: a TOML file of each task trains, and what is wrong is one line before anything is loaded."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
import tomllib
import types
from pathlib import Path
from typing import Any

import pytest
import toy_writer
from pipelines import toy_seq2seq
from training.toys import put_tokenizer

from jaxformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, PeftModel, pipeline
from jaxformers.cli import main
from jaxformers.cli.labels import Labels
from jaxformers.cli.recipe import Recipe, change
from jaxformers.cli.training_tasks import TASKS

BERT = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 64,
}
ARGUMENTS = {
    "max_steps": 3,
    "per_device_train_batch_size": 4,
    "per_device_eval_batch_size": 4,
    "learning_rate": 0.01,
    "logging_steps": 1,
    "disable_tqdm": True,
}
TEXTS = ["maria went to town", "a b c", "berlin", "to a town", "maria", "went to berlin", "b b", "c"]


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)


def recipe(folder: Path, rows: list[Any], model: dict[str, Any], data: dict[str, Any], **arguments: Any) -> Path:
    """The file of a run whose training rows are in a file of JSON."""
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sections = {
        "model": model,
        "data": {"train": str(folder / "train.jsonl")} | data,
        "arguments": ARGUMENTS | {"output_dir": str(folder / "out")} | arguments,
    }
    path = folder / "run.toml"
    lines = [
        f"[{name}]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in table.items()) for name, table in sections.items()
    ]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder with a tokenizer of BERT's kind."""
    return str(put_tokenizer(tmp_path_factory.mktemp("tokenizer")))


def trained(capsys: pytest.CaptureFixture[str], path: Path, *words: str) -> dict[str, str]:
    """What a run prints at its end."""
    assert main(["train", "--config", str(path), *words]) == 0, capsys.readouterr().err
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    return {line[0]: line[1] for line in lines if len(line) == 2}


def refused(capsys: pytest.CaptureFixture[str], path: Path, *words: str) -> str:
    """The one line with which a run is refused."""
    assert main(["train", "--config", str(path), *words]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.count("\n") == 1, err
    return err


# -- tasks ----------------------------------------------------------------------------------------------------------


def test_texts_with_names_of_labels(capsys: pytest.CaptureFixture[str], tmp_path: Path, tokens: str) -> None:
    rows = [{"sentence": text, "label": "ab"[len(text) > 5]} for text in TEXTS]
    model = {"task": "sequence-classification", "config": BERT, "tokenizer": tokens}
    path = recipe(tmp_path, rows, model, {"split": 0.3, "columns": {"text": "sentence"}}, eval_strategy="steps")
    found = trained(capsys, path)
    assert found["steps"] == "3"
    assert {"eval_loss", "eval_accuracy", "eval_f1"} <= found.keys()
    assert found["model"] == str(tmp_path / "out")
    assert AutoConfig.from_pretrained(tmp_path / "out").id2label == {0: "a", 1: "b"}
    assert pipeline("text-classification", model=str(tmp_path / "out"))("berlin")[0]["label"] in ("a", "b")
    assert (tmp_path / "out" / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert len((tmp_path / "out" / "log.jsonl").read_text().splitlines()) >= 3


def test_a_run_goes_on_where_it_stood(capsys: pytest.CaptureFixture[str], tmp_path: Path, tokens: str) -> None:
    rows = [{"text": text, "label": len(text) % 2} for text in TEXTS]
    model = {"task": "sequence-classification", "config": BERT, "tokenizer": tokens}
    path = recipe(tmp_path, rows, model, {}, save_steps=1)
    trained(capsys, path, "--set", "arguments.max_steps=2")
    assert trained(capsys, path, "--resume", "--set", "arguments.max_steps=4")["steps"] == "4"
    logged = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [entry["step"] for entry in logged if "loss" in entry] == [1, 2, 3, 4]


def test_pairs_with_values_of_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path, tokens: str) -> None:
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "pair", "label"])
        writer.writeheader()
        writer.writerows({"text": text, "pair": text[::-1], "label": len(text) / 10} for text in TEXTS)
    model = {"task": "sequence-classification", "config": BERT, "tokenizer": tokens}
    path = recipe(tmp_path, [], model, {"train": str(tmp_path / "rows.csv"), "eval": str(tmp_path / "rows.csv")})
    assert "eval_mse" in trained(capsys, path)
    assert AutoConfig.from_pretrained(tmp_path / "out").problem_type == "regression"


def test_tags_of_words(capsys: pytest.CaptureFixture[str], tmp_path: Path, tokens: str) -> None:
    rows = [
        {"words": text.split(), "tags": ["B-X" if word == "to" else "O" for word in text.split()]} for text in TEXTS
    ]
    model = {"task": "token-classification", "config": BERT, "tokenizer": tokens}
    found = trained(capsys, recipe(tmp_path, rows, model, {"eval": str(tmp_path / "train.jsonl")}))
    assert {"eval_loss", "eval_precision", "eval_recall", "eval_f1", "eval_accuracy"} <= found.keys()


def test_answers_of_contexts(capsys: pytest.CaptureFixture[str], tmp_path: Path, tokens: str) -> None:
    rows = [
        {
            "question": "a",
            "context": text,
            "answers": {"text": [text.split()[-1]], "answer_start": [text.rindex(" ") + 1]},
        }
        for text in TEXTS
        if " " in text
    ]
    model = {"task": "question-answering", "config": BERT, "tokenizer": tokens}
    found = trained(capsys, recipe(tmp_path, rows, model, {"eval": str(tmp_path / "train.jsonl"), "max_length": 16}))
    assert {"eval_loss", "eval_exact_match", "eval_f1"} <= found.keys()


def test_masked_lines(capsys: pytest.CaptureFixture[str], tmp_path: Path, tokens: str) -> None:
    (tmp_path / "lines.txt").write_text("\n".join(TEXTS) + "\n\n")
    model = {"task": "masked-lm", "config": BERT, "tokenizer": tokens}
    path = recipe(tmp_path, [], model, {"train": [str(tmp_path / "lines.txt")], "split": 0.4, "mlm_probability": 0.5})
    assert "eval_perplexity" in trained(capsys, path)


def test_one_text_in_packed_rows(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("Some text in several lines.\n\n" * 20)
    name = str(toy_writer.write(tmp_path / "toy"))
    texts = {"train": str(tmp_path / "book.txt"), "eval": str(tmp_path / "book.txt"), "max_length": 32}
    path = recipe(tmp_path, [], {"task": "causal-lm", "name": name}, texts, save_strategy="no")
    found = trained(capsys, path)
    first = json.loads((tmp_path / "out" / "log.jsonl").read_text().splitlines()[0])
    assert float(found["eval_loss"]) < first["loss"] - 0.1
    assert float(found["eval_perplexity"]) == pytest.approx(math.exp(float(found["eval_loss"])), rel=1e-3)
    assert (tmp_path / "out" / "model.safetensors").exists()


def test_sources_and_targets(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    name = str(toy_seq2seq.bart(tmp_path / "toy"))
    rows = [{"source": text, "target": text[::-1]} for text in TEXTS]
    data = {"eval": str(tmp_path / "train.jsonl"), "prefix": "a ", "max_length": 16}
    found = trained(capsys, recipe(tmp_path, rows, {"task": "seq2seq", "name": name}, data))
    assert "eval_loss" in found


def test_an_adapter(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = [{"text": text, "label": "POSITIVE" if "a" in text else "NEGATIVE"} for text in TEXTS]
    model = {"task": "sequence-classification", "name": "jaxformers/tiny-sentiment"}
    path = recipe(tmp_path, rows, model, {"max_length": 16})
    path.write_text(path.read_text() + '\n[lora]\nr = 2\ntarget_modules = "all-linear"\n')
    assert trained(capsys, path)["steps"] == "3"
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["r"] == 2
    assert (tmp_path / "out" / "adapter_model.safetensors").stat().st_size < 1_000_000
    assert not (tmp_path / "out" / "model.safetensors").exists()
    tuned = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert isinstance(tuned, PeftModel)
    path.write_text(path.read_text().replace("r = 2", "rank = 2"))
    assert "[lora] has no 'rank'" in refused(capsys, path)


# -- what is wrong --------------------------------------------------------------------------------------------------

GOOD: dict[str, Any] = {"task": "sequence-classification", "name": "no-such-folder"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["model.tsk=a"], "[model] has no 'tsk' (did you mean 'task'?)"),
        (["model.task=causal"], "task='causal': expected one of 'sequence-classification'"),
        (["modell.name=a"], "no section 'modell' (did you mean 'model'?)"),
        (["data.max_lenght=3"], "[data] has no 'max_lenght' (did you mean 'max_length'?)"),
        (["data.max_length=0"], "[data] max_length=0: expected a whole number from 1"),
        (["data.eval=a.csv", "data.split=0.1"], "leave one out"),
        (["arguments.learning_rte=1"], "no argument 'learning_rte' (did you mean 'learning_rate'?)"),
        (["arguments.learning_rate=fast"], "learning_rate='fast'"),
        (["arguments.predict_with_generate=true"], "Seq2SeqTrainingArguments has"),
        (["model.config.n_layer=2"], "either a name"),
        (["arguments.eval_strategy=epoch"], "needs rows to evaluate: give data.eval or data.split"),
        (["lora.r=0"], "the rank r=0 must be a whole number"),
        (["model.labels=['a', 'b']", "model.num_labels=3"], "labels has 2 names, num_labels is 3"),
        (["data=3"], "expected section.key=value"),
        (["data.columns.txt=a"], "the task reads no 'txt' (did you mean 'text'?)"),
        (["data.columns.text=sentence"], "row 0 has no column 'sentence'"),
        (["data.train=rows.xml"], "expected a file of .jsonl"),
        (["data.train=none.jsonl"], "No such file"),
        (["data.split=0.0001"], "leaves none on one side"),
        ([], "no-such-folder"),
    ],
)
def test_what_is_wrong_is_one_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], said: str
) -> None:
    path = recipe(tmp_path, [{"text": "a", "label": 0}, {"text": "b", "label": 1}], GOOD, {})
    changes = [part for word in words for part in ("--set", word)]
    assert said in refused(capsys, path, *changes)


@pytest.mark.parametrize(
    ("content", "said"),
    [("not toml", "is no TOML file"), ("model = 3", "model = 3 must be a section"), ("", "[model] needs a task")],
)
def test_files_that_are_no_recipes(capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "run.toml").write_text(content)
    assert said in refused(capsys, tmp_path / "run.toml")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("{", "train.jsonl, line 1 is no JSON"),
        ("\n[1]\n", "line 2: expected an object of columns, found list"),
        ("", "has no rows"),
        ('{"text": "a"}\n', "row 0 has no column 'label'"),
    ],
)
def test_rows_that_are_none(capsys: pytest.CaptureFixture[str], tmp_path: Path, lines: str, said: str) -> None:
    path = recipe(tmp_path, [], GOOD, {})
    (tmp_path / "train.jsonl").write_text(lines)
    assert said in refused(capsys, path)


def test_there_is_nothing_to_go_on_from(capsys: pytest.CaptureFixture[str], tmp_path: Path, tokens: str) -> None:
    model = {"task": "sequence-classification", "config": BERT, "tokenizer": tokens}
    path = recipe(tmp_path, [{"text": text, "label": 0} for text in TEXTS], model, {})
    assert "there is no complete checkpoint" in refused(capsys, path, "--resume")


def test_a_row_must_fit_the_model(capsys: pytest.CaptureFixture[str], tmp_path: Path, tokens: str) -> None:
    model = {"task": "sequence-classification", "config": BERT, "tokenizer": tokens}
    path = recipe(tmp_path, [{"text": "a", "label": 0}], model, {"max_length": 65})
    assert "data.max_length is 65, and rows of this model have at most 64 tokens" in refused(capsys, path)


def test_a_loss_that_is_no_number_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path, tokens: str) -> None:
    model = {"task": "sequence-classification", "config": BERT, "tokenizer": tokens}
    path = recipe(tmp_path, [{"text": "a", "label": 1e30}] * 4, model, {}, save_strategy="no")
    assert main(["train", "--config", str(path)]) == 2
    assert "the loss or a gradient is not finite" in capsys.readouterr().err


def test_changes_are_values_of_toml_or_texts() -> None:
    assert change("arguments.learning_rate=1e-4") == (("arguments", "learning_rate"), 1e-4)
    assert change("model.config.n_layer=2") == (("model", "config", "n_layer"), 2)
    assert change("data.train=['a', 'b']") == (("data", "train"), ["a", "b"])
    assert change("arguments.output_dir=a b=c") == (("arguments", "output_dir"), "a b=c")


def test_a_recipe_is_its_sections() -> None:
    made = Recipe.of({"model": GOOD, "data": {"train": "a.csv"}, "arguments": {"max_steps": 3}})
    assert (made.model.name, made.data.train, made.arguments.max_steps) == ("no-such-folder", "a.csv", 3)
    assert made.model.dtype == "float32"


@pytest.mark.parametrize(
    ("found", "told", "count", "checkpoint", "names"),
    [
        (["b", "a"], None, None, {0: "LABEL_0", 1: "LABEL_1"}, ("a", "b")),
        (["POS"], None, None, {0: "NEG", 1: "POS"}, ("NEG", "POS")),
        (["a"], ("b", "a"), None, {}, ("b", "a")),
        ([0, 2], None, None, {0: "x", 1: "y"}, ("LABEL_0", "LABEL_1", "LABEL_2")),
        ([0, 1], None, None, {0: "x", 1: "y"}, ("x", "y")),
        (["0", "1"], None, 3, {}, ("LABEL_0", "LABEL_1", "LABEL_2")),
        (["1", "5"], ("1", "2", "3", "4", "5"), None, {}, ("1", "2", "3", "4", "5")),
        ([0.5, 2], None, None, {}, ()),
        (["nan", "inf"], None, None, {}, ("inf", "nan")),
    ],
)
def test_names_of_labels(found: Any, told: Any, count: Any, checkpoint: Any, names: Any) -> None:
    assert Labels.of(found, told, count, checkpoint).names == names


def test_numbers_of_labels() -> None:
    assert Labels(("1", "2")).number("2") == 1
    assert Labels(("a", "b")).number(1) == Labels(("a", "b")).number("1") == 1
    assert Labels(()).number("0.5") == 0.5


@pytest.mark.parametrize(
    ("found", "told", "count", "said"),
    [
        (["a", 1], None, None, "names in some rows"),
        ([3], None, 2, "no label '3'"),
        (["c"], ("a", "b"), None, "there is no label 'c'"),
        ([0.5], ("a",), None, "labels are values"),
        ([None], None, None, "a label is None"),
        (["a", "b"], None, 3, "num_labels is 3, and there are 2 labels"),
    ],
)
def test_labels_that_are_none(found: Any, told: Any, count: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Labels.of(found, told, count, {})


def test_help_shows_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "[arguments]" in capsys.readouterr().out


def test_tokenizers_are_saved_with_the_model(capsys: pytest.CaptureFixture[str], tmp_path: Path, tokens: str) -> None:
    rows = [{"text": text, "label": 0} for text in TEXTS]
    model = {"task": "sequence-classification", "config": BERT, "tokenizer": tokens, "num_labels": 2}
    trained(capsys, recipe(tmp_path, rows, model, {}))
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("maria")["input_ids"] == [2, 6, 3]


def test_what_is_measured_by_a_package_that_is_not_there(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    path = recipe(tmp_path, [{"source": "a", "target": "b"}], {"task": "seq2seq", "name": "no-such-folder"}, {})
    assert "pip install sacrebleu" in refused(capsys, path, "--set", "arguments.predict_with_generate=true")


def test_what_is_written_is_measured(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = types.ModuleType("sacrebleu")
    seen: list[Any] = []

    def score(texts: list[str], references: list[list[str]]) -> Any:
        seen[:] = references[0]
        return types.SimpleNamespace(score=7.5)

    vars(scores).update(corpus_chrf=score, corpus_bleu=score)
    monkeypatch.setitem(sys.modules, "sacrebleu", scores)
    rows = [{"source": text, "target": text} for text in TEXTS]
    model = {"task": "seq2seq", "name": str(toy_seq2seq.bart(tmp_path / "toy"))}
    path = recipe(tmp_path, rows, model, {"eval": str(tmp_path / "train.jsonl")}, predict_with_generate=True)
    found = trained(capsys, path, "--set", "arguments.generation_max_length=6", "--set", "arguments.max_steps=1")
    assert (found["eval_chrf"], found["eval_bleu"]) == ("7.5000", "7.5000")
    assert seen == TEXTS


def test_the_file_and_the_columns_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "trainer.md").read_text()
    (block,) = re.findall(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    assert Recipe.of(tomllib.loads(block)).arguments.num_train_epochs == 3
    table = page[page.index("| task | columns |") :]
    for name, task in TASKS.items():
        (line,) = [line for line in table.splitlines() if f"`{name}`" in line.partition(" | ")[0]]
        assert all(f"`{column}`" in line for column in (*task.columns, *task.further))
