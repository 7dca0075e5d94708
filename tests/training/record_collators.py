"""Write `golden_collators.json`: what torch Transformers' collators make of the examples in `toys.py`.

    python -m tests.training.record_collators PYTHON_WITH_TORCH

The tokenizer is written here; the interpreter named (torch, transformers 4.57) only answers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from .toys import CASES, put_tokenizer

THEIRS = """
import copy, json, sys, numpy, transformers
folder, cases = sys.argv[1], json.load(sys.stdin)
golden = {}
for name, (kind, keywords, features, side) in cases.items():
    if kind in ("DefaultDataCollator", "DataCollatorWithFlattening"):
        tokenizer = {}
    else:
        tokenizer = {"tokenizer": transformers.AutoTokenizer.from_pretrained(folder, padding_side=side)}
    torch_only = kind == "DataCollatorForMultipleChoice"
    collator = getattr(transformers, kind)(**tokenizer, **keywords, return_tensors="pt" if torch_only else "np")
    batch = {k: v.numpy() if hasattr(v, "numpy") else v for k, v in collator(copy.deepcopy(features)).items()}
    golden[name] = {
        k: [str(v.dtype), v.tolist()] if isinstance(v, numpy.ndarray) else [None, v] for k, v in batch.items()
    }
print("\\n" + json.dumps(golden))
"""


def main() -> None:
    """Record all cases."""
    with tempfile.TemporaryDirectory() as folder:
        put_tokenizer(Path(folder))
        done = subprocess.run(
            [sys.argv[1], "-W", "ignore", "-c", THEIRS, folder],
            input=json.dumps(CASES),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        sys.exit(done.stderr)
    golden = json.loads(done.stdout.splitlines()[-1])
    path = Path(__file__).with_name("golden_collators.json")
    path.write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items()) + "\n}\n")
    print(f"{path}: {len(golden)} batches")


if __name__ == "__main__":
    main()
