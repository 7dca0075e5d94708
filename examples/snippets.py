"""Short texts that people have scored, from the source archive of vaderSentiment 2.5, and which are held out.

    pip download --no-deps --no-binary :all: vaderSentiment==2.5  # the texts are in the source archive only
    tar -xzf vaderSentiment-2.5.tar.gz
    tar -xzf vaderSentiment-2.5/additional_resources/hutto_ICWSM_2014.tar.gz -C vaderSentiment-2.5/additional_resources

Data: C.J. Hutto and E.E. Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text",
ICWSM 2014 (MIT licence).
"""

from __future__ import annotations

import dataclasses
import hashlib
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

LABELS = {0: "NEGATIVE", 1: "POSITIVE"}
NUMBERS = {name: number for number, name in LABELS.items()}


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
    others: list[Text]  # of products, tweets and single words
    unscored: list[str]

    def some(self, count: int | None, seed: int) -> Texts:
        """At most so many of each kind, drawn by the seed; None: all, in their order."""
        if count is None:
            return self
        kinds = [getattr(self, field.name) for field in dataclasses.fields(self)]
        return Texts(*(random.Random(seed).sample(kind, min(count, len(kind))) for kind in kinds))


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


def lines(path: Path) -> list[tuple[str, Text]]:
    """Each line of a `*_GroundTruth.txt`: the id of the review that it is of, and its text."""
    rows = (line.split("\t") for line in path.read_text("utf-8").splitlines() if line.strip())
    return [(name.partition("_")[0], Text(text.strip(), float(score))) for name, score, text in rows]


def read(path: Path) -> list[Text]:
    """The texts of a `*_GroundTruth.txt`."""
    return [text for _, text in lines(path)]


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
        *read_lexicon(data),
    ]
    editorials = read(resources / "nytEditorialSnippets_GroundTruth.txt")  # whose tone says little about their scores
    near = resembles(snippet.text for snippet in held)
    rest = [snippet for snippet in snippets if not held_out(snippet.text) and not near(snippet.text)]
    return Texts(
        train=[snippet for snippet in rest if share(snippet.text) >= 0.28],
        validation=[snippet for snippet in rest if share(snippet.text) < 0.28],
        held_out=held,
        others=[text for text in others if not near(text.text)],
        unscored=[text.text for text in editorials if not near(text.text)],
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


def by_review(data: Path) -> tuple[list[Text], list[Text]]:
    """Snippets of reviews of films and products to learn from, and those of the held-out fifth of reviews.

    A review of a product is several snippets, all on one side; one of a film is one. Snippets without a label, of a
    score of exactly 0, are left out, and so is what is nearly the same as a held-out one.
    """
    learnt, held = [], []
    for name in ("movie", "amazon"):
        for review, text in lines(_resources(data) / f"{name}ReviewSnippets_GroundTruth.txt"):
            if text.score:
                aside = held_out(text.text) if name == "movie" else share(f"product review {review}") < 0.2
                (held if aside else learnt).append(text)
    near = resembles(text.text for text in held)
    return [text for text in learnt if not near(text.text)], held


def beside_reviews(data: Path, held: Iterable[Text]) -> list[Text]:
    """Tweets and single words to learn from as well, but for what is nearly the same as a held-out text."""
    near = resembles(text.text for text in held)
    texts = [*read(_resources(data) / "tweets_GroundTruth.txt"), *read_lexicon(data)]
    return [text for text in texts if text.score and not near(text.text)]


def digest(texts: Iterable[Text]) -> str:
    """The SHA-256 of texts with their scores, in their order: which texts a figure is of."""
    lines = (f"{text.score}\t{text.text}\n" for text in texts)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def by_document(data: Path) -> tuple[list[list[str]], list[list[str]]]:
    """Reviews of products and editorials, as their sentences, to learn from, and the held-out fifth of them."""
    learnt, held = [], []
    for name in ("amazonReview", "nytEditorial"):
        documents: dict[str, list[str]] = defaultdict(list)
        for document, text in lines(_resources(data) / f"{name}Snippets_GroundTruth.txt"):
            documents[document].append(text.text)
        for document, sentences in documents.items():
            if len(sentences) > 1:
                (held if share(f"{name} {document}") < 0.2 else learnt).append(sentences)
    return learnt, held
