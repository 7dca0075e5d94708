"""Callbacks, state and control against torch's, recorded by `record_flow.py`."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers import (
    DefaultFlowCallback,
    EarlyStoppingCallback,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from jaxformers.training.callbacks import EVENTS, CallbackHandler
from jaxformers.training.run_state import ExportableState, states_of

from . import flow

RECORDED = json.loads(Path(__file__).with_name("flow.json").read_text())
THEIR_STATE = Path(__file__).with_name("trainer_state.json")


def walked(settings: dict[str, Any], *more: Any) -> list[Any]:
    """What our callbacks do under some settings."""
    args = TrainingArguments("out", **flow.arguments_of(settings))
    stopping = flow.stopping(settings)
    callbacks = [DefaultFlowCallback, *([EarlyStoppingCallback(*stopping)] if stopping else []), *more]
    handler, state = CallbackHandler(callbacks), TrainerState()

    def call(event: str, control: TrainerControl, **kwargs: Any) -> TrainerControl:
        return handler.call_event(event, args, state, control, **kwargs)

    return flow.walk(args, state, TrainerControl(), call)


@pytest.mark.parametrize("name", flow.CASES)
def test_what_happens_at_which_step_is_torchs(name: str) -> None:
    assert walked(flow.CASES[name]) == RECORDED[name]


def test_the_recorded_runs_differ() -> None:
    assert RECORDED.keys() == flow.CASES.keys()
    assert len({json.dumps(told) for told in RECORDED.values()}) > 15


class Stops(TrainerCallback):
    """Ends the epoch at a step, and the run at another, by a control of its own."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """At 4 and 14."""
        return dataclasses.replace(
            control, should_epoch_stop=state.global_step == 4, should_training_stop=state.global_step == 14
        )


def test_a_returned_control_takes_the_place_of_the_other() -> None:
    told = walked({"logging_strategy": "epoch", "save_strategy": "no"}, Stops())
    assert told == [["log", 4], ["log", 14], ["best", None]]


class Wrong(TrainerCallback):
    """Returns what is no control."""

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """A number."""
        return 3


def test_a_handler_calls_all_events_with_what_there_is() -> None:
    seen: dict[str, dict[str, Any]] = {}

    class Sees(TrainerCallback):
        pass

    for event in EVENTS:
        setattr(Sees, event, lambda self, args, state, control, event=event, **kwargs: seen.update({event: kwargs}))
    handler = CallbackHandler([Sees], model="m", processing_class="p", optimizer="o", lr_scheduler="s")
    handler.train_dataloader = [1]
    args, state = TrainingArguments("out"), TrainerState()
    for event in EVENTS:
        handler.call_event(event, args, state, TrainerControl(), metrics={"eval_loss": 1.0}, logs={"loss": 1.0})
    assert seen.keys() == EVENTS
    assert seen["on_log"]["logs"] == {"loss": 1.0}
    named = ("model", "processing_class", "optimizer", "lr_scheduler", "train_dataloader", "eval_dataloader")
    assert [seen["on_step_end"][name] for name in named] == ["m", "p", "o", "s", [1], None]
    with pytest.raises(ValueError, match="on_train_end"):
        handler.call_event("on_everything", args, state, TrainerControl())
    handler.add_callback(Wrong)
    with pytest.raises(TypeError, match=r"Wrong\.on_log returned 3"):
        handler.call_event("on_log", args, state, TrainerControl())


def test_flags_are_lowered_where_they_are_answered() -> None:
    handler, args, state = CallbackHandler([]), TrainingArguments("out"), TrainerState()
    flags = [field.name for field in dataclasses.fields(TrainerControl)]

    def lowered(event: str) -> set[str]:
        control = handler.call_event(event, args, state, TrainerControl(**dict.fromkeys(flags, True)))
        return {name for name in flags if not getattr(control, name)}

    assert lowered("on_step_begin") == {"should_log", "should_evaluate", "should_save"}
    assert [lowered(event) for event in ("on_log", "on_evaluate", "on_save")] == [
        {"should_log"},
        {"should_evaluate"},
        {"should_save"},
    ]
    assert [lowered(event) for event in ("on_epoch_begin", "on_train_begin", "on_step_end")] == [
        {"should_epoch_stop"},
        {"should_training_stop"},
        set(),
    ]


def test_callbacks_are_added_and_taken_out(caplog: pytest.LogCaptureFixture) -> None:
    first = EarlyStoppingCallback(3)
    handler = CallbackHandler([DefaultFlowCallback, first])
    handler.add_callback(EarlyStoppingCallback)
    assert "a second EarlyStoppingCallback" in caplog.text
    assert handler.callback_list.split() == ["DefaultFlowCallback", "EarlyStoppingCallback", "EarlyStoppingCallback"]
    assert handler.pop_callback(EarlyStoppingCallback) is first
    handler.remove_callback(DefaultFlowCallback)
    assert [type(callback) for callback in handler.callbacks] == [EarlyStoppingCallback]
    handler.remove_callback(handler.callbacks[0])
    assert handler.callbacks == []
    assert handler.pop_callback(PrinterCallback) is None
    with pytest.raises(TypeError, match="derive its class from TrainerCallback"):
        handler.add_callback(print)


# -- the state as a file ----------------------------------------------------------------------------------------------


def test_torchs_file_is_read_and_written_again_as_it_was(tmp_path: Path) -> None:
    state = TrainerState.load_from_json(THEIR_STATE)
    assert (state.global_step, state.best_metric, state.max_steps) == (12, 0.79, 30)
    assert math.isnan(state.log_history[0]["grad_norm"])
    state.save_to_json(tmp_path / "trainer_state.json")
    assert (tmp_path / "trainer_state.json").read_bytes() == THEIR_STATE.read_bytes()


def test_a_state_keeps_what_callbacks_have_come_to(tmp_path: Path) -> None:
    stopping = EarlyStoppingCallback(5, 0.1)
    stopping.early_stopping_patience_counter = 2
    log = [{"loss": np.float32(0.5), "step": jnp.int32(1)}]
    TrainerState(global_step=1, log_history=log, stateful_callbacks=[stopping, TrainerControl()]).save_to_json(
        tmp_path / "s.json"
    )
    read = TrainerState.load_from_json(tmp_path / "s.json")
    assert read.log_history == [{"loss": 0.5, "step": 1}]
    handler = CallbackHandler([DefaultFlowCallback, EarlyStoppingCallback(1)])
    handler.restore(read.stateful_callbacks)
    restored = handler.callbacks[1]
    assert (restored.early_stopping_patience, restored.early_stopping_patience_counter) == (5, 2)
    assert TrainerControl.from_state(read.stateful_callbacks["TrainerControl"]) == TrainerControl()


def test_several_callbacks_of_a_class_keep_their_own_states() -> None:
    states = states_of([EarlyStoppingCallback(1), EarlyStoppingCallback(2), PrinterCallback()])
    handler = CallbackHandler([EarlyStoppingCallback(7)])
    handler.callbacks.append(EarlyStoppingCallback(8))
    handler.restore(states)
    assert [callback.early_stopping_patience for callback in handler.callbacks] == [1, 2]


def test_files_that_are_no_state_say_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        TrainerState.load_from_json(tmp_path / "trainer_state.json")
    for text in ('{"global_step": 3', "[1, 2]"):
        (tmp_path / "trainer_state.json").write_text(text)
        with pytest.raises(ValueError, match="earlier checkpoint"):
            TrainerState.load_from_json(tmp_path / "trainer_state.json")
    with pytest.raises(TypeError, match="log plain numbers"):
        TrainerState(log_history=[{"loss": np.zeros(3)}]).save_to_json(tmp_path / "trainer_state.json")
    assert (tmp_path / "trainer_state.json").read_text() == "[1, 2]"
    assert [path.name for path in tmp_path.iterdir()] == ["trainer_state.json"]


# -- early stopping and the screen ------------------------------------------------------------------------------------


def test_early_stopping_needs_evaluations(caplog: pytest.LogCaptureFixture) -> None:
    stopping, state, control = EarlyStoppingCallback(), TrainerState(), TrainerControl()
    with pytest.raises(ValueError, match="eval_strategy"):
        stopping.on_train_begin(TrainingArguments("out"), state, control)
    args = TrainingArguments("out", eval_strategy="epoch", metric_for_best_model="f1")
    stopping.on_train_begin(args, state, control)
    stopping.on_evaluate(args, state, control, metrics={"eval_loss": 1.0})
    assert "load_best_model_at_end" in caplog.text
    assert "goes by eval_f1" in caplog.text
    assert not control.should_training_stop
    with pytest.raises(ValueError, match="1 evaluation or more"):
        EarlyStoppingCallback(0)


def test_a_state_of_ones_own_must_say_what_it_is() -> None:
    class Forgetful(TrainerCallback, ExportableState):
        pass

    with pytest.raises(TypeError, match="state"):
        Forgetful()


def test_the_bar_shows_loss_rate_and_speed(capsys: pytest.CaptureFixture[str]) -> None:
    args, control, bar = TrainingArguments("out"), TrainerControl(), ProgressCallback(max_str_len=5)
    state = TrainerState(max_steps=4, global_step=2)
    bar.on_train_begin(args, state, control)
    state.global_step = 3
    bar.on_step_end(args, state, control)
    for _ in range(2):
        bar.on_prediction_step(args, state, control, eval_dataloader=[1, 2])
    bar.on_evaluate(args, state, control)
    logs = {"loss": 0.25, "learning_rate": 1e-3, "tokens_per_second": 123.0, "total_flos": 1e9, "text": "x" * 9}
    bar.on_log(args, state, control, logs=logs)
    bar.on_train_end(args, state, control)
    out, err = capsys.readouterr()
    assert out.strip() == "{'loss': 0.25, 'learning_rate': 0.001, 'tokens_per_second': 123.0, 'text': '[9 characters]'}"
    assert re.search(r"3/4.*loss=0\.25, rate=0\.001, tokens/s=123", err)
    assert "0/2" in err


def test_other_processes_show_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    args, control = TrainingArguments("out"), TrainerControl()
    state = TrainerState(max_steps=4, is_world_process_zero=False, is_local_process_zero=False)
    bar = ProgressCallback()
    bar.on_train_begin(args, state, control)
    bar.on_step_end(args, state, control)
    bar.on_prediction_step(args, state, control, eval_dataloader=[1])
    bar.on_log(args, state, control, logs={"loss": 1.0})
    PrinterCallback().on_log(args, state, control, logs={"loss": 1.0})
    bar.on_train_end(args, state, control)
    assert capsys.readouterr() == ("", "")
    PrinterCallback().on_log(args, TrainerState(), control, logs={"loss": 1.0, "total_flos": 3})
    assert capsys.readouterr().out == "{'loss': 1.0}\n"
