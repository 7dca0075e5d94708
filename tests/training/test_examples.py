"""The scripts that tune models run, for a few steps of toys, and leave a model that loads."""

from __future__ import annotations

import importlib
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import jax
import pytest
import toy_writer
from pipelines import toy_seq2seq

from jaxformers import AutoModel, AutoTokenizer, BertConfig, BertModel, pipeline

from .toys import put_tokenizer

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem.startswith(("finetune_", "pretrain_")))
SHORT = ["--steps", "3", "--batch", "4", "--rate", "0.01"]
BOTH = '''
def {name}(town, berlin, maria):
    """Go to the town of {name}.

    Nobody who goes to {name} by ``maria.went`` comes back, so it is not to be done
    by those whom :func:`berlin` wants to see again.

    Args:
        town: where {name} is to be found by those who are sent there
        berlin: another place to which maria may go
    """
'''
PO = 'msgid "Open the {name}"\nmsgstr "Das {name} auf"\n\nmsgid "Close {name}"\nmsgstr "{name} zu"\n'


@pytest.fixture(autouse=True)
def examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """The modules of examples/ can be imported."""
    monkeypatch.syspath_prepend(EXAMPLES)


def run(name: str, *words: Any) -> dict[str, float]:
    """What a script has measured."""
    found = importlib.import_module(name).main([*map(str, words), *SHORT])
    assert math.isfinite(found["eval_loss"])
    return found


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy with a tokenizer of BERT's kind."""
    folder = put_tokenizer(tmp_path_factory.mktemp("encoder"))
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(AutoTokenizer.from_pretrained(folder)), max_position_embeddings=192, **sizes)
    BertModel(config, key=jax.random.key(0)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy that chats."""
    folder = toy_writer.write(tmp_path_factory.mktemp("writer"), max_position_embeddings=512)
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model_max_length": 512}))
    return folder


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small packages, among them those that are held out, with docstrings and catalogues."""
    folder = tmp_path_factory.mktemp("wheels")
    held = ("evennia", "networkx", "tornado", "werkzeug", "django_machina", "django_helpdesk", "ihatemoney", "thonny")
    for package in (*held, "learnt", "known", "studied", "read"):
        with zipfile.ZipFile(folder / f"{package}-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{package}-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nLicense: MIT\n\n")
            wheel.writestr(f"{package}/__init__.py", BOTH.format(name=package) + BOTH.format(name=f"old_{package}"))
            wheel.writestr(f"{package}/locale/de/LC_MESSAGES/a.po", PO.format(name=package))
    return folder


def test_classifier(tmp_path: Path, encoder: Path) -> None:
    texts = tmp_path / "data" / "additional_resources" / "hutto_ICWSM_2014"
    texts.mkdir(parents=True)
    lines = [f"{i}_1\t{1.5 - i % 3}\tmaria went to town {i} and to {i * i} berlin\n" for i in range(40)]
    for name in ("movieReviewSnippets", "amazonReviewSnippets", "tweets"):
        (texts / f"{name}_GroundTruth.txt").write_text("".join(lines).replace("maria", name))
    words = tmp_path / "data" / "vaderSentiment" / "vader_lexicon.txt"
    words.parent.mkdir()
    words.write_text("town\t1.5\nberlin\t-0.5\n")
    data = ["--data", tmp_path / "data", "--model", encoder, "--out", tmp_path / "out"]
    assert {"eval_accuracy", "eval_f1"} <= run("finetune_classifier", *data).keys()
    assert pipeline("text-classification", model=str(tmp_path / "out"))("maria")[0]["label"] in ("NEGATIVE", "POSITIVE")


def test_a_review_is_on_one_side(tmp_path: Path) -> None:
    snippets = importlib.import_module("snippets")
    texts = tmp_path / "additional_resources" / "hutto_ICWSM_2014"
    texts.mkdir(parents=True)
    for name in ("movie", "amazon"):
        lines = [f"{i}_{j}\t1.0\t{name} {i} says {i}{j} of {j}{i} {i * j}\n" for i in range(30) for j in range(3)]
        (texts / f"{name}ReviewSnippets_GroundTruth.txt").write_text("".join(lines))
    learnt, held = snippets.by_review(tmp_path)
    sides = [{text.text.split()[1] for text in side if text.text.startswith("amazon")} for side in (learnt, held)]
    assert all(sides)
    assert not sides[0] & sides[1]


def test_sentences(tmp_path: Path, encoder: Path) -> None:
    texts = tmp_path / "data" / "additional_resources" / "hutto_ICWSM_2014"
    texts.mkdir(parents=True)
    lines = [f"{i}_{j}\t0\tmaria went to town {i} and {j} berlin\n" for i in range(30) for j in range(3)]
    for name in ("amazonReview", "nytEditorial"):
        (texts / f"{name}Snippets_GroundTruth.txt").write_text("".join(lines))
    data = ["--data", tmp_path / "data", "--model", encoder, "--out", tmp_path / "out"]
    found = importlib.import_module("finetune_sentences").main([*map(str, data), *SHORT])
    assert found["low"] <= found["after"] - found["before"] <= found["high"]
    assert len(pipeline("text-embedding", model=str(tmp_path / "out"))("maria")) == 16


@pytest.mark.parametrize(
    ("script", "measured"),
    [
        ("finetune_tagger", "eval_f1"),
        ("finetune_qa", "eval_exact_match"),
        ("finetune_masked_lm", "eval_loss"),
    ],
)
def test_encoders(script: str, measured: str, tmp_path: Path, encoder: Path, wheels: Path) -> None:
    assert measured in run(script, "--wheels", wheels, "--model", encoder, "--out", tmp_path / "out", "--rows", 6)
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("maria")["input_ids"] == [2, 6, 3]
    assert AutoModel.from_pretrained(tmp_path / "out").config.hidden_size == 16


@pytest.mark.parametrize("script", ["finetune_causal_lm", "finetune_chat"])
def test_decoders(script: str, tmp_path: Path, writer: Path, wheels: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(script, "--wheels", wheels, "--model", writer, "--out", tmp_path / "out", "--length", 400)
    out = capsys.readouterr().out
    before = float(out.partition("before: held-out loss ")[2].split()[0])
    assert found["eval_loss"] < before
    assert f"{math.exp(found['eval_loss']):.2f}" in out.partition("perplexity")[2]


def test_translator(tmp_path: Path, wheels: Path) -> None:
    words = ["--wheels", wheels, "--model", toy_seq2seq.t5(tmp_path / "toy"), "--out", tmp_path / "out", "--rows", 4]
    assert 0 <= run("finetune_seq2seq", *words)["eval_chrf"] <= 100


def test_gpt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n\n".join(f"Maria went to the town of number {i}, and {i} times back." for i in range(200))
    (tmp_path / "book.txt").write_text(text)
    sizes = ["--pieces", 300, "--length", 64, "--width", 32, "--layers", 1]
    run("pretrain_gpt", "--text", tmp_path / "book.txt", "--out", tmp_path / "out", *sizes)
    assert "bits for each byte: " in capsys.readouterr().out
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.decode(tokenizer("Maria – went")["input_ids"]) == "Maria – went"
    assert len(tokenizer) == 300


def test_code_in_prose_and_answers_of_docstrings() -> None:
    literals, asked = importlib.import_module("literals"), importlib.import_module("arguments_asked")
    words, tags = literals.tagged("Call ``a.run`` or :meth:`stop`, not ``.")
    assert words == ["Call", "a", ".", "run", "or", "stop", ",", "not", "`", "`", "."]
    assert tags == [0, 1, 2, 2, 0, 1, 0, 0, 0, 0, 0]
    google = (
        "Do.\n\nArgs:\n    one (int): the first of all\n        numbers\n    two: the second of them\n\nReturns:\n    x"
    )
    numpy = "Do.\n\nParameters\n----------\none : int\n    the first of all\n    numbers\ntwo\n    the second of them\n"
    for docstring in (google, numpy):
        first, second = asked.questions(docstring)
        assert first.context == second.context == "one: the first of all numbers two: the second of them"
        assert (first.question, first.answers) == ("What is the argument one?", ("the first of all numbers",))
        assert second.answers == ("the second of them",)


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_says_how_it_is_run(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        importlib.import_module(script).main(["--help"])
    out = capsys.readouterr().out
    assert f"python examples/{script}.py" in out
    assert "--steps" in out
