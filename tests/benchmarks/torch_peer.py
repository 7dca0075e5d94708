"""The peer of the benchmark, run by an interpreter that has torch: a JSON command a line in, an answer a line out."""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def main() -> None:
    """Answer commands until the input ends."""
    import torch
    from transformers import pipeline

    task, folder, dtype, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    pipe = pipeline(task, model=folder, dtype=getattr(torch, dtype), device="cpu")
    print(json.dumps({"ready": True, "version": torch.__version__}), flush=True)
    for line in sys.stdin:
        command: dict[str, Any] = json.loads(line)
        start = time.perf_counter()
        for _ in range(command.get("repeat", 1)):
            answers = pipe(command["texts"], batch_size=command.get("batch", 1), **command.get("theirs", {}))
        seconds = (time.perf_counter() - start) / command.get("repeat", 1)
        print(json.dumps({"seconds": seconds, "answers": answers[:2000]}, default=float), flush=True)


if __name__ == "__main__":
    main()
