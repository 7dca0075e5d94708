"""Where rows end: at the last place of a table of positions, and nowhere else; as recorded by `record_ends.py`."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jaxformers
from jaxformers import batch, config
from jaxformers.layers.inputs import Inputs
from tests.generation import toys

from .architectures import ARCHITECTURES, variants

RECORDED = json.loads((Path(__file__).parent / "ends.json").read_text())
MORE = 40
ONLY_THERE = {"mpt", "mpt clipped", "nystromformer landmarks"}
"""Torch fails where its table of penalties ends, and where a row is no multiple of its segments: ours is computed."""


def toy(kind: str, fields: dict[str, Any]) -> tuple[Any, Any]:
    architecture = ARCHITECTURES[kind]
    cls = getattr(jaxformers, architecture.named("Model"))
    return cls, cls.config_class(**fields)


@pytest.fixture
def unsaid(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log, of a process that has not warned yet."""
    config.say_once.cache_clear()
    caplog.set_level(logging.WARNING)
    return caplog


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_rows_end_where_torchs_do(kind: str, unsaid: pytest.LogCaptureFixture) -> None:
    """At the same number of tokens, and with an error before anything runs; where torch's run on, ours do."""
    for name, fields in variants(ARCHITECTURES[kind]).items():
        case = f"{kind} {name}".strip()
        cls, c = toy(kind, fields)
        for version in RECORDED:
            if case in RECORDED[version] and case not in ONLY_THERE:
                assert c.longest_row == RECORDED[version][case], f"{case} in {version}"
        ids = lambda length: Inputs(ids=np.full((1, length), 5, np.int32))  # noqa: E731
        if c.longest_row is None:
            batch.check(cls, c, ids((c.promised_row or 0) + MORE), {})
        else:
            batch.check(cls, c, ids(c.longest_row), {})
            with pytest.raises(ValueError, match=f"{c.longest_row + 1} tokens in a row, the model has"):
                batch.check(cls, c, ids(c.longest_row + 1), {})


QWEN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


@pytest.mark.parametrize(
    ("config", "promised"),
    [
        (jaxformers.Qwen2Config(rope_scaling=QWEN, max_position_embeddings=32768), 131072),
        (jaxformers.Qwen2Config(rope_scaling=QWEN, max_position_embeddings=131072), 131072),
        (jaxformers.LlamaConfig(rope_scaling={"type": "linear", "factor": 4.0}, max_position_embeddings=4096), 16384),
        (jaxformers.LlamaConfig(rope_scaling={"type": "dynamic", "factor": 2.0}, max_position_embeddings=2048), 4096),
        (
            jaxformers.Gemma3TextConfig(
                rope_parameters={
                    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
                },
                max_position_embeddings=4096,
            ),
            32768,
        ),
        (jaxformers.MistralConfig(), 131072),
        (jaxformers.XGLMConfig(), 2048),
        (jaxformers.FalconConfig(alibi=True), None),
        (jaxformers.BloomConfig(), None),
    ],
)
def test_what_a_config_promises(config: Any, promised: int | None) -> None:
    """The factor of a rotation times the rows of training, or what the config says where that is more."""
    assert config.longest_row is None
    assert config.promised_row == promised


@pytest.mark.parametrize(
    ("kind", "head"), [("llama", "ForCausalLM"), ("gpt_neox", "ForCausalLM"), ("modernbert", "Model"), ("new", "Model")]
)
def test_longer_rows_than_promised_are_computed_with_one_warning(
    kind: str, head: str, unsaid: pytest.LogCaptureFixture
) -> None:
    """They are those of a config that promises more."""
    architecture = ARCHITECTURES[kind]
    cls = getattr(jaxformers, architecture.named(head))
    model = cls(cls.config_class(**architecture.config))
    wide = cls(model.config.replace(max_position_embeddings=1000), params=model.params)
    ids = np.arange(5, 45)[None]
    found = [m(ids)[0] for m in (model, model, wide)]
    np.testing.assert_array_equal(found[0], found[2])
    places = np.arange(60, 100)[None]
    np.testing.assert_array_equal(model(ids, position_ids=places)[0], wide(ids, position_ids=places)[0])
    with pytest.raises(ValueError, match=r"position_ids.* is -1"):
        model(ids, position_ids=-np.ones_like(ids))
    said = [record.message for record in unsaid.records if "promises" in record.message]
    assert len(said) == 1
    assert f"more than {model.config.promised_row} tokens" in said[0]


def test_tables_of_positions_bound_places_that_are_given() -> None:
    cls, c = toy("roberta", dict(ARCHITECTURES["roberta"].config))
    ids = np.full((1, 3), 5, np.int32)
    last = c.max_position_embeddings - 1
    batch.check(cls, c, Inputs(ids=ids, positions=np.full_like(ids, last)), {})
    with pytest.raises(ValueError, match=f"position_ids.* is {last + 1}, allowed are 0 to {last}"):
        batch.check(cls, c, Inputs(ids=ids, positions=np.full_like(ids, last + 1)), {})


def test_a_length_that_is_said_is_written(unsaid: pytest.LogCaptureFixture) -> None:
    """Past what is promised, with one warning; what nobody says ends there."""
    model = toys.model(max_position_embeddings=12)
    (prompt,) = toys.prompts(5)
    assert model.generate([prompt], max_new_tokens=7).shape == (1, 12)
    assert not unsaid.records
    written = model.generate([prompt], max_new_tokens=20, do_sample=False)
    assert written[0, 5:].tolist() == toys.greedy(model, prompt, 20)
    assert model.generate([[*prompt] * 4], max_length=30).shape == (1, 30)
    pure = jaxformers.generate(model.params, model, np.array([prompt]), max_new_tokens=20, do_sample=False)
    np.testing.assert_array_equal(pure, written)
    assert [record.message.split(" tokens")[0][-2:] for record in unsaid.records] == ["12"]
    cache = model.init_cache(1, 40)
    out = model(written, past_key_values=cache)
    assert model(np.array([[7]]), past_key_values=out.past_key_values).past_key_values.length.tolist() == [26]
