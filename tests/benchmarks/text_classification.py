"""Text classification beside torch Transformers' pipelines: ratios from interleaved runs, best of theirs / ours.

    python tests/benchmarks/text_classification.py CHECKPOINT TEXTS --oracle PYTHON_WITH_TORCH

CHECKPOINT is a folder with a classifier that both sides load. TEXTS is a folder with the `*_GroundTruth.txt` files of
vaderSentiment 2.5's source distribution (additional_resources). The two sides run in processes of their own and never
compute at once. Above 1 we are faster.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from peers import machine, mixed_texts, own, theirs

CUT = {"options": {"truncation": True}, "theirs": {"truncation": True, "padding": True, "max_length": 512}}
SIX = "a good film ."
TWENTY = "this is a rather long sentence about a film that was , all in all , really good ."
COLD_OWN = """
from jaxformers import pipeline
import sys
print(pipeline("text-classification", model=sys.argv[1])("A good film.")[0]["label"])
"""
COLD_TORCH = """
import torch, sys
from transformers import pipeline
print(pipeline("text-classification", model=sys.argv[1], dtype=torch.float32, device="cpu")("A good film.")[0]["label"])
"""


def cold(python: str, program: str, checkpoint: str, environment: dict[str, str]) -> float:
    """Seconds from the start of a process to its first label."""
    start = time.perf_counter()
    subprocess.run(
        [python, "-c", program, checkpoint], check=True, capture_output=True, env=os.environ | environment, timeout=120
    )
    return time.perf_counter() - start


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("texts", type=Path)
    parser.add_argument("--oracle", required=True, help="a Python with torch and transformers 4.57")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    texts = mixed_texts(options.texts, options.count)
    print(f"{machine()}, {len(texts)} texts, {options.rounds} rounds, medians\n")
    table: list[tuple[str, float, float, str]] = []
    with tempfile.TemporaryDirectory() as cache:
        caching = {"JAXFORMERS_COMPILATION_CACHE": cache}
        for dtype in ("float32", "bfloat16"):
            table += lists(options, texts, dtype, caching)
        table += starts(options, caching)
    print(f"\n{'what':<42}{'theirs':>10}{'ours':>10}{'ratio':>8}")
    for what, best, ours, note in table:
        print(f"{what:<42}{best:>10.3f}{ours:>10.3f}{best / ours:>8.2f}  {note}")


def lists(options: Any, texts: list[str], dtype: str, caching: dict[str, str]) -> list[tuple[str, float, float, str]]:
    """The list in a first and in later passes, and single sentences."""
    task = "text-classification"
    peer = theirs(options.oracle, task, options.checkpoint, dtype)
    empty = own(task, options.checkpoint, dtype, {"JAXFORMERS_COMPILATION_CACHE": "0"})
    compiled = empty.ask(texts, **CUT)
    empty.close()
    warming = own(task, options.checkpoint, dtype, caching)
    warming.ask(texts, **CUT)
    warming.close()
    ours = own(task, options.checkpoint, dtype, caching)
    first = ours.ask(texts, **CUT)
    batches = (1, 8, 32)
    rounds = [
        ({batch: peer.ask(texts, batch=batch, **CUT) for batch in batches}, ours.ask(texts))
        for _ in range(options.rounds)
    ]
    by_batch = {batch: statistics.median(one[batch]["seconds"] for one, _ in rounds) for batch in batches}
    best = min(by_batch.values())
    answers, expected = rounds[-1][1]["answers"], rounds[-1][0][1]["answers"]
    worst = max(
        abs(a["score"] - b["score"]) for a, b in zip(answers, expected, strict=True) if a["label"] == b["label"]
    )
    same = sum(a["label"] == b["label"] for a, b in zip(answers, expected, strict=True))
    note = (
        f"theirs at {', '.join(f'{b}: {s:.2f}' for b, s in by_batch.items())}; labels equal {same}, scores {worst:.0e}"
    )
    rows = [
        (f"{dtype} list, later pass", best, statistics.median(one["seconds"] for _, one in rounds), note),
        (f"{dtype} list, first pass, filled cache", best, first["seconds"], f"compiled {first['compiled']}"),
        (f"{dtype} list, all compiled in it", best, compiled["seconds"], f"compiled {compiled['compiled']}"),
    ]
    if dtype == "float32":
        for name, text in (("6 tokens", SIX), ("20 tokens", TWENTY)):
            pairs = [
                (peer.ask(text, repeat=20, **CUT)["seconds"], ours.ask(text, repeat=20, **CUT)["seconds"])
                for _ in range(9)
            ]
            pair = [1000 * statistics.median(side) for side in zip(*pairs[1:], strict=True)]
            rows.append((f"{dtype} one sentence, {name} (ms)", pair[0], pair[1], ""))
    rows.append((f"{dtype} peak memory (MB)", peer.memory(), ours.memory(), ""))
    peer.close()
    ours.close()
    return rows


def starts(options: Any, caching: dict[str, str]) -> list[tuple[str, float, float, str]]:
    """Cold starts, in turn."""
    filled, empty, theirs = [], [], []
    cold(sys.executable, COLD_OWN, options.checkpoint, caching)
    for _ in range(2 * options.rounds + 1):
        theirs.append(cold(options.oracle, COLD_TORCH, options.checkpoint, {}))
        filled.append(cold(sys.executable, COLD_OWN, options.checkpoint, caching))
        empty.append(cold(sys.executable, COLD_OWN, options.checkpoint, {"JAXFORMERS_COMPILATION_CACHE": "0"}))
    peer = statistics.median(theirs)
    return [
        ("cold start, filled cache", peer, statistics.median(filled), ""),
        ("cold start, empty cache", peer, statistics.median(empty), ""),
    ]


if __name__ == "__main__":
    main()
