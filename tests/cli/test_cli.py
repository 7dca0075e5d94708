"""The command: what it prints, what it refuses, and that it never shows a traceback for bad input."""

from __future__ import annotations

import fcntl
import io
import json
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest
from pipelines import toy_seq2seq

from jaxformers import __version__
from jaxformers.cli import answers, main, run

MODEL = "jaxformers/tiny-sentiment"
TEXTS = ["A warm, clever and moving film.", "", "Two hours that I will never get back."]


class Stdin(io.TextIOWrapper):
    """Standard input with given bytes, at a terminal or not."""

    def __init__(self, content: bytes, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(content))
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def fails(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a command with bad input ends with."""
    try:
        code: Any = main(words)
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert code == 2
    assert out == ""
    assert err.endswith("\n")
    assert err.count("\n") == 1, err
    return err


def lines(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """The lines that a command prints."""
    assert main(words) == 0
    return capsys.readouterr().out.splitlines()


# -- run ------------------------------------------------------------------------------------------------------------


def test_texts_of_the_command_line_are_answered_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, "run", "sentiment-analysis", "--model", MODEL, *TEXTS)
    assert [line.partition("\t")[2] for line in shown] == TEXTS
    assert shown[0].startswith("POSITIVE  0.")
    assert shown[2].startswith("NEGATIVE  0.")


def test_options_may_stand_between_and_after_texts(capsys: pytest.CaptureFixture[str]) -> None:
    first = lines(capsys, "run", "sentiment-analysis", TEXTS[0], "--model", MODEL, TEXTS[2], "--json")
    assert [json.loads(line)["label"] for line in first] == ["POSITIVE", "NEGATIVE"]


def test_a_text_may_begin_with_a_dash(capsys: pytest.CaptureFixture[str]) -> None:
    shown = lines(capsys, "run", "sentiment-analysis", "--model", MODEL, "--", "-5 out of 10", "--json")
    assert [line.partition("\t")[2] for line in shown] == ["-5 out of 10", "--json"]


def test_lines_of_standard_input_give_one_line_of_json_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "\ufeff" + "\r\n".join([*TEXTS, "Ein schöner Film 🤗"])
    monkeypatch.setattr(sys, "stdin", Stdin(content.encode()))
    shown = lines(capsys, "run", "text-classification", "--model", MODEL, "--json", "--option", "top_k=2")
    found = [json.loads(line) for line in shown]
    assert len(found) == 4
    for answer in found:
        assert [set(entry) for entry in answer] == [{"label", "score"}] * 2
        assert sum(entry["score"] for entry in answer) == pytest.approx(1)


def test_a_person_at_the_terminal_is_answered_line_by_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b"Wonderful.\nAwful.\n", terminal=True))
    shown = lines(capsys, "run", "sentiment-analysis", "--model", MODEL)
    assert [line.split()[0] for line in shown] == ["POSITIVE", "NEGATIVE"]


def test_no_lines_give_no_answers(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b""))
    assert lines(capsys, "run", "sentiment-analysis", "--model", MODEL) == []


def test_texts_are_translated_and_summarised_a_line_each(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    many = ["run", "translation", "--model", str(toy_seq2seq.mbart(tmp_path / "mbart")), "--option", "max_new_tokens=4"]
    languages = ["--option", "src_lang=en_XX", "--option", "tgt_lang=ro_RO"]
    content = ["The file could not be opened.", "", "a b"]
    found = [json.loads(line) for line in lines(capsys, *many, *languages, "--json", *content)]
    assert [[*answer[0]] for answer in found] == [["translation_text"]] * 3
    monkeypatch.setattr(sys, "stdin", Stdin("\n".join(content).encode() + b"\n"))
    shown = lines(capsys, *many, *languages)
    assert [line.partition("\t")[2] for line in shown] == content
    words = [" ".join(answer[0]["translation_text"].split()) for answer in found]
    assert [line.partition("\t")[0] for line in shown] == words
    assert "src_lang= and tgt_lang=" in fails(capsys, *many, "a")
    assert "nearest are ro_RO" in fails(capsys, *many, *languages, "--option", "tgt_lang=ro", "a")
    short = ["run", "summarization", "--model", str(toy_seq2seq.bart(tmp_path / "bart")), "--option", "max_length=6"]
    text = "The file could not be opened. " * 20
    assert "truncation=True" in fails(capsys, *short, text)
    assert len(lines(capsys, *short, "--option", "min_length=0", "--option", "long=chunks", text)) == 1


def test_features_are_told_by_their_shape(capsys: pytest.CaptureFixture[str]) -> None:
    (shown,) = lines(capsys, "run", "feature-extraction", "--model", MODEL, "--dtype", "float32", "Two words")
    assert shown.startswith("[1, ")
    assert shown.endswith(" …\tTwo words")
    (shown,) = lines(
        capsys, "run", "feature-extraction", "--model", MODEL, "--json", "--option", "return_tensors=true", "Two words"
    )
    assert len(json.loads(shown)) == 1


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["frob"], "frob"),
        (["run"], "TASK"),
        (["--frob", "run"], "--frob"),
        (["env", "extra"], "extra"),
        (["run", "sentiment-analysis", "--option", "top_k"], "name=value"),
        (["run", "no-such-task", "x"], "no-such-task"),
        (["run", "sentiment-analysis", "--model", "./no/such/folder", "x"], "no such folder"),
        (["run", "sentiment-analysis", "--model", MODEL, "--dtype", "float23", "x"], "float23"),
        (["run", "sentiment-analysis", "--model", MODEL, "--device", "abacus", "x"], "abacus"),
        (["run", "sentiment-analysis", "--model", MODEL, "--option", "topk=2", "x"], "top_k"),
        (["run", "sentiment-analysis", "--model", MODEL, "--option", "top_k=0", "x"], "top_k"),
        (["run", "sentiment-analysis", "--model", MODEL, "word " * 1000], "truncation"),
        (["run", "sentiment-analysis", "--model", MODEL, "\udcff"], "UTF-8"),
        (["quicktour", "--offline", "--model", "./no/such/folder"], "no such folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str], words: list[str], expected: str
) -> None:
    if words[0] == "quicktour":
        assert main(words) == 2
        assert expected in capsys.readouterr().err.splitlines()[-1]
    else:
        assert expected in fails(capsys, *words)


def test_a_line_that_is_no_text_is_named_after_the_answers_before_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Stdin(b"Good.\nBad.\n\xff\nGood.\n"))
    assert main(["run", "sentiment-analysis", "--model", MODEL]) == 2
    out, err = capsys.readouterr()
    assert [line.partition("\t")[2] for line in out.splitlines()] == ["Good.", "Bad."]
    assert err.startswith("jaxformers: line 3 of standard input is not UTF-8")
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [["--debug", "run"], ["run", "--debug"]])
def test_debug_shows_the_traceback(words: list[str]) -> None:
    with pytest.raises(OSError, match="no such folder"):
        main([*words, "sentiment-analysis", "--model", "./no/such/folder", "x"])


def test_a_defect_of_ours_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(options: Any) -> None:
        raise AssertionError("a defect")

    monkeypatch.setattr(run, "run", broken)
    with pytest.raises(AssertionError):
        main(["run", "sentiment-analysis"])


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("top_k=2", ("top_k", 2)),
        ("top-k=null", ("top_k", None)),
        ("truncation=True", ("truncation", True)),
        ("function_to_apply=none", ("function_to_apply", "none")),
        ("labels=[1, 2]", ("labels", [1, 2])),
        ("text=a=b", ("text", "a=b")),
        ("empty=", ("empty", "")),
    ],
)
def test_parameters_are_read_as_they_are_meant(word: str, expected: tuple[str, Any]) -> None:
    assert run.parameter(word) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"label": "POSITIVE", "score": 0.99987}, "POSITIVE  0.9999"),
        ([{"label": "A", "score": 0.75}, {"label": "B", "score": 0.25}], "A  0.7500, B  0.2500"),
        ([[[1.0, 2.0], [3.0, 4.0]]], "[1, 2, 2] 1.0000 2.0000 3.0000 4.0000"),
        ([], "[]"),
        ("two\nlines", "two lines"),
    ],
)
def test_answers_read_as_one_line(answer: Any, expected: str) -> None:
    assert answers.line(answer) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([{"generated_text": "two\nlines, \tand  more "}], "two\nlines, \tand  more "),
        ([{"generated_text": "a\n"}, {"generated_text": "b"}], "a\n\n\nb"),
        ([{"generated_text": [{"role": "user", "content": "?"}, {"role": "assistant", "content": "x\ny"}]}], "x\ny"),
        ([{"generated_token_ids": [5, 70, 6, 1, 2]}], "5 70 6 1 2"),
        ([{"generated_text": "a", "sequences_scores": -0.5, "scores": [[0.1, 0.9]]}], "a"),
    ],
)
def test_written_texts_are_shown_as_they_are(answer: Any, expected: str) -> None:
    assert answers.written(answer) == expected


# -- the process ----------------------------------------------------------------------------------------------------


def command(*words: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "jaxformers", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


def test_help_and_mistakes_answer_without_jax() -> None:
    code = (
        "import sys; from jaxformers.cli import COMMANDS, main\n"
        "for words in (['--help'], *([word, '--help'] for word in COMMANDS), ['run', '--frob']):\n"
        "    try: main(words)\n"
        "    except SystemExit: pass\n"
        "assert not {'jax', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_the_module_runs_too() -> None:
    with command("--version") as process:
        out, _ = process.communicate()
    assert out.decode() == f"jaxformers {__version__}\n"


def test_a_reader_that_leaves_is_no_error() -> None:
    with command("run", "sentiment-analysis", "--model", MODEL, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stdin.write(b"A film.\n" * 50)
        process.stdin.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_is_quiet() -> None:
    with command("run", "sentiment-analysis", "--model", MODEL, "--json", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"A film.\n")
        process.stdin.flush()
        while process.poll() is None and fcntl.ioctl(process.stdin, termios.FIONREAD, b"\0" * 4) != b"\0" * 4:
            time.sleep(0.05)  # until it has loaded and has read the line
        time.sleep(1)  # and waits for more
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == b""


# -- env ------------------------------------------------------------------------------------------------------------


def test_env_names_versions_and_devices_and_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    shown = lines(capsys, "env")
    facts = dict(line.split(None, 1) for line in shown if not line.startswith("compile cache"))
    assert facts["jaxformers"] == __version__
    assert facts["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["HF_HUB_OFFLINE"] == "1"
    for name in ("jax", "jaxlib", "flax", "tokenizers", "huggingface_hub", "numpy", "platform", "devices"):
        assert facts[name]
    assert not any("secret" in line for line in shown)
    (as_json,) = lines(capsys, "env", "--json")
    assert json.loads(as_json)["jaxformers"] == __version__
