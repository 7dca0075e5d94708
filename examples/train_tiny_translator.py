"""Train jaxformers/tiny-translator, the T5 from English to French that ships with the package.

It learns from the messages that Python packages show and their translations (`catalogues.py` says how to get them) and
from nothing else: weights are random at first, but for the word table, which begins with a lexicon that is counted from
the same messages (`lexicon.py`). What it needs:

    pip install "jaxformers[sentencepiece]"

How it is run (minutes on two CPU cores):

    python examples/train_tiny_translator.py --wheels wheels --out tiny-translator

Messages of the held-out packages are used for one thing only, the chrF that is printed at the end. `--evaluate FOLDER`
prints it for a checkpoint and trains nothing. The weights that ship are those of this script's first version, whose
loop was plain optax.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import catalogues
import jax
import lexicon
import scores
import small_models
from pairs import Pair

from jaxformers import GenerationConfig, T5Config, T5ForConditionalGeneration, T5Tokenizer

PIECES = 3072  # rows of the word table
CYCLES = ((4, 4e-3), (2, 1.5e-3))  # epochs and the highest rate of each; the rate falls to nearly zero in between
BATCH = 64  # rows of a step
WRITING = {"max_length": 64, "num_beams": 4, "early_stopping": True, "no_repeat_ngram_size": 3}


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
        task_specific_params={"translation_en_to_fr": {"prefix": "", **WRITING}},
    )
    generation = GenerationConfig(decoder_start_token_id=0, pad_token_id=0, eos_token_id=1, **WRITING)
    return T5ForConditionalGeneration(config, key=jax.random.key(seed)).replace(generation_config=generation)


def make_tokenizer(pairs: Sequence[Pair], folder: Path) -> T5Tokenizer:
    """The tokenizer with pieces of both languages, and without sentinels."""
    texts = [text for pair in pairs for text in (pair.source, pair.target)]
    path = folder / "spiece.model"
    small_models.train_pieces(texts, path, PIECES, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    return T5Tokenizer(path, extra_ids=0, legacy=False, model_max_length=128)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and save, or with --evaluate measure only."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--wheels", type=Path, required=True, help="the folder of what catalogues.txt lists")
    parser.add_argument("--out", type=Path, default=Path("tiny-translator"), help="where the checkpoint is written")
    parser.add_argument("--evaluate", type=Path, metavar="FOLDER", help="measure this checkpoint, and train nothing")
    parser.add_argument("--steps", type=int, default=-1, help="at most so many steps in each cycle")
    parser.add_argument("--rows", type=int, help="learn from the first so many pairs")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    found = catalogues.read_all(options.wheels, "fr")
    if options.evaluate:
        return small_models.report(options.evaluate, found, scores.translation)

    print(f"{len(found.train)} messages of {len(found.counts)} packages", flush=True)
    tokenizer = make_tokenizer(found.train, options.out)
    rows = small_models.rows_of(tokenizer, found.train[: options.rows], catalogues.PIECES)
    model = make(options.seed)
    table = lexicon.table(rows, model.config.vocab_size, model.config.d_model, options.seed)
    settings = {"cycles": CYCLES, "batch": BATCH, "seed": options.seed, "steps": options.steps}
    small_models.train(lexicon.begun(model, table), tokenizer, rows, options.out, **settings)
    return small_models.report(options.out, found, scores.translation)


if __name__ == "__main__":
    main()
