"""What the scripts that train encoder-decoders share: rows of ids, training in cycles, and what a model writes."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import sentencepiece
from pairs import Pair, Pairs

from jaxformers import (
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    Tokenizer,
)
from jaxformers.training import tokenized

SMOOTHING = 0.1  # of labels
STEP = 16  # lengths are multiples of it, so that there are few pairs of lengths, and few programs
WRITTEN = 64  # rows that are written together
SHOWN = 20  # unpicked outputs

Row = dict[str, Any]
"""input_ids of a source and labels of what is to be written, each with its end."""


def train_pieces(texts: Sequence[str], model: Path, count: int, **ids: int) -> None:
    """Write a sentencepiece model of `count` pieces, chosen from texts by the unigram criterion."""
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=written,
        vocab_size=count,
        model_type="unigram",
        character_coverage=0.9999,
        num_threads=1,
        minloglevel=2,
        **ids,
    )
    model.parent.mkdir(parents=True, exist_ok=True)
    model.write_bytes(written.getvalue())


def rows_of(tokenizer: Tokenizer, pairs: Sequence[Pair], longest: tuple[int, int]) -> list[Row]:
    """Ids of both sides, without the pairs of which a side is longer than `longest` pieces."""
    rows = tokenized.translated(tokenizer, [pair.source for pair in pairs], [pair.target for pair in pairs])
    return [row for row in rows if len(row["input_ids"]) <= longest[0] and len(row["labels"]) <= longest[1]]


def write(model: Any, tokenizer: Tokenizer, texts: Sequence[str], **options: Any) -> list[str]:
    """What a model writes for each text: greedy search or beams, as the options say."""
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    answers = [""] * len(texts)
    for start in range(0, len(order), WRITTEN):
        chosen = order[start : start + WRITTEN]
        batch = tokenizer([texts[i] for i in chosen], padding=True, truncation=True, return_tensors="np")
        tokens = model.generate(batch["input_ids"], attention_mask=batch["attention_mask"], **options)
        for i, answer in zip(chosen, tokenizer.batch_decode(tokens, skip_special_tokens=True), strict=True):
            answers[i] = answer.strip()
    return answers


def halved(model: Any) -> Any:
    """The model in float16, as it is saved.

    Raises:
        ValueError: a weight is too large for it.
    """
    half = jax.tree.map(lambda x: x.astype(jnp.float16), model)
    if not all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(half.params)):
        raise ValueError("a weight is beyond float16: train with a smaller rate")
    return half


def save(model: Any, tokenizer: Tokenizer, folder: Path) -> None:
    """Write a checkpoint, weights in float16."""
    halved(model).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def train(
    model: Any,
    tokenizer: Tokenizer,
    rows: Sequence[Row],
    folder: Path,
    *,
    cycles: Sequence[tuple[int, float]],
    batch: int,
    seed: int,
    steps: int = -1,
) -> None:
    """Fit a model in cycles of epochs and a highest rate, each from what the one before has written to `folder`.

    The log of each cycle goes to a folder beside it.

    Args:
        model: with random weights, and no dropout in its config.
        tokenizer: is saved with it.
        rows: what is learnt from.
        folder: where it is saved.
        cycles: epochs and the highest rate of each.
        batch: rows of a step.
        seed: of the order of rows.
        steps: at most so many in each cycle; -1: all.
    """
    for number, (epochs, rate) in enumerate(cycles):
        args = Seq2SeqTrainingArguments(
            folder.with_name(f"{folder.name}-cycle-{number + 1}"),
            num_train_epochs=epochs,
            max_steps=steps,
            per_device_train_batch_size=batch,
            learning_rate=rate,
            lr_scheduler_type="cosine_with_min_lr",
            lr_scheduler_kwargs={"min_lr_rate": 0.01},
            warmup_ratio=0.1,
            adam_beta2=0.98,
            weight_decay=0.01,
            label_smoothing_factor=SMOOTHING,
            train_sampling_strategy="group_by_length",
            dataloader_drop_last=True,
            logging_steps=200,
            save_strategy="no",
            seed=seed + number,
        )
        collator = DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=STEP)
        trainer = Seq2SeqTrainer(model, args, collator, rows, processing_class=tokenizer)
        trainer.train()
        save(trainer.model, tokenizer, folder)
        model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype="float32")


def report(folder: Path, pairs: Pairs, score: Callable[[Sequence[str], Sequence[str]], str]) -> None:
    """Print how near what a checkpoint writes is to what people wrote, and its first texts of a shuffle."""
    model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    answers: list[str] = []
    for name in ("validation", "held_out"):
        chosen = getattr(pairs, name)
        for beams in (1, 4):
            answers = write(model, tokenizer, [pair.source for pair in chosen], num_beams=beams)
            found = score(answers, [pair.target for pair in chosen])
            print(f"{folder}: {found} with num_beams={beams} on {len(chosen)} {name} texts", flush=True)
    for pair, answer in random.Random(0).sample(list(zip(pairs.held_out, answers, strict=True)), SHOWN):
        print(f"| {pair.source} | {answer} | {pair.target} |")
