"""The tokenizers of decoders under every class that torch Transformers 4.57 and 5.24 name, and under none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cases
import decoders
import pytest
import tokenizers as tokenizers_library

import jaxformers
from jaxformers import auto, hub, tokenizers

GOLDEN = json.loads(decoders.GOLDEN.read_text())
HEADS = {name: auto.tasks_of(auto.config_class(name)) for name in auto.model_types()}
CAUSAL = [
    name
    for name, heads in HEADS.items()
    if "CausalLM" in heads and not {"MaskedLM", "Seq2SeqLM"} & set(heads) and name != "bert-generation"
]
"""Those that are encoders too, or sides of encoder-decoders, have their tokenizers among the others'."""

CELLS: dict[str, list[tuple[str, str, str, dict[str, Any], dict[str, Any]]]] = {}
for cell in decoders.cells(GOLDEN["classes"]):
    CELLS.setdefault(f"{cell[0]} {cell[1]}".strip(), []).append(cell)

SAVED = {(kind, case): name for name, cases_ in reversed(CELLS.items()) for _, kind, case, _, _ in cases_}
"""Class and case → where what is saved is read again: once is enough."""

# Roles that a class has in 5.24 and not in 4.57, and that count where the vocabulary has the token.
NEW_ROLES = {
    "Gemma": {"mask_token": "<mask>"},
    "GPTNeoX": {"pad_token": "<|padding|>"},
    "Cohere": {"pad_token": "<PAD>", "cls_token": "<CLS>", "sep_token": "<SEP>", "mask_token": "<MASK_TOKEN>"},
}


def told(version: str, name: str, number: int) -> Any:
    """What a version answered to a case of a cell; None where it could not load it."""
    answers = GOLDEN["answers"][GOLDEN[version][name][number]] if name in GOLDEN[version] else None
    return answers | {"rows": GOLDEN["rows"][answers["rows"]]} if isinstance(answers, dict) else None


def expected(name: str, number: int) -> dict[str, Any] | None:
    """What is right; None where neither version loads the files.

    Inputs are those of 5.24. The rest a class says, as in 4.57, or its fast twin where 4.57 does not know the name; or
    it is as in 5.24. So are rows that are asked for at the call, tokens and rows of byte-level files under Llama's
    name, and NEW_ROLES.
    """
    model_type, kind, case, _, _ = CELLS[name][number]
    twin = decoders.PLAIN[0] if kind in decoders.PLAIN else f"{kind}Fast"
    twins = [f"{model_type} {other}" for other in ([twin] if kind else GOLDEN["classes"][model_type])]
    four = next(filter(None, (told("4.57", twin, number) for twin in [name, *twins])), None)
    five = told("5.24", name, number)
    if four is None or five is None:
        return four or five
    right = four | {"inputs": five["inputs"]}
    if case.startswith("asked"):
        right["rows"] = five["rows"]
    if case.endswith("Llama of bytes") and kind not in decoders.PLAIN:
        return five | {"sides": four["sides"]}
    usual = [decoders.family_of(twin) for twin in ([kind] if kind else GOLDEN["classes"][model_type])]
    new = next((NEW_ROLES[family] for family in usual if family in NEW_ROLES), {})
    return right | {"roles": new | right["roles"]}


def load(folder: Path, **settings: Any) -> Any:
    """The tokenizer in a folder, of the class that its files name."""
    return tokenizers.load(hub.source_of(folder), **settings)


def answers(tokenizer: Any) -> Any:
    """What a tokenizer answers, as the golden file has it."""
    return json.loads(json.dumps(decoders.answers(tokenizer)))


def test_every_causal_model_is_asked_about() -> None:
    assert set(GOLDEN["classes"]) == set(CAUSAL)
    named = {kind for kinds in GOLDEN["classes"].values() for kind in kinds} - set(decoders.PLAIN)
    assert len(named) >= 20
    for kind in named:
        assert getattr(jaxformers, kind).tokenizer_class.removesuffix("Fast") == kind.removesuffix("Fast")


@pytest.mark.parametrize("name", CELLS)
def test_decoders(name: str, tmp_path: Path) -> None:
    for number, (model_type, kind, case, files, settings) in enumerate(CELLS[name]):
        right = expected(name, number)
        folder = decoders.write(tmp_path / str(number), model_type, kind, files)
        if right is None:
            continue
        if settings and "XGLM" in (kind or "".join(GOLDEN["classes"][model_type])):  # which has rows of its own
            with pytest.raises(TypeError, match="add_bos_token"):
                load(folder, **settings)
            continue
        tokenizer = load(folder, **settings)
        assert answers(tokenizer) == right, case
        assert "token_type_ids" not in tokenizer("the") or "said" in case, case
        if SAVED[kind, case] == name:
            tokenizer.save_pretrained(folder / "saved")
            assert answers(load(folder / "saved")) == right, f"{case}, saved"


@pytest.mark.parametrize("name", CAUSAL)
def test_models_take_what_their_tokenizers_give(name: str, tmp_path: Path) -> None:
    accepted = auto.class_for(auto.config_class(name), "CausalLM").accepts
    for number, kind in enumerate(["", *GOLDEN["classes"][name], *decoders.PLAIN]):
        model_type, kind, _, files, _ = CELLS[f"{name} {kind}".strip()][0]
        tokenizer = load(decoders.write(tmp_path / str(number), model_type, kind, files))
        tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
        chat = [{"role": "user", "content": "the day"}]
        asked = tokenizer.apply_chat_template(chat, return_dict=True, return_tensors="np")
        assert set(asked) == set(tokenizer("the")) == {"input_ids", "attention_mask"}
        assert set(asked) <= set(accepted)


def folder_of(path: Path, family: str, case: str = "bare", **config: Any) -> Path:
    """A case of a family with further settings in its tokenizer_config.json."""
    files = next(files for name, files, _ in decoders.folders(family) if name == case)
    config = files.get("tokenizer_config.json", {}) | config
    return decoders.write(
        path, "", config.pop("tokenizer_class", f"{family}Tokenizer"), files | {"tokenizer_config.json": config}
    )


@pytest.mark.parametrize("family", ["Gemma", "Cohere", "Llama", "GPTNeoX", "GPT2", "Qwen2", "PreTrained", "Bloom"])
def test_what_stands_around_a_text_can_be_set(family: str, tmp_path: Path) -> None:
    first, last = decoders.SPECIAL[family][0], decoders.SPECIAL[family][-1]
    tokenizer = load(folder_of(tmp_path, family, bos_token=first, eos_token=last))
    for begins, ends in ((True, True), (False, True), (True, False), (False, False)):
        tokenizer.add_bos_token = begins
        tokenizer.add_eos_token = ends
        assert (tokenizer.add_bos_token, tokenizer.add_eos_token) == (begins, ends)
        ids = tokenizer("the")["input_ids"]
        assert (ids[:1] == [tokenizer.bos_token_id], ids[-1:] == [tokenizer.eos_token_id]) == (begins, ends)
        assert tokenizer.build_inputs_with_special_tokens(tokenizer.encode("the", add_special_tokens=False)) == ids
        tokenizer.save_pretrained(tmp_path / "saved")
        again = load(tmp_path / "saved")
        assert again("the")["input_ids"] == ids
        assert (again.add_bos_token, again.add_eos_token) == (begins, ends)


def test_what_is_not_said_of_rows_stays_as_in_the_file(tmp_path: Path) -> None:
    last = decoders.SPECIAL["Qwen2"][-1]
    folder = folder_of(tmp_path, "Qwen2", "rows", bos_token=last, add_bos_token=False)
    assert load(folder).add_bos_token  # a tokenizer.json has the rows
    both = load(folder, add_eos_token=True)
    assert both("the")["input_ids"][:1] == [both.bos_token_id]
    assert both("the")["input_ids"][-1:] == [both.eos_token_id]


def test_classes_with_rows_of_their_own_have_no_ends_to_set(tmp_path: Path) -> None:
    tokenizer = load(folder_of(tmp_path, "XGLM"))
    with pytest.raises(ValueError, match="rows of its own"):
        tokenizer.add_eos_token = True


def test_a_missing_token_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bos_token"):
        load(folder_of(tmp_path, "Qwen2"), add_bos_token=True)


@pytest.mark.parametrize("family", ["Cohere", "Bloom", "Qwen2", "GPT2"])
def test_a_space_in_front(family: str, tmp_path: Path) -> None:
    folder = folder_of(tmp_path, family)
    plain, spaced = (load(folder, **settings) for settings in ({}, {"add_prefix_space": True}))
    assert "Ġthe" not in plain.tokenize("the")
    assert spaced.tokenize("the") == ["Ġthe"]


def test_a_llama_of_bytes_has_no_space_in_front(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "Llama of bytes", tokenizer_class="LlamaTokenizerFast")
    assert load(folder).tokenize("the") == ["the"]
    assert load(folder).padding_side == "left"
    assert jaxformers.LlamaTokenizer.from_pretrained(folder).tokenize("the") == ["the"]


def test_a_word_of_the_vocabulary_makes_no_llama_of_bytes(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, "Llama", tokenizer_class="LlamaTokenizerFast")
    before = load(folder)("the the")["input_ids"]
    file = folder / "tokenizer.json"
    fields = json.loads(file.read_text())
    fields["model"]["vocab"]["ByteLevel"] = len(fields["model"]["vocab"]) + 9
    file.write_text(json.dumps(fields))
    assert type(load(folder)) is jaxformers.LlamaTokenizer
    assert load(folder)("the the")["input_ids"] == before


def test_a_class_that_is_not_known_is_like_that_of_its_architecture(tmp_path: Path) -> None:
    files = next(files for name, files, _ in decoders.folders("Llama") if name == "bare")
    tokenizer = load(decoders.write(tmp_path, "llama", "CodeLlamaTokenizerFast", files))
    assert tokenizer.padding_side == "left"
    assert sorted(tokenizer("the")) == ["attention_mask", "input_ids"]


def test_token_types_of_encoders_stay(tmp_path: Path) -> None:
    files = {"tokenizer.json": json.loads(decoders.backend("PreTrained", decoders.SPECIAL["PreTrained"]).to_str())}

    def inputs(model_type: str, kind: str, **config: Any) -> list[str]:
        said = {"tokenizer_config.json": config} if config else {}
        return list(load(decoders.write(tmp_path / model_type / kind, model_type, kind, files | said))("the"))

    three = ["input_ids", "token_type_ids", "attention_mask"]
    assert inputs("bert", "") == inputs("albert", "") == inputs("nomic_bert", "") == three
    assert inputs("bert", "HerbertTokenizerFast") == inputs("bert", "SomethingNewTokenizer") == three
    two = ["input_ids", "attention_mask"]
    assert inputs("modernbert", "") == inputs("modernbert", "PreTrainedTokenizerFast") == two
    assert inputs("bert", "TokenizersBackend") == inputs("", "") == inputs("", "SomethingNewTokenizer") == two
    assert inputs("bert", "PreTrainedTokenizerFast", model_input_names=three) == three


def test_codegen_gives_token_types_when_asked(tmp_path: Path) -> None:
    tokenizer = load(folder_of(tmp_path, "CodeGen", return_token_type_ids=True))
    assert "token_type_ids" in tokenizer("the")
    assert "token_type_ids" not in load(folder_of(tmp_path / "plain", "CodeGen"))("the")


def test_rows_outlive_training(tmp_path: Path) -> None:
    texts = ["the day they were happy"] * 9
    last = decoders.SPECIAL["GPT2"][-1]
    rows = load(folder_of(tmp_path / "rows", "GPT2", "rows", bos_token=last))
    again = rows.train_new_from_iterator(texts, 300, show_progress=False)
    assert again("the")["input_ids"][0] == again.bos_token_id
    plain = load(folder_of(tmp_path / "plain", "Gemma", add_bos_token=False))
    again = plain.train_new_from_iterator(texts, 300, show_progress=False)
    assert not again.add_bos_token
    assert again.bos_token_id not in again("the")["input_ids"]
    types = jaxformers.tokenizers.Tokenizer(tokenizer_object=_bert_like())
    again = types.train_new_from_iterator(texts, 60, show_progress=False)
    assert again.tokenize("the", add_special_tokens=True)[0] == "[CLS]"


def _bert_like() -> Any:
    """A tokenizer with `[CLS]` and `[SEP]` around a text, and no class that knows these."""
    return tokenizers_library.Tokenizer.from_str(json.dumps(cases.backend()))
