"""Encoder-decoders beside torch Transformers and CTranslate2: ratios from interleaved runs, above 1 we are faster.

    python tests/benchmarks/seq2seq.py --oracle PYTHON_WITH_THE_OTHERS

Random weights in the sizes of t5-small, of a Marian and of bart-base; texts of made-up words, 4 to 64 of them; as many
new tokens each. Every side goes through its pipeline, the others at the best of their batch sizes. Then how many
programs 300 mixed texts need, and seconds to the first answer of a new process with nothing compiled and with all.
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

from peers import HERE, Peer, machine

SIZES = {
    "t5-small": ("T5ForConditionalGeneration", {"vocab_size": 32128, "decoder_start_token_id": 0}),
    "marian": (
        "MarianMTModel",
        {
            "vocab_size": 58101,
            "decoder_vocab_size": 58101,
            "d_model": 512,
            **{f"{side}_{name}": value for side in ("encoder", "decoder")
               for name, value in (("layers", 6), ("attention_heads", 8), ("ffn_dim", 2048))},
            "max_position_embeddings": 512,
            "scale_embedding": True,
            "activation_function": "swish",
            "pad_token_id": 58100,
            "eos_token_id": 0,
            "decoder_start_token_id": 58100,
            "forced_eos_token_id": None,
        },
    ),
    "bart-base": (
        "BartForConditionalGeneration",
        {
            "d_model": 768,
            **{f"{side}_{name}": value for side in ("encoder", "decoder")
               for name, value in (("layers", 6), ("attention_heads", 12), ("ffn_dim", 3072))},
            "forced_eos_token_id": None,
            "normalize_before": False,  # which CTranslate2 asks for
            "normalize_embedding": True,
        },
    ),
}  # fmt: skip
SIDES = {
    "torch float32": ("torch", "float32"),
    "torch bfloat16": ("torch", "bfloat16"),
    "CTranslate2 float32": ("ctranslate2", "float32"),
    "CTranslate2 int8": ("ctranslate2", "int8"),
}
PEERS = {
    "float32": ("torch float32", "CTranslate2 float32"),
    "bfloat16": ("torch bfloat16",),
    "int8": ("CTranslate2 int8",),
}
"""Whom each of our types is compared with."""

SAVE = """
import json, sys, transformers
name, config, folder = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
cls = getattr(transformers, name)
transformers.set_seed(0)
model = cls(cls.config_class(**config))
model.generation_config.max_length = None
model.save_pretrained(folder)
from tokenizers import Tokenizer, models, pre_tokenizers, processors
c = model.config
words = {}
for number in range(c.vocab_size):
    special = {c.eos_token_id: "</s>", c.pad_token_id: "<pad>"}
    words[special.get(number, f"w{number}")] = number
bos = f"w{c.bos_token_id}" if f"w{c.bos_token_id}" in words else "</s>"
made = Tokenizer(models.WordLevel(words, unk_token="w3"))
made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
made.post_processor = processors.TemplateProcessing("$A </s>", "$A </s> $B </s>", [("</s>", c.eos_token_id)])
transformers.PreTrainedTokenizerFast(
    tokenizer_object=made, eos_token="</s>", pad_token="<pad>", unk_token="w3", bos_token=bos, model_max_length=512
).save_pretrained(folder)
"""


def texts(vocab: int, count: int, seed: int = 0) -> list[str]:
    """Made-up words, 4 to 64 of them, more often few."""
    draw = random.Random(seed)
    lengths = [min(64, 4 + int(draw.expovariate(1 / 16))) for _ in range(count)]
    return [" ".join(f"w{draw.randrange(10, vocab - 10)}" for _ in range(length)) for length in lengths]


def side(options: Any, kind: str, folder: str, dtype: str, environment: dict[str, str] | None = None) -> Peer:
    """A process of one side."""
    python = sys.executable if kind == "ours" else options.oracle
    return Peer([python, str(HERE / "seq2seq_peer.py"), kind, folder, dtype], environment)


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--oracle", required=True, help="a Python with torch, Transformers 4.57 and ctranslate2")
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--types", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--beams", nargs="+", type=int, default=[1, 4])
    parser.add_argument("--batches", nargs="+", type=int, default=[8, 32, 64])
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--new", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{machine()}, {options.count} texts, {options.new} new tokens, {options.rounds} rounds, medians\n")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            cls, config = SIZES[size]
            subprocess.run([options.oracle, "-c", SAVE, cls, json.dumps(config), folder], check=True)
            vocab = json.loads((Path(folder) / "config.json").read_text())["vocab_size"]
            for dtype in options.types:
                speed(options, size, folder, dtype, texts(vocab, options.count))
            programs(options, size, folder, texts(vocab, 300, seed=1))
            first(options, size, folder, texts(vocab, 1))


def speed(options: Any, size: str, folder: str, dtype: str, given: list[str]) -> None:
    """Ratios of one of our types to others."""
    sides = {"ours": side(options, "ours", folder, dtype)}
    sides |= {name: side(options, SIDES[name][0], folder, SIDES[name][1]) for name in PEERS[dtype]}
    for beams in options.beams:
        seconds: dict[tuple[str, int], list[float]] = {}
        answers = {}
        for turn in range(options.rounds + 1):
            for name, peer in sides.items():
                for batch in options.batches if name != "ours" else [0]:
                    found = peer.ask(given, count=options.new, beams=beams, batch=batch)
                    answers[name] = found["answers"]
                    if turn:  # the first is for what is compiled or allocated once
                        seconds.setdefault((name, batch), []).append(found["seconds"])
        medians = {key: statistics.median(times) for key, times in seconds.items()}
        ours = medians["ours", 0]
        line = f"{size} {dtype}, {beams} beams: ours {ours:.2f} s"
        for name in PEERS[dtype]:
            best = min(value for (who, _), value in medians.items() if who == name)
            same = sum(a == b for a, b in zip(answers["ours"], answers[name], strict=True))
            line += f"; {name} {best:.2f} s, ratio {best / ours:.2f}, {same} of {len(given)} answers equal"
        print(line, flush=True)
    for peer in sides.values():
        peer.close()


def programs(options: Any, size: str, folder: str, given: list[str]) -> None:
    """Programs that 300 mixed texts need, greedy."""
    with tempfile.TemporaryDirectory() as cache:
        peer = side(options, "ours", folder, "float32", {"JAXFORMERS_COMPILATION_CACHE": cache})
        found = peer.ask(given, count=options.new, beams=1, batch=0)
        peer.close()
    print(f"{size}: {found['programs']} programs for {len(given)} texts: {found['by name']}", flush=True)


def first(options: Any, size: str, folder: str, given: list[str]) -> None:
    """Seconds from the start of a process to its first answer."""
    with tempfile.TemporaryDirectory() as cache:
        took = {}
        sides = [("cold", "ours"), ("again", "ours"), ("torch", "torch"), ("CTranslate2", "ctranslate2")]
        for name, kind in sides:
            environment = {"JAXFORMERS_COMPILATION_CACHE": cache} if kind == "ours" else None
            start = time.perf_counter()
            peer = side(options, kind, folder, "float32", environment)
            peer.ask(given, count=8, beams=1, batch=1)
            took[name] = time.perf_counter() - start
            peer.close()
    print(f"{size}: first answer " + ", ".join(f"{name} {value:.2f} s" for name, value in took.items()), flush=True)


if __name__ == "__main__":
    main()
