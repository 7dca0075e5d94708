"""Chats in the terminal: what is said and remembered, which commands there are, and how an answer is stopped."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import toy_writer

from jaxformers import AutoModelForCausalLM, AutoTokenizer, TextStreamer
from jaxformers.cli import main
from jaxformers.generation import prefill


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy_writer.write(tmp_path_factory.mktemp("writer"), eos_token_id=None)


def told(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """Standard input holds these lines."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(words).encode())))


def expected(folder: Path, text: str, count: int) -> str:
    """What follows a text, greedily."""
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    return tokenizer.decode(toy_writer.greedy(model, tokenizer(text)["input_ids"], count), skip_special_tokens=True)


def test_messages_are_answered_with_all_that_was_said(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, "Hi", "", "And", "/reset", "Hi", "/quit", "unread")
    words = ["chat", str(folder), "--greedy", "--max-new-tokens", "6", "--system", "be kind", "--dtype", "float32"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    start = "<system>be kind|<user>Hi|<assistant>"
    first = expected(folder, start, 6)
    second = expected(folder, f"{start}{first}|<user>And|<assistant>", 6)
    assert out == f"{first}\n{second}\n{first}\n"
    assert err.count("[6 tokens: the first after ") == 3
    assert err.count(" a second]") == 3


def test_what_was_read_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    plain = prefill.jaxformers_prefill

    def counting(model: Any, ids: Any, real: Any, cache: Any) -> Any:
        read.append(int(real.sum()))
        return plain(model, ids, real, cache)

    monkeypatch.setattr(prefill, "jaxformers_prefill", counting)
    told(monkeypatch, "Hi", "And", "/reset", "Hi")
    assert main(["chat", str(folder), "--greedy", "--max-new-tokens", "6"]) == 0
    first = len("<user>Hi|<assistant>") - 1  # the last is read with the first step
    assert sum(read) == first + len("|<user>And|<assistant>") + first


def test_draws_go_by_the_seed(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    for seed in ("1", "1", "2"):
        told(monkeypatch, "Hi", "/reset", "Hi", "/exit")
        assert main(["chat", str(folder), "--seed", seed, "--temperature", "1.5", "--max-new-tokens", "8"]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1] != said[2]
    one, other = said[0].splitlines()
    assert one != other  # answers of one chat draw anew


def test_commands_are_no_messages(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, "/help", "/frob", " /exit ")
    assert main(["chat", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("/reset") == 2
    assert "there is no /frob" in err


def test_an_answer_fills_what_room_there_is_and_then_there_is_none(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told(monkeypatch, "Hi", "too long", "unread")
    assert main(["chat", str(folder), "--greedy"]) == 2
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    room, end = err.splitlines()
    assert room.startswith(f"[{toy_writer.PLACES - len('<user>Hi|<assistant>')} tokens")
    assert end.startswith("jaxformers: the chat has ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--max-new-tokens", "0"], "at least 1"),
        (["--greedy", "--temperature", "2"], "--greedy"),
        (["--temperature", "0"], "temperature"),
        (["--frob"], "--frob"),
    ],
)
def test_bad_options_are_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    try:
        code: Any = main(["chat", str(folder), *words])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_model_that_cannot_chat_says_so_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = toy_writer.write(tmp_path, chats=False)
    (folder / "model.safetensors").write_bytes(b"not read")
    assert main(["chat", str(folder)]) == 2
    err = capsys.readouterr().err
    assert "no chat template" in err
    assert f"`jaxformers run text-generation --model {folder} TEXT`" in err
    assert "chat_template=" not in err
    assert main(["chat", "./no/such/file.gguf"]) == 2


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals go to the main thread")
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_stops_an_answer_and_not_the_program(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    put = TextStreamer.put

    def interrupting(self: TextStreamer, value: Any) -> None:
        put(self, value)
        heard.append(len(value))
        if len(heard) == 5:  # the prompt and four tokens
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(TextStreamer, "put", interrupting)
    told(monkeypatch, "Hi", "And")
    assert main(["chat", str(folder), "--greedy", "--max-new-tokens", "9"]) == 0
    out, err = capsys.readouterr()
    start = "<user>Hi|<assistant>"
    first, second = err.splitlines()
    assert "[9 tokens" in second
    count = int(first.removeprefix("[").split()[0])
    assert 4 <= count < 9
    begun = expected(folder, start, count)
    assert out.startswith(begun + "\n")
    assert out == f"{begun}\n{expected(folder, f'{start}{begun}|<user>And|<assistant>', 9)}\n"  # it counts as said


@pytest.mark.usefixtures("interruptible")
def test_a_person_is_told_what_is_wrong_and_goes_on(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(["x" * 200, KeyboardInterrupt(), "Hi", EOFError()])

    def asked(prompt: str) -> str:
        line = next(typed)
        if isinstance(line, BaseException):
            raise line
        return str(line)

    monkeypatch.setattr("builtins.input", asked)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    assert main(["chat", str(folder), "--greedy", "--max-new-tokens", "6"]) == 0
    out, err = capsys.readouterr()
    assert out == expected(folder, "<user>Hi|<assistant>", 6) + "\n"
    assert "/reset begins anew" in err
    assert "/quit leaves" in err


def test_texts_and_chats_are_gone_on_with_by_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "text-generation", "--model", str(folder), "--json"]
    words += ["--option", "max_new_tokens=6", "--option", "do_sample=false", "--option", "return_full_text=false"]
    messages = [{"role": "user", "content": "Hi"}]
    assert main([*words, "one", json.dumps(messages)]) == 0
    one, other = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert one == [{"generated_text": expected(folder, "one", 6)}]
    assert other == [{"generated_text": expected(folder, "<user>Hi|<assistant>", 6)}]


def test_what_is_written_is_shown_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "text-generation", "--model", str(folder)]
    words += ["--option", "max_new_tokens=6", "--option", "do_sample=false"]
    messages = [{"role": "user", "content": "Hi"}]
    assert main([*words, "one  two", json.dumps(messages)]) == 0
    first, chat = expected(folder, "one  two", 6), expected(folder, "<user>Hi|<assistant>", 6)
    assert capsys.readouterr().out == f"one  two{first}\n\n{chat}\n"


@pytest.mark.parametrize("words", [["--max-new-tokens", "4"], ["--max-new-tokens=4"]])
def test_parameters_of_a_task_are_no_options_of_the_command(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["run", "text-generation", *words, "one"])
    assert "given as --option max_new_tokens=4; see" in capsys.readouterr().err
