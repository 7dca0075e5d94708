"""Gemma 3 as it stands on the Hub: inside a model that also reads images, and reading in both directions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy

from jaxformers import AutoConfig, AutoModel, AutoModelForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, Gemma3TextModel

from . import golden
from .registry import faults

SMALL = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
    "sliding_window": 6,
    "sliding_window_pattern": 3,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
}


def written_inside(folder: Path, prefix: str, case: golden.Golden) -> Path:
    """The checkpoint of a case as the text part of one that reads images too."""
    text = {name: value for name, value in case.config.items() if name != "architectures"}
    vision = {"model_type": "siglip_vision_model", "hidden_size": 8}
    config = {"model_type": "gemma3", "text_config": text, "vision_config": vision, "image_token_index": 66}
    config |= {"architectures": ["Gemma3ForConditionalGeneration"], "mm_tokens_per_image": 4, "eos_token_id": [1, 9]}
    names = {name: f"{prefix}.{name.removeprefix('model.')}" for name in case.written()}
    arrays = {names[name]: array for name, array in case.written().items()}
    arrays["vision_tower.vision_model.post_layernorm.weight"] = np.ones(8, np.float32)
    (folder / "config.json").write_text(json.dumps(config))
    safetensors.numpy.save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("prefix", ["language_model.model", "model.language_model"])
def test_a_model_that_reads_images_too_is_read_as_its_text_model(
    prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    case = golden.cases()["Gemma3ForCausalLM"]
    folder = written_inside(tmp_path, prefix, case)
    plain = case.calls["plain"]
    with jax.default_matmul_precision("highest"), jax.disable_jit():
        for auto in (AutoModelForCausalLM, Gemma3ForCausalLM):
            model, report = auto.from_pretrained(folder, output_loading_info=True)
            assert type(model) is Gemma3ForCausalLM
            assert not faults(model(**plain.inputs), plain)
            assert report["missing_keys"] == []
            assert report["unexpected_keys"] == ["vision_tower.vision_model.post_layernorm.weight"]
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert model.generation_config.eos_token_id == (1, 9)
    assert type(AutoModel.from_pretrained(folder)) is Gemma3TextModel
    model.save_pretrained(tmp_path / "ours")
    saved = json.loads((tmp_path / "ours" / "config.json").read_text())
    assert saved["model_type"] == "gemma3_text"
    assert not saved.keys() & {"text_config", "vision_config", "mm_tokens_per_image"}
    assert safetensors.numpy.load_file(tmp_path / "ours" / "model.safetensors").keys() == case.written().keys()


def test_a_model_of_several_kinds_must_say_what_its_text_model_is() -> None:
    with pytest.raises(ValueError, match="a 'gemma3' must have its text_config, found None"):
        AutoConfig.from_dict({"model_type": "gemma3"})


def test_both_rotations_of_newer_files() -> None:
    scaling = {"rope_type": "linear", "factor": 4.0}
    old = Gemma3TextConfig(**SMALL, rope_theta=900.0, rope_local_base_freq=70.0, rope_scaling=scaling)
    new = Gemma3TextConfig(
        **SMALL,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 900.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 70.0},
        },
    )
    ids = np.arange(12)[None] + 5
    model: Any = Gemma3TextModel(old)
    np.testing.assert_array_equal(model(ids)[0], model.replace(config=new)(ids)[0])
    with pytest.raises(ValueError, match="an object for each kind of layer"):
        Gemma3TextConfig(**SMALL, rope_parameters={"full_attention": 3})
    with pytest.raises(ValueError, match="lacks 'factor'"):
        Gemma3TextConfig(**SMALL, rope_parameters={"full_attention": {"rope_type": "linear"}})


def test_windows_are_half_as_wide_in_each_direction() -> None:
    config = Gemma3TextConfig(**{**SMALL, "num_hidden_layers": 1}, use_bidirectional_attention=True)
    model: Any = Gemma3TextModel(config)
    ids = np.arange(15)[None] + 5
    other = ids.copy()
    other[0, 7] = 30
    changed = np.abs(np.asarray(model(ids)[0] - model(other)[0])[0]).max(-1) > 1e-6
    np.testing.assert_array_equal(np.flatnonzero(changed), np.arange(4, 11))  # 6 // 2 to each side
    with pytest.raises(ValueError, match="use_bidirectional_attention=True, so what follows is seen"):
        model(ids, use_cache=True)
