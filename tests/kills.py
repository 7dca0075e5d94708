"""Killing a save at every operation on the file system, and at random moments: run in a process of its own.

Children are forked, so that a try costs milliseconds; a process with threads (as pytest's and jax's are) must not
fork, so tests call `python kills.py MODULE ARGUMENTS`, where MODULE has three functions:

    prepare(folder)              # what is there before the save
    save(folder, generation)     # the save; `generation` tells which content to write
    generation_of(folder) -> int # reads everything that a reader would; raises on a mix; 0 is what `prepare` made

The result is printed as JSON.
"""

from __future__ import annotations

import importlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

CHANGES = ("open", "os.rename", "os.remove", "os.chmod", "os.mkdir", "os.truncate", "os.link", "os.symlink")


def die_at(step: int) -> None:
    """Let this process end, without any clean-up, just before its `step`-th operation on a file."""
    left = step

    def count(event: str, _: Any) -> None:
        nonlocal left
        if event in CHANGES:
            left -= 1
            if left < 0:
                os._exit(9)

    sys.addaudithook(count)


def at_every_step(module: Any) -> dict[str, Any]:
    """Kill one save at its first, second, … operation; count which generation each left."""
    left = []
    for step in range(10_000):
        folder = Path(tempfile.mkdtemp())
        module.prepare(folder)
        child = os.fork()
        if child == 0:
            die_at(step)
            module.save(folder, 1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        left.append(module.generation_of(folder))
        module.save(folder, 2)  # the next save must be able to follow
        assert module.generation_of(folder) == 2
        litter = [name for name in os.listdir(folder) if name.startswith(".")]
        assert not litter, litter
        shutil.rmtree(folder)
        if status == 0:
            return {"steps": step, "left": left}
        assert os.waitstatus_to_exitcode(status) == 9, status
    raise AssertionError("the save never came to its end")


def at_random(module: Any, tries: int) -> dict[str, Any]:
    """SIGKILL a process that saves again and again, `tries` times; no save that was done may be lost."""
    folder = Path(tempfile.mkdtemp())
    module.prepare(folder)
    seen = [0]
    for attempt in range(tries):
        done, report = os.pipe()
        child = os.fork()
        if child == 0:
            for generation in itertools.count(seen[-1] + 1):
                module.save(folder, generation)
                os.write(report, b".")
        os.read(done, 1)  # the first save is done
        time.sleep(random.Random(attempt).random() * 0.05)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(done)
        os.close(report)
        seen.append(module.generation_of(folder))
        assert seen[-1] > seen[-2], seen
    shutil.rmtree(folder)
    return {"seen": seen}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(sys.argv[1]).parent))
    plan = importlib.import_module(Path(sys.argv[1]).stem)
    result = at_every_step(plan) if sys.argv[2] == "steps" else at_random(plan, int(sys.argv[2]))
    print(json.dumps(result))
