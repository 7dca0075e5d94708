"""The same answers as torch Transformers 4.57, from golden files that `record.py` made."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import cases
import lines
import pytest

from jaxformers import hub, tokenizers
from jaxformers.tokenizers import BertTokenizer, Tokenizer


def golden(name: str) -> Any:
    """The content of a golden file."""
    return json.loads((cases.GOLDEN / name).read_text())


def parts(digests: str) -> list[str]:
    """Digests that were written one after another."""
    return [digests[start : start + lines.SHORT] for start in range(0, len(digests), lines.SHORT)]


def load(folder: str) -> Tokenizer:
    """The tokenizer in a folder, of the class that its files name."""
    return tokenizers.load(hub.source_of(folder))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the golden vocabulary as a tokenizer.json."""
    folder = tmp_path_factory.mktemp("saved")
    BertTokenizer(cases.VOCABULARY).save_pretrained(folder)
    (folder / "vocab.txt").unlink()
    return folder


@pytest.mark.parametrize("variant", cases.VARIANTS)
def test_lines_give_the_same_ids_and_offsets(variant: str, saved: Path) -> None:
    expected = parts(golden("lines.json")[variant])
    texts = lines.made(len(expected))
    settings = cases.VARIANTS[variant]
    for tokenizer in (BertTokenizer(cases.VOCABULARY, **settings), BertTokenizer.from_pretrained(saved, **settings)):
        encoded = tokenizer(texts, return_offsets_mapping=True, verbose=False)
        rows = zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        actual = [lines.digest(list(row))[: lines.SHORT] for row in rows]
        wrong = [index for index in range(len(texts)) if actual[index] != expected[index]]
        assert not wrong, f"{len(wrong)} of {len(texts)} lines differ, the first is {texts[wrong[0]]!r}"


def test_calls_give_the_same_in_every_combination_of_options() -> None:
    tokenizer = BertTokenizer(cases.VOCABULARY, model_max_length=24)
    wrong, failed = [], 0
    for call, expected in zip(cases.calls(), parts(golden("calls.json")["calls"]), strict=True):
        tokenizer.truncation_side, texts, options = call
        try:
            actual = lines.digest(cases.answer(tokenizer, texts, options))[: lines.SHORT]
        except ValueError as error:  # what fails there, even by a panic, is a readable error here
            actual = "-" * lines.SHORT
            failed += bool(re.search(r"text(\[\d\])?: .*truncation|stride", str(error)))
        if actual != expected:
            wrong.append(call)
    assert not wrong, f"{len(wrong)} differ, the first is {wrong[0]}"
    assert failed > 1000


def test_decoding() -> None:
    assert cases.decoded(BertTokenizer(cases.VOCABULARY)) == golden("calls.json")["decoded"]


@pytest.mark.parametrize("name", cases.FOLDERS)
def test_folders_load_the_same(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    folder = cases.write(tmp_path / "theirs", cases.FOLDERS[name])
    expected = golden("folders.json")[name]
    assert json.loads(json.dumps(cases.loaded(load, folder))) == expected
    load(str(folder)).save_pretrained(tmp_path / "ours")
    assert json.loads(json.dumps(cases.loaded(load, tmp_path / "ours"))) == expected
