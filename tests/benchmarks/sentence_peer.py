"""The peer for embeddings, run by an interpreter that has sentence-transformers: a JSON command a line in, one out."""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def main() -> None:
    """Answer commands until the input ends."""
    import torch
    from sentence_transformers import SentenceTransformer

    folder, dtype, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    model = SentenceTransformer(folder, device="cpu", model_kwargs={"torch_dtype": getattr(torch, dtype)})
    print(json.dumps({"ready": True, "version": torch.__version__}), flush=True)
    for line in sys.stdin:
        command: dict[str, Any] = json.loads(line)
        start = time.perf_counter()
        vectors = model.encode(command["texts"], batch_size=command.get("batch", 32), show_progress_bar=False)
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "answers": vectors.astype("float32").tolist()}), flush=True)


if __name__ == "__main__":
    main()
