"""Our side of the benchmark, in a process of its own: one JSON command a line in, one answer a line out."""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def main() -> None:
    """Answer commands until the input ends."""
    from jaxformers import compilations, pipeline

    task, folder, dtype = sys.argv[1:]
    pipe = pipeline(task, model=folder, dtype=dtype)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command: dict[str, Any] = json.loads(line)
        start = time.perf_counter()
        for _ in range(command.get("repeat", 1)):
            answers = pipe(command["texts"], **command.get("options", {}))
        seconds = (time.perf_counter() - start) / command.get("repeat", 1)
        programs = sum(compilations().values())
        told = {"seconds": seconds, "answers": answers, "compiled": programs}
        print(json.dumps(told, default=lambda array: array.tolist()), flush=True)


if __name__ == "__main__":
    main()
