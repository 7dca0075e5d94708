"""Text classification beside torch Transformers' pipelines: ratios from interleaved runs, best of theirs / ours.

    python tests/benchmarks/text_classification.py CHECKPOINT TEXTS --oracle PYTHON_WITH_TORCH

CHECKPOINT is a folder with a classifier that both sides load. TEXTS is a folder with the `*_GroundTruth.txt` files of
vaderSentiment 2.5's source distribution (additional_resources). The two sides run in processes of their own and never
compute at once. Above 1 we are faster.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
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


class Peer:
    """A process that classifies on command."""

    def __init__(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | (environment or {}),
        )
        self.read()

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a peer has died; run it by hand to see why")
        return json.loads(line)

    def ask(self, texts: Any, **more: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"texts": texts, **more}) + "\n")
        self.process.stdin.flush()
        return self.read()

    def memory(self) -> float:
        """Peak resident megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def mixed_texts(folder: Path, count: int) -> list[str]:
    """Real texts of mixed length: snippets, posts, reviews and editorial sentences, some joined, up to ~400 tokens."""
    lines = [
        line.split("\t")[2].strip()
        for file in sorted(folder.glob("*_GroundTruth.txt"))
        for line in file.read_text(encoding="cp1252", errors="replace").splitlines()
        if line.count("\t") >= 2
    ]
    draw = random.Random(0)
    draw.shuffle(lines)
    taken = iter(lines)
    return [" ".join(next(taken) for _ in range(draw.choice([1, 1, 1, 1, 2, 2, 3, 4, 6, 12]))) for _ in range(count)]


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
    flags = Path("/proc/cpuinfo").read_text()
    units = ", ".join(name for name in ("amx_bf16", "avx512_bf16", "avx512f", "avx2") if name in flags) or "none of AVX"
    print(f"{os.cpu_count()} processors ({units}), {len(texts)} texts, {options.rounds} rounds, medians\n")
    table: list[tuple[str, float, float, str]] = []
    with tempfile.TemporaryDirectory() as cache:
        caching = {"JAXFORMERS_COMPILATION_CACHE": cache}
        for dtype in ("float32", "bfloat16"):
            table += lists(options, texts, dtype, caching)
        table += starts(options, caching)
    print(f"\n{'what':<42}{'theirs':>10}{'ours':>10}{'ratio':>8}")
    for what, theirs, ours, note in table:
        print(f"{what:<42}{theirs:>10.3f}{ours:>10.3f}{theirs / ours:>8.2f}  {note}")


def lists(options: Any, texts: list[str], dtype: str, caching: dict[str, str]) -> list[tuple[str, float, float, str]]:
    """The list in a first and in later passes, and single sentences."""
    own = [sys.executable, str(HERE / "own_peer.py"), options.checkpoint, dtype]
    theirs = Peer([options.oracle, str(HERE / "torch_peer.py"), options.checkpoint, dtype, str(os.cpu_count())])
    empty = Peer(own, {"JAXFORMERS_COMPILATION_CACHE": "0"})
    compiled = empty.ask(texts)
    empty.close()
    warming = Peer(own, caching)
    warming.ask(texts)
    warming.close()
    ours = Peer(own, caching)
    first = ours.ask(texts)
    batches = (1, 8, 32)
    rounds = [
        ({batch: theirs.ask(texts, batch=batch) for batch in batches}, ours.ask(texts)) for _ in range(options.rounds)
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
            pairs = [(theirs.ask(text, repeat=20)["seconds"], ours.ask(text, repeat=20)["seconds"]) for _ in range(9)]
            pair = [1000 * statistics.median(side) for side in zip(*pairs[1:], strict=True)]
            rows.append((f"{dtype} one sentence, {name} (ms)", pair[0], pair[1], ""))
    rows.append((f"{dtype} peak memory (MB)", theirs.memory(), ours.memory(), ""))
    theirs.close()
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
