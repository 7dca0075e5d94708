"""Training arguments against those of torch, recorded by `record_arguments.py`, and what is our own."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import tomllib
from pathlib import Path
from typing import Any

import jax
import pytest

from jaxformers import Seq2SeqTrainingArguments, TrainingArguments
from jaxformers.training import argument_rules

RECORDED = {version: json.loads(Path(__file__).with_name(f"arguments_{version}.json").read_text()) for version in "45"}

# Of torch they are texts, lists, or found out later; report_to is "none", as in 5.x.
OUR_DEFAULTS = {
    "output_dir": "trainer_output",
    "report_to": (),
    "include_num_input_tokens_seen": "no",
    "debug": (),
    "include_for_metrics": (),
    "trackio_space_id": None,
    "disable_tqdm": False,
}


@pytest.mark.parametrize("version", RECORDED)
def test_every_argument_of_torch_is_taken_with_its_default(version: str) -> None:
    args = Seq2SeqTrainingArguments()
    for name, default in RECORDED[version]["fields"].items():
        Seq2SeqTrainingArguments(**{name: default})
        if name not in argument_rules.OLD_NAMES and name != "logging_dir":
            assert getattr(args, name) == OUR_DEFAULTS.get(name, default), name
    for name in argument_rules.OLD_NAMES:
        assert getattr(args, name) == getattr(args, argument_rules.OLD_NAMES[name].name) or getattr(args, name) is False


@pytest.mark.parametrize("version", RECORDED)
def test_what_follows_from_settings_is_torchs(version: str) -> None:
    for settings, expected in RECORDED[version]["cases"]:
        if _is_of_another_version(settings, version):
            continue
        if isinstance(expected, str):
            with pytest.raises((ValueError, TypeError)):
                TrainingArguments("out", **settings)
            continue
        args = TrainingArguments("out", **settings)
        found = args.to_dict() | {"warmup": [args.get_warmup_steps(total) for total in (7, 100)]}
        assert {name: found[name] for name in expected} == expected, settings


def _is_of_another_version(settings: dict[str, Any], version: str) -> bool:
    """Whether the other version's names or values are meant, all of which we take."""
    other = RECORDED["4" if version == "5" else "5"]["fields"].keys() - RECORDED[version]["fields"].keys()
    return bool(settings.keys() & other) or (version == "4" and settings == {"warmup_steps": 0.1})


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"learning_rat": 1}, TypeError, "did you mean 'learning_rate'"),
        ({"evaluation_strateg": "no"}, TypeError, "did you mean 'evaluation_strategy'"),
        ({"predict_with_generate": True}, TypeError, "Seq2SeqTrainingArguments has"),
        ({"learning_rate": "1e-4"}, ValueError, "learning_rate='1e-4': expected a number"),
        ({"learning_rate": -1.0}, ValueError, "0 or more"),
        ({"learning_rate": float("nan")}, ValueError, "finite"),
        ({"per_device_train_batch_size": 0}, ValueError, "from 1"),
        ({"gradient_accumulation_steps": 1.5}, ValueError, "whole number"),
        ({"save_steps": -5}, ValueError, "0 or more"),
        ({"save_steps": 0}, ValueError, "save_steps above 0"),
        ({"adam_beta1": 1.0}, ValueError, "below 1"),
        ({"label_smoothing_factor": 1.0}, ValueError, "below 1"),
        ({"max_steps": -2}, ValueError, "max_steps=-2"),
        ({"bf16": "yes"}, ValueError, "True or False"),
        ({"fp16": True}, ValueError, "bf16=True"),
        ({"fsdp": "full_shard auto_wrap"}, ValueError, "mesh="),
        ({"deepspeed": "ds.json"}, ValueError, "mesh="),
        ({"neftune_noise_alpha": 5.0}, ValueError, "dropout"),
        ({"eval_do_concat_batches": False}, ValueError, "one array"),
        ({"save_safetensors": False}, ValueError, "safetensors"),
        ({"accelerator_config": {"split_batches": True}}, ValueError, "split_batches"),
        ({"remat": "some"}, ValueError, "dots_saveable"),
        ({"gradient_checkpointing": 3}, ValueError, "remat=3"),
        ({"mesh": {"dp": 4096}}, ValueError, "devices"),
        ({"mesh": 8}, ValueError, "sizes of its axes"),
        ({"mesh": "rows=1"}, ValueError, "expected axes among data, fsdp, tensor"),
        ({"nonfinite": "hide"}, ValueError, "'stop', 'skip', 'ignore'"),
        ({"optim": "adamw_8bit"}, ValueError, "adamw_torch"),
        ({"optim_args": "momentum"}, ValueError, "momentum=0.9"),
        ({"lr_scheduler_kwargs": "{min_lr"}, ValueError, "JSON"),
        ({"report_to": "mlflow"}, ValueError, "TrainerCallback"),
        ({"save_strategy": "best"}, ValueError, "eval_strategy"),
        ({"group_by_length": True, "train_sampling_strategy": "random"}, ValueError, "two names for one"),
        ({"adafactor": "yes"}, ValueError, "adafactor='yes'"),
        ({"output_dir": 3}, ValueError, "a path"),
        ({"output_dir": ""}, ValueError, "a path"),
        ({"seed": -1}, ValueError, "from 0"),
        ({"include_for_metrics": "inputs"}, ValueError, "a list of 'inputs'"),
    ],
)
def test_errors_say_what_to_do(settings: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=f"(?s).*{said}"):
        TrainingArguments(**settings)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"evaluation_strategy": "epoch"}, {"eval_strategy": "epoch"}),
        ({"no_cuda": True}, {"use_cpu": True}),
        ({"per_gpu_train_batch_size": 3}, {"per_device_train_batch_size": 3}),
        ({"gradient_checkpointing": True}, {"remat": True}),
        ({"activation_checkpointing": True}, {"remat": True}),
        ({"group_by_length": True}, {"train_sampling_strategy": "group_by_length"}),
        ({"adafactor": True}, {"optim": "adafactor"}),
        ({"include_inputs_for_metrics": True}, {"include_for_metrics": ["inputs"]}),
        ({"push_to_hub_model_id": "me/it"}, {"hub_model_id": "me/it"}),
    ],
)
def test_older_names_are_the_same_argument(old: dict[str, Any], new: dict[str, Any]) -> None:
    made = TrainingArguments(**old)
    for name, value in new.items():
        assert made.to_dict()[name] == value
    for name, value in old.items():
        assert getattr(made, name) == getattr(TrainingArguments(**new), name) == value


def test_an_organization_owns_what_is_named_after_the_folder() -> None:
    assert TrainingArguments("runs/it", push_to_hub_organization="we").hub_model_id == "we/it"
    assert TrainingArguments("runs/it", push_to_hub_organization="we", hub_model_id="me/x").hub_model_id == "me/x"


def test_arguments_are_values() -> None:
    args = TrainingArguments("out", learning_rate=1e-4, load_best_model_at_end=True, eval_strategy="steps")
    with pytest.raises(AttributeError, match=r"args\.replace\(learning_rate="):
        args.learning_rate = 1.0
    other = args.replace(metric_for_best_model="accuracy")
    assert (args.greater_is_better, other.greater_is_better) == (False, True)
    assert args.replace(gradient_checkpointing=True).remat is True
    assert other.learning_rate == 1e-4
    assert args == TrainingArguments("out", learning_rate=1e-4, load_best_model_at_end=True, eval_strategy="steps")
    assert args != other
    for twin in (pickle.loads(pickle.dumps(args)), copy.deepcopy(args), dataclasses.replace(args)):
        assert twin == args
    with pytest.raises(TypeError, match="'output_dir' twice"):
        TrainingArguments("out", output_dir="other")


def test_arguments_are_made_of_a_file() -> None:
    text = """
    output_dir = "runs/a"
    learning_rate = 2e-5
    warmup_steps = 0.1
    label_names = ["labels", "start"]
    optim_args = {momentum = 0.9}
    mesh = {dp = 1}
    """
    args = TrainingArguments.from_mapping(tomllib.loads(text), seed=7)
    assert (args.learning_rate, args.seed, args.label_names) == (2e-5, 7, ("labels", "start"))
    assert args.mesh is not None
    assert dict(args.mesh.shape) == {"dp": 1}
    again = TrainingArguments.from_mapping(json.loads(args.replace(hub_token="secret").to_json_string()))
    assert again == args


def test_none_is_the_default_but_where_it_means_none() -> None:
    args = TrainingArguments(None, learning_rate=None, max_grad_norm=None, group_by_length=None)
    assert (args.output_dir, args.learning_rate, args.max_grad_norm) == ("trainer_output", 5e-5, None)
    assert TrainingArguments(seed=2**32 - 1).max_grad_norm == 1.0


def test_texts_are_read_as_options() -> None:
    args = TrainingArguments(optim="sgd", optim_args="momentum=0.9, nesterov=True, name=x,count=3")
    assert args.optim_args == {"momentum": 0.9, "nesterov": True, "name": "x", "count": 3}
    assert TrainingArguments(lr_scheduler_kwargs='{"num_cycles": 2}').lr_scheduler_kwargs == {"num_cycles": 2}
    assert TrainingArguments(report_to="all").report_to == ("all",)
    assert TrainingArguments(report_to=["none"]).report_to == ()


def test_tokens_of_the_hub_are_told_to_nobody() -> None:
    args = TrainingArguments("out", push_to_hub_token="hf_secret")
    assert args.hub_token == "hf_secret"
    assert "hf_secret" not in f"{args}{args!r}{args.to_dict()}{args.to_json_string()}{args.to_sanitized_dict()}"


def test_one_line_names_what_does_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="jaxformers"):
        TrainingArguments("out")
        assert not caplog.records
        TrainingArguments("out", tf32=True, ddp_backend="nccl", torch_compile=True)
    assert len(caplog.records) == 1
    assert "ddp_backend, tf32, torch_compile" in caplog.text


def test_sizes_and_shares() -> None:
    args = TrainingArguments("out", per_device_train_batch_size=4, save_steps=0.34, mesh={"tp": 1})
    assert (args.train_batch_size, args.eval_batch_size, args.n_gpu) == (4, 8, 1)
    assert (args.steps_of("save_steps", 30), args.steps_of("logging_steps", 30)) == (11, 500)
    with pytest.raises(ValueError, match="eval_steps is not set"):
        args.steps_of("eval_steps", 30)
    assert (args.world_size, args.process_index, args.should_log, args.should_save) == (1, 0, True, True)
    assert args.device == jax.devices()[0]
    assert TrainingArguments(log_level="error").get_process_log_level() == logging.ERROR
    with args.main_process_first(desc="nothing"):
        pass
    assert args.to_sanitized_dict()["train_batch_size"] == 4
    assert args.to_sanitized_dict()["label_names"] == "None"


def test_what_is_not_finite_stops_unless_asked() -> None:
    assert TrainingArguments().nonfinite == "stop"
    assert [TrainingArguments(nonfinite=name).skip_nonfinite for name in ("skip", "ignore")] == [True, False]


def test_arguments_of_pairs_have_all_others() -> None:
    args = Seq2SeqTrainingArguments("out", predict_with_generate=True, generation_max_length=20, learning_rate=1e-3)
    assert (args.predict_with_generate, args.generation_num_beams, args.learning_rate) == (True, None, 1e-3)
    assert args.replace(generation_num_beams=2).generation_max_length == 20
