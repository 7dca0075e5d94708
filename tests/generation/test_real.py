"""Real weights beside torch's, by hand: `pytest -m heavy tests/generation/test_real.py -n 0`.

JAXFORMERS_ORACLE   a Python with torch Transformers 4.57 (the `parity` extra)
JAXFORMERS_WRITERS  models that generate, separated as in PATH: folders or GGUF files
JAXFORMERS_TEXTS    text files, separated as in PATH; the last column of each line counts
"""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from jaxformers import AutoModelForCausalLM, AutoTokenizer

pytestmark = [pytest.mark.heavy, pytest.mark.usefixtures("optimised")]

THEIRS = """
import json, sys
import torch, transformers
job = json.load(sys.stdin)
model = transformers.AutoModelForCausalLM.from_pretrained(job["folder"], dtype=torch.float32)
answers = []
for ids, mask, options in job["calls"]:
    with torch.no_grad():
        out = model.generate(torch.tensor(ids), attention_mask=torch.tensor(mask), **options)
    answers.append(out.tolist())
print(json.dumps(answers))
"""


def path_of(name: str) -> str:
    """A path from the environment."""
    if name not in os.environ:
        pytest.skip(f"{name} is not set")
    return os.environ[name]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """Beginnings of real texts, of many lengths."""
    lines = [
        line.split("\t")[-1]
        for path in path_of("JAXFORMERS_TEXTS").split(os.pathsep)
        for line in Path(path).read_text("utf-8", errors="replace").splitlines()
    ]
    chosen = random.Random(0).sample([line for line in lines if len(line) > 40], 20)
    return [text[: 20 + 9 * i] for i, text in enumerate(chosen)]


@pytest.fixture(scope="module", params=os.environ.get("JAXFORMERS_WRITERS", "none").split(os.pathsep))
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model, its tokenizer and a folder with both."""
    path_of("JAXFORMERS_WRITERS")
    model = AutoModelForCausalLM.from_pretrained(request.param, dtype="float32")
    tokenizer = AutoTokenizer.from_pretrained(request.param)
    folder = tmp_path_factory.mktemp("saved")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model, tokenizer, folder


def padded(tokenizer: Any, texts: list[str]) -> tuple[list[list[int]], list[list[int]]]:
    """Ids and mask, padded on the left."""
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    batch = tokenizer(texts, padding=True, return_tensors="np")
    return batch["input_ids"].tolist(), batch["attention_mask"].tolist()


def until_end(row: list[int], start: int, ends: set[int]) -> list[int]:
    """New tokens up to and with the first end."""
    new = row[start:]
    stop = next((i + 1 for i, token in enumerate(new) if token in ends), len(new))
    return new[:stop]


def test_tokens_are_torchs(model: Any, texts: list[str]):
    ours, tokenizer, folder = model
    greedy = {"do_sample": False, "max_new_tokens": 64}
    calls: list[Any] = [(*padded(tokenizer, [text]), greedy) for text in texts[:4]]
    calls += [(*padded(tokenizer, texts[i : i + 4]), greedy) for i in range(4, 20, 4)]
    calls += [(*padded(tokenizer, [text]), {**greedy, "num_beams": 4}) for text in texts[:5]]
    calls += [
        (
            *padded(tokenizer, texts[5:8]),
            {**greedy, "repetition_penalty": 1.3, "no_repeat_ngram_size": 3, "min_new_tokens": 20},
        ),
        (*padded(tokenizer, texts[8:10]), {**greedy, "num_beams": 3, "length_penalty": 2.0, "early_stopping": True}),
    ]
    done = subprocess.run(
        [path_of("JAXFORMERS_ORACLE"), "-c", THEIRS],
        input=json.dumps({"folder": str(folder), "calls": calls}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    ends = set(ours.generation_config.eos)
    wrong = []
    with jax.default_matmul_precision("highest"):
        for number, (ids, mask, options) in enumerate(calls):
            rows = np.asarray(ours.generate(ids, attention_mask=mask, **options)).tolist()
            theirs = json.loads(done.stdout)[number]
            for row, other in zip(rows, theirs, strict=True):
                mine, expected = (until_end(r, len(ids[0]), ends) for r in (row, other))
                if mine != expected:
                    wrong.append((number, options, tokenizer.decode(mine), tokenizer.decode(expected)))
    print(f"{sum(len(call[0]) for call in calls)} rows, {len(wrong)} differ")
    assert not wrong
