"""Draw `held_out.tsv`: `python tests/tiny_sentiment/record.py FOLDER`, the unpacked archive of vaderSentiment 2.5."""

from __future__ import annotations

import random
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "examples"))


def main(data: Path) -> None:
    """Write 300 held-out snippets with their labels."""
    import snippets

    held_out = snippets.read_all(data).held_out
    lines = [f"{'POSITIVE' if one.score > 0 else 'NEGATIVE'}\t{' '.join(one.text.split())}\n" for one in held_out]
    Path(__file__).with_name("held_out.tsv").write_text("".join(random.Random(0).sample(lines, 300)), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
