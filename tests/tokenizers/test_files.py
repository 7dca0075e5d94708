"""A tokenizer's files: read, refused where they are malformed, written and read back."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken
from tokenizers import Tokenizer as Backend

import jaxformers.tokenizers
from jaxformers import AutoTokenizer, BertTokenizer, DistilBertTokenizer, Tokenizer, hub

PIECES = "[PAD] [UNK] [CLS] [SEP] [MASK] the we are happy un ##believ ##able ##s . , ! a b c Ä ä 漢 字".split()
TEXT = "We are unbelievable, are the ä 漢字! [MASK] [SEP] nonsense"


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    """A vocab.txt."""
    path = tmp_path / "vocabulary" / "vocab.txt"
    path.parent.mkdir()
    path.write_text("".join(f"{piece}\n" for piece in PIECES), encoding="utf-8")
    return path


@pytest.fixture
def folder(vocabulary: Path, tmp_path: Path) -> Path:
    """A saved tokenizer."""
    folder = tmp_path / "saved"
    BertTokenizer(vocabulary, model_max_length=32).save_pretrained(folder)
    return folder


def change(path: Path, **fields: Any) -> None:
    """Replace fields of a JSON file; ... removes one."""
    state = json.loads(path.read_text("utf-8")) if path.exists() else {}
    state |= fields
    path.write_text(json.dumps({name: value for name, value in state.items() if value is not ...}), "utf-8")


def refused(folder: Path, kinds: tuple[type[Exception], ...] = (OSError, ValueError)) -> str:
    """The message with which a folder's tokenizer is refused."""
    with pytest.raises(kinds) as found:
        AutoTokenizer.from_pretrained(folder)
    message = str(found.value)
    assert "\n" not in message
    assert len(message) < 700
    return message


# Which class


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"tokenizer_class": "BertTokenizer"}, BertTokenizer),
        ({"tokenizer_class": "BertTokenizerFast"}, BertTokenizer),
        ({"tokenizer_class": "DistilBertTokenizerFast"}, DistilBertTokenizer),
        ({"tokenizer_class": "PreTrainedTokenizerFast"}, Tokenizer),
        ({"tokenizer_class": "SomethingNewTokenizer"}, Tokenizer),
        ({"tokenizer_class": ...}, BertTokenizer),
        ({"tokenizer_class": None}, BertTokenizer),
    ],
)
def test_class_by_name(config: dict[str, Any], kind: type[Tokenizer], folder: Path) -> None:
    change(folder / "tokenizer_config.json", **config)
    change(folder / "config.json", model_type="bert")
    tokenizer = jaxformers.tokenizers.load(hub.source_of(folder))
    assert type(tokenizer) is kind
    assert tokenizer(TEXT)["input_ids"] == BertTokenizer.from_pretrained(folder)(TEXT)["input_ids"]
    assert ("token_type_ids" in tokenizer("a")) == (
        kind is not DistilBertTokenizer and config["tokenizer_class"] != "PreTrainedTokenizerFast"
    )


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"model_type": "bert"}, BertTokenizer),
        ({"model_type": "distilbert"}, DistilBertTokenizer),
        ({"model_type": "bert", "tokenizer_class": "DistilBertTokenizer"}, DistilBertTokenizer),
    ],
)
def test_class_by_model_type(config: dict[str, Any], kind: type[Tokenizer], vocabulary: Path) -> None:
    change(vocabulary.parent / "config.json", **config)
    assert type(AutoTokenizer.from_pretrained(vocabulary.parent)) is kind


def test_without_a_name_tokenizer_json_is_enough(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != "tokenizer.json":
            path.unlink()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert type(tokenizer) is Tokenizer
    assert tokenizer("we are")["input_ids"] == [2, 6, 7, 3]


def test_fast_names_are_the_same_classes() -> None:
    assert jaxformers.BertTokenizerFast is BertTokenizer
    assert jaxformers.DistilBertTokenizerFast is DistilBertTokenizer


# Malformed

TRUNCATED = b'{"version": "1.0", "model": {"type": "WordPiece", "voc'


@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"[]", b"\xff\xfe\x00", b"[" * 100_000, TRUNCATED])
def test_tokenizer_json_that_is_none(content: bytes, folder: Path) -> None:
    (folder / "tokenizer.json").write_bytes(content)
    assert "tokenizer.json" in refused(folder)


@pytest.mark.parametrize("content", [b"", b"null", b"[]", b"\xff\xfe\x00", b"[" * 100_000, b'{"a": 1', b"1e5"])
@pytest.mark.parametrize("name", ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"])
def test_settings_that_are_no_json(name: str, content: bytes, folder: Path) -> None:
    change(folder / "tokenizer_config.json", added_tokens_decoder=...)
    (folder / name).write_bytes(content)
    assert name in refused(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("tokenizer_class", 5),
        ("tokenizer_class", ["BertTokenizer"]),
        ("model_max_length", "512"),
        ("model_max_length", -1),
        ("model_max_length", 0),
        ("model_max_length", 5.5),
        ("model_max_length", float("nan")),
        ("model_max_length", float("inf")),
        ("model_max_length", True),
        ("padding_side", "up"),
        ("padding_side", 1),
        ("truncation_side", "middle"),
        ("model_input_names", "input_ids"),
        ("model_input_names", [1]),
        ("model_input_names", []),
        ("clean_up_tokenization_spaces", "yes"),
        ("do_lower_case", 1),
        ("do_lower_case", "false"),
        ("strip_accents", 0),
        ("tokenize_chinese_chars", []),
        ("cls_token", 5),
        ("cls_token", ["[CLS]"]),
        ("cls_token", {"text": "[CLS]"}),
        ("cls_token", {"content": 5}),
        ("cls_token", {"content": "[CLS]", "lstrip": "no"}),
        ("pad_token", "\ud800"),
        ("additional_special_tokens", "<a>"),
        ("additional_special_tokens", [1]),
        ("additional_special_tokens", {"a": "b"}),
        ("extra_special_tokens", "<a>"),
        ("extra_special_tokens", {"image_token": 1}),
        ("added_tokens_decoder", [1]),
        ("added_tokens_decoder", {"x": {"content": "a"}}),
        ("added_tokens_decoder", {"-1": {"content": "a"}}),
        ("added_tokens_decoder", {"1": "a"}),
        ("added_tokens_decoder", {"1": {"content": None}}),
        ("added_tokens_decoder", {"9" * 30: {"content": "a"}}),
    ],
)
def test_settings_of_the_wrong_kind(field: str, value: Any, folder: Path) -> None:
    change(folder / "tokenizer_config.json", **{field: value})
    message = refused(folder)
    assert field in message
    assert "tokenizer_config.json" in message


@pytest.mark.parametrize(
    ("change_of", "word"),
    [
        (lambda state: state["model"].update(type="Magic"), "tokenizer.json"),
        (lambda state: state["model"].pop("vocab"), "tokenizer.json"),
        (lambda state: state["model"].update(vocab={"a": -1}), "tokenizer.json"),
        (lambda state: state["model"].update(vocab={"a": "b"}), "tokenizer.json"),
        (lambda state: state["model"].update(vocab={}), "unk_token"),
        (lambda state: state["model"].update(unk_token="<none>"), "unk_token"),
        (lambda state: state["model"].update(max_input_chars_per_word=-1), "tokenizer.json"),
        (lambda state: state.update(normalizer={"type": "Magic"}), "tokenizer.json"),
        (
            lambda state: state.update(
                post_processor={"type": "BertProcessing", "sep": ["[SEP]", 9999], "cls": ["[CLS]", 2]}
            ),
            "9999",
        ),
        (
            lambda state: state.update(
                post_processor={"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": []}
            ),
            "tokenizer.json",
        ),
        (lambda state: state.update(added_tokens=[{"id": 0}]), "tokenizer.json"),
        (lambda state: state.update(added_tokens=5), "tokenizer.json"),
        (
            lambda state: state.update(
                truncation={"max_length": 4, "stride": 9, "strategy": "LongestFirst", "direction": "Right"}
            ),
            "",
        ),
    ],
)
def test_tokenizer_json_with_wrong_parts(change_of: Callable[[Any], Any], word: str, folder: Path) -> None:
    path = folder / "tokenizer.json"
    state = json.loads(path.read_text("utf-8"))
    change_of(state)
    path.write_text(json.dumps(state), "utf-8")
    if word:
        assert word in refused(folder)
    else:  # truncation that the library refuses only when it is set: ours never uses it
        assert AutoTokenizer.from_pretrained(folder)("we")["input_ids"] == [2, 6, 3]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\xfd\n", b"\x80abc", b"a\nb\nc\n", "[PAD]\nthe\n".encode("utf-16")])
def test_vocabulary_that_is_none(content: bytes, vocabulary: Path) -> None:
    change(vocabulary.parent / "config.json", model_type="bert")
    vocabulary.write_bytes(content)
    assert "vocab.txt" in refused(vocabulary.parent)
    with pytest.raises(ValueError, match=r"vocab\.txt"):
        BertTokenizer(vocabulary)


def test_nothing_to_load(tmp_path: Path) -> None:
    assert "tokenizer.json" in refused(tmp_path, (OSError,))
    change(tmp_path / "tokenizer_config.json", tokenizer_class="BertTokenizer")
    assert "vocab.txt" in refused(tmp_path, (OSError,))
    change(tmp_path / "tokenizer_config.json", tokenizer_class="VitsTokenizer")
    assert "VitsTokenizer" in refused(tmp_path, (ValueError,))
    with pytest.raises(OSError, match=r"nowhere\.txt"):
        BertTokenizer(tmp_path / "nowhere.txt")
    with pytest.raises(OSError, match=r"nowhere\.json"):
        Tokenizer(tokenizer_file=tmp_path / "nowhere.json")
    with pytest.raises(OSError, match=r"saved"):
        Tokenizer(tokenizer_file=tmp_path.parent / "saved")
    with pytest.raises(ValueError, match="tokenizer_file"):
        Tokenizer()
    with pytest.raises(ValueError, match="vocab_file"):
        BertTokenizer()


def test_unknown_settings_are_named(vocabulary: Path, folder: Path) -> None:
    with pytest.raises(TypeError, match="do_lower_case"):
        BertTokenizer(vocabulary, do_lowercase=True)
    with pytest.raises(TypeError, match="padding_side"):
        AutoTokenizer.from_pretrained(folder, paddingside="left")
    with pytest.raises(ValueError, match="padding_side"):
        AutoTokenizer.from_pretrained(folder, padding_side="up")


def test_mutated_files_are_refused_or_load(folder: Path) -> None:
    rng, loaded, messages = random.Random(0), 0, []
    names = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
    whole = {name: (folder / name).read_bytes() for name in names}
    for _ in range(400):
        name = rng.choice(names)
        content = bytearray(whole[name])
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(content))
            kind = rng.random()
            if kind < 0.5:
                content[at] = rng.choice(b'0123456789"{}[]:,ntfae\\-.\xff\x00')
            elif kind < 0.8:
                del content[at : at + rng.randint(1, 30)]
            else:
                content[at:at] = rng.choice([b"null", b"-1", b'"x"', b"{}", b"[]", b"1e999", b"\\ud800"])
        (folder / name).write_bytes(content)
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            encoded = tokenizer(TEXT, "b")["input_ids"]
            tokenizer.decode(encoded)
            loaded += 1
        except (OSError, ValueError) as error:
            messages.append(str(error))
        (folder / name).write_bytes(whole[name])
    assert loaded > 50
    assert len(messages) > 50
    assert not [message for message in messages if "\n" in message]


# Settings


def test_settings_go_into_the_normalizer(folder: Path) -> None:
    texts = ["We Ä", "漢字"]
    plain = AutoTokenizer.from_pretrained(folder)
    assert plain.tokenize(texts[0]) == ["we", "a"]
    assert plain.tokenize(texts[1]) == ["漢", "字"]
    assert AutoTokenizer.from_pretrained(folder, do_lower_case=False).tokenize(texts[0]) == ["[UNK]", "Ä"]
    assert AutoTokenizer.from_pretrained(folder, strip_accents=False).tokenize(texts[0]) == ["we", "ä"]
    assert AutoTokenizer.from_pretrained(folder, tokenize_chinese_chars=False).tokenize(texts[1]) == ["[UNK]"]
    change(folder / "tokenizer_config.json", do_lower_case=False, strip_accents=True, tokenize_chinese_chars=None)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.tokenize(texts[0]) == ["[UNK]", "[UNK]"]
    assert tokenizer.tokenize("ä 漢字") == ["a", "漢", "字"]


def test_null_is_the_default(vocabulary: Path) -> None:
    config = dict.fromkeys(("do_lower_case", "strip_accents", "tokenize_chinese_chars", "clean_up_tokenization_spaces"))
    config |= dict.fromkeys(("model_max_length", "additional_special_tokens", "extra_special_tokens", "never_split"))
    change(vocabulary.parent / "tokenizer_config.json", tokenizer_class="BertTokenizer", **config)
    tokenizer = AutoTokenizer.from_pretrained(vocabulary.parent)
    assert tokenizer.tokenize("WE Ä 漢字") == ["we", "a", "漢", "字"]
    assert tokenizer.model_max_length == int(1e30)
    assert tokenizer.additional_special_tokens == []


def test_limits_saved_in_tokenizer_json_do_not_count(folder: Path) -> None:
    backend = Backend.from_file(str(folder / "tokenizer.json"))
    backend.enable_truncation(4)
    backend.enable_padding(length=9)
    backend.save(str(folder / "tokenizer.json"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert len(tokenizer("we are the a b c")["input_ids"]) == 8
    assert len(tokenizer("we")["input_ids"]) == 3
    assert len(Tokenizer(tokenizer_object=backend)("we are the a b c")["input_ids"]) == 8
    assert backend.truncation is not None  # the object that was given is not changed


def test_special_tokens_of_older_files(vocabulary: Path) -> None:
    folder = vocabulary.parent
    change(folder / "tokenizer_config.json", tokenizer_class="BertTokenizer", additional_special_tokens=["<a>"])
    mask = {"content": "[MASK]", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False}
    change(folder / "special_tokens_map.json", mask_token=mask, additional_special_tokens=["<a>", "<b>"])
    change(folder / "added_tokens.json", **{"<b>": len(PIECES) + 1, "<a>": len(PIECES), "<c>": len(PIECES) + 2})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.additional_special_tokens == ["<a>", "<b>"]
    assert tokenizer.convert_tokens_to_ids(["<a>", "<b>", "<c>"]) == [len(PIECES) + i for i in range(3)]
    assert tokenizer("we [MASK]", return_offsets_mapping=True)["offset_mapping"][2] == (2, 9)
    assert AutoTokenizer.from_pretrained(folder, mask_token="<m>").mask_token == "<m>"


def test_named_special_tokens_of_a_model(folder: Path) -> None:
    change(folder / "tokenizer_config.json", extra_special_tokens={"image_token": "<image>"})
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.image_token == "<image>"
    assert tokenizer.image_token_id == len(PIECES)
    assert tokenizer("<image>")["input_ids"][1] == len(PIECES)
    change(folder / "tokenizer_config.json", extra_special_tokens=["<image>", "<sound>"])
    assert AutoTokenizer.from_pretrained(folder).additional_special_tokens == ["<image>", "<sound>"]


# Written and read back


@pytest.mark.parametrize("kind", [BertTokenizer, DistilBertTokenizer])
def test_round_trip(kind: type[BertTokenizer], vocabulary: Path, tmp_path: Path) -> None:
    tokenizer = kind(
        vocabulary,
        do_lower_case=False,
        strip_accents=True,
        tokenize_chinese_chars=False,
        model_max_length=17,
        padding_side="left",
        truncation_side="left",
        clean_up_tokenization_spaces=False,
        additional_special_tokens=["<a>", AddedToken("<b>", lstrip=True)],
        extra_special_tokens={"image_token": "<image>"},
        mask_token=AddedToken("[MASK]", lstrip=True),
    )
    tokenizer.add_tokens(["newword", AddedToken("single", single_word=True)])
    folder = tmp_path / "saved"
    written = tokenizer.save_pretrained(folder)
    names = {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"}
    assert {Path(path).name for path in written} == names == {path.name for path in folder.iterdir()}
    again = AutoTokenizer.from_pretrained(folder)
    assert type(again) is kind
    texts = [TEXT, "newword <a>  <b> single singles x[MASK] <image>"]
    for options in ({}, {"padding": True, "truncation": True}, {"return_offsets_mapping": True}):
        assert dict(again(texts, **options)) == dict(tokenizer(texts, **options))
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again.special_tokens_map == tokenizer.special_tokens_map
    assert again.all_special_ids == tokenizer.all_special_ids
    assert again.image_token == "<image>"
    assert again.padding_side == again.truncation_side == "left"
    assert again.model_max_length == 17
    again.save_pretrained(tmp_path / "again")
    for name in names - {"special_tokens_map.json"}:  # there a token given as text has got its options by now
        assert (tmp_path / "again" / name).read_text("utf-8") == (folder / name).read_text("utf-8"), name


def test_vocabulary_alone_after_saving(vocabulary: Path, tmp_path: Path) -> None:
    tokenizer = BertTokenizer(vocabulary)
    tokenizer.add_tokens(["newword"])
    tokenizer.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved" / "vocab.txt").read_bytes() == vocabulary.read_bytes()
    (tmp_path / "saved" / "tokenizer.json").unlink()
    again = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert again("newword the")["input_ids"] == tokenizer("newword the")["input_ids"]


def test_other_files_and_fields_stay(folder: Path) -> None:
    change(folder / "tokenizer_config.json", max_length=7, name_or_path="somewhere")
    (folder / "config.json").write_text("{}")
    AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    saved = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    assert saved["max_length"] == 7
    assert "name_or_path" not in saved
    assert (folder / "config.json").read_text() == "{}"


def test_save_vocabulary(vocabulary: Path, folder: Path, tmp_path: Path) -> None:
    (path,) = BertTokenizer(vocabulary).save_vocabulary(tmp_path / "new", filename_prefix="my")
    assert Path(path).name == "my-vocab.txt"
    assert Path(path).read_bytes() == vocabulary.read_bytes()
    assert Tokenizer.from_pretrained(folder).save_vocabulary(tmp_path / "new") == ()


def test_failed_save_leaves_the_folder_alone(folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer._other_fields["odd"] = object()
    with pytest.raises((TypeError, ValueError)):
        tokenizer.save_pretrained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_push_uploads_what_is_saved(vocabulary: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def push(repo_id: str, save: Callable[[Path], object], **options: Any) -> str:
        save(tmp_path / "pushed")
        return f"{repo_id} {options}"

    monkeypatch.setattr(hub, "push", push)
    assert BertTokenizer(vocabulary).push_to_hub("me/mine", private=True) == "me/mine {'private': True}"
    assert (tmp_path / "pushed" / "tokenizer.json").exists()


# Training


def test_train_new(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder, additional_special_tokens=["<a>"], padding_side="left")
    texts = [["low lower lowest slow slower"] * 20, ["wide wider widest"] * 20]
    new = tokenizer.train_new_from_iterator(
        iter(texts),
        60,
        new_special_tokens=["<new>"],
        special_tokens_map={"[CLS]": "<s>"},
        show_progress=False,
    )
    assert type(new) is BertTokenizer
    assert len(new) <= 60
    assert new.cls_token == "<s>"
    assert new.cls_token_id == new("low")["input_ids"][0]
    assert new.tokenize("lower widest") == ["lower", "widest"]
    assert new.additional_special_tokens == ["<a>", "<new>"]
    assert "[UNK]" in new.tokenize("漢")
    assert new.padding_side == "left"
    assert new.model_max_length == 32
    assert tokenizer("we")["input_ids"] == [2, 6, 3]  # the old one is as it was
    new.save_pretrained(folder / "new")
    assert AutoTokenizer.from_pretrained(folder / "new")("slower")["input_ids"] == new("slower")["input_ids"]


@pytest.mark.parametrize(
    ("options", "kind"),
    [({"vocab_sizes": 5}, (TypeError, ValueError)), ({"min_frequency": "x"}, (TypeError, ValueError))],
)
def test_train_with_wrong_options(options: dict[str, Any], kind: tuple[type[Exception], ...], folder: Path) -> None:
    with pytest.raises(kind):
        AutoTokenizer.from_pretrained(folder).train_new_from_iterator(["a b"], 20, show_progress=False, **options)


def test_vocabulary_that_no_list_of_lines_says_is_only_in_tokenizer_json(folder: Path, tmp_path: Path) -> None:
    state = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    state["model"]["vocab"] |= {"two\nlines": 3000}
    (folder / "tokenizer.json").write_text(json.dumps(state), "utf-8")
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "again")
    assert not (tmp_path / "again" / "vocab.txt").exists()
    assert AutoTokenizer.from_pretrained(tmp_path / "again").convert_tokens_to_ids("two\nlines") == 3000


def test_ids_with_enormous_gaps_load_but_are_not_saved(folder: Path) -> None:
    state = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    state["model"]["vocab"] |= {"far": 2**32 - 1}
    (folder / "tokenizer.json").write_text(json.dumps(state), "utf-8")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer("we far")["input_ids"] == [2, 6, 2**32 - 1, 3]
    with pytest.raises(ValueError, match="'far' has id 4294967295"):
        tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("role", ["unk_token", "cls_token", "sep_token"])
def test_vocabulary_alone_needs_its_special_tokens(role: str, vocabulary: Path) -> None:
    with pytest.raises(ValueError, match=role):
        BertTokenizer(vocabulary, **{role: None})
