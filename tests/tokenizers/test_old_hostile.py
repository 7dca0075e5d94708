"""Old vocabulary files that are malformed: a clear error, or a tokenizer that works; nothing dies or hangs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import old
import pytest
from sentencepiece import sentencepiece_model_pb2

from jaxformers import AutoTokenizer

TEXT = "We are Ａ ﬁne ①, été 漢字 <s>\t[MASK] " * 3


def outcome(folder: Path) -> str:
    """The message with which a tokenizer is refused, when it is read or used; "" if it works."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        rows = tokenizer([TEXT, "", "a"])["input_ids"]
        assert all(0 <= index < 2**31 for row in rows for index in row)
        tokenizer.decode(rows[0])
    except (OSError, ValueError, KeyError) as error:
        message = str(error)
        assert message
        assert len(message) < 900
        return message
    return ""


MUTATED = {
    "roberta": "vocab.json merges.txt",
    "xlm": "vocab.json merges.txt",
    "esm": "vocab.txt",
    "mpnet": "vocab.txt",
    "albert": "spiece.model",
    "xlm-roberta": "sentencepiece.bpe.model",
    "llama": "tokenizer.model",
    "tiktoken": "tokenizer.model",
}


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, files in MUTATED.items() for file in files.split()])
def test_changed_bytes(name: str, file: str, tmp_path: Path) -> None:
    rng = random.Random(f"{name} {file}")
    folder = old.write(tmp_path, old.KINDS[name])
    content = (folder / file).read_bytes()
    for number in range(24):
        changed = bytearray(content)
        if number % 4 == 0:
            del changed[rng.randrange(len(changed)) :]
        elif number % 4 == 1:
            start = rng.randrange(len(changed))
            del changed[start : start + rng.randrange(1, 200)]
        else:
            for _ in range(rng.choice((1, 8, 64))):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
        (folder / file).write_bytes(changed)
        outcome(folder)


WRONG: dict[str, list[Any]] = {
    "vocab.json": [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a": -1}',
        b'{"a": 1.5}',
        b'{"a": true}',
        b'{"a": "0"}',
        b'{"a": 0, "b": 0}',
        b'{"a": 99999999999}',
        b'{"a": null}',
        b'{"a": 0}',
        b'{"a": 0',
    ],
    "merges.txt": [
        b"\xff\xfe\n",
        b"#version\na\n",
        b"#version\na b c\n",
        b"#version\nno merge\n",
        b"#version\n\n\n",
        b"#version\nq zzzz\n",
        b"#version\n" + b"a b\n" * 3 + b"x\n",
    ],
    "tokenizer.model": [b"", b"\n\n", b"text", b"YQ==", b"YQ== x", b"YQ== -1", b"%%% 1", b"= 0", b"YQ== 0 1", b"\xff"],
}


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        (name, file, content)
        for name, file in [("roberta", "vocab.json"), ("roberta", "merges.txt"), ("tiktoken", "tokenizer.model")]
        for content in WRONG[file]
    ],
)
def test_refused_by_name(name: str, file: str, content: bytes, tmp_path: Path) -> None:
    folder = old.write(tmp_path, old.KINDS[name])
    (folder / file).write_bytes(content)
    message = outcome(folder)
    assert file in message or "merges" in message


def _piece(index: int, **fields: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in fields.items():
            setattr(model.pieces[index], name, value)

    return change


def _trainer(**fields: Any) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        for name, value in fields.items():
            setattr(model.trainer_spec, name, value)

    return change


MODELS: dict[str, Callable[[Any], None]] = {
    "no pieces": lambda model: model.ClearField("pieces"),
    "words": _trainer(model_type=3),
    "characters": _trainer(model_type=4),
    "unknown beyond": _trainer(unk_id=10**6),
    "unknown negative": _trainer(unk_id=-1),
    "score nan": _piece(20, score=float("nan")),
    "score infinite": _piece(20, score=float("inf")),
}
HARMLESS: dict[str, Callable[[Any], None]] = {
    "no cls": _piece(2, piece="other"),
    "two pieces": lambda model: model.pieces.__delitem__(slice(2, None)),
    "empty piece": _piece(20, piece=""),
    "twice": _piece(20, piece="the"),
    "long piece": _piece(20, piece="x" * 100_000),
    "control everywhere": lambda model: [setattr(piece, "type", 3) for piece in model.pieces],
    "bytes": _piece(20, piece="<0x41>", type=6),
    "charsmap of zeros": lambda model: setattr(model.normalizer_spec, "precompiled_charsmap", b"\0" * 64),
    "charsmap too short": lambda model: setattr(model.normalizer_spec, "precompiled_charsmap", b"\1"),
    "charsmap that points away": lambda model: setattr(
        model.normalizer_spec, "precompiled_charsmap", b"\x10\0\0\0" + b"\xff" * 40
    ),
    "charsmap that is huge": lambda model: setattr(
        model.normalizer_spec, "precompiled_charsmap", b"\xff\xff\xff\x7f" + b"\1" * 40
    ),
}


@pytest.mark.parametrize("name", [*MODELS, *HARMLESS])
def test_models_of_sentencepiece(name: str, tmp_path: Path) -> None:
    folder = old.write(tmp_path, old.KINDS["albert"])
    path = folder / "spiece.model"
    model = sentencepiece_model_pb2.ModelProto.FromString(path.read_bytes())
    (MODELS | HARMLESS)[name](model)
    path.write_bytes(model.SerializeToString())
    message = outcome(folder)
    assert name in HARMLESS or message


def test_missing_files_are_named(tmp_path: Path) -> None:
    folder = old.write(tmp_path, old.KINDS["roberta"])
    (folder / "merges.txt").unlink()
    assert "merges.txt" in outcome(folder)
    (folder / "vocab.json").unlink()
    assert "vocab.json" in outcome(folder)
    with pytest.raises(ValueError, match="add_prefix_space=True"):
        AutoTokenizer.from_pretrained(old.write(tmp_path / "b", old.KINDS["gpt2"]))(
            ["a", "b"], is_split_into_words=True
        )


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("albert", "sentencepiece", "sentencepiece"), ("xlm", "sacremoses", "moses"), ("roformer", "rjieba", "jieba")],
)
def test_what_is_not_installed_is_named(
    name: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jaxformers.tokenizers import moses

    moses.splitter.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, module, None)
    folder = old.write(tmp_path, old.KINDS[name])
    with pytest.raises(ImportError, match=rf"jaxformers\[{extra}\]"):
        AutoTokenizer.from_pretrained(folder)


def test_entities_are_kept(tmp_path: Path) -> None:
    folder = old.write(tmp_path / "theirs", old.KINDS["luke"])
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "ours")
    assert json.loads((tmp_path / "ours" / "entity_vocab.json").read_text())["Ana Ivanovic"] == 4
