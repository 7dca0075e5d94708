"""Write `golden.json`: what torch's pipelines answer to the calls in `calls.py`, on the same toy checkpoints.

    python -m tests.pipelines.record PYTHON_WITH_TORCH

The toys are written here, in JAX; the interpreter named (torch, transformers 4.57) only answers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .calls import CASES, Call

THEIRS = """
import json, sys, torch
from transformers import pipeline
task, folder = sys.argv[1:]
pipe = pipeline(task, model=folder, dtype=torch.float32, device="cpu")
tolist = lambda value: value.tolist()
print("\\n" + json.dumps([pipe(*args, **keywords) for args, keywords in json.load(sys.stdin)], default=tolist))
"""


def answers_of(python: str, task: str, folder: Path, calls: Sequence[Call]) -> Any:
    """What torch's pipeline of a folder answers to each call.

    Raises:
        subprocess.CalledProcessError: it failed; `stderr` says why.
    """
    done = subprocess.run(
        [python, "-W", "ignore", "-c", THEIRS, task, folder],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Record all cases."""
    golden = {}
    for name, (task, write, calls) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder))
            golden[name] = answers_of(sys.argv[1], task, Path(folder), calls)
    path = Path(__file__).with_name("golden.json")
    path.write_text(json.dumps(golden, indent=1) + "\n")
    print(f"{path}: {sum(map(len, golden.values()))} answers")


if __name__ == "__main__":
    main()
