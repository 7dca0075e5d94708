"""Every class gives torch's answers on torch's checkpoints, and writes checkpoints as torch does.

The answers were recorded (`record.py`); no torch is needed here. A checkpoint is written from torch's names, never from
our declaration, so a wrong name, shape or tie fails. `pytest tests/models/test_parity.py -n 0 --log-cli-level=INFO`
shows the errors.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy

import jaxformers
from jaxformers import auto
from jaxformers.layers.attention import prepare

from . import golden, seq2seq, seq2seq_further
from .architectures import ARCHITECTURES
from .registry import LIMIT, classes, each, faults, load, worst

logger = logging.getLogger(__name__)

CASES = golden.cases()


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Products of float32 as float32, whatever the device's default; and nothing compiled as a whole."""
    with jax.default_matmul_precision("highest"), jax.disable_jit():
        yield


def answers(model: Any, call: golden.Call) -> Any:
    if call.config:
        model = model.replace(config=model.config.replace(**call.config))
    return model(**call.inputs, **call.flags)


def test_every_class_has_recorded_answers():
    known = {case.cls for case in (*CASES.values(), *seq2seq.CASES, *seq2seq_further.CASES)}
    assert not classes().keys() - known, "add them to tests/models/architectures.py, or seq2seq.py beside it"
    table = {
        name: (kind, architecture, case)
        for kind, architecture in ARCHITECTURES.items()
        for name, case in architecture.cases()
    }
    assert table.keys() == CASES.keys(), "the table changed: python -m tests.models.record"
    for name, (kind, architecture, case) in table.items():
        fields = {**architecture.config, **case.config, "model_type": kind}
        assert fields.pop("num_labels", 2) == len(CASES[name].config["id2label"])
        if architecture.hub:
            fields = {architecture.hub.fields.get(field, field): value for field, value in fields.items()}
        changed = [field for field, value in fields.items() if not holds(CASES[name].config.get(field), value)]
        assert not changed, f"{changed} of the table changed: python -m tests.models.record {kind}"


def holds(recorded: Any, told: Any) -> bool:
    """Whether a field is as the table tells it; torch fills in what is None, and adds to objects."""
    if isinstance(told, dict):
        return isinstance(recorded, dict) and all(holds(recorded.get(name), value) for name, value in told.items())
    return told is None or recorded == (list(told) if isinstance(told, tuple) else told)


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_torchs(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    case = CASES[name]
    model, report = load(case, case.write(tmp_path))
    assert not any(report.values()), report
    assert auto.class_for(model.config, model.task) is type(model)
    assert not [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    outputs = {word: answers(model, call) for word, call in case.calls.items()}
    assert not {word: wrong for word, out in outputs.items() if (wrong := faults(out, case.calls[word]))}
    logger.info("%s: %.1e", name, max(worst(out, case.calls[word]) for word, out in outputs.items()))

    # A row that is nothing but padding harms no other row, and is finite itself; nor do params prepared for pipelines.
    plain = case.calls["plain"]
    if "attention_mask" not in model.accepts or not dict(ARCHITECTURES[case.model_type].cases())[name].apart:
        return
    mask = plain.inputs["attention_mask"].copy()
    mask.reshape(-1, mask.shape[-1])[-1] = 0
    prepared = jax.jit(lambda params, batch: model.apply(params, **batch))
    params = prepare(model.params, model.laid_out)
    for key, value in prepared(params, {**plain.inputs, "attention_mask": mask}).items():
        assert np.isfinite(value).all(), key
        if value.ndim:
            np.testing.assert_allclose(value[:-1], outputs["plain"][key][:-1], rtol=0, atol=LIMIT * abs(value).max())
        rows = mask.any(-1).all(tuple(range(1, mask.ndim - 1)))
        real = mask[rows].reshape(-1, mask.shape[-1]) != 0
        assert golden.error(value[rows], plain.outputs[key][rows], real) < LIMIT, key


@pytest.mark.parametrize("name", CASES)
def test_files_are_torchs(name: str, tmp_path: Path):
    """Saving gives back torch's names, shapes and bytes, and every field of config.json."""
    case = CASES[name]
    model, _ = load(case, case.write(tmp_path / "torch"))
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
    assert again.config == model.config.replace(architectures=again.config.architectures, dtype=again.config.dtype)
    jax.tree.map(np.testing.assert_array_equal, again.params, model.params)

    # Older files hold tied tensors under each of their names.
    full, report = load(case, case.write(tmp_path / "full", case.arrays()))
    assert not any(report.values())
    jax.tree.map(np.testing.assert_array_equal, full.params, model.params)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.cls.endswith(("Model", "Encoder"))])
def test_a_base_model_reads_the_file_of_a_head_and_the_reverse(name: str, tmp_path: Path):
    case = CASES[name]
    cls = getattr(jaxformers, case.cls)
    headed, _ = load(case, case.write(tmp_path / "head"))
    both = {"is_decoder": False} if case.config.get("is_decoder") else {}  # an encoder reads in both directions
    base, report = cls.base.from_pretrained(tmp_path / "head", output_loading_info=True, **both)
    pooler = () if "pooler" in base.params else (f"{cls.prefix}.pooler.",)  # which some have with a head alone
    own = sorted(key for key in case.written() if not key.startswith(f"{cls.prefix}.") or key.startswith(pooler))
    assert report["unexpected_keys"] == own
    assert all("pooler" in key for key in report["missing_keys"]), report
    shared = base.params.keys() & headed.params.keys()
    assert "layers" in shared
    for key in shared:
        jax.tree.map(np.testing.assert_array_equal, base.params[key], headed.params[key])

    bare = {key.removeprefix(f"{cls.prefix}."): array for key, array in case.written().items() if key not in own}
    again, report = load(case, case.write(tmp_path / "base", bare))
    assert sorted(report["missing_keys"]) == own
    assert not report["unexpected_keys"]
    for key in shared:
        jax.tree.map(np.testing.assert_array_equal, again.params[key], headed.params[key])


@pytest.mark.parametrize("kind", each())
def test_the_suite_fails_for_every_tensor(kind: str, tmp_path: Path):
    """A tensor on which the comparison did not depend could be loaded wrongly without a word."""
    seen: set[str] = set()
    unnoticed = []
    for name, about in ARCHITECTURES[kind].cases():
        case = CASES[name]
        arrays, plain = case.written(), case.calls["plain"]
        prefix = f"{getattr(jaxformers, case.cls).prefix}."
        new = [] if about.variant else [key for key in arrays if key.removeprefix(prefix) not in seen]
        seen.update(key.removeprefix(prefix) for key in new)
        for part in (new[::2], new[1::2]):
            odd = {f"{key}x" if key in part else key: array for key, array in arrays.items()}
            _, report = load(case, case.write(tmp_path, odd))
            assert sorted(report["missing_keys"]) == sorted(part)
            assert report["unexpected_keys"] == sorted(f"{key}x" for key in part)
        for key in new:
            changed = arrays[key] + np.float32(0.1) * np.roll(arrays[key], 1, -1)
            model, _ = load(case, case.write(tmp_path, arrays | {key: changed}))
            if not faults(answers(model, plain), plain):
                unnoticed.append(key)
    # A key's bias adds the same to all scores of a query, so attention does not depend on it.
    ignored = ("key.bias", "k_lin.bias", ".k.bias", *ARCHITECTURES[kind].idle)
    assert [key for key in unnoticed if not key.endswith(ignored)] == []


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.own])
def test_random_weights_hold_what_torch_computes(name: str, tmp_path: Path):
    case = CASES[name]
    cls = getattr(jaxformers, case.cls)
    cls(cls.config_class.from_dict(case.config)).save_pretrained(tmp_path)
    made = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    for key, array in case.own.items():
        np.testing.assert_allclose(made[key], array, atol=1e-6)
