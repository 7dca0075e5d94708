"""LoraConfig: PEFT's fields and defaults, what is refused, and the modules that it means."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxformers
from jaxformers import LoraConfig, get_peft_model

from .cases import CASES, RECORDED


def test_defaults_and_fields_are_pefts() -> None:
    theirs = json.loads(str(np.load(RECORDED / "gpt2.npz")["config"]))
    plain = LoraConfig()
    assert plain.peft_type == "LORA"
    for name, value in plain.to_dict().items():
        assert name in theirs
        if name not in ("r", "target_modules", "inference_mode", "fan_in_fan_out"):
            assert value == theirs[name], name
    assert (plain.r, plain.lora_alpha, plain.lora_dropout, plain.init_lora_weights) == (8, 8, 0.0, True)


def test_a_config_is_saved_and_read_again(tmp_path: Path) -> None:
    config = LoraConfig(
        r=2,
        target_modules=["v_proj", "q_proj"],
        rank_pattern={"q_proj": 3},
        layers_to_transform=[1],
        base_model_name_or_path=Path("a/b"),  # type: ignore[arg-type]
    )
    config.save_pretrained(tmp_path)
    again = LoraConfig.from_pretrained(tmp_path)
    assert again == config
    assert hash(again) == hash(config)
    assert again.target_modules == ("q_proj", "v_proj")
    assert LoraConfig.from_pretrained(tmp_path, r=5).r == 5
    assert LoraConfig(init_lora_weights=False) != config


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"use_dora": True}, "use_dora=True is a kind of adapter that is not done"),
        ({"lora_bias": True}, "lora_bias=True"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"target_parameters": ["a"]}, "target_parameters"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa' is not done"),
        ({"r": 0}, "rank r=0 must be a whole number above 0"),
        ({"rank_pattern": {"q": -1}}, "rank q=-1"),
        ({"lora_dropout": 1.0}, "lora_dropout=1.0"),
        ({"bias": "some"}, "bias='some'"),
        ({"task_type": "IMAGES"}, "task_type='IMAGES'"),
        ({"target_modules": "(q"}, "is no regular expression"),
        ({"target_modules": "q", "layers_to_transform": [0]}, "layers_to_transform goes with a list"),
        ({"layers_pattern": "h"}, "layers_pattern says where"),
        ({"target_modules": ["q"], "target_roles": ["matrix"]}, "exclude each other"),
        ({"target_roles": ["matrices"]}, "no array has the role 'matrices'"),
    ],
)
def test_impossible_fields_are_refused_by_name(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        LoraConfig(**fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"lora_alpha": "16"}, "lora_alpha='16'"),
        ({"modules_to_save": "classifier"}, "expected a list of names"),
        ({"target_modules": 5}, "target_modules=5"),
        ({"base_model_name_or_path": 5}, "expected text"),
    ],
)
def test_fields_of_other_types_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError, match=said):
        LoraConfig(**fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"peft_type": "IA3"}, "'IA3' are not read"),
        ({"use_dora": True}, "use_dora"),
        ({"use_something_new": {"a": 1}}, "use_something_new"),
        ({"init_lora_weights": "olora"}, "olora"),
        ({"r": "8"}, "rank r='8'"),
    ],
)
def test_files_of_other_adapters_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=rf"adapter_config\.json: .*{said}"):
        LoraConfig.from_dict(fields)


def test_fields_that_change_nothing_are_read() -> None:
    fields = {"init_lora_weights": "eva", "eva_config": {"rho": 2.0}, "peft_version": "0.21", "auto_mapping": {"a": 1}}
    assert LoraConfig.from_dict({**fields, "use_something_new": None}) == LoraConfig()


# -- modules ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(base: Callable[..., Any]) -> dict[str, Any]:
    return {name: base(name) for name in ("bert", "llama", "gpt2", "t5")}


def targets(model: Any, **fields: Any) -> tuple[str, ...]:
    return tuple(get_peft_model(model, LoraConfig(r=2, **fields)).adapter.target_modules)


def test_usual_modules_are_queries_and_values(models: dict[str, Any]) -> None:
    assert targets(models["bert"]) == ("query", "value")
    assert targets(models["llama"]) == ("q_proj", "v_proj")
    assert targets(models["gpt2"]) == ("c_attn",)
    assert targets(models["t5"]) == ("q", "v")
    phi = jaxformers.PhiForCausalLM(
        jaxformers.PhiConfig(
            vocab_size=32, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2
        )
    )
    assert targets(phi) == ("fc1", "fc2", "q_proj", "v_proj")


def test_roles_of_ours_mean_modules_of_theirs(models: dict[str, Any]) -> None:
    layers = {name for name in targets(models["bert"], target_modules="all-linear") if ".layer." in name}
    assert set(targets(models["bert"], target_roles=["matrix"])) == layers
    assert targets(models["llama"], target_roles=["unembedding"]) == ("lm_head",)
    heads = targets(models["bert"], target_roles=["projection"], modules_to_save=["classifier"])
    assert heads == ("bert.pooler.dense",)


def test_how_additions_begin(models: dict[str, Any]) -> None:
    def first(**fields: Any) -> Any:
        model = get_peft_model(models["llama"], LoraConfig(r=8, target_modules="all-linear", **fields))
        return model.params["layers"][0]["down"]["weight"]

    started, normal, random = first(), first(init_lora_weights="gaussian"), first(init_lora_weights=False)
    assert not started.up.any()
    assert not normal.up.any()
    assert 0.05 < float(normal.down.std()) < 0.2  # 1 / r
    assert float(abs(started.down).max()) <= 24**-0.5 < float(abs(normal.down).max())
    assert 0.3 < float(abs(random.up).max()) <= 8**-0.5


@pytest.mark.parametrize(
    ("name", "fields", "said"),
    [
        ("bert", {"target_modules": ["q_proj"]}, r"no module is called so; there are .*query"),
        ("bert", {"target_modules": ["LayerNorm"]}, r"LayerNorm is a norm; additions are to dense layers"),
        ("bert", {"target_modules": ["word_embeddings"]}, r"word_embeddings is a table"),
        ("gpt2", {"target_modules": ["wte"]}, r"wte is tied to the words"),
        ("gpt2", {"modules_to_save": ["lm_head"]}, r"wte stands for scores of words too"),
        ("t5", {"modules_to_save": ["clasifier"]}, r"no module is called 'clasifier'"),
        ("llama", {"target_modules": ["q_proj"], "layers_to_transform": [7]}, r"no module is called so"),
    ],
)
def test_modules_that_cannot_be_meant(models: dict[str, Any], name: str, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=rf"{type(models[name]).__name__}: .*{said}"):
        get_peft_model(models[name], LoraConfig(**fields))


def test_a_decoder_beside_an_encoder_has_tied_words_too() -> None:
    sizes = {"vocab_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    config = jaxformers.EncoderDecoderConfig.from_encoder_decoder_configs(
        jaxformers.BertConfig(**sizes, hidden_size=16),
        jaxformers.BertConfig(**sizes, hidden_size=16, is_decoder=True, add_cross_attention=True),
    )
    model = jaxformers.EncoderDecoderModel(config)
    adapted = get_peft_model(model, LoraConfig(r=2))
    assert {path.split(".")[0] for path in adapted.trains} == {"encoder", "decoder"}
    with pytest.raises(ValueError, match=r"is tied to the words|is a table"):
        get_peft_model(model, LoraConfig(target_modules=["word_embeddings"]))


def test_what_is_no_model_or_no_config(models: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="takes a LoraConfig, not dict"):
        get_peft_model(models["bert"], {"r": 8})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected a model of jaxformers, found dict"):
        get_peft_model({}, LoraConfig())
    with pytest.raises(TypeError, match="is made by get_peft_model"):
        jaxformers.PeftModel()
    model = get_peft_model(models["bert"], CASES["bert"].config(LoraConfig))
    with pytest.raises(ValueError, match="has an adapter already"):
        get_peft_model(model, LoraConfig())
    for take_off in (models["bert"].merge_and_unload, models["bert"].unload):
        with pytest.raises(ValueError, match="has no adapter"):
            take_off()
