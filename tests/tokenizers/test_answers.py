"""The same ids, offsets and answers as torch Transformers, from golden files (see record_answers.py)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizer_cases as cases

from jaxformers import BertTokenizer, Tokenizer

GOLDEN = Path(__file__).parent / "golden"
VOCABULARY = GOLDEN / "vocab.txt"
CALLS = list(cases.calls())


@pytest.fixture(scope="module")
def answers() -> dict[str, Any]:
    """What torch Transformers said."""
    found = json.loads((GOLDEN / "answers.json").read_text("utf-8"))
    for rows in found["lines"].values():
        rows[:] = [row or same for row, same in zip(rows, found["lines"]["uncased"], strict=True)]
    for rows in found["calls"]:
        rows[:] = [row or same for row, same in zip(rows, found["calls"][0], strict=True)]
    return found


def flat(encoded: Any) -> dict[str, Any]:
    fields = dict(encoded)
    if "offset_mapping" in fields:
        offsets = fields["offset_mapping"]
        rows = offsets if offsets and isinstance(offsets[0], list) else [offsets]
        fields["offset_mapping"] = [[place for pair in row for place in pair] for row in rows]
    return fields


@pytest.mark.parametrize("made_from", ["vocab.txt", "tokenizer.json", "base class"])
@pytest.mark.parametrize("name", cases.SETTINGS)
def test_lines(name: str, made_from: str, answers: dict[str, Any], tmp_path: Path) -> None:
    tokenizer: Tokenizer = BertTokenizer(VOCABULARY, **cases.SETTINGS[name])
    if made_from != "vocab.txt":
        tokenizer.save_pretrained(tmp_path)
        tokenizer = (BertTokenizer if made_from == "tokenizer.json" else Tokenizer).from_pretrained(tmp_path)
    encoded = tokenizer(cases.LINES, return_offsets_mapping=True)
    rows = zip(cases.LINES, encoded["input_ids"], encoded["offset_mapping"], answers["lines"][name], strict=True)
    for line, ids, offsets, (expected, places) in rows:
        assert ids[1:-1] == expected, line
        assert [place for pair in offsets[1:-1] for place in pair] == places, line


@pytest.mark.parametrize("sides", range(len(cases.SIDES)))
def test_calls(sides: int, answers: dict[str, Any]) -> None:
    padding_side, truncation_side = cases.SIDES[sides]
    tokenizer = BertTokenizer(
        VOCABULARY, padding_side=padding_side, truncation_side=truncation_side, model_max_length=64
    )
    assert len(CALLS) == len(answers["calls"][sides])
    for call, expected in zip(CALLS, answers["calls"][sides], strict=True):
        assert flat(tokenizer(**call)) == expected, call


def test_decode(answers: dict[str, Any]) -> None:
    tokenizer = BertTokenizer(VOCABULARY)
    for line, expected in zip(cases.LINES[::3], answers["decoded"], strict=True):
        ids = tokenizer(line)["input_ids"]
        decoded = [
            tokenizer.decode(ids, skip, clean_up_tokenization_spaces=clean)
            for skip in (False, True)
            for clean in (False, True)
        ]
        assert decoded == expected


def test_skeleton(answers: dict[str, Any]) -> None:
    tokenizer, expected = BertTokenizer(VOCABULARY), answers["skeleton"]
    frames = [
        tokenizer.build_inputs_with_special_tokens([7, 8]),
        tokenizer.build_inputs_with_special_tokens([7], [8, 9]),
    ]
    assert frames == expected["frames"]
    types = [
        tokenizer.create_token_type_ids_from_sequences([7, 8]),
        tokenizer.create_token_type_ids_from_sequences([7], [8, 9]),
    ]
    assert types == expected["types"]
    assert tokenizer.special_tokens_map == expected["specials"]
    assert tokenizer.all_special_ids == expected["ids"]
    assert [tokenizer.vocab_size, len(tokenizer)] == expected["sizes"]


def test_saved_config_says_the_same(answers: dict[str, Any], tmp_path: Path) -> None:
    BertTokenizer(VOCABULARY).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "tokenizer_config.json").read_text("utf-8"))
    for name, value in answers["config"].items():
        if name not in ("do_basic_tokenize", "never_split"):
            assert saved[name] == value, name
