"""GenerationConfig: torch's names and defaults, whose word counts first, and what does not go together."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

import jaxformers
from jaxformers import GenerationConfig, generation
from jaxformers.generation.config import SETTINGS

from . import toys

DEFAULTS = json.loads((Path(__file__).parent / "defaults.json").read_text())


def test_names_and_defaults_are_torchs():
    ours = GenerationConfig().to_dict()
    for name, value in DEFAULTS.items():
        if not name.startswith("_"):
            assert name in SETTINGS, name
            assert ours.get(name) == value, name


def test_what_a_file_has_wrong_is_said_with_its_name(tmp_path: Path):
    (tmp_path / "generation_config.json").write_text('{"temperature": "hot"}')
    with pytest.raises(ValueError, match=r"generation_config\.json of .*: temperature='hot'"):
        GenerationConfig.from_pretrained(tmp_path)


def test_files_go_both_ways_and_keep_what_is_not_known(tmp_path: Path):
    fields = {"do_sample": True, "temperature": 0.6, "eos_token_id": [1, 2], "transformers_version": "4.57.6", "own": 3}
    (tmp_path / "generation_config.json").write_text(json.dumps(fields))
    config = GenerationConfig.from_pretrained(tmp_path)
    assert (config.temperature, config.eos, config.own) == (0.6, (1, 2), 3)
    config.replace(top_k=7).save_pretrained(tmp_path / "again")
    again = GenerationConfig.from_pretrained(tmp_path / "again")
    assert (again.temperature, again.top_k, again.own) == (0.6, 7, 3)
    with pytest.raises(AttributeError, match="frozen"):
        config.top_k = 3


def test_whose_word_counts_first():
    model = GenerationConfig(temperature=0.5, top_k=9, do_sample=True)
    merged = generation.merged(model, GenerationConfig(top_k=3, temperature=0.2), {"temperature": 0.9})
    assert (merged.temperature, merged.top_k, merged.do_sample) == (0.9, 3, True)
    assert merged.top_p == 1.0


def test_a_models_own_config_is_read_and_saved(tmp_path: Path):
    model = toys.model().replace(generation_config=GenerationConfig(max_new_tokens=3, pad_token_id=0))
    model.save_pretrained(tmp_path)
    again = jaxformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert again.generation_config.max_new_tokens == 3
    assert again.generate([[5, 6]]).shape == (1, 5)
    (tmp_path / "generation_config.json").unlink()
    legacy = json.loads((tmp_path / "config.json").read_text()) | {"max_length": 7, "eos_token_id": 4}
    (tmp_path / "config.json").write_text(json.dumps(legacy))
    older = jaxformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert (older.generation_config.max_length, older.generation_config.eos) == (7, (4,))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"temperature": 0.0, "do_sample": True}, "do_sample=False"),
        ({"temperature": -1.0, "do_sample": True}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"top_k": -1, "do_sample": True}, "top_k"),
        ({"top_k": 1.5}, "top_k"),
        ({"top_p": -0.1, "do_sample": True}, "top_p"),
        ({"min_p": 1.5, "do_sample": True}, "min_p"),
        ({"repetition_penalty": 0.0}, "repetition_penalty"),
        ({"repetition_penalty": float("inf")}, "repetition_penalty"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"num_beams": 0}, "num_beams"),
        ({"early_stopping": "sometimes", "num_beams": 2}, "early_stopping"),
        ({"num_return_sequences": 3}, "num_return_sequences"),
        ({"bad_words_ids": []}, "bad_words_ids"),
        ({"bad_words_ids": [[]]}, "bad_words_ids"),
        ({"sequence_bias": {}}, "sequence_bias"),
        ({"eos_token_id": "end"}, "eos_token_id"),
        ({"exponential_decay_length_penalty": (1,)}, "exponential_decay_length_penalty"),
        ({"constraints": [1]}, "constrained"),
        ({"dola_layers": "low"}, "DoLa"),
        ({"watermarking_config": {"bias": 2.0}}, "watermarking"),
        ({"token_healing": True}, "token healing"),
    ],
)
def test_impossible_values_are_named(settings: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        generation.merged(GenerationConfig(), None, settings)


def test_an_unknown_option_names_the_nearest():
    with pytest.raises(ValueError, match="max_new_tokens"):
        generation.merged(GenerationConfig(), None, {"max_new_token": 3})


def test_what_has_no_effect_is_said_once_and_not_saved(caplog: pytest.LogCaptureFixture, tmp_path: Path):
    with caplog.at_level(logging.WARNING):
        generation.merged(GenerationConfig(), None, {"temperature": 0.7, "top_p": 0.9, "early_stopping": True})
    assert len(caplog.records) == 1
    for name in ("temperature", "top_p", "early_stopping"):
        assert name in caplog.text
    with pytest.raises(ValueError, match="temperature"):
        GenerationConfig(temperature=0.7).save_pretrained(tmp_path)
    assert not list(tmp_path.iterdir())


def test_whole_numbers_are_numbers():
    merged = generation.merged(GenerationConfig(), None, {"do_sample": True, "temperature": 2, "repetition_penalty": 2})
    assert (merged.temperature, merged.repetition_penalty) == (2.0, 2.0)


def test_a_length_that_is_said_is_kept(tmp_path: Path):
    """20 is also the default, which is no length in all but of what is new."""
    model, row = toys.model(), [[5, 6, 7]]
    said, unsaid = GenerationConfig(max_length=20), GenerationConfig()
    assert (said.max_length, unsaid.max_length) == (20, 20)
    assert said != unsaid
    assert unsaid == GenerationConfig(max_length=None)
    assert (said.has_length, unsaid.has_length, said.replace(max_length=None).has_length) == (True, False, False)
    assert model.generate(row).shape == model.generate(row, unsaid).shape == (1, 23)
    assert model.generate(row, said).shape == model.replace(generation_config=said).generate(row).shape == (1, 20)
    assert generation.merged(said, unsaid, {"do_sample": True}).has_length
    said.save_pretrained(tmp_path / "said")
    unsaid.save_pretrained(tmp_path / "unsaid")
    files = [(tmp_path / name / "generation_config.json").read_text() for name in ("said", "unsaid")]
    assert files[0] == files[1]
    (tmp_path / "generation_config.json").write_text('{"max_length": 20}')  # as libraries write it of every model
    assert not GenerationConfig.from_pretrained(tmp_path).has_length
    assert not GenerationConfig.from_model_config({"max_length": 20, "decoder": {"max_length": 20}}).has_length
