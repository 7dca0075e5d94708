"""What the scripts that train encoder-decoders share: rows of ids, a plain optax loop, and what a model writes.

The loop is plain JAX: `model.apply` is a pure function of `params`, labels give the loss, and the state is donated to
the step that replaces it.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import sentencepiece
from pairs import Pair, Pairs

from jaxformers import AutoModelForSeq2SeqLM, AutoTokenizer, Tokenizer

SMOOTHING = 0.1  # of labels
WRITTEN = 64  # rows that are written together
SHOWN = 20  # unpicked outputs

Shape = tuple[int, int]
"""The lengths to which sources and targets are padded: a compiled program each."""


@dataclasses.dataclass(frozen=True)
class Row:
    """Ids of a source and of what is to be written, each with its end."""

    source: list[int]
    target: list[int]


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


def rows_of(tokenizer: Tokenizer, pairs: Sequence[Pair]) -> list[Row]:
    """Ids of both sides."""
    sources = tokenizer([pair.source for pair in pairs])["input_ids"]
    targets = tokenizer(text_target=[pair.target for pair in pairs])["input_ids"]
    return [Row(source, target) for source, target in zip(sources, targets, strict=True)]


def batches(
    rows: Sequence[Row], shapes: Sequence[Shape], tokens: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, Shape]]:
    """Which rows go together, in random order, and the first shape that has room for them.

    A batch has about `tokens` targets. What does not fill one waits for the next epoch's order; rows for which all
    shapes are too short are never used.
    """
    groups: dict[Shape, list[int]] = {shape: [] for shape in shapes}
    for i, row in enumerate(rows):
        room = (shape for shape in shapes if len(row.source) <= shape[0] and len(row.target) <= shape[1])
        if shape := next(room, None):
            groups[shape].append(i)
    found = []
    for shape, members in groups.items():
        size, order = max(1, tokens // shape[1]), rng.permutation(members)
        found += [(order[start : start + size], shape) for start in range(0, len(order) - size + 1, size)]
    yield from (found[i] for i in rng.permutation(len(found)))


def padded(rows: Sequence[Row], chosen: np.ndarray, shape: Shape, pad: int) -> dict[str, np.ndarray]:
    """A batch as models take it: ids and mask of sources, and labels with -100 behind their ends."""
    ids = np.full((len(chosen), shape[0]), pad, np.int32)
    mask, labels = np.zeros_like(ids), np.full((len(chosen), shape[1]), -100, np.int32)
    for line, i in enumerate(chosen):
        source, target = rows[i].source, rows[i].target
        ids[line, : len(source)], mask[line, : len(source)] = source, 1
        labels[line, : len(target)] = target
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def smoothed(logits: jax.Array, loss: jax.Array, labels: jax.Array) -> jax.Array:
    """The loss if a share of each label were spread over all words: logits [B, T, V], labels [B, T] with -100."""
    counted = labels != -100
    even = (jax.nn.logsumexp(logits, axis=-1) - logits.mean(-1)) * counted
    return (1 - SMOOTHING) * loss + SMOOTHING * even.sum() / counted.sum()


def fit(
    model: Any,
    rows: Sequence[Row],
    *,
    shapes: Sequence[Shape],
    epochs: int,
    tokens: int,
    rate: float,
    seed: int,
    key: jax.Array | None = None,
) -> Any:
    """The model after AdamW on the cross-entropy of targets; with `key` dropout is on."""
    rng = np.random.default_rng(seed)
    plan = [batch for _ in range(epochs) for batch in batches(rows, shapes, tokens, rng)]
    schedule = optax.warmup_cosine_decay_schedule(0.0, rate, min(400, len(plan) // 10), len(plan), rate / 100)
    matrices = jax.tree.map(lambda x: x.ndim > 1, model.params)
    adam = optax.adamw(schedule, b2=0.98, weight_decay=0.01, mask=matrices)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), adam)

    def loss(params: Any, batch: dict[str, jax.Array], key: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        output = model.apply(params, **batch, key=key)
        return smoothed(output.logits, output.loss, batch["labels"]), output.loss

    @functools.partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Any, state: Any, batch: dict[str, jax.Array], key: jax.Array | None) -> Any:
        (_, value), gradient = jax.value_and_grad(loss, has_aux=True)(params, batch, key)
        update, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, update), state, value

    params = jax.tree.map(jnp.copy, model.params)  # those of the model are the caller's
    state, values, start = optimizer.init(params), [], time.monotonic()
    for n, (chosen, shape) in enumerate(plan, 1):
        batch = padded(rows, chosen, shape, model.config.pad_token_id)
        params, state, value = step(params, state, batch, None if key is None else jax.random.fold_in(key, n))
        values.append(value)
        if n % 200 == 0 or n == len(plan):
            print(f"  step {n}/{len(plan)}, loss {np.mean(values):.4f}, {time.monotonic() - start:.0f} s", flush=True)
            values.clear()
    return model.replace(params=params)


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
    shapes: Sequence[Shape],
    tokens: int,
    seed: int,
) -> None:
    """Fit a model in cycles of epochs and a highest rate, each from what the one before has written to `folder`."""
    for number, (epochs, rate) in enumerate(cycles):
        settings = {"shapes": shapes, "epochs": epochs, "tokens": tokens, "rate": rate, "seed": seed + number}
        save(fit(model, rows, **settings), tokenizer, folder)
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
