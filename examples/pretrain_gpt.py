"""Train a small GPT, and its tokenizer, from a text file.

Pieces are chosen by merging bytes, from the part of the text that is learnt from; paragraphs are packed into rows of
one length. The last tenth of the paragraphs is held out. How it is run (two CPU cores, a book of 1 MB: minutes):

    python examples/pretrain_gpt.py --text book.txt --out small-gpt

What is printed at the end, bits for each byte of what is held out, compares models with other pieces.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import jax
import tokenizers
import tuning
from tokenizers import decoders, models, pre_tokenizers, trainers

from jaxformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPT2Tokenizer,
    Trainer,
    default_data_collator,
    pipeline,
)
from jaxformers.training import tokenized
from jaxformers.training.packing import PackedDataset

END = "<|endoftext|>"
HELD_OUT = 10  # one of so many paragraphs


def paragraphs(text: str, least: int = 200) -> list[str]:
    """A text in parts that end where a paragraph does, each of so many characters at least but for the last."""
    parts = [""]
    for paragraph in text.replace("\r\n", "\n").split("\n\n"):
        if len(parts[-1]) >= least:
            parts.append("")
        parts[-1] += paragraph + "\n\n"
    return parts


def make_tokenizer(texts: Sequence[str], pieces: int, length: int) -> GPT2Tokenizer:
    """A byte-level tokenizer with so many pieces, learnt from texts."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=pieces,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    return GPT2Tokenizer(tokenizer_object=backend, eos_token=END, bos_token=END, unk_token=END, model_max_length=length)


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Train, measure, save, and let it write."""
    parser = tuning.parser(__doc__, out="small-gpt", rate=1e-3, epochs=3, batch=8)
    parser.add_argument("--text", type=Path, required=True, help="a file of text in UTF-8")
    parser.add_argument("--pieces", type=int, default=4096, help="of the vocabulary; default: 4096")
    parser.add_argument("--length", type=int, default=256, help="tokens of a row; default: 256")
    parser.add_argument("--width", type=int, default=256, help="of the network, a multiple of 32; default: 256")
    parser.add_argument("--layers", type=int, default=4, help="default: 4")
    options = parser.parse_args(arguments)
    parts = paragraphs(options.text.read_text("utf-8"))[: options.rows]
    cut = len(parts) - max(1, len(parts) // HELD_OUT)
    learnt, held_out = parts[:cut], parts[cut:]
    if not learnt:
        raise ValueError(f"{options.text} is too short: nothing is left to learn from beside what is held out")
    tokenizer = make_tokenizer(learnt, options.pieces, options.length)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=options.length,
        n_embd=options.width,
        n_layer=options.layers,
        n_head=options.width // 32,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )

    def rows(texts: Sequence[str]) -> PackedDataset:
        own = tokenized.causal(tokenizer, texts)
        return PackedDataset(own, options.length, tokenizer.eos_token_id, split=True)

    measured = rows(held_out)
    trainer = Trainer(
        GPT2LMHeadModel(config, key=jax.random.key(options.seed)),
        tuning.arguments(options, train_sampling_strategy="random", lr_scheduler_type="cosine"),
        default_data_collator,
        rows(learnt),
        measured,
        processing_class=tokenizer,
    )
    found = tuning.tune(trainer)
    tokens = sum(int((row["segment_ids"] != 0).sum()) for row in measured)
    size = len("".join(held_out).encode())
    print(f"bits for each byte: {found['eval_loss'] * tokens / size / math.log(2):.2f}")
    writer = pipeline("text-generation", model=trainer.model, tokenizer=tokenizer)
    print(writer(learnt[0][:40], max_new_tokens=32, do_sample=False)[0]["generated_text"])
    return found


if __name__ == "__main__":
    main()
