"""Tokenizers of encoder-decoders: languages, targets, sentinels, and files and settings that are wrong."""

from __future__ import annotations

import copy
import json
import pickle
import random
import sys
from pathlib import Path
from typing import Any

import pytest
import seq2seq

from jaxformers import AutoTokenizer
from jaxformers.tokenizers import (
    ByT5Tokenizer,
    LEDTokenizer,
    MarianTokenizer,
    NllbTokenizer,
    PegasusTokenizer,
    T5Tokenizer,
    Tokenizer,
    moses,
)

TEXT, ANSWER = "The file could not be opened.", "Die Datei konnte nicht geöffnet werden."


def load(folder: Path, name: str, **settings: Any) -> Any:
    """The tokenizer of a kind, whose files are written into a folder."""
    return AutoTokenizer.from_pretrained(seq2seq.write(folder / name, seq2seq.KINDS[name]), **settings)


@pytest.mark.parametrize(
    ("name", "source", "target", "first"),
    [
        ("mbart", "en_XX", "de_DE", False),
        ("mbart50", "en_XX", "de_DE", True),
        ("nllb", "eng_Latn", "deu_Latn", True),
        ("m2m", "en", "de", True),
        ("plbart", "python", "en_XX", False),
    ],
)
def test_rows_carry_their_language(name: str, source: str, target: str, first: bool, tmp_path: Path) -> None:
    tokenizer = load(tmp_path, name, src_lang=source, tgt_lang=target)
    encoded = tokenizer([TEXT, TEXT], text_target=[ANSWER, ANSWER])
    place, end = (0, -1) if first else (-1, -2)
    for row, language in (("input_ids", source), ("labels", target)):
        assert {ids[place] for ids in encoded[row]} == {tokenizer.get_lang_id(language)}
        assert {ids[end] for ids in encoded[row]} == {tokenizer.eos_token_id}
    assert tokenizer.decode(encoded["labels"][0], skip_special_tokens=True) == ANSWER
    assert tokenizer.get_lang_id(target) in tokenizer.lang_code_to_id.values()
    assert tokenizer(text_target=ANSWER)["input_ids"] == encoded["labels"][0]
    assert tokenizer(TEXT)["input_ids"] == encoded["input_ids"][0]  # targets leave nothing behind
    tokenizer.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert (again.src_lang, again.tgt_lang) == (tokenizer.src_lang, tokenizer.tgt_lang)
    assert again([TEXT], text_target=[ANSWER])["labels"] == encoded["labels"][:1]


@pytest.mark.parametrize(
    ("name", "near", "known"),
    [
        ("mbart", "en_XX", "ro_RO"),
        ("mbart50", "en_XX", "sl_SI"),
        ("nllb", "eng_Latn", "zul_Latn"),
        ("m2m", "en", "zu"),
        ("plbart", "__en_XX__", "__java__"),
    ],
)
def test_unknown_languages_name_the_known_ones(name: str, near: str, known: str, tmp_path: Path) -> None:
    tokenizer = load(tmp_path, name)
    for error in (KeyError, ValueError):  # what the reference's classes raise, and what everything here does
        with pytest.raises(error) as raised:
            tokenizer.src_lang = near[:-1] + "Q"
        assert f"'{near[:-1]}Q" in str(raised.value) or "Q__" in str(raised.value)
        assert near in str(raised.value)
        assert known in str(raised.value)
    before = tokenizer(TEXT)["input_ids"]
    wrong: tuple[Any, ...] = ("", "<pad>", "the", 3)
    for language in wrong:
        with pytest.raises(ValueError, match="is no language of"):
            tokenizer.tgt_lang = language
    assert tokenizer(TEXT)["input_ids"] == before
    for setting in ({"src_lang": "xx_YY"}, {"tgt_lang": "xx_YY"}, {"src_lang": 3}):
        with pytest.raises(ValueError, match=r"xx_YY|src_lang"):
            load(tmp_path, name, **setting)


@pytest.mark.parametrize("name", ["mbart", "mbart50", "nllb", "m2m"])
def test_targets_need_a_language(name: str, tmp_path: Path) -> None:
    tokenizer = load(tmp_path, name)
    with pytest.raises(ValueError, match="tgt_lang"):
        tokenizer(TEXT, text_target=ANSWER)
    assert len(tokenizer(TEXT)["input_ids"]) > 2


@pytest.mark.parametrize("name", ["mbart", "nllb", "m2m"])
def test_a_copy_for_other_languages(name: str, tmp_path: Path) -> None:
    tokenizer = load(tmp_path, name)
    before = tokenizer(TEXT)["input_ids"]
    codes = list(tokenizer.lang_code_to_id)
    other = tokenizer.for_languages(codes[0], codes[1])
    assert (other.src_lang, other.tgt_lang) == (codes[0], codes[1])
    assert tokenizer.lang_code_to_id[codes[0]] in other(TEXT)["input_ids"]
    assert tokenizer.lang_code_to_id[codes[1]] in other(text_target=TEXT)["input_ids"]
    assert tokenizer.tgt_lang is None
    assert tokenizer(TEXT)["input_ids"] == before
    assert other.for_languages(tgt_lang=codes[2]).src_lang == codes[0]
    other.pad_token = other.eos_token
    assert tokenizer.pad_token == "<pad>"


def test_languages_of_a_users_own(tmp_path: Path) -> None:
    tokenizer = load(tmp_path, "nllb", additional_special_tokens=["eng_Latn", "xyz_Latn"], src_lang="xyz_Latn")
    assert tokenizer(TEXT)["input_ids"][0] == tokenizer.convert_tokens_to_ids("xyz_Latn")
    with pytest.raises(KeyError, match="use one of eng_Latn, xyz_Latn"):
        tokenizer.src_lang = "fra_Latn"
    tokenizer.add_tokens(["fra_Latn"], special_tokens=True)
    tokenizer.src_lang = "fra_Latn"
    assert isinstance(tokenizer, NllbTokenizer)


def test_language_codes_have_known_names(tmp_path: Path) -> None:
    assert list(load(tmp_path, "m2m", language_codes="wmt21").lang_code_to_token) == "en ha is ja cs ru zh de".split()
    for name in ("m2m", "plbart"):
        with pytest.raises(ValueError, match=r"language_codes must be one of \w+, \w+, found 'all'"):
            load(tmp_path, name, language_codes="all")


def test_targets_of_marian_have_their_own_pieces(tmp_path: Path) -> None:
    tokenizer = load(tmp_path, "marian")
    text = "Die Worte sind alt."
    source, target = (tokenizer(**{name: text})["input_ids"] for name in ("text", "text_target"))
    assert source != target
    assert tokenizer.decode(target, skip_special_tokens=True) == text
    assert tokenizer.supported_language_codes == [">>fra<<", ">>deu<<"]
    code = tokenizer.convert_tokens_to_ids(">>fra<<")
    assert tokenizer(f">>fra<< {text}")["input_ids"] == tokenizer(f">>fra<<{text}")["input_ids"] == [code, *source]
    assert tokenizer(">>xyz<<")["input_ids"] == [tokenizer.unk_token_id, tokenizer.eos_token_id]
    assert tokenizer(">>fra<<")["input_ids"] == [code, tokenizer.eos_token_id]


@pytest.mark.parametrize(
    ("name", "settings"), [("marian apart", {"separate_vocabs": True}), ("fsmt", {"langs": ["en", "de"]})]
)
def test_targets_with_a_vocabulary_of_their_own(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    tokenizer = load(tmp_path, name, **settings)
    text = "Die Worte sind alt."
    labels = tokenizer([TEXT], text_target=[text], return_tensors="np")["labels"]
    assert tokenizer.decode(labels[0], skip_special_tokens=True) == text
    assert tokenizer(text_target=text)["input_ids"] == labels[0].tolist()
    padded = tokenizer(["", ""], text_target=[text, ""], padding=True)["labels"][1]
    assert set(tokenizer.convert_ids_to_tokens(padded)) == {"</s>", "<pad>"}
    assert tokenizer.convert_ids_to_tokens(padded, skip_special_tokens=True) == []
    tokenizer.save_pretrained(tmp_path / "saved")
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again(text_target=text)["input_ids"] == labels[0].tolist()


def test_what_is_special_in_texts_is_left_out_of_targets(tmp_path: Path) -> None:
    folder = seq2seq.write(tmp_path, seq2seq.KINDS["marian apart"])
    pad = json.loads((folder / "vocab.json").read_text())["<pad>"]
    words = [word for word in json.loads((folder / "target_vocab.json").read_text()) if word != "<pad>"]
    more = [*words, *(f"x{i}" for i in range(len(words), pad + 1)), "<pad>"]
    (folder / "target_vocab.json").write_text(json.dumps({word: index for index, word in enumerate(more)}))
    tokenizer = AutoTokenizer.from_pretrained(folder, separate_vocabs=True)
    text = "Die Worte sind alt."
    ids = [pad, *tokenizer(text_target=text)["input_ids"]]  # as Marian's decoders begin
    assert tokenizer.convert_ids_to_tokens(pad) == more[pad] != "<pad>"
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert tokenizer.decode([*ids, len(more) - 1], skip_special_tokens=True) == text


MISSING = {
    "marian": ("source.spm", "target.spm", "vocab.json"),
    "m2m": ("vocab.json", "sentencepiece.bpe.model"),
    "fsmt": ("vocab-src.json", "vocab-tgt.json", "merges.txt"),
    "blenderbot-small": ("vocab.json", "merges.txt"),
}


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, files in MISSING.items() for file in files])
def test_missing_files_are_named(name: str, file: str, tmp_path: Path) -> None:
    folder = seq2seq.write(tmp_path, seq2seq.KINDS[name])
    (folder / file).unlink()
    with pytest.raises(ValueError, match=f"needs {file}"):
        AutoTokenizer.from_pretrained(folder)
    for rest in MISSING[name]:
        (folder / rest).unlink(missing_ok=True)
    with pytest.raises(OSError, match=file):
        AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        *((name, "sentencepiece", "sentencepiece") for name in ("t5", "mbart", "marian", "m2m", "plbart")),
        ("fsmt", "sacremoses", "moses"),
    ],
)
def test_what_is_not_installed_is_named(
    name: str, module: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moses.splitter.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"jaxformers\[{extra}\]"):
        load(tmp_path, name)


def test_a_target_vocabulary_is_needed_where_it_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"target_vocab\.json"):
        load(tmp_path, "marian", separate_vocabs=True)


@pytest.mark.parametrize(
    ("name", "file"), [("marian", "vocab.json"), ("m2m", "vocab.json"), ("fsmt", "vocab-tgt.json")]
)
def test_a_vocabulary_without_the_unknown_token_is_refused(name: str, file: str, tmp_path: Path) -> None:
    folder = seq2seq.write(tmp_path, seq2seq.KINDS[name])
    ids = json.loads((folder / file).read_text())
    (folder / file).write_text(json.dumps({piece: index for piece, index in ids.items() if piece != "<unk>"}))
    with pytest.raises(ValueError, match=rf"{file}.*<unk>"):
        AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("langs", [None, "en", ["en"], ["en", "de", "fr"], [1, 2]])
def test_fsmt_needs_two_languages(langs: Any, tmp_path: Path) -> None:
    folder = seq2seq.write(tmp_path, seq2seq.KINDS["fsmt"])
    (folder / "tokenizer_config.json").write_text("{}" if langs is None else json.dumps({"langs": langs}))
    with pytest.raises(ValueError, match=r"langs.*\['en', 'ru'\]"):
        AutoTokenizer.from_pretrained(folder)


def test_sentinels(tmp_path: Path) -> None:
    tokenizer = load(tmp_path, "t5", extra_ids=3)
    assert tokenizer.get_sentinel_tokens() == ["<extra_id_0>", "<extra_id_1>", "<extra_id_2>"]
    assert tokenizer.get_sentinel_token_ids() == [len(tokenizer) - 1, len(tokenizer) - 2, len(tokenizer) - 3]
    more = load(tmp_path, "t5", additional_special_tokens=["<one>"], extra_ids=2)
    assert more.additional_special_tokens == ["<one>", "<extra_id_0>", "<extra_id_1>"]
    for kind in (T5Tokenizer, ByT5Tokenizer):
        with pytest.raises(ValueError, match=r"extra_ids is 5, additional_special_tokens has 1"):
            kind(extra_ids=5, additional_special_tokens=["<extra_id_0>"])
    with pytest.raises(ValueError, match="leave these out"):
        PegasusTokenizer(additional_special_tokens=["<unk_3>", "<unk_4>"])


def test_bytes_need_no_files(tmp_path: Path) -> None:
    tokenizer = ByT5Tokenizer()
    assert tokenizer("é").input_ids == [0xC3 + 3, 0xA9 + 3, 1]
    assert len(tokenizer) == 256 + 3 + 125
    assert tokenizer.decode([0xC3 + 3, 0x41 + 3, 1], skip_special_tokens=True) == "A"
    assert tokenizer("a<extra_id_0>b", return_offsets_mapping=True).offset_mapping == [
        (0, 1),
        (1, 13),
        (13, 14),
        (0, 0),
    ]
    tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)("é").input_ids == [0xC3 + 3, 0xA9 + 3, 1]


def test_files_go_before_a_tokenizer_json_that_cannot_say_it_all(tmp_path: Path) -> None:
    tokenizer = load(tmp_path, "marian")
    tokenizer.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved" / "tokenizer.json").exists()
    other = load(tmp_path, "t5")
    other.backend_tokenizer.save(str(tmp_path / "saved" / "tokenizer.json"))
    assert AutoTokenizer.from_pretrained(tmp_path / "saved")(TEXT)["input_ids"] == tokenizer(TEXT)["input_ids"]
    for name in MISSING["marian"]:
        (tmp_path / "saved" / name).unlink()
    alone = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert isinstance(alone, MarianTokenizer)
    assert alone(TEXT)["input_ids"] == other(TEXT)["input_ids"]
    with pytest.raises(ValueError, match=r"made of source\.spm, target\.spm, vocab\.json"):
        tokenizer.train_new_from_iterator([TEXT], 100)


@pytest.mark.parametrize("name", ["marian", "m2m", "plbart"])
def test_offsets_are_those_of_the_text(name: str, tmp_path: Path) -> None:
    tokenizer, text = load(tmp_path, name), "  Der Ｂ  Preis fiel ① "
    encoded = tokenizer(text, return_offsets_mapping=True, add_special_tokens=False)
    parts = [text[start:end] for start, end in encoded.offset_mapping]
    assert "".join(parts).replace(" ", "") == text.replace(" ", "")
    assert max(map(len, parts)) < 8


@pytest.mark.parametrize("name", ["t5", "mbart", "marian", "m2m", "plbart", "fsmt", "blenderbot-small", "byt5"])
def test_copies_and_pickles(name: str, tmp_path: Path) -> None:
    tokenizer = load(tmp_path, name)
    ids = tokenizer([TEXT, ""])["input_ids"]
    for other in (copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        assert other([TEXT, ""])["input_ids"] == ids
        assert other.decode(ids[0]) == tokenizer.decode(ids[0])


def test_global_attention_is_padded() -> None:
    tokenizer = LEDTokenizer(*(seq2seq.old.FILES / name for name in seq2seq.BPE.values()))
    rows = [
        {"input_ids": [7, 8, 9], "global_attention_mask": [1, 0, 0]},
        {"input_ids": [7], "global_attention_mask": [1]},
    ]
    assert tokenizer.pad(rows)["global_attention_mask"] == [[1, 0, 0], [1, -1, -1]]


def test_two_models_put_together_read_with_the_encoders_tokenizer(tmp_path: Path) -> None:
    folder = seq2seq.write(tmp_path, seq2seq.KINDS["t5"])
    config = {"model_type": "encoder-decoder", "encoder": {"model_type": "t5"}, "decoder": {"model_type": "gpt2"}}
    (folder / "config.json").write_text(json.dumps(config))
    assert type(AutoTokenizer.from_pretrained(folder)) is T5Tokenizer


def outcome(folder: Path) -> None:
    """Read a tokenizer and use it; what it raises is a readable error."""
    try:
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(folder)
        rows = tokenizer([TEXT, "", ">>fra<< ①"], text_target=["a", "", ANSWER] if folder.name == "marian" else None)
        tokenizer.decode(rows["input_ids"][0])
    except (OSError, ValueError) as error:
        message = str(error)
        assert message


@pytest.mark.parametrize(("name", "file"), [(name, file) for name, files in MISSING.items() for file in files])
def test_changed_bytes(name: str, file: str, tmp_path: Path) -> None:
    rng = random.Random(f"{name} {file}")
    folder = seq2seq.write(tmp_path / name, seq2seq.KINDS[name])
    content = (folder / file).read_bytes()
    for number in range(16):
        changed = bytearray(content)
        start = rng.randrange(len(changed))
        if number % 2:
            del changed[start : start + rng.randrange(1, 200)]
        else:
            for _ in range(rng.choice((1, 8, 64))):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
        (folder / file).write_bytes(changed)
        outcome(folder)
