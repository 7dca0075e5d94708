"""Models whose checkpoints are quantised, or hold more than the model, load as plain ones do, or say why not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

import jaxformers
from jaxformers import AutoConfig, AutoModelForCausalLM

from . import golden

BLOCK = (16, 8)


def rewritten(folder: Path, name: str, said: Any, arrays: Mapping[str, np.ndarray], **fields: Any) -> Path:
    """A checkpoint of a case with other arrays and a `quantization_config`."""
    case = golden.cases()[name]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**case.config, **fields, "quantization_config": said}))
    safetensors.numpy.save_file(dict(arrays), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def in_blocks(array: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A matrix in 8 bits, its scales, and what both stand for."""
    rows, columns = (-(-size // of) for size, of in zip(array.shape, BLOCK, strict=True))
    scales = np.random.RandomState(array.size).random_sample((rows, columns)).astype(np.float32) + 0.5
    wide = np.repeat(np.repeat(scales, BLOCK[0], 0), BLOCK[1], 1)[: array.shape[0], : array.shape[1]]
    small = (array / wide).astype(ml_dtypes.float8_e4m3fn)
    return small, scales, small.astype(np.float32) * wide


def test_deepseeks_own_files(tmp_path: Path) -> None:
    """8 bits in blocks, and a layer behind the last that guesses further tokens."""
    name = "DeepseekV3ForCausalLM"
    small, plain = {}, {}
    for key, array in golden.cases()[name].written().items():
        plain[key] = array
        if array.ndim == 2 and "layers" in key and "mlp.gate" not in key:
            small[key], small[f"{key}_scale_inv"], plain[key] = in_blocks(array)
        else:
            small[key] = array
    small |= {"model.layers.2.eh_proj.weight": np.ones((3, 3), np.float32)}
    said = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": list(BLOCK)}
    theirs = rewritten(tmp_path / "small", name, said, small, num_nextn_predict_layers=1)
    ours = rewritten(tmp_path / "plain", name, None, plain)
    model, report = AutoModelForCausalLM.from_pretrained(theirs, output_loading_info=True)
    assert not any(report.values()), report
    expected = AutoModelForCausalLM.from_pretrained(ours)
    jax.tree.map(np.testing.assert_array_equal, model.params, expected.params)
    half = AutoModelForCausalLM.from_pretrained(theirs, dtype="auto")
    router = half.params["layers"][1]["router"]
    assert (router["correction"].dtype, router["weight"].dtype) == (np.float32, ml_dtypes.bfloat16)
    assert {x.dtype for x in jax.tree.leaves(half.params)} == {np.dtype(np.float32), np.dtype(ml_dtypes.bfloat16)}

    half.save_pretrained(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["dtype"] == "bfloat16"
    stored = safetensors.numpy.load_file(tmp_path / "saved" / "model.safetensors")
    assert stored.keys() == plain.keys()
    assert stored["model.layers.1.mlp.gate.e_score_correction_bias"].dtype == np.float32


def test_openais_own_files(tmp_path: Path) -> None:
    """Experts in 4 bits."""
    name = "GptOssForCausalLM"
    plain = golden.cases()[name].written()
    config = {"hidden_size": 64, "intermediate_size": 32}
    draw = np.random.RandomState(0)
    small: dict[str, np.ndarray] = {}
    for key, array in plain.items():
        wider = {32: 64, 24: 32, 48: 64} if ".experts." in key else {32: 64}
        shape = tuple(wider.get(size, size) for size in array.shape)
        if key.endswith(("gate_up_proj", "down_proj")):
            count, inputs, outputs = shape
            small[f"{key}_blocks"] = draw.randint(0, 256, (count, outputs, inputs // 32, 16)).astype(np.uint8)
            small[f"{key}_scales"] = draw.randint(122, 126, (count, outputs, inputs // 32)).astype(np.uint8)
        else:
            small[key] = draw.standard_normal(shape).astype(ml_dtypes.bfloat16)
    said = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}
    folder = rewritten(tmp_path / "small", name, said, small, **config)
    model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    weight = model.params["layers"][0]["experts"]["gate_up"]["weight"]
    assert weight.shape == (3, 64, 64)
    first = small["model.layers.0.mlp.experts.gate_up_proj_blocks"][0, 0, 0, 0]
    power = 2.0 ** (int(small["model.layers.0.mlp.experts.gate_up_proj_scales"][0, 0, 0]) - 127)
    fours = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
    assert float(weight[0, 0, 0]) == (-1 if first & 8 else 1) * fours[first & 7] * power
    model.save_pretrained(tmp_path / "saved")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    jax.tree.map(np.testing.assert_array_equal, again.params, model.params)
    ids = np.arange(8)[None] + 5
    np.testing.assert_array_equal(model(ids).logits, again(ids).logits)


@pytest.mark.parametrize(
    ("said", "method"),
    [
        ({"quant_method": "awq", "bits": 4}, "'awq'"),
        ({"quant_method": "gptq", "bits": 4}, "'gptq'"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "'bitsandbytes'"),
        ({"quant_method": "compressed-tensors"}, "'compressed-tensors'"),
        ({"bits": 4}, "None"),
        ("fp8", "'fp8'"),
        ({"quant_method": ["fp8"]}, r"\['fp8'\]"),
    ],
)
def test_other_ways_are_refused_by_name(said: Any, method: str) -> None:
    fields = {**golden.cases()["LlamaForCausalLM"].config, "quantization_config": said}
    with pytest.raises(ValueError, match=f"quantised by {method} .*; read are fp8 and mxfp4. Load the checkpoint"):
        AutoConfig.from_dict(fields)


def test_parts_of_an_expert_that_are_absent_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    case = golden.cases()["MixtralForCausalLM"]
    arrays = case.written()
    lost = "model.layers.0.block_sparse_moe.experts.1.w3.weight"
    del arrays[lost]
    _, report = jaxformers.MixtralForCausalLM.from_pretrained(case.write(tmp_path, arrays), output_loading_info=True)
    assert (report["missing_keys"], report["unexpected_keys"]) == ([lost], [])
    assert lost in caplog.text
