"""Generation beside torch Transformers, CTranslate2 and llama.cpp: ratios from interleaved runs, above 1 we are faster.

    python tests/benchmarks/generation.py FILE.gguf --oracle PYTHON_WITH_THE_OTHERS [--chats TEXTS 40]

FILE is a decoder with its tokenizer; the others but llama.cpp get it in the Hub's layout, as we save it. Five tables:
tokens per second on prompts of random ids, all of the asked length, since no end counts before; what sampling costs
beside greedy search; seconds to the first token of a new process and of a warm one, with how fast weights are read;
seconds to load FILE itself; and chats that end by themselves, through the pipelines.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from peers import HERE, Peer, machine, mixed_texts

SIDES = {
    "torch float32": ("torch", "float32"),
    "torch bfloat16": ("torch", "bfloat16"),
    "compiled float32": ("compiled", "float32"),
    "compiled bfloat16": ("compiled", "bfloat16"),
    "CTranslate2 float32": ("ctranslate2", "float32"),
    "CTranslate2 int8": ("ctranslate2", "int8"),
    "llama.cpp": ("llama", "-"),
}
TABLES = ("speed", "sampling", "first", "load")
SAMPLING = {"greedy": {}, "top_k 50": {"top_k": 50}, "top_p 0.9": {"top_p": 0.9, "top_k": 0}}


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "--oracle", required=True, help="a Python with torch, Transformers 4.57, ctranslate2, xllamacpp"
    )
    parser.add_argument("--ours", nargs="+", default=["float32", "bfloat16", "int8"], help="our types")
    parser.add_argument(
        "--theirs", nargs="+", default=list(SIDES), choices=SIDES, metavar="SIDE", help=str(list(SIDES))
    )
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--prompt", nargs="+", type=int, default=[32])
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=TABLES, help=str(TABLES))
    parser.add_argument("--chats", nargs=2, metavar=("TEXTS", "COUNT"), help="vaderSentiment's texts; how many chats")
    options = parser.parse_args()
    print(f"{machine()}, {options.rounds} rounds, medians\n")
    with tempfile.TemporaryDirectory() as home:
        subprocess.run([sys.executable, "-c", SAVE, options.file, home], check=True)
        vocab = json.loads((Path(home) / "config.json").read_text())["vocab_size"]
        if "speed" in options.tables:
            speed(options, home, vocab)
        if "sampling" in options.tables:
            sampling(options, home, vocab)
        if "first" in options.tables:
            first(options, home, vocab)
        if "load" in options.tables:
            load(options)
        if options.chats:
            chats(options, home)


SAVE = """
import sys
from jaxformers import AutoModelForCausalLM, AutoTokenizer
AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="float32").save_pretrained(sys.argv[2])
AutoTokenizer.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[2])
"""


def peer(options: Any, home: str, side: str) -> Peer:
    """One of the others, by its name in `SIDES`."""
    kind, dtype = SIDES[side]
    folder = str(options.file) if kind == "llama" else home
    return Peer([options.oracle, str(HERE / "write_peer.py"), kind, folder, dtype])


def own(home: str, dtype: str, environment: dict[str, str] | None = None) -> Peer:
    """Our side."""
    return Peer([sys.executable, str(HERE / "write_peer.py"), "ours", home, dtype], environment)


def prompts(vocab: int, rows: int, length: int) -> list[list[int]]:
    """Rows of random ids."""
    draw = random.Random(rows * 1000 + length)
    return [[draw.randrange(100, vocab - 100) for _ in range(length)] for _ in range(rows)]


def speed(options: Any, home: str, vocab: int) -> None:
    """Tokens per second, prompts included, of everyone."""
    names = [f"ours {dtype}" for dtype in options.ours] + options.theirs
    sides = [own(home, dtype) for dtype in options.ours] + [peer(options, home, side) for side in options.theirs]
    print(f"{'tokens per second':<22}" + "".join(f"{name:>21}" for name in names))
    for length in options.prompt:
        for rows in options.rows:
            ids = prompts(vocab, rows, length)
            able = [(name, side) for name, side in zip(names, sides, strict=True) if name != "llama.cpp" or rows == 1]
            answers = {name: side.ask(ids, count=options.new)["answers"] for name, side in able}
            seconds: dict[str, list[float]] = {name: [] for name, _ in able}
            for _ in range(options.rounds):
                for name, side in able:
                    seconds[name].append(side.ask(ids, count=options.new)["seconds"])
            rates = {name: rows * options.new / statistics.median(times) for name, times in seconds.items()}
            line = "".join(f"{rates[name]:>21.1f}" if name in rates else f"{'-':>21}" for name in names)
            print(f"{f'{rows} x {length}':<22}{line}", flush=True)
            others = [name for name in rates if not name.startswith("ours")]
            for dtype in options.ours:
                same = [name for name in others if name.endswith(dtype)] if dtype != "int8" else others
                same = [name for name in same if name != "llama.cpp"]
                if same:
                    best = max(same, key=rates.__getitem__)
                    equal = agreement(answers[f"ours {dtype}"], answers[same[0]], length)
                    ratio = rates[f"ours {dtype}"] / rates[best]
                    print(f"    {dtype}: {ratio:.2f} of the best, {best}; {equal:.0%} of tokens are those of {same[0]}")
    for side in sides:
        side.close()


def agreement(ours: Any, theirs: Any, length: int) -> float:
    """How many new tokens are equal, row by row, up to the first that is not and after it."""
    pairs = [
        (a, b) for one, two in zip(ours, theirs, strict=True) for a, b in zip(one[length:], two[length:], strict=True)
    ]
    return sum(a == b for a, b in pairs) / len(pairs)


def sampling(options: Any, home: str, vocab: int) -> None:
    """What sampling costs beside greedy search, in each type, at 8 rows."""
    ids = prompts(vocab, 8, options.prompt[0])
    print(f"\n{'sampling / greedy':<22}" + "".join(f"{name:>12}" for name in SAMPLING))
    for dtype in options.ours:
        side = own(home, dtype)
        ways = {name: {"do_sample": bool(said), **said} for name, said in SAMPLING.items()}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for turn in range(options.rounds + 1):
            for name, way in ways.items():
                took = side.ask(ids, count=options.new, options=way)["seconds"]
                if turn:
                    seconds[name].append(took)
        base = statistics.median(seconds["greedy"])
        print(
            f"{dtype:<22}" + "".join(f"{statistics.median(seconds[name]) / base:>12.3f}" for name in ways), flush=True
        )
        side.close()


def first(options: Any, home: str, vocab: int) -> None:
    """Seconds from the start of a process to one token (ours twice: nothing compiled before, and all), seconds of a
    warm one, and gigabytes of weights read per second while writing one row.
    """
    ids = prompts(vocab, 1, options.prompt[0])
    print(
        f"\n{'first token':<22}{'cold':>8}{'again':>8}{'warm':>8}{'GB/s':>8}    (memory gives {bandwidth():.1f} GB/s)"
    )
    for name in [f"ours {dtype}" for dtype in options.ours] + options.theirs:
        ours = name.startswith("ours ")
        with tempfile.TemporaryDirectory() as cache:
            made = lambda n=name, c=cache: (  # noqa: E731
                own(home, n.split()[1], {"JAXFORMERS_COMPILATION_CACHE": c})
                if n.startswith("ours ")
                else peer(options, home, n)
            )
            starts = []
            for _ in range(2):
                start = time.perf_counter()
                side = made()
                side.ask(ids, count=1)
                starts.append(time.perf_counter() - start)
                if not starts[1:]:
                    side.close()
        warm = statistics.median(side.ask(ids, count=1)["seconds"] for _ in range(5))
        side.ask(ids, count=options.new)
        whole = statistics.median(side.ask(ids, count=options.new)["seconds"] for _ in range(options.rounds))
        rate = side.ready["bytes"] * (options.new - 1) / (whole - warm) / 1e9
        again = f"{starts[1]:>8.2f}" if ours else f"{'-':>8}"
        print(f"{name:<22}{starts[0]:>8.2f}{again}{warm:>8.3f}{rate:>8.1f}", flush=True)
        side.close()


LOADS = {
    "ours": """
import sys, time
from jaxformers import AutoModelForCausalLM
start = time.perf_counter()
AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype="float32")
print(time.perf_counter() - start)
""",
    "torch": """
import os, sys, time, torch
from transformers import AutoModelForCausalLM
start = time.perf_counter()
folder, name = os.path.split(sys.argv[1])
AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
print(time.perf_counter() - start)
""",
}


def load(options: Any) -> None:
    """Seconds to make a float32 model of FILE, imports not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in LOADS}
    for _ in range(options.rounds):
        for name, python in (("ours", sys.executable), ("torch", options.oracle)):
            done = subprocess.run([python, "-c", LOADS[name], options.file], check=True, capture_output=True, text=True)
            seconds[name].append(float(done.stdout.split()[-1]))
    ours, theirs = (statistics.median(seconds[name]) for name in ("ours", "torch"))
    print(f"\nload: ours {ours:.2f} s, torch float32 {theirs:.2f} s, ratio {theirs / ours:.1f}", flush=True)


def bandwidth() -> float:
    """Gigabytes that a sum over numbers in memory reads in a second, with all processors."""
    code = (
        "import jax, jax.numpy as jnp, time; x = jnp.ones(1 << 28, jnp.float32); f = jax.jit(jnp.sum); f(x); t = []\n"
        "for _ in range(7): s = time.perf_counter(); f(x).block_until_ready(); t.append(time.perf_counter() - s)\n"
        "print(x.nbytes / min(t) / 1e9)"
    )
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def chats(options: Any, home: str) -> None:
    """Chats of mixed length that end by themselves, through the pipelines in float32; theirs at their best batch."""
    texts, count = options.chats
    said = mixed_texts(Path(texts), int(count))
    given = [[{"role": "user", "content": f"What does the writer think? Answer briefly. {text}"}] for text in said]
    mine, other = own(home, "float32"), peer(options, home, "torch float32")
    before = time.perf_counter()
    mine.ask(None, chats=given, count=options.new, batch=1)
    cold = time.perf_counter() - before
    ours, theirs = [], {}
    for batch in (1, 8, 32):
        answers = mine.ask(None, chats=given, count=options.new, batch=1)
        ours.append(answers["seconds"])
        theirs[batch] = other.ask(None, chats=given, count=options.new, batch=batch)
    best = min(one["seconds"] for one in theirs.values())
    same = sum(a == b for a, b in zip(answers["answers"], theirs[1]["answers"], strict=True))
    times = ", ".join(f"{batch}: {one['seconds']:.1f}" for batch, one in theirs.items())
    median = statistics.median(ours)
    print(
        f"\n{count} chats: theirs at {times}; ours {median:.1f} s (first pass {cold:.1f}), ratio {best / median:.2f}; "
        f"{same} answers equal to theirs at batch 1"
    )
    mine.close()
    other.close()


if __name__ == "__main__":
    main()
