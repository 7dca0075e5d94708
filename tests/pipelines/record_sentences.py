"""Write `golden_sentences.json.gz`: what sentence-transformers makes of the folders in `sentence_folders.py`, and what
it saves of them.

    PYTHONPATH=tests python -m tests.pipelines.record_sentences PYTHON_WITH_SENTENCE_TRANSFORMERS [NAME...]

With names behind that it asks about these alone. The folders are written here, without it. The interpreter named
(sentence-transformers 6.2 or later) loads each, answers the calls, saves it again, and answers from what our pipeline
saves. Recorded are its answers; the files that it saved, which our pipelines must read; and the files that ours saved,
from which it gave the same answers. Both directions are checked here too, on the very folders.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from jaxformers import pipeline

from .sentence_folders import FOLDERS, answers_of, texts_of

PATH = Path(__file__).with_name("golden_sentences.json.gz")
THEIRS = """
import json, sys, numpy as np, torch, sentence_transformers
torch.set_num_threads(1)

def answers(model, job):
    found = []
    for method, options in job["calls"]:
        x = getattr(model, method)(job["given"], **options)
        found.append((x.to_dense() if isinstance(x, torch.Tensor) else torch.as_tensor(x)).tolist())
    return found

for job in json.load(sys.stdin):
    cls = getattr(sentence_transformers, job["kind"])
    model = cls(job["folder"], device="cpu")
    first = answers(model, job)
    model.save_pretrained(job["theirs"], create_model_card=False)
    again = answers(cls(job["ours"], device="cpu"), job)
    print("\\n" + json.dumps([first, again]))
"""


def main() -> None:
    """Record everything, or what is named."""
    python, *named = sys.argv[1:]
    asked = {name: case for name, case in FOLDERS.items() if not named or name in named}
    golden: dict[str, Any] = json.loads(gzip.decompress(PATH.read_bytes())) if named else {}
    with tempfile.TemporaryDirectory() as made:
        jobs = []
        for name, case in asked.items():
            place = Path(made) / name.replace(" ", "_")
            folder, ours, theirs = (place / part for part in ("folder", "ours", "theirs"))
            pipeline(case.task, model=case.write(folder)).save_pretrained(ours)
            jobs.append(
                {"kind": case.kind, "calls": case.calls, "given": case.given}
                | {"folder": str(folder), "ours": str(ours), "theirs": str(theirs)}
            )
        run = [python, "-W", "ignore", "-c", THEIRS]
        done = subprocess.run(run, input=json.dumps(jobs), stdout=subprocess.PIPE, text=True, check=True)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[[[")]
        worst = 0.0
        for (name, case), job, (first, again) in zip(asked.items(), jobs, lines, strict=True):
            theirs = Path(job["theirs"])
            ours = answers_of(case, pipeline(case.task, model=theirs))
            direct = answers_of(case, pipeline(case.task, model=job["folder"]))
            far = [
                max(float(np.abs(np.subtract(a, b)).max()) for a, b in zip(first, other, strict=True))
                for other in (again, ours, direct)
            ]
            print(f"{name}: {far}")
            worst = max(worst, *far)
            golden[name] = {
                "answers": [np.round(x, 6).tolist() for x in first],
                "saved": texts_of(Path(job["ours"])),
                "theirs": {
                    "files": texts_of(theirs),
                    "tokenizer.json": {"normalizer": json.loads((theirs / "tokenizer.json").read_text())["normalizer"]},
                    "tokenizer_config.json": {
                        "model_max_length": json.loads((theirs / "tokenizer_config.json").read_text())[
                            "model_max_length"
                        ]
                    },
                },
            }
    if worst > 1e-5:
        raise SystemExit(f"answers differ by {worst}")
    told = {name: golden[name] for name in FOLDERS}
    PATH.write_bytes(gzip.compress(json.dumps(told, separators=(",", ":")).encode(), mtime=0))
    print(f"{PATH}: {PATH.stat().st_size} bytes, worst {worst}")


if __name__ == "__main__":
    main()
