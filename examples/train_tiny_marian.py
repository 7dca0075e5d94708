"""Train a Marian-shaped model from English to German, with a sentencepiece model a side.

It learns from the messages that Python packages show and their translations (`catalogues.py` says how to get them) and
from nothing else: weights are random at first, but for the word table, which begins with a lexicon that is counted from
the same messages (`lexicon.py`). What it needs:

    pip install "jaxformers[sentencepiece]"

How it is run (minutes on two CPU cores):

    python examples/train_tiny_marian.py --wheels wheels --out tiny-marian-en-de

`--evaluate FOLDER` prints the chrF of a checkpoint on held-out packages and trains nothing.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

import catalogues
import jax
import lexicon
import scores
import sentencepiece
import small_models
from pairs import Pair

from jaxformers import GenerationConfig, MarianConfig, MarianMTModel, MarianTokenizer

PIECES = 3000  # of each side; those that both have are one row of the word table
CYCLES = ((1, 1.5e-3),)  # epochs and the highest rate of each
BATCH = 64  # rows of a step
END, UNKNOWN = 0, 1  # ids as in Marian's files, which have <pad> behind all pieces
WRITING = {"max_length": 64, "num_beams": 4, "early_stopping": True, "no_repeat_ngram_size": 3}


def make_tokenizer(pairs: Sequence[Pair], folder: Path) -> MarianTokenizer:
    """The tokenizer with pieces of each language, and a vocabulary of both."""
    vocabulary = {"</s>": END, "<unk>": UNKNOWN}
    for name, texts in (("source.spm", [p.source for p in pairs]), ("target.spm", [p.target for p in pairs])):
        small_models.train_pieces(texts, folder / name, PIECES, eos_id=0, unk_id=1, bos_id=-1, pad_id=-1)
        model = sentencepiece.SentencePieceProcessor(model_file=str(folder / name))
        for i in range(len(model)):
            vocabulary.setdefault(model.id_to_piece(i), len(vocabulary))
    vocabulary["<pad>"] = len(vocabulary)
    path = folder / "vocab.json"
    path.write_text(json.dumps(vocabulary, ensure_ascii=False, indent=2), "utf-8")
    return MarianTokenizer(
        folder / "source.spm", folder / "target.spm", path, source_lang="en", target_lang="de", model_max_length=128
    )


def make(words: int, seed: int) -> MarianMTModel:
    """The network with random weights for a vocabulary whose last word is <pad>."""
    pad = words - 1
    config = MarianConfig(
        vocab_size=words,
        d_model=160,
        encoder_layers=3,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=512,
        decoder_ffn_dim=512,
        max_position_embeddings=256,
        activation_function="swish",
        scale_embedding=True,
        dropout=0.0,
        pad_token_id=pad,
        eos_token_id=END,
        forced_eos_token_id=END,
        decoder_start_token_id=pad,
    )
    generation = GenerationConfig(
        decoder_start_token_id=pad,
        pad_token_id=pad,
        eos_token_id=END,
        forced_eos_token_id=END,
        bad_words_ids=[[pad]],
        **WRITING,
    )
    return MarianMTModel(config, key=jax.random.key(seed)).replace(generation_config=generation)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and save, or with --evaluate measure only."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--wheels", type=Path, required=True, help="the folder of what catalogues.txt lists")
    parser.add_argument("--out", type=Path, default=Path("tiny-marian-en-de"), help="where the checkpoint is written")
    parser.add_argument("--evaluate", type=Path, metavar="FOLDER", help="measure this checkpoint, and train nothing")
    parser.add_argument("--steps", type=int, default=-1, help="at most so many steps in each cycle")
    parser.add_argument("--rows", type=int, help="learn from the first so many pairs")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    found = catalogues.read_all(options.wheels, "de")
    if options.evaluate:
        return small_models.report(options.evaluate, found, scores.translation)

    print(f"{len(found.train)} messages of {len(found.counts)} packages", flush=True)
    tokenizer = make_tokenizer(found.train, options.out)
    rows = small_models.rows_of(tokenizer, found.train[: options.rows], catalogues.PIECES)
    settings = {"cycles": CYCLES, "batch": BATCH, "seed": options.seed, "steps": options.steps}
    model = make(len(tokenizer), options.seed)
    width = model.config.d_model
    table = lexicon.table(rows, len(tokenizer), width, options.seed) / math.sqrt(width)  # the network scales it back
    small_models.train(lexicon.begun(model, table), tokenizer, rows, options.out, **settings)
    return small_models.report(options.out, found, scores.translation)


if __name__ == "__main__":
    main()
