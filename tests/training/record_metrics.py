"""Write `golden_metrics.json`: what scikit-learn and seqeval say of random predictions.

python -m tests.training.record_metrics PYTHON_WITH_SEQEVAL
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

KINDS = ["PER", "LOC", ""]
SCHEMES = {"IOB1": "IB", "IOB2": "BI", "IOBES": "BIES", "no kinds": "BIES"}

THEIRS = """
import json, sys, warnings
warnings.simplefilter("ignore")
from seqeval.metrics import accuracy_score
from seqeval.metrics.sequence_labeling import get_entities, precision_recall_fscore_support
from sklearn.metrics import accuracy_score as share, f1_score
asked = json.load(sys.stdin)
for case in asked["classes"]:
    right, own = case["right"], case["own"]
    case["accuracy"] = share(right, own)
    averages = ["macro", "micro", "weighted"] + (["binary"] if max(right + own) < 2 else [])
    case["f1"] = {name: float(f1_score(right, own, average=name, zero_division=0)) for name in averages}
for case in asked["tags"]:
    right, own = case["right"], case["own"]
    case["entities"] = [[list(entity) for entity in get_entities(row)] for row in own]
    case["accuracy"] = accuracy_score(right, own)
    case["overall"] = list(map(float, precision_recall_fscore_support(right, own, average="micro")[:3]))
    kinds = sorted({entity[0] for rows in (right, own) for row in rows for entity in get_entities(row)})
    each = precision_recall_fscore_support(right, own, average=None)
    case["each"] = {kind: [float(values[i]) for values in each] for i, kind in enumerate(kinds)}
print(json.dumps(asked))
"""


def tag(chance: random.Random, scheme: str) -> str:
    """A tag of a scheme."""
    if chance.random() < 0.3:
        return "O"
    mark = chance.choice(SCHEMES[scheme])
    kind = "" if scheme == "no kinds" else chance.choice(KINDS[:2])
    return f"{mark}-{kind}" if kind else mark


def changed(chance: random.Random, row: list[Any], draw: Any) -> list[Any]:
    """A row of which about a third is drawn again."""
    return [draw() if chance.random() < 0.35 else value for value in row]


def main() -> None:
    """Record random cases."""
    chance = random.Random(0)
    classes, tags = [], []
    for count in (2, 2, 3, 7):
        right = [chance.randrange(count) for _ in range(40)]
        classes.append({"right": right, "own": changed(chance, right, lambda n=count: chance.randrange(n))})
    classes.append({"right": [0, 0], "own": [0, 0]})
    for scheme in SCHEMES:
        for _ in range(3):
            right = [[tag(chance, scheme) for _ in range(chance.randint(1, 14))] for _ in range(6)]
            own = [changed(chance, row, lambda s=scheme: tag(chance, s)) for row in right]
            tags.append({"right": right, "own": own})
    tags.append({"right": [["O", "O"]], "own": [["O", "O"]]})
    asked = json.dumps({"classes": classes, "tags": tags})
    done = subprocess.run([sys.argv[1], "-c", THEIRS], input=asked, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    path = Path(__file__).with_name("golden_metrics.json")
    path.write_text(done.stdout)
    print(f"{path}: {len(classes)} of classes, {len(tags)} of tags")


if __name__ == "__main__":
    main()
