"""Draw `held_out.tsv`: `python tests/tiny_translator/record.py WHEELS`, with torch Transformers 4.57 (`parity`).

Each line is a message of a held-out package, its translation there, and what the shipped model writes for it in torch,
in float32, one message at a time.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))


def main(wheels: Path) -> None:
    """Write 200 held-out messages."""
    import catalogues
    import torch
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

    torch.set_num_threads(1)
    folder = ROOT / "jaxformers" / "weights" / "tiny-translator"
    model, tokenizer = (
        AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32),
        AutoTokenizer.from_pretrained(folder),
    )
    lines = []
    for pair in random.Random(0).sample(catalogues.read_all(wheels, "fr").held_out, 200):
        with torch.no_grad():
            tokens = model.generate(**tokenizer(pair.source, return_tensors="pt"))
        answer = tokenizer.decode(tokens[0], skip_special_tokens=True)
        lines.append("\t".join((pair.source, pair.target, answer)) + "\n")
    Path(__file__).with_name("held_out.tsv").write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
