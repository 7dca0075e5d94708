"""Pipelines that read texts beside torch Transformers': ratios from interleaved runs, best of theirs / ours.

    python tests/benchmarks/reading.py NER BODY TEXTS --oracle PYTHON_WITH_TORCH

NER is a folder with a token classifier, BODY one with any encoder: it gets random heads that find answers and tell what
follows from what. TEXTS is a folder with the `*_GroundTruth.txt` files of vaderSentiment 2.5's source distribution.
Above 1 we are faster.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

from peers import machine, mixed_texts, own, theirs

LABELS = "travel, cooking, politics, sport, film, music, money, health, weather, science"


def main() -> None:
    """Run everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ner")
    parser.add_argument("body")
    parser.add_argument("texts", type=Path)
    parser.add_argument("--oracle", required=True, help="a Python with torch and transformers 4.57")
    parser.add_argument("--part", type=float, default=1.0, help="of the texts, for a quick look")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=["NER", "zero-shot", "questions"], help="the lines to measure")
    options = parser.parse_args()
    count = lambda full: max(4, int(full * options.part))  # noqa: E731
    texts = mixed_texts(options.texts, count(500) + 12 * count(100))
    long = [" ".join(texts[count(500) + 12 * i :][:12]) for i in range(count(100))]
    examples = [{"question": "What did the people say about it?", "context": context} for context in long]
    print(f"{machine()}, {options.rounds} rounds, medians\n")
    with tempfile.TemporaryDirectory() as home:
        answering, telling = heads(options.body, Path(home))
        jobs: list[tuple[str, str, str, Any, dict[str, Any]]] = [
            ("NER", "token-classification", options.ner, texts[: count(500)], {"aggregation_strategy": "simple"}),
            ("zero-shot", "zero-shot-classification", telling, texts[: count(200)], {"candidate_labels": LABELS}),
            ("questions", "question-answering", answering, examples, {}),
        ]
        print(f"{'what':<12}{'theirs':>10}{'ours':>10}{'ratio':>8}")
        for name, task, folder, inputs, keywords in (job for job in jobs if job[0] in options.only):
            best, ours, note = measured(options, task, folder, inputs, keywords)
            print(f"{name:<12}{best:>10.2f}{ours:>10.2f}{best / ours:>8.2f}  {note}", flush=True)


def heads(body: str, home: Path) -> tuple[str, str]:
    """The encoder with random heads for answers and for what follows, as both sides load them."""
    from jaxformers import AutoModelForQuestionAnswering, AutoModelForSequenceClassification, AutoTokenizer

    names = {0: "contradiction", 1: "neutral", 2: "entailment"}
    for folder, model in (
        ("answering", AutoModelForQuestionAnswering.from_pretrained(body)),
        (
            "telling",
            AutoModelForSequenceClassification.from_pretrained(body, id2label=names, ignore_mismatched_sizes=True),
        ),
    ):
        model.save_pretrained(home / folder)
        AutoTokenizer.from_pretrained(body).save_pretrained(home / folder)
    return str(home / "answering"), str(home / "telling")


def measured(options: Any, task: str, folder: str, inputs: Any, keywords: dict[str, Any]) -> tuple[float, float, str]:
    """Seconds of theirs at their best batch size, of ours, and how far the answers agree."""
    peer, mine = theirs(options.oracle, task, folder, "float32"), own(task, folder, "float32")
    first = mine.ask(inputs, options=keywords)
    rounds = [
        (
            {batch: peer.ask(inputs, batch=batch, theirs=keywords) for batch in (1, 8, 32)},
            mine.ask(inputs, options=keywords),
        )
        for _ in range(options.rounds)
    ]
    by_batch = {batch: statistics.median(one[batch]["seconds"] for one, _ in rounds) for batch in (1, 8, 32)}
    ours = statistics.median(one["seconds"] for _, one in rounds)
    pairs = list(zip(rounds[-1][1]["answers"], rounds[-1][0][1]["answers"], strict=True))
    same = sum(said(a) == said(b) for a, b in pairs)
    times = ", ".join(f"{batch}: {seconds:.2f}" for batch, seconds in by_batch.items())
    peer.close()
    mine.close()
    note = f"theirs at {times}; {same} of {len(pairs)} answers equal; first pass {first['seconds']:.2f}"
    return min(by_batch.values()), ours, f"{note}, {first['compiled']} programs"


def said(answer: Any) -> Any:
    """An answer without its scores."""
    if isinstance(answer, dict):
        return {name: value for name, value in answer.items() if name not in ("score", "scores")}
    return [said(one) for one in answer]


if __name__ == "__main__":
    main()
