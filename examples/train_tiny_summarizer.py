"""Train a small T5 that writes the first line of a docstring, given the prose behind it.

It learns from the docstrings of Python packages (`docstrings.py` says how to get them) and from nothing else: weights
are random at first, but for the word table, which begins with which words of descriptions bring which words of first
lines with them (`lexicon.py`). What it needs:

    pip install "jaxformers[sentencepiece]"

How it is run (minutes on two CPU cores):

    python examples/train_tiny_summarizer.py --wheels wheels --out tiny-summarizer

`--evaluate FOLDER` prints the ROUGE of a checkpoint on held-out packages, and that of the source's first words, which
any summary should surpass; it trains nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import docstrings
import jax
import lexicon
import scores
import small_models
from pairs import Pair, Pairs

from jaxformers import GenerationConfig, T5Config, T5ForConditionalGeneration, T5Tokenizer

PIECES = 3072  # rows of the word table
LONGEST = (72, 24)  # pieces of both sides
CYCLES = ((1, 4e-3), (2, 1.5e-3))  # epochs and the highest rate of each
BATCH = 48  # rows of a step
LEAD = 9  # words of the source that are taken as its summary for comparison: as many as a first line has
WRITING = {"max_length": 32, "num_beams": 4, "early_stopping": True, "no_repeat_ngram_size": 3}


def make(seed: int) -> T5ForConditionalGeneration:
    """The network with random weights. It has one task, so sources have no prefix."""
    config = T5Config(
        vocab_size=PIECES,
        d_model=160,
        d_kv=40,
        d_ff=512,
        num_layers=3,
        num_decoder_layers=2,
        num_heads=4,
        relative_attention_max_distance=64,
        dropout_rate=0.0,
        prefix="",
        task_specific_params={"summarization": {"prefix": "", **WRITING}},
    )
    generation = GenerationConfig(decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, **WRITING)
    return T5ForConditionalGeneration(config, key=jax.random.key(seed)).replace(generation_config=generation)


def make_tokenizer(pairs: Sequence[Pair], folder: Path) -> T5Tokenizer:
    """The tokenizer, without sentinels."""
    texts = [text for pair in pairs for text in (pair.source, pair.target)]
    path = folder / "spiece.model"
    small_models.train_pieces(texts, path, PIECES, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    return T5Tokenizer(path, extra_ids=0, legacy=False, model_max_length=LONGEST[0])


def report(folder: Path, found: Pairs) -> None:
    """Print how near the summaries of a checkpoint are to people's, and how near the first words of sources are."""
    small_models.report(folder, found, scores.summary)
    lead = [" ".join(pair.source.split()[:LEAD]) for pair in found.held_out]
    print(f"first {LEAD} words: {scores.summary(lead, [pair.target for pair in found.held_out])}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and save, or with --evaluate measure only."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--wheels", type=Path, required=True, help="the folder of what docstrings.txt lists")
    parser.add_argument("--out", type=Path, default=Path("tiny-summarizer"), help="where the checkpoint is written")
    parser.add_argument("--evaluate", type=Path, metavar="FOLDER", help="measure this checkpoint, and train nothing")
    parser.add_argument("--steps", type=int, default=-1, help="at most so many steps in each cycle")
    parser.add_argument("--rows", type=int, help="learn from the first so many pairs")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    found = docstrings.read_all(options.wheels)
    if options.evaluate:
        return report(options.evaluate, found)

    print(f"{len(found.train)} docstrings of {len(found.counts)} packages", flush=True)
    tokenizer = make_tokenizer(found.train, options.out)
    rows = small_models.rows_of(tokenizer, found.train[: options.rows], LONGEST)
    settings = {"cycles": CYCLES, "batch": BATCH, "seed": options.seed, "steps": options.steps}
    model = make(options.seed)
    table = lexicon.table(rows, model.config.vocab_size, model.config.d_model, options.seed)
    small_models.train(lexicon.begun(model, table), tokenizer, rows, options.out, **settings)
    return report(options.out, found)


if __name__ == "__main__":
    main()
