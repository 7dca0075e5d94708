"""The tokenizer in a GGUF file must give llama.cpp's ids, and go on as an ordinary tokenizer of the Hub."""

from __future__ import annotations

import json
import logging
import random
import struct
import time
import unicodedata
from pathlib import Path
from typing import Any

import cases
import gguf_files as files
import lines
import numpy as np
import pytest
from gguf_vocabularies import metadata

from jaxformers import AutoTokenizer, LlamaTokenizer
from jaxformers.tokenizers import Tokenizer, merges

ANSWERS = json.loads((cases.GOLDEN / "gguf.json").read_text())


def said(kind: str = "gpt-2", **changes: Any) -> dict[str, Any]:
    """The metadata of a golden vocabulary; keys of changes are without "tokenizer.ggml.", and None takes one away."""
    found = {**files.LLAMA, **metadata(kind, ANSWERS["spm" if kind.startswith("spm") else "bpe"])}
    found |= {f"tokenizer.ggml.{key}": content for key, content in changes.items()}
    return {key: content for key, content in found.items() if content is not None}


def load(folder: Path, content: dict[str, Any] | bytes) -> Tokenizer:
    """The tokenizer of a file with this content; one without tensors is enough."""
    path = folder / "a.gguf"
    path.write_bytes(content if isinstance(content, bytes) else files.write(content, {}))
    return AutoTokenizer.from_pretrained(path)


@pytest.mark.parametrize("kind", ANSWERS["lines"])
def test_lines_give_the_ids_of_llama_cpp(kind: str, tmp_path: Path) -> None:
    digests = ANSWERS["lines"][kind]
    expected = [digests[at : at + lines.SHORT] for at in range(0, len(digests), lines.SHORT)]
    texts = lines.made(len(expected))
    tokenizer = load(tmp_path, said(kind))
    ids = tokenizer(texts, add_special_tokens=False)["input_ids"]
    wrong = [text for text, row, right in zip(texts, ids, expected, strict=True) if lines.digest(row)[:5] != right]
    assert not wrong, f"{len(wrong)} of {len(texts)} lines differ, the first is {wrong[0]!r}"


@pytest.mark.parametrize("kind", ["smollm", "llama-bpe", "qwen2", "spm", "spm without a space"])
def test_texts_come_back_and_a_saved_tokenizer_is_the_same(kind: str, tmp_path: Path) -> None:
    template = {"tokenizer.chat_template": "{{ messages[0]['content'] }}"}
    tokenizer = load(tmp_path, said(kind) | template)
    assert type(tokenizer) is Tokenizer
    texts = [unicodedata.normalize("NFC", text) for text in lines.made(60) if "<" not in text and "�" not in text]
    rows = tokenizer(texts)["input_ids"]
    # what a piece lacks is spelt in bytes, so that nothing is lost
    assert [tokenizer.decode(row, skip_special_tokens=True) for row in rows] == texts
    tokenizer.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again(texts)["input_ids"] == rows
    for name in ("special_tokens_map", "chat_template", "model_max_length", "padding_side", "model_input_names"):
        assert getattr(again, name) == getattr(tokenizer, name), name


def test_settings_of_the_file(tmp_path: Path) -> None:
    tokenizer = load(tmp_path, said("smollm"))
    assert tokenizer.special_tokens_map == {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}
    assert (tokenizer.model_max_length, tokenizer.padding_side, tokenizer.vocab_size) == (32, "left", 900)
    assert tokenizer("a<s>b")["input_ids"].count(0) == 1  # found in texts
    assert tokenizer.decode(tokenizer("a<s>b")["input_ids"], skip_special_tokens=True) == "ab"
    assert tokenizer.name_or_path == str(tmp_path / "a.gguf")
    assert AutoTokenizer.from_pretrained(tmp_path, gguf_file="a.gguf", padding_side="right").padding_side == "right"
    with pytest.raises(TypeError, match="pading_side"):
        AutoTokenizer.from_pretrained(tmp_path, gguf_file="a.gguf", pading_side="right")


@pytest.mark.parametrize(
    ("kind", "changes", "first", "last"),
    [
        ("smollm", {}, False, False),
        ("smollm", {"add_bos_token": True, "add_eos_token": True}, True, True),
        ("llama-bpe", {}, True, False),
        ("llama-bpe", {"add_bos_token": False}, False, False),
        ("llama-bpe", {"bos_token_id": None}, False, False),
        ("spm", {}, True, False),
        ("spm", {"bos_token_id": None}, True, False),  # id 1, unless said
        ("spm", {"add_bos_token": False, "add_eos_token": True}, False, True),
    ],
)
def test_what_stands_around_a_text(kind: str, changes: Any, first: bool, last: bool, tmp_path: Path) -> None:
    tokenizer = load(tmp_path, said(kind, **changes))
    plain = tokenizer("some words", add_special_tokens=False)["input_ids"]
    bos = [tokenizer.bos_token_id] * first
    eos = [tokenizer.eos_token_id] * last
    assert tokenizer("some words")["input_ids"] == [*bos, *plain, *eos]
    assert tokenizer("some words", "some words")["input_ids"] == [*bos, *plain, *eos] * 2


def test_several_chat_templates(tmp_path: Path) -> None:
    named = {"tokenizer.chat_templates": ["tool_use"], "tokenizer.chat_template.tool_use": "T"}
    assert load(tmp_path, said() | {"tokenizer.chat_template": "D"}).chat_template == "D"
    both = load(tmp_path, said() | named | {"tokenizer.chat_template": "D"})
    assert both.chat_template == {"default": "D", "tool_use": "T"}
    assert load(tmp_path, said()).chat_template is None


def test_phi_3_s_special_tokens_swallow_spaces_behind_them(tmp_path: Path) -> None:
    tokens = [*ANSWERS["spm"]["tokens"][:-1], "<|end|>"]
    kinds = np.array([*ANSWERS["spm"]["kinds"][:-1], 3], np.int32)
    for name, swallows in (("phi3", True), ("llama", False)):
        tokenizer = load(tmp_path, said("spm", tokens=tokens, token_type=kinds) | {"general.architecture": name})
        assert (tokenizer("<|end|> a")["input_ids"] == tokenizer("<|end|>a")["input_ids"]) is swallows
        assert tokenizer("<s> a")["input_ids"] != tokenizer("<s>a")["input_ids"]


def test_files_that_do_not_name_a_splitting_are_read_by_their_architecture(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for architecture, name in (("qwen2", "qwen2"), ("starcoder2", "smollm"), ("gpt2", "gpt-2")):
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            unnamed = load(tmp_path, said(pre=None) | {"general.architecture": architecture})
        assert "does not say how texts are split into words" in caplog.text
        named = load(tmp_path, said(name))
        texts = lines.made(100)
        assert unnamed(texts)["input_ids"] == named(texts)["input_ids"]


def test_merges_of_scores_are_in_the_order_in_which_pieces_are_made() -> None:
    ids = {piece: index for index, piece in enumerate(["a", "b", "ab", "aba", "ba", "abab"])}
    scores = {"ab": -1.0, "aba": -3.0, "ba": -1.0, "abab": -2.0}
    assert merges.merges_of(ids, scores) == [
        ("a", "b"),  # of the same score and lengths, the first piece
        ("b", "a"),
        ("aba", "b"),  # of one piece, the longer first half
        ("ab", "ab"),
        ("ab", "a"),
        ("a", "ba"),
    ]


# What is refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (said(model="bert"), "tokenizer.ggml.model 'bert' is not read: known are 'gpt2' and 'llama'"),
        (said(model=None), "tokenizer.ggml.model None is not read"),
        (said("klingon"), "tokenizer.ggml.pre 'klingon' is not known"),
        (said(tokens=None), "no tokenizer.ggml.tokens in it"),
        (said(merges=None), "no tokenizer.ggml.merges in it"),
        (said(merges=["ab"]), "tokenizer.ggml.merges has 'ab', expected two pieces"),
        (said(merges=["a nothing"]), "vocabulary and merges do not fit"),
        (said(tokens=["a", "b", "a"], token_type=None, merges=[]), "tokenizer.ggml.tokens has 'a' twice"),
        (said(tokens=["a", "b" * 5000], token_type=None, merges=[]), "has one of 5000 characters"),
        (said(token_type=np.array([1], np.int32)), "1 token types for 900 tokens"),
        (said("spm", scores=None), "tokenizer.ggml.scores must be a finite number for each of 1300 tokens"),
        (said("spm", scores=np.full(1300, np.nan, np.float32)), "must be a finite number for each"),
        (said(add_eos_token=True, eos_token_id=10**6), "every text gets a eos_token, which has no id"),
        (said(eos_token_id="2"), "tokenizer.ggml.eos_token_id must be a whole number, found '2'"),
        (said(tokens=["a", b"\xff"]), "tokenizer.ggml.tokens: not UTF-8"),
    ],
)
def test_vocabularies_that_cannot_be_are_refused(content: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        load(tmp_path, content)
    assert message in str(error.value)
    assert str(tmp_path / "a.gguf") in str(error.value)


def test_a_class_of_the_user_s_choice_is_not_read(tmp_path: Path) -> None:
    load(tmp_path, said("spm"))
    with pytest.raises(ValueError, match="LlamaTokenizer is not read from GGUF files: use AutoTokenizer"):
        LlamaTokenizer.from_pretrained(tmp_path, gguf_file="a.gguf")


@pytest.mark.parametrize("kind", ["llama-bpe", "spm"])
def test_damaged_files_give_ids_or_one_clear_line(kind: str, tmp_path: Path) -> None:
    small = dict(ANSWERS["spm" if kind == "spm" else "bpe"])
    content = files.write({**files.LLAMA, **metadata(kind, small)}, {})
    rng, refused = random.Random(kind), []
    for _ in range(150):
        damaged = bytearray(content)
        at = rng.choice([rng.randrange(len(damaged)), rng.randrange(1500)])
        new = rng.choice([rng.randbytes(1), rng.randbytes(4), struct.pack("<Q", rng.choice([0, 1, 2**16, 2**40]))])
        damaged[at : at + len(new)] = new
        start = time.monotonic()
        try:
            load(tmp_path, bytes(damaged))("some words and 12 numbers")
        except (OSError, ValueError) as error:
            refused.append(str(error))
        assert time.monotonic() - start < 2
    assert len(refused) > 20
    assert not [line for line in refused if "\n" in line or len(line) > 1000]
