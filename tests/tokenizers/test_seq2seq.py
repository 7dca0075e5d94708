"""Tokenizers of encoder-decoders answer as those of torch Transformers 4.57, which `record_seq2seq.py` asked."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import cases
import languages
import lines
import pytest
import seq2seq

from jaxformers import hub, tokenizers
from jaxformers.tokenizers import Tokenizer


def load(folder: Path, **settings: Any) -> Tokenizer:
    """The tokenizer in a folder, of the class that its files name."""
    return tokenizers.load(hub.source_of(folder), **settings)


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """The recorded answers."""
    return json.loads((cases.GOLDEN / "seq2seq.json").read_text())


def compare(tokenizer: Tokenizer, kind: seq2seq.Kind, expected: dict[str, Any]) -> None:
    """Assert that a tokenizer answers as recorded."""
    digests = [expected["lines"][at : at + lines.SHORT] for at in range(0, len(expected["lines"]), lines.SHORT)]
    texts = languages.made(len(digests))
    actual = [lines.digest(row)[: lines.SHORT] for row in seq2seq.rows(tokenizer, kind, texts)]
    wrong = [text for text, ours, theirs in zip(texts, actual, digests, strict=True) if ours != theirs]
    assert not wrong, f"{len(wrong)} of {len(texts)} lines differ, the first is {wrong[0]!r}"
    told = json.loads(json.dumps(seq2seq.answers(tokenizer, kind)))
    assert told == {name: value for name, value in expected.items() if name != "lines"}


@pytest.mark.parametrize(("name", "number"), seq2seq.CASES)
def test_old_files(
    name: str, number: int, golden: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    kind = seq2seq.KINDS[name]
    tokenizer = load(seq2seq.write(tmp_path / "theirs", kind), **kind.settings[number])
    compare(tokenizer, kind, golden[f"{name} {number}"])
    tokenizer.save_pretrained(tmp_path / "ours")
    assert {path.name for path in (tmp_path / "ours").iterdir()} >= kind.files.keys()
    compare(load(tmp_path / "ours"), kind, golden[f"{name} {number}"])


@pytest.mark.parametrize("name", seq2seq.KINDS)
def test_classes_are_found_by_their_names(name: str, tmp_path: Path) -> None:
    kind = seq2seq.KINDS[name]
    implied = load(seq2seq.write(tmp_path / "implied", kind))
    named = load(seq2seq.write(tmp_path / "named", kind, named=True))
    assert type(implied) is type(named) is getattr(tokenizers, kind.tokenizer_class)
