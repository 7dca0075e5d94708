"""Every class gives torch's answers on torch's checkpoints, and writes checkpoints as torch does.

The answers were recorded (`record.py`); no torch is needed here. A checkpoint is written from torch's names, never from
our declaration, so a wrong name, shape or tie fails. `pytest tests/models/test_parity.py -n 0 --log-cli-level=INFO`
shows the errors.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy

import jaxformers
from jaxformers import auto, models

from . import golden
from .architectures import ARCHITECTURES

logger = logging.getLogger(__name__)

LIMIT = 2e-5  # of float32 at matrix precision "highest"; measured: 2e-6 at most
CASES = golden.cases()


@pytest.fixture(autouse=True)
def highest() -> Iterator[None]:
    """Products of float32 as float32, whatever the device's default."""
    with jax.default_matmul_precision("highest"):
        yield


def classes() -> dict[str, type[jaxformers.Model]]:
    """Every model class of the files in `jaxformers/models/`."""
    files = [importlib.import_module(f"{models.__name__}.{info.name}") for info in pkgutil.iter_modules(models.__path__)]
    return {
        name: value
        for file in files
        for name, value in vars(file).items()
        if inspect.isclass(value) and issubclass(value, jaxformers.Model) and value.__module__ == file.__name__
    }


def call(model: Any, recorded: golden.Call, **replaced: Any) -> Any:
    if recorded.config:
        model = model.replace(config=model.config.replace(**recorded.config))
    return model(**{**recorded.inputs, **recorded.flags, **replaced})


def faults(model: Any, case: golden.Golden, words: Any = None) -> dict[str, Any]:
    """Where a model's outputs are not torch's: "call: output" → the error, or what else is wrong."""
    found, worst = {}, 0.0
    for word in words or case.calls:
        recorded = case.calls[word]
        out = call(model, recorded)
        if list(out) != list(recorded.outputs):
            found[f"{word}: outputs"] = list(out)
            continue
        for key, theirs in recorded.outputs.items():
            if isinstance(theirs, np.ndarray):
                errors = {"": golden.error(out[key], theirs, recorded.real)}
            elif len(out[key]) != len(theirs):
                errors = {"": len(out[key])}
            elif isinstance(theirs[0], tuple):
                errors = {f".{i}": 0.0 if x.shape == theirs[i] else x.shape for i, x in enumerate(out[key])}
            else:
                errors = {f".{i}": golden.error(x, theirs[i], recorded.real) for i, x in enumerate(out[key])}
            found |= {f"{word}: {key}{i}": e for i, e in errors.items() if e != e or not isinstance(e, float) or e >= LIMIT}
            worst = max([worst, *(e for e in errors.values() if isinstance(e, float))])
    logger.info("%s: %.1e in %d calls", case.name, worst, len(words or case.calls))
    return found


def load(case: golden.Golden, folder: Path, **options: Any) -> tuple[Any, dict[str, Any]]:
    return getattr(jaxformers, case.cls).from_pretrained(folder, output_loading_info=True, **options)


def test_every_class_has_recorded_answers():
    recorded = {(case.model_type, case.name) for case in CASES.values()}
    table = {(type_, name) for type_, architecture in ARCHITECTURES.items() for name, _ in architecture.cases()}
    assert recorded == table, "the table changed: python -m tests.models.record"
    assert not classes().keys() - {case.cls for case in CASES.values()}, "add them to tests/models/architectures.py"
    for type_, architecture in ARCHITECTURES.items():
        for name, case in architecture.cases():
            config = getattr(jaxformers, f"{architecture.prefix}Config")(**{**architecture.config, **case.config})
            assert config.replace(architectures=None) == jaxformers.AutoConfig.for_model(
                type_, **{**CASES[name].config, "architectures": None}
            ).bare().replace(architectures=None), f"the config of {name} changed: python -m tests.models.record"


@pytest.mark.parametrize("name", CASES)
def test_outputs_and_files_are_torchs(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    case = CASES[name]
    folder = case.write(tmp_path / "torch")
    model, report = load(case, folder)
    assert not any(report.values()), report
    assert auto.class_for(model.config, model.task) is type(model)
    assert not [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert not faults(model, case)

    # A row that is nothing but padding harms no other row, and is finite itself.
    plain = case.calls["plain"]
    mask = plain.inputs["attention_mask"].copy()
    mask.reshape(-1, mask.shape[-1])[-1] = 0
    real = mask.reshape(-1, mask.shape[-1]) != 0
    for key, value in call(model, plain, attention_mask=mask).items():
        assert np.isfinite(value).all(), key
        theirs = plain.outputs[key]
        others = slice(None, -1) if theirs.shape[0] == len(real) else (slice(None, -1), ...)
        assert golden.error(value[others], theirs[others], real[others]) < LIMIT, key

    # Saving gives back torch's names, shapes and bytes, and every field of config.json.
    model.save_pretrained(tmp_path / "ours")
    ours, theirs = safetensors.numpy.load_file(tmp_path / "ours" / "model.safetensors"), case.written()
    assert ours.keys() == theirs.keys()
    for key, array in theirs.items():
        assert (ours[key].dtype, ours[key].shape) == (array.dtype, array.shape), key
        assert ours[key].tobytes() == array.tobytes(), key
    fields = json.loads((tmp_path / "ours" / "config.json").read_text())
    lost = {key: value for key, value in case.config.items() if fields.get(key) != value}
    if case.config["id2label"] == {"0": "LABEL_0", "1": "LABEL_1"}:  # what is not said means this
        lost = {key: value for key, value in lost.items() if key not in ("id2label", "label2id")}
    assert not lost
    again, report = load(case, tmp_path / "ours")
    assert not any(report.values())
    assert again.config == model.config
    jax.tree.map(np.testing.assert_array_equal, again.params, model.params)

    # Older files hold tied tensors under each of their names.
    if case.left_out:
        full, report = load(case, case.write(tmp_path / "full", case.arrays()))
        assert not any(report.values())
        jax.tree.map(np.testing.assert_array_equal, full.params, model.params)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if "For" in case.cls])
def test_the_base_model_reads_the_file_of_a_head_and_a_head_reads_the_base_models(name: str, tmp_path: Path):
    case = CASES[name]
    cls = getattr(jaxformers, case.cls)
    config = cls.config_class.from_dict(case.config)
    headed = cls.from_pretrained(case.write(tmp_path / "head"))
    base, report = cls.base.from_pretrained(tmp_path / "head", output_loading_info=True)
    own = [key for key in case.written() if not key.startswith(f"{cls.prefix}.")]
    assert report["unexpected_keys"] == sorted(own)
    assert all("pooler" in key for key in report["missing_keys"]), report
    for key in base.params.keys() & headed.params.keys():
        jax.tree.map(np.testing.assert_array_equal, base.params[key], headed.params[key])

    bare = {key.removeprefix(f"{cls.prefix}."): a for key, a in case.written().items() if key not in own}
    again, report = cls.from_pretrained(case.write(tmp_path / "base", bare), output_loading_info=True)
    assert sorted(report["missing_keys"]) == sorted(own)
    assert not report["unexpected_keys"]
    assert again.config == config
    for key in base.params.keys() & headed.params.keys():
        jax.tree.map(np.testing.assert_array_equal, again.params[key], headed.params[key])


def mutations(arrays: dict[str, np.ndarray]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Checkpoints that are wrong in one tensor: its name, or its values."""
    for name, array in arrays.items():
        yield f"{name} renamed", {f"{key}x" if key == name else key: a for key, a in arrays.items()}
        # Adding the same to all keys moves every score of a query alike: attention does not see a key's bias.
        if not name.endswith(("key.bias", "k_lin.bias")):
            yield f"{name} changed", arrays | {name: array + np.float32(0.3) * np.abs(array).mean() * np.sign(array)}


@pytest.mark.parametrize("name", [f"{a.prefix}{head}" for a in ARCHITECTURES.values() for head in ("Model", "ForMaskedLM")])
def test_the_suite_fails_for_every_tensor(name: str, tmp_path: Path):
    """One tensor under a wrong name, or a little other: the comparison must notice, for each of them."""
    if name not in CASES:
        pytest.skip("no such head")
    case = CASES[name]
    unnoticed = []
    for what, arrays in mutations(case.written()):
        model, _ = load(case, case.write(tmp_path, arrays))
        if not faults(model, case, ("plain",)):
            unnoticed.append(what)
    assert not unnoticed


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.own])
def test_random_weights_hold_what_torch_computes(name: str, tmp_path: Path):
    case = CASES[name]
    cls = getattr(jaxformers, case.cls)
    cls(cls.config_class.from_dict(case.config)).save_pretrained(tmp_path)
    made = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    for key, array in case.own.items():
        np.testing.assert_allclose(made[key], array, atol=1e-6)
