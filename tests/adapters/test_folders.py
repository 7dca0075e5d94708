"""Folders of adapters in all that reads folders, what is of another model, and saves."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from fake_hub import FakeHub
from safetensors.numpy import load_file, save_file

import jaxformers
from jaxformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LoraConfig,
    PeftModel,
    get_peft_model,
    pipeline,
)
from jaxformers.adapters import files

from .cases import CASES, RECORDED

SENTIMENT = "jaxformers/tiny-sentiment"
TEXTS = ["A warm, clever film.", "Two hours of my life, gone."]


@pytest.fixture
def folder(base: Callable[..., Any], checkpoints: Path, tmp_path: Path) -> Path:
    """An adapter of the toy Llama whose base model is named."""
    config = LoraConfig(r=2, init_lora_weights=False, base_model_name_or_path=str(checkpoints / "llama"))
    get_peft_model(base("llama"), config).save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def edit(folder: Path, **fields: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.fixture
def reviewed(tmp_path: Path) -> Path:
    """An adapter with a classifier, of a checkpoint whose classifier has been left out."""
    body = tmp_path / "body"
    AutoModel.from_pretrained(SENTIMENT, num_hidden_layers=1).save_pretrained(body)
    AutoTokenizer.from_pretrained(SENTIMENT).save_pretrained(body)
    model = AutoModelForSequenceClassification.from_pretrained(body)
    config = LoraConfig(r=2, target_modules="all-linear", task_type="SEQ_CLS", init_lora_weights=False)
    adapted = get_peft_model(model, config.replace(base_model_name_or_path="../body", modules_to_save=["pooler"]))
    adapted.save_pretrained(tmp_path / "reviewed")
    return tmp_path / "reviewed"


# -- loading ----------------------------------------------------------------------------------------------------------


def test_a_folder_of_an_adapter_is_its_base_with_it(base: Callable[..., Any], folder: Path) -> None:
    batch = CASES["llama"].toy.batch(0)
    expected = PeftModel.from_pretrained(base("llama"), folder)(**batch).logits
    assert float(abs(expected - base("llama")(**batch).logits).max()) > 1e-3
    for cls in (AutoModelForCausalLM, jaxformers.LlamaForCausalLM):
        for options in ({}, {"stacked": True}, {"config": base("llama").config}):
            model = cls.from_pretrained(folder, **options)
            assert isinstance(model, PeftModel)
            np.testing.assert_allclose(model(**batch).logits, expected, atol=1e-5)
    assert AutoConfig.from_pretrained(folder) == base("llama").config
    int8 = AutoModelForCausalLM.from_pretrained(folder, dtype="int8")
    assert int8.params["layers"][0]["query"]["weight"].base.values.dtype == np.int8
    np.testing.assert_allclose(int8(**batch).logits, expected, atol=0.1)


def test_an_adapter_of_a_base_model_fits_its_heads(base: Callable[..., Any], checkpoints: Path, tmp_path: Path) -> None:
    body = jaxformers.BertModel.from_pretrained(checkpoints / "bert")
    get_peft_model(body, LoraConfig(r=2, init_lora_weights=False)).save_pretrained(tmp_path)
    names = load_file(tmp_path / "adapter_model.safetensors")
    assert "base_model.model.encoder.layer.0.attention.self.query.lora_A.weight" in names
    whole = PeftModel.from_pretrained(base("bert"), tmp_path)
    name = "base_model.model.encoder.layer.1.attention.self.value.lora_B.weight"
    np.testing.assert_array_equal(whole.params["layers"][1]["value"]["weight"].up, names[name])


def test_pipelines_take_folders_of_adapters(reviewed: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "jaxformers"):
        pipe = pipeline("text-classification", model=reviewed)
    assert not [record for record in caplog.records if "newly initialised" in record.message]
    assert isinstance(pipe.model, PeftModel)
    answers = pipe(TEXTS)
    merged = pipeline("text-classification", model=pipe.model.merge_and_unload(), tokenizer=pipe.tokenizer)
    for answer, same in zip(answers, merged(TEXTS), strict=True):
        assert answer["label"] == same["label"]
        assert answer["score"] == pytest.approx(same["score"], abs=1e-5)
    _, report = AutoModelForSequenceClassification.from_pretrained(reviewed, output_loading_info=True)
    assert report["missing_keys"] == []
    with pytest.raises(ValueError, match="BertForTokenClassification: modules_to_save: no module is called 'pooler'"):
        pipeline("token-classification", model=reviewed)


def test_a_tokenizer_beside_an_adapter_counts(reviewed: Path) -> None:
    assert AutoTokenizer.from_pretrained(reviewed).padding_side == "right"
    own = AutoTokenizer.from_pretrained(SENTIMENT, padding_side="left")
    own.save_pretrained(reviewed)
    assert AutoTokenizer.from_pretrained(reviewed).padding_side == "left"


def test_adapters_on_the_hub_ask_for_no_file_twice(
    folder: Path, checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(folder, base_model_name_or_path="owner/base", revision="v1")
    with FakeHub() as hub:
        hub.connect(monkeypatch, tmp_path / "cache")
        read = lambda of: {path.name: path.read_bytes() for path in of.iterdir()}  # noqa: E731
        hub.add("owner/base", read(checkpoints / "llama"), revision="v1")
        hub.add("owner/adapter", read(folder))
        model = AutoModelForCausalLM.from_pretrained("owner/adapter")
        asked = [request for request in hub.requests if request[0] == "GET"]
        assert len(asked) == len(set(asked))
        hub.requests.clear()
        AutoModelForCausalLM.from_pretrained("owner/base", revision="v1")
        assert not any("adapter" in request[3] for request in hub.requests)
    assert isinstance(model, PeftModel)


def test_pickled_adapters_are_read(base: Callable[..., Any], theirs: Callable[[str], Path]) -> None:
    folder = theirs("llama")
    expected = PeftModel.from_pretrained(base("llama"), folder).params
    (folder / "adapter_model.safetensors").unlink()
    shutil.copy(RECORDED / "llama.bin", folder / "adapter_model.bin")
    jax.tree.map(np.testing.assert_array_equal, PeftModel.from_pretrained(base("llama"), folder).params, expected)


# -- what does not fit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"r": 3}, r"layers\.0\.self_attn\.q_proj\.lora_A\.weight is \(2, 16\), and here \(3, 16\)"),
        ({"target_modules": ["q_proj", "o_proj"]}, r"layers\.0\.self_attn\.o_proj\.lora_A\.weight is not in it"),
        ({"target_modules": ["q_proj"]}, r"v_proj\.lora_A\.weight has no place here"),
        ({"target_modules": ["query"]}, "no module is called so"),
        ({"modules_to_save": ["lm_head"]}, r"lm_head\.weight is not in it"),
        ({"bias": "all", "modules_to_save": ["norm"]}, r"norm\.weight is not in it"),
        ({"use_dora": True}, "use_dora"),
        ({"peft_type": "PROMPT_TUNING"}, "PROMPT_TUNING"),
    ],
)
def test_files_that_do_not_fit_name_the_first_array(
    base: Callable[..., Any], folder: Path, fields: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(folder, **fields)
    with pytest.raises(ValueError, match=said):
        PeftModel.from_pretrained(base("llama"), folder)
    monkeypatch.setattr("jaxformers.checkpoint.load.fill", None)  # nothing is read before it is known to fit
    with pytest.raises(ValueError, match=said):
        AutoModelForCausalLM.from_pretrained(folder)


def test_an_adapter_of_another_model_is_refused(base: Callable[..., Any], folder: Path) -> None:
    with pytest.raises(ValueError, match=r"GPT2LMHeadModel: .*no module is called so; there are .*c_attn"):
        PeftModel.from_pretrained(base("gpt2"), folder)
    wider = jaxformers.LlamaForCausalLM(base("llama").config.replace(hidden_size=32))
    with pytest.raises(ValueError, match=r"LlamaForCausalLM does not fit .*made for '.*llama'.*\(2, 16\)"):
        PeftModel.from_pretrained(wider, folder)


def test_another_number_of_labels_is_said_with_advice(base: Callable[..., Any], theirs: Callable[[str], Path]) -> None:
    narrow = jaxformers.BertForSequenceClassification(base("bert").config.replace(num_labels=2))
    with pytest.raises(ValueError, match=r"classifier\.\w+ is \(3.*; read the model with the num_labels="):
        PeftModel.from_pretrained(narrow, theirs("bert"))


def test_modules_of_an_adapter_may_have_other_sizes_than_the_base(
    base: Callable[..., Any], checkpoints: Path, theirs: Callable[[str], Path], tmp_path: Path
) -> None:
    narrow = jaxformers.BertForSequenceClassification(base("bert").config.replace(num_labels=2))
    narrow.replace(params=narrow.params | {"layers": base("bert").params["layers"]}).save_pretrained(tmp_path / "two")
    edit(theirs("bert"), base_model_name_or_path=str(tmp_path / "two"))
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "theirs_bert", num_labels=3)
    stored = load_file(tmp_path / "theirs_bert" / "adapter_model.safetensors")
    np.testing.assert_array_equal(
        model.params["head"]["classifier"]["weight"], stored["base_model.model.classifier.weight"]
    )
    with pytest.raises(ValueError, match=r"classifier\.\w+ is \(3.*num_labels="):
        AutoModelForSequenceClassification.from_pretrained(tmp_path / "theirs_bert")


def test_base_models_that_are_not_there(folder: Path, tmp_path: Path) -> None:
    edit(folder, base_model_name_or_path=str(tmp_path / "nowhere"))
    with pytest.raises(OSError, match=r"is an adapter \(LoRA\) of .*nowhere"):
        AutoModelForCausalLM.from_pretrained(folder)
    edit(folder, base_model_name_or_path=None)
    with pytest.raises(ValueError, match=r"does not say base_model_name_or_path.*PeftModel\.from_pretrained"):
        AutoModelForCausalLM.from_pretrained(folder)
    edit(folder, base_model_name_or_path=str(folder))
    with pytest.raises(ValueError, match="is an adapter as well"):
        AutoModelForCausalLM.from_pretrained(folder)


def test_absent_and_broken_files(base: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"adapter_config\.json"):
        PeftModel.from_pretrained(base("llama"), tmp_path)
    with pytest.raises(TypeError, match="has no 'adapter_name'"):
        PeftModel.from_pretrained(base("llama"), folder, adapter_name="a")
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"adapter_model\.safetensors"):
        PeftModel.from_pretrained(base("llama"), folder)
    weights.unlink()
    with pytest.raises(OSError, match=r"does not appear to have adapter_model\.safetensors or adapter_model\.bin"):
        PeftModel.from_pretrained(base("llama"), folder)


def test_arrays_of_whole_numbers_are_refused(base: Callable[..., Any], folder: Path) -> None:
    arrays = load_file(folder / "adapter_model.safetensors")
    save_file({name: array.astype(np.int8) for name, array in arrays.items()}, folder / "adapter_model.safetensors")
    with pytest.raises(ValueError, match=r"lora_A\.weight is stored as int8"):
        PeftModel.from_pretrained(base("llama"), folder)


# -- saves ------------------------------------------------------------------------------------------------------------


def test_a_save_replaces_an_older_one_and_leaves_the_rest(base: Callable[..., Any], folder: Path) -> None:
    (folder / "adapter_model.bin").write_bytes(b"old")
    (folder / "README.md").write_text("mine")
    model = PeftModel.from_pretrained(base("llama"), folder, is_trainable=True)
    assert not model.adapter.inference_mode
    model.replace(params=jax.tree.map(lambda x: x * 2, model.params)).save_pretrained(folder)
    assert {path.name for path in folder.iterdir()} == {"adapter_config.json", "adapter_model.safetensors", "README.md"}
    assert json.loads((folder / "adapter_config.json").read_text())["inference_mode"] is True
    again = PeftModel.from_pretrained(base("llama"), folder)
    first, second = (one.params["layers"][0]["query"]["weight"].up for one in (model, again))
    np.testing.assert_array_equal(second, first * 2)


def test_a_save_that_fails_leaves_the_older_one(
    base: Callable[..., Any], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    model = PeftModel.from_pretrained(base("llama"), folder)

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.safetensors, "write_file", fail)
    with pytest.raises(OSError, match="No space left"):
        model.replace(params=jax.tree.map(lambda x: x * 2, model.params)).save_pretrained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_merged_model_is_saved_as_any_other(base: Callable[..., Any], folder: Path, tmp_path: Path) -> None:
    model, batch = AutoModelForCausalLM.from_pretrained(folder), CASES["llama"].toy.batch(0)
    model.merge_and_unload().save_pretrained(tmp_path / "merged")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert not isinstance(again, PeftModel)
    np.testing.assert_allclose(again(**batch).logits, model(**batch).logits, atol=1e-5)
