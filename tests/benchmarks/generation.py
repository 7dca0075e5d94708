"""Generation beside torch Transformers: ratios from interleaved runs, theirs / ours. Above 1 we are faster.

    python tests/benchmarks/generation.py FOLDER --oracle PYTHON_WITH_TORCH

FOLDER is a decoder in the Hub's layout; a GGUF file becomes one by `save_pretrained` of its model and tokenizer.
Each measurement writes `--new` tokens on prompts of random ids, all of them, since no end of text counts before.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
from pathlib import Path

from peers import HERE, Peer, machine

PAIRS = (("float32", "float32"), ("bfloat16", "bfloat16"), ("int8", "float32"))


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--oracle", required=True, help="a Python with torch and Transformers")
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--prompt", nargs="+", type=int, default=[32])
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[ours for ours, _ in PAIRS])
    options = parser.parse_args()
    vocab = json.loads((options.folder / "config.json").read_text())["vocab_size"]
    print(f"{machine()}, {options.rounds} rounds, medians of tokens per second\n")
    print(
        f"{'ours / theirs':<22}{'rows':>5}{'prompt':>8}{'theirs':>9}{'ours':>9}{'ratio':>7}  first call, tokens equal"
    )
    script = str(HERE / "write_peer.py")
    for ours, theirs in PAIRS:
        if ours not in options.only:
            continue
        peer = Peer([options.oracle, script, "torch", str(options.folder), theirs, str(os.cpu_count())])
        mine = Peer([sys.executable, script, "ours", str(options.folder), ours])
        for rows in options.rows:
            for length in options.prompt:
                draw = random.Random(rows * 1000 + length)
                ids = [[draw.randrange(100, vocab - 100) for _ in range(length)] for _ in range(rows)]
                first = mine.ask(ids, count=options.new)
                rounds = [
                    (peer.ask(ids, count=options.new), mine.ask(ids, count=options.new)) for _ in range(options.rounds)
                ]
                speeds = [
                    rows * options.new / statistics.median(one[side]["seconds"] for one in rounds) for side in (0, 1)
                ]
                pairs = [
                    (a, b)
                    for one, two in zip(rounds[0][0]["answers"], rounds[0][1]["answers"], strict=True)
                    for a, b in zip(one[length:], two[length:], strict=True)
                ]
                same = sum(a == b for a, b in pairs) / len(pairs)
                print(
                    f"{ours + ' / ' + theirs:<22}{rows:>5}{length:>8}{speeds[0]:>9.1f}{speeds[1]:>9.1f}"
                    f"{speeds[1] / speeds[0]:>7.2f}  {first['seconds']:.1f} s, {same:.0%}",
                    flush=True,
                )
        peer.close()
        mine.close()


if __name__ == "__main__":
    main()
