"""Where the figures of a run go: lines of JSON, event files, packages of others, a curve."""

from __future__ import annotations

import json
import math
import struct
import sys
import types
import zlib
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxformers import TrainerControl, TrainerState, TrainingArguments
from jaxformers.training import curves
from jaxformers.training.arguments import REPORTERS
from jaxformers.training.reports import JsonLines, reporters, tag

CONTROL = TrainerControl()
FIGURES = {"loss": 0.5, "learning_rate": jnp.float32(1e-3), "eval_loss": np.float64(0.25), "test_f1": 1, "note": "x"}
TAGS = {"train/loss": 0.5, "train/learning_rate": 1e-3, "eval/loss": 0.25, "test/f1": 1}


def run(callback: Any, args: TrainingArguments, first: int, last: int) -> None:
    """A run that logs after each step from `first` to `last`."""
    state = TrainerState(global_step=first - 1)
    callback.on_train_begin(args, state, CONTROL)
    for step in range(first, last + 1):
        state.global_step = step
        callback.on_log(args, state, CONTROL, logs={"loss": 1.0 / step})
    callback.on_train_end(args, state, CONTROL)


def lines(folder: Path) -> list[dict[str, Any]]:
    """What log.jsonl says."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


# -- lines of JSON ----------------------------------------------------------------------------------------------------


def test_each_log_is_a_line(tmp_path: Path) -> None:
    args = TrainingArguments(tmp_path / "new" / "run")
    JsonLines().on_log(args, TrainerState(global_step=3), CONTROL, logs=FIGURES | {"grad_norm": math.nan})
    (line,) = lines(Path(args.output_dir))
    assert math.isnan(line.pop("grad_norm"))
    assert line == {"step": 3} | FIGURES | {"learning_rate": pytest.approx(1e-3)}


def test_a_run_that_goes_on_drops_what_it_logs_again(tmp_path: Path) -> None:
    args = TrainingArguments(tmp_path)
    run(JsonLines(), args, 1, 7)
    with open(tmp_path / "log.jsonl", "a") as file:
        file.write('{"step": 3, "lo')  # cut off by a kill
    run(JsonLines(), args, 5, 6)
    assert [line["step"] for line in lines(tmp_path)] == [1, 2, 3, 4, 5, 6]
    run(JsonLines(), args, 1, 2)
    assert [line["step"] for line in lines(tmp_path)] == [1, 2]


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    state = TrainerState(global_step=1, is_world_process_zero=False)
    args = TrainingArguments(tmp_path)
    JsonLines().on_train_begin(args, state, CONTROL)
    JsonLines().on_log(args, state, CONTROL, logs=FIGURES)
    assert list(tmp_path.iterdir()) == []


# -- what report_to names ---------------------------------------------------------------------------------------------


class Recorder(types.ModuleType):
    """A module that keeps what it is told."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.told: list[tuple[str, Any]] = []
        self.run: Any = None
        self.__spec__ = types.SimpleNamespace(name=name)  # type: ignore[assignment]

    def init(self, **words: Any) -> None:
        """Open a run."""
        self.run = "open"
        self.told.append(("init", words))

    def log(self, figures: dict[str, float]) -> None:
        """Figures."""
        self.told.append(("log", figures))

    def finish(self) -> None:
        """Close it."""
        self.told.append(("finish", None))


@pytest.fixture
def boards(monkeypatch: pytest.MonkeyPatch) -> dict[str, Recorder]:
    """Stand-ins for wandb and trackio."""
    made = {name: Recorder(name) for name in ("wandb", "trackio")}
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    return made


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_boards_get_settings_and_numbers(name: str, boards: dict[str, Recorder], tmp_path: Path) -> None:
    args = TrainingArguments(tmp_path, report_to=name, project="p", run_name="r", hub_token="hf_secret")
    (callback,) = reporters(args.report_to)
    model = types.SimpleNamespace(config=types.SimpleNamespace(to_dict=lambda: {"hidden_size": 8}))
    state = TrainerState(global_step=3)
    callback.on_train_begin(args, state, CONTROL, model=model)
    callback.on_log(args, state, CONTROL, model=model, logs=FIGURES)
    callback.on_train_end(args, state, CONTROL)
    (_, opened), (_, figures), *ends = boards[name].told
    assert (opened["project"], opened["name"]) == ("p", "r")
    assert (opened["config"]["hidden_size"], opened["config"]["learning_rate"]) == (8, 5e-5)
    assert "hf_secret" not in str(opened)
    assert "space_id" not in opened
    assert figures == pytest.approx(TAGS | {"train/global_step": 3})
    assert ends == ([("finish", None)] if name == "trackio" else [])


def test_boards_see_evaluations_outside_of_runs(boards: dict[str, Recorder], tmp_path: Path) -> None:
    args = TrainingArguments(tmp_path, report_to=["trackio", "wandb"], trackio_space_id="me/board")
    for callback in reporters(args.report_to):
        callback.on_log(args, TrainerState(global_step=1, is_world_process_zero=False), CONTROL, logs=FIGURES)
        callback.on_log(args, TrainerState(global_step=1), CONTROL, logs=FIGURES)
        callback.on_log(args, TrainerState(global_step=2), CONTROL, logs=FIGURES)
    assert [what for what, _ in boards["trackio"].told] == ["init", "log", "log"]
    assert boards["trackio"].told[0][1]["space_id"] == "me/board"


def test_a_run_that_is_open_already_is_used(
    boards: dict[str, Recorder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_PROJECT", "of-the-environment")
    args = TrainingArguments(tmp_path, report_to="wandb")
    run(reporters(args.report_to)[0], args, 1, 1)
    run(reporters(args.report_to)[0], args, 1, 1)
    assert [what for what, _ in boards["wandb"].told] == ["init", "log", "log"]
    assert boards["wandb"].told[0][1]["project"] == "of-the-environment"


@pytest.mark.parametrize(("name", "package"), [("tensorboard", "tensorboardX"), ("wandb", "wandb")])
def test_a_missing_package_says_what_to_install(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=f"report_to names {package}.*pip install"):
        reporters([name])


def test_all_are_those_that_are_there(boards: dict[str, Recorder]) -> None:
    found = [type(callback).__name__ for callback in reporters(("all",))]
    assert found[-2:] == ["WandbCallback", "TrackioCallback"]
    assert reporters(()) == []
    for name in ("wandb", "trackio"):
        assert name in REPORTERS


def test_tags_group_by_what_was_read() -> None:
    assert [tag(name) for name in ("loss", "train_runtime", "eval_loss", "test_f1", "epoch", "evaluations")] == [
        "train/loss",
        "train/train_runtime",
        "eval/loss",
        "test/f1",
        "train/epoch",
        "train/evaluations",
    ]


# -- event files ------------------------------------------------------------------------------------------------------


def events(folder: Path) -> list[bytes]:
    """The records of an event file, checked for their lengths."""
    (path,) = folder.iterdir()
    data, found = path.read_bytes(), []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        found.append(data[12 : 12 + length])
        assert len(found[-1]) == length
        data = data[12 + length + 4 :]
    return found


def test_event_files_hold_figures_by_step(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    args = TrainingArguments(tmp_path, report_to="tensorboard", logging_dir=str(tmp_path / "events"))
    (callback,) = reporters(args.report_to)
    state = TrainerState(global_step=3)
    callback.on_train_begin(args, state, CONTROL)
    callback.on_log(args, state, CONTROL, logs=FIGURES)
    callback.on_train_end(args, state, CONTROL)
    found = {}
    for record in events(tmp_path / "events"):
        event = Event.FromString(record)
        found |= {(value.tag, event.step): value for value in event.summary.value}
    assert {name: found[name, 3].simple_value for name in TAGS} == pytest.approx(TAGS)
    assert any(name.startswith("args") for name, _ in found)


# -- the curve --------------------------------------------------------------------------------------------------------


def pixels_of(path: Path) -> np.ndarray:
    """A PNG without filters, [height, width, 3]."""
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, data = {}, data[8:]
    while data:
        (length,), kind = struct.unpack(">I", data[:4]), data[4:8]
        chunks[kind] = data[8 : 8 + length]
        (checksum,) = struct.unpack(">I", data[8 + length : 12 + length])
        assert checksum == zlib.crc32(kind + chunks[kind])
        data = data[12 + length :]
    width, height, depth, kind, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, kind, rest) == (8, 2, [0, 0, 0])
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, 1 + 3 * width)
    assert not rows[:, 0].any()
    return rows[:, 1:].reshape(height, width, 3)


BLUE, ORANGE = (31, 119, 180), (255, 127, 14)


def drawn(pixels: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    """Where a color is within the axes: rows and columns [N, 2]."""
    inside = pixels[curves._TOP :]
    return np.argwhere((inside == color).all(-1))


def test_a_curve_falls_as_the_loss_does(tmp_path: Path) -> None:
    history = [{"step": i, "loss": 2.0 - i / 100} for i in range(1, 101)] + [{"step": 50, "eval_loss": 3.0}]
    history += [{"step": 51, "loss": math.nan}, {"train_runtime": 3.0}, {"loss": 4.0}]
    path = curves.loss_curve(history, tmp_path / "loss.png")
    pixels = pixels_of(path)
    assert pixels.shape == (curves.HEIGHT, curves.WIDTH, 3)
    training = drawn(pixels, BLUE)
    left, right = (training[training[:, 1] == column][:, 0].mean() for column in np.unique(training[:, 1])[[0, -1]])
    assert right - left > 150  # rows are counted from above
    evaluation = drawn(pixels, ORANGE).mean(axis=0)
    assert abs(evaluation[1] - training[:, 1].mean()) < 10
    assert evaluation[0] < left


@pytest.mark.parametrize(
    "history",
    [
        [{"step": 1, "loss": 1e-9}],
        [{"step": 10**6, "loss": 2e5}, {"step": 2 * 10**6, "loss": -3.5}],
        [{"step": 1, "eval_loss": 0.0}, {"step": 1, "eval_loss": 1e-30}],
        [{"step": 5, "loss": 1.0}, {"step": 10, "loss": 1.0}],
    ],
)
def test_curves_of_any_size_are_drawn(history: list[dict[str, Any]], tmp_path: Path) -> None:
    pixels = pixels_of(curves.loss_curve(history, tmp_path / "loss.png"))
    assert len(drawn(pixels, BLUE)) + len(drawn(pixels, ORANGE)) > 0


def test_a_curve_needs_a_loss(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="logging_steps"):
        curves.loss_curve([{"step": 1, "eval_f1": 1.0}], tmp_path / "loss.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 100, [0, 20, 40, 60, 80, 100]),
        (0.3, 1.1, [0.4, 0.6, 0.8, 1.0]),
        (-2.0, 1.0, [-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert curves.ticks(low, high) == pytest.approx(expected)
