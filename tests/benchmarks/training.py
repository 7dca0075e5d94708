"""Training beside torch Transformers' Trainer and plain torch: ratios of interleaved runs, above 1 we are faster.

    python tests/benchmarks/training.py --oracle PYTHON_WITH_TORCH

Random weights in the sizes of MiniLM, BERT base, GPT-2 and t5-small, AdamW, clipping and dropout on both sides. Rows of
mixed length: ours grouped by length, theirs by their default and grouped; rows of one length, and there a plain loop of
torch beside. The first round, in which programs are compiled, is told by itself.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
from typing import Any

from peers import HERE, Peer, machine

SIZES: dict[str, tuple[str, dict[str, Any]]] = {
    "MiniLM": (
        "BertForSequenceClassification",
        {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536},
    ),
    "BERT base": ("BertForSequenceClassification", {}),
    "GPT-2": ("GPT2LMHeadModel", {}),
    "t5-small": ("T5ForConditionalGeneration", {"vocab_size": 32128, "decoder_start_token_id": 0}),
}


def rows(cls: str, lengths: list[int], seed: int = 0) -> list[dict[str, Any]]:
    """Made-up rows of these lengths."""
    draw = random.Random(seed)
    found = []
    for length in lengths:
        ids = [draw.randrange(100, 20000) for _ in range(length)]
        row: dict[str, Any] = {"input_ids": ids, "attention_mask": [1] * length}
        if "Classification" in cls:
            row["labels"] = draw.randrange(2)
        elif cls.startswith("T5"):
            row["labels"] = [draw.randrange(100, 20000) for _ in range(max(4, length // 2))]
        else:
            row["labels"] = ids
        found.append(row)
    return found


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracle", required=True, help="a Python with torch, Transformers 4.57 and accelerate")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--types", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--length", type=int, default=64, help="of rows of one length")
    parser.add_argument("--longest", type=int, default=256, help="of rows of mixed length")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{machine()}, batches of {options.batch}, {options.steps} steps, {options.rounds} rounds, medians\n")
    draw = random.Random(0)
    count = options.batch * options.steps
    mixed = [min(options.longest, 8 + int(draw.expovariate(1 / 40))) for _ in range(count)]
    for size in options.sizes:
        for dtype in options.types:
            compare(options, size, dtype, {"mixed": mixed, "fixed": [options.length] * count})


def compare(options: Any, size: str, dtype: str, lengths: dict[str, list[int]]) -> None:
    """The ratios of one size in one type."""
    cls, config = SIZES[size]
    sides = {
        name: Peer(
            [sys.executable if name == "ours" else options.oracle, str(HERE / "training_peer.py"), name, cls,
             json.dumps(config), dtype]
        )
        for name in ("ours", "torch", "plain")
    }  # fmt: skip
    calls = {
        ("mixed", "ours"): ("ours", "mixed", "group_by_length"),
        ("mixed", "torch by default"): ("torch", "mixed", "random"),
        ("mixed", "torch grouped"): ("torch", "mixed", "group_by_length"),
        ("fixed", "ours"): ("ours", "fixed", "random"),
        ("fixed", "torch"): ("torch", "fixed", "random"),
        ("fixed", "plain torch"): ("plain", "fixed", "random"),
    }
    seconds: dict[tuple[str, str], list[float]] = {call: [] for call in calls}
    first, programs = {}, {}
    for turn in range(options.rounds + 1):
        for call, (side, kind, sampling) in calls.items():
            given = rows(cls, lengths[kind])
            asked = {"batch": options.batch, "steps": options.steps, "sampling": sampling}
            found = sides[side].ask(given, **asked)
            if turn:
                seconds[call].append(found["seconds"])
            else:
                first[call], programs[call] = found["whole"], found.get("programs", 0)
    medians = {call: statistics.median(values) for call, values in seconds.items()}
    for kind in lengths:
        own, samples = medians[kind, "ours"], options.batch * options.steps
        line = f"{size} {dtype}, {kind}: ours {samples / own:.1f} samples/s"
        for (of, name), value in medians.items():
            if of == kind and name != "ours":
                line += f"; {name} {samples / value:.1f}, ratio {value / own:.2f}"
        print(f"{line}; first run {first[kind, 'ours']:.0f} s, {programs[kind, 'ours']} programs so far", flush=True)
    memory = ", ".join(f"{name} {peer.memory():.0f} MB" for name, peer in sides.items())
    print(f"    peak memory of the process: {memory}", flush=True)
    for peer in sides.values():
        peer.close()


if __name__ == "__main__":
    main()
