"""5,000 lines through both libraries, by hand: `pytest -m heavy tests/tokenizers`, with the paths in the environment.

JAXFORMERS_ORACLE      a Python with torch Transformers 4.57 (the `parity` extra), sentencepiece, sacremoses and rjieba
JAXFORMERS_TOKENIZER   a folder with a BERT tokenizer: tokenizer.json, tokenizer_config.json, vocab.txt
JAXFORMERS_TEXTS       text files, separated as in PATH; the last column of each line counts
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cases
import lines
import old
import pytest
import seq2seq

from jaxformers import hub, tokenizers
from jaxformers.tokenizers import Tokenizer

REAL, MADE = 3500, 1500


def path_of(name: str) -> str:
    """A path from the environment."""
    if name not in os.environ:
        pytest.skip(f"{name} is not set")
    return os.environ[name]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Real lines in random order, and made ones."""
    found: dict[str, None] = {}
    for path in path_of("JAXFORMERS_TEXTS").split(os.pathsep):
        rows = Path(path).read_text("utf-8", errors="replace").splitlines()
        found |= dict.fromkeys(row.split("\t")[-1] for row in rows)
    real = random.Random(0).sample(list(found), REAL)
    # Of a letter many times over, Unigram's best pieces are a tie that the last bit of a score decides, and reading a
    # tokenizer.json changes that bit.
    made = [text for text in lines.made(2 * MADE) if not re.search(r"(.)\1{39}", text)]
    return [*real, *made[:MADE]]


def asked(*arguments: str, stdin: Any, recorder: str = "record.py") -> Any:
    """What a recorder prints."""
    done = subprocess.run(
        [path_of("JAXFORMERS_ORACLE"), str(Path(__file__).with_name(recorder)), *arguments],
        input=json.dumps(stdin).encode(),
        capture_output=True,
        check=True,
    )
    return json.loads(done.stdout or "null")


def same(tokenizer: Tokenizer, texts: list[str], expected: list[Any]) -> None:
    """Assert that ids and offsets of every line are those expected."""
    encoded = tokenizer(texts, return_offsets_mapping=True, verbose=False)
    for text, ids, offsets, row in zip(texts, encoded["input_ids"], encoded["offset_mapping"], expected, strict=True):
        assert [ids, [list(pair) for pair in offsets]] == row, text


@pytest.mark.heavy
@pytest.mark.parametrize("files", ["as it is", "vocab.txt alone", "saved by us"])
def test_real_lines(files: str, texts: list[str], tmp_path: Path) -> None:
    source = folder = Path(path_of("JAXFORMERS_TOKENIZER"))
    if files == "vocab.txt alone":
        folder = tmp_path / "alone"
        folder.mkdir()
        shutil.copy(source / "vocab.txt", folder)
        (folder / "config.json").write_text('{"model_type": "bert"}')
    elif files == "saved by us":
        folder = tmp_path / "saved"
        tokenizers.load(hub.source_of(source)).save_pretrained(folder)
    assert len(texts) == REAL + MADE
    answers = asked("lines", str(folder), stdin=texts)
    for name, settings in cases.VARIANTS.items():
        same(tokenizers.load(hub.source_of(folder), **settings), texts, answers[name])


@pytest.fixture(scope="module")
def trained(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vocabularies of all kinds of old files, trained on the texts."""
    folder = tmp_path_factory.mktemp("trained")
    asked("train", str(folder), stdin=texts)
    return folder


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "number"), old.CASES)
def test_old_files(name: str, number: int, texts: list[str], trained: Path, tmp_path: Path) -> None:
    kind = old.KINDS[name]
    folder = old.write(tmp_path / "theirs", kind, trained)
    told, expected = asked("kind", str(folder), stdin=[name, number, texts])
    tokenizer = tokenizers.load(hub.source_of(folder), **kind.settings[number])
    assert json.loads(json.dumps(old.answers(tokenizer, kind))) == told
    wrong = [t for t, a, b in zip(texts, old.rows(tokenizer, kind, texts), expected, strict=True) if a != b]
    assert not wrong, f"{len(wrong)} of {len(texts)} lines differ, the first is {wrong[0]!r}"
    if kind.model_type == "splinter":  # the reference cannot read what it saves itself
        return
    tokenizer.save_pretrained(tmp_path / "ours")
    assert asked("kind", str(tmp_path / "ours"), stdin=[name, number, texts])[1] == expected


@pytest.fixture(scope="module")
def trained_seq2seq(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vocabularies of all tokenizers of encoder-decoders, trained on the texts."""
    folder = tmp_path_factory.mktemp("trained")
    asked("train", str(folder), stdin=texts, recorder="record_seq2seq.py")
    return folder


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "number"), seq2seq.CASES)
def test_encoder_decoders(name: str, number: int, texts: list[str], trained_seq2seq: Path, tmp_path: Path) -> None:
    kind = seq2seq.KINDS[name]
    folder = seq2seq.write(tmp_path / "theirs", kind, trained=trained_seq2seq)
    ask = [name, number, texts]
    told, expected = asked("kind", str(folder), stdin=ask, recorder="record_seq2seq.py")
    for source, settings in ((folder, kind.settings[number]), (folder / "theirs", {})):
        tokenizer = tokenizers.load(hub.source_of(source), **settings)
        assert json.loads(json.dumps(seq2seq.answers(tokenizer, kind))) == told
        rows = seq2seq.rows(tokenizer, kind, texts)
        wrong = [text for text, ours, theirs in zip(texts, rows, expected, strict=True) if ours != theirs]
        assert not wrong, f"{len(wrong)} of {len(texts)} lines differ, the first is {wrong[0]!r}"
    tokenizer = tokenizers.load(hub.source_of(folder), **kind.settings[number])
    tokenizer.save_pretrained(tmp_path / "ours")
    assert asked("kind", str(tmp_path / "ours"), stdin=ask, recorder="record_seq2seq.py")[1] == expected
