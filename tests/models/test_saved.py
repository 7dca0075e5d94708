"""What torch Transformers 4.57 and 5.24 save of one model is one model here, in whichever words each says it.

What they save was recorded (`record_saved.py`); no torch is needed here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax
import numpy as np
import pytest
import safetensors.numpy

import jaxformers
from jaxformers import auto

from . import golden, saved
from .architectures import ARCHITECTURES
from .registry import LIMIT, faults, heavy, one_by_one
from .saved import Saved, Version

OLDER, NEWER = (saved.version(name) for name in saved.VERSIONS)
BOTH = pytest.mark.parametrize("version", [OLDER, NEWER], ids=saved.VERSIONS)
ODD = [name for name in NEWER.cases if name.endswith("-odd")]
CASES = golden.cases()
MOVED = ("CohereModel", "CohereModel-normed", "GptOssModel-whole", "PersimmonModel", "PersimmonModel-plain")
"""Cases without words for a rotation whose default is another one in 5.24."""


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    """Products of float32 as float32, whatever the device's default."""
    with jax.default_matmul_precision("highest"):
        yield


def loaded(case: Saved, folder: Path, own: Mapping[str, np.ndarray] = MappingProxyType({})) -> Any:
    """The model in a checkpoint as the version wrote it: all of it is there, and all of it has a place."""
    (folder / "config.json").write_text(json.dumps(case.config))
    weights = case.weights(ARCHITECTURES[case.model_type].factor)
    weights |= {name: own[name] for name in weights.keys() & own.keys()}
    safetensors.numpy.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    model, report = getattr(jaxformers, case.cls).from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return model


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_every_architecture_was_recorded():
    versions = [version.transformers.rpartition(".")[0] for version in (OLDER, NEWER)]
    assert versions == list(saved.VERSIONS)
    assert NEWER.defaults.keys() == NEWER.words.keys() == ARCHITECTURES.keys()
    alone = {kind for kind, architecture in ARCHITECTURES.items() if architecture.hub} | {"eurobert"}
    assert ARCHITECTURES.keys() - OLDER.defaults.keys() == alone
    table = {name: case for architecture in ARCHITECTURES.values() for name, case in architecture.cases()}
    assert table.keys() - NEWER.cases.keys() == {"NystromformerModel-plain"}, "python -m tests.models.record_saved"
    for version in (OLDER, NEWER):
        odd = {case.model_type: case for name, case in version.cases.items() if name.endswith("-odd")}
        assert odd.keys() == version.defaults.keys()
        assert all(case.numbers for case in odd.values())
        for name, case in version.cases.items():
            if name not in ODD:
                assert case.given == {**ARCHITECTURES[case.model_type].config, **table[name].config}, name
    for name in OLDER.cases.keys() & set(ODD):
        assert OLDER.cases[name].given == NEWER.cases[name].given


# -- config.json ------------------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_defaults_are_read_without_a_word(kind: str, version: Version, caplog: pytest.LogCaptureFixture):
    if kind not in version.defaults:
        pytest.skip("the version does not have it")
    auto.AutoConfig.from_dict(version.defaults[kind])
    assert not warned(caplog)


@BOTH
def test_configs_say_what_was_asked_for(version: Version, caplog: pytest.LogCaptureFixture):
    """Under the words of the older version too, whichever the file has."""
    wrong = {}
    for name, case in version.cases.items():
        config = auto.AutoConfig.from_dict(case.config)
        for field, value in case.given.items():
            said = getattr(config, field, None)
            if not holds(said, value) and (name, field) not in OVERRULED:
                wrong[name, field] = said
    assert not wrong
    assert not warned(caplog)


OVERRULED = {
    ("ModernBertForMaskedLM-odd", "rope_theta"),  # global_rope_theta
    ("XLMWithLMHeadModel-odd", "pad_index"),  # pad_token_id, in the newer version
    ("FlaubertWithLMHeadModel-odd", "pad_index"),
}
"""Fields that stand beside others for the same, which count."""


def holds(said: Any, told: Any) -> bool:
    """Whether a field is as it was asked for: the versions fill in what is None, and add to objects."""
    if isinstance(told, dict):
        return isinstance(said, dict) and all(holds(said.get(name), value) for name, value in told.items())
    return told is None or json.dumps(said) == json.dumps(told) or said == told


@BOTH
def test_each_word_that_a_version_takes_for_another_is_read(version: Version, caplog: pytest.LogCaptureFixture):
    for name in version.cases.keys() & set(ODD):
        case = version.cases[name]
        kind = auto.config_class(case.config["model_type"])
        for word, field in version.words[case.model_type].items():
            if word == "pad_index":  # 4.57 has a padding token beside it
                continue
            others = {key: value for key, value in case.config.items() if key != field}
            other = kind.from_dict({**others, word: case.config[field]})
            assert other.bare() == kind.from_dict(case.config).bare(), (name, word)
    assert not warned(caplog)


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_what_might_change_a_result_is_named(kind: str, caplog: pytest.LogCaptureFixture):
    """A field that the architecture does not know, be it one of another family."""
    others = {"of_tomorrow": 1, "embd_pdrop": 0.5, "rotary_value": True, "true_hidden_size": 3, "moe_top_k": 2}
    cls = auto.config_class(kind)
    strange = sorted(field for field in others if field not in {*cls._hints, *cls.ignores})
    assert len(strange) > 2
    cls.from_dict({"model_type": kind, **others})
    assert warned(caplog) == [f"{cls.__name__}: unknown fields, kept but without effect: {', '.join(strange)}"]


# -- weights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ODD)
def test_both_versions_words_are_one_model(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """That model is torch's."""
    outputs = []
    for version in (OLDER, NEWER):
        if name in version.cases:
            case = version.cases[name]
            model = loaded(case, tmp_path)
            first, *_ = one_by_one(model, **saved.inputs(model.config.vocab_size)).values()
            np.testing.assert_allclose(saved.some(first), case.numbers, atol=1e-4 * np.abs(case.numbers).max())
            outputs.append(first)
    np.testing.assert_allclose(outputs[0], outputs[-1], rtol=0, atol=LIMIT * np.abs(outputs[0]).max())
    assert not warned(caplog)


def other_words() -> list[Any]:
    """Cases that 5.24 saves in other words than those in which they are recorded as golden."""
    found = []
    for kind, architecture in ARCHITECTURES.items():
        for name, case in architecture.cases():
            if architecture.newer or architecture.hub or name in MOVED or name not in NEWER.cases:
                continue
            told, theirs = NEWER.cases[name], CASES[name]
            words = auto.AutoConfig.from_dict(told.config).bare() != auto.AutoConfig.from_dict(theirs.config).bare()
            if told.tensors != shapes(theirs) or (words and (case.variant or case.head == "Model")):
                found.append(pytest.param(name, marks=heavy(kind), id=name))
    return found


def shapes(case: golden.Golden) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, (_, shape) in case.tensors.items() if name not in case.left_out}


@pytest.mark.parametrize("name", other_words())
def test_the_newer_versions_words_give_the_recorded_answers(name: str, tmp_path: Path):
    told, theirs = NEWER.cases[name], CASES[name]
    model = loaded(told, tmp_path, theirs.own)
    call = theirs.calls["plain"]
    assert not faults(one_by_one(model, **call.inputs), call)


@BOTH
def test_every_heads_tensors_have_a_place(version: Version, tmp_path: Path):
    """Names that are not the golden ones, which other suites read, or of a version that has others."""
    for name, case in version.cases.items():
        if name not in ODD and (name not in CASES or case.tensors != shapes(CASES[name])):
            loaded(case, tmp_path)
