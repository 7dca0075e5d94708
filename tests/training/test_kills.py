"""Runs that are killed go on as if nothing had been, and leave nothing behind."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


def run(folder: Path, kill: tuple[int, float, int] | None = None, *more: str) -> tuple[int, Any, str]:
    """The exit code of a run, what it came to, and all that it said. kill: after which step, how many seconds later,
    and by which signal.
    """
    command = [sys.executable, "-m", "tests.training.run_to_kill", str(folder), *more]
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "JAX_COMPILATION_CACHE_DIR": str(folder.parent / "programs")}
    environment |= {
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment, cwd=ROOT
    ) as process:
        result, count, said = None, 0, []
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line)
            count += line.startswith("step")
            if kill is not None and count == kill[0] and line.startswith("step"):
                time.sleep(kill[1])
                process.send_signal(kill[2])
            if line.startswith("done"):
                result = json.loads(line.removeprefix("done"))
    return process.returncode, result, "".join(said)


def killed(folder: Path, whole: Any, draw: random.Random, how: int) -> bool:
    """Whether a run that was killed twice came to what one came to that was not, and left no litter."""
    for _ in range(2):
        code, result, errors = run(folder, (draw.randint(1, 5), draw.random() * 0.1, how))
        assert result is not None or code == (0 if how == signal.SIGTERM else -how), errors
    _, result, errors = run(folder)
    assert result is not None, errors
    names = {path.name for path in folder.glob("*checkpoint*")}
    return bool(result == whole) and names == {"checkpoint-12", "checkpoint-14"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("runs")
    _, result, errors = run(folder / "whole")
    assert result is not None, errors
    return folder, result


def test_killed_runs_go_on_bit_by_bit(whole: tuple[Path, Any]) -> None:
    assert killed(whole[0] / "killed", whole[1], random.Random(0), signal.SIGKILL)


def test_a_run_that_is_asked_to_end_saves_and_succeeds(whole: tuple[Path, Any]) -> None:
    code, result, errors = run(whole[0] / "asked", (3, 0.0, signal.SIGTERM))
    assert (code, result) == (0, None), errors
    assert run(whole[0] / "asked")[1] == whole[1]


def test_a_full_disk_harms_no_checkpoint(whole: tuple[Path, Any]) -> None:
    code, result, errors = run(whole[0] / "full", None, "full")
    assert code == 1
    assert result is None
    assert "OSError: cannot write" in errors
    assert "File too large" in errors
    assert {path.name for path in (whole[0] / "full").glob("checkpoint-?")} == {"checkpoint-4", "checkpoint-6"}
    assert run(whole[0] / "full")[1] == whole[1]


@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(20))
def test_twenty_of_twenty(seed: int, whole: tuple[Path, Any]) -> None:
    how = signal.SIGTERM if seed % 5 == 4 else signal.SIGKILL
    assert killed(whole[0] / f"killed-{seed}", whole[1], random.Random(seed + 1), how)
