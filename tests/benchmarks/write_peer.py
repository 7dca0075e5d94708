"""A side of the benchmark of generation, in a process of its own: JSON commands in, answers out, one a line.

write_peer.py ours|torch FOLDER DTYPE [THREADS]
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Write = Callable[[list[list[int]], int], Any]


def ours(folder: str, dtype: str) -> Write:
    """This library."""
    from jaxformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)

    def write(ids: list[list[int]], count: int) -> Any:
        out = model.generate(ids, max_new_tokens=count, min_new_tokens=count, do_sample=False)
        return np.asarray(out).tolist()

    return write


def torch(folder: str, dtype: str, threads: str) -> Write:
    """Torch Transformers with its dynamic cache."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(int(threads))
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype)).eval()

    def write(ids: list[list[int]], count: int) -> Any:
        given = torch.tensor(ids)
        with torch.inference_mode():
            out = model.generate(
                given,
                attention_mask=torch.ones_like(given),
                max_new_tokens=count,
                min_new_tokens=count,
                do_sample=False,
            )
        return out.tolist()

    return write


def main() -> None:
    """Answer commands until the input ends."""
    side, *rest = sys.argv[1:]
    write = {"ours": ours, "torch": torch}[side](*rest)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        start = time.perf_counter()
        rows = write(command["texts"], command["count"])
        print(json.dumps({"seconds": time.perf_counter() - start, "answers": rows}), flush=True)


if __name__ == "__main__":
    main()
