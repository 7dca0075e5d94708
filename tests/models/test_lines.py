"""How long the files of architectures are: `pytest tests/models/test_lines.py -s -n 0` prints a table."""

from __future__ import annotations

from pathlib import Path

import jaxformers.models

FOLDER = Path(jaxformers.models.__file__).parent
MOST = 350


def test_a_file_can_be_read_from_top_to_bottom() -> None:
    lines = {
        path.stem: len(path.read_text().splitlines()) for path in FOLDER.glob("*.py") if path.name != "__init__.py"
    }
    for name, count in sorted(lines.items(), key=lambda item: item[1]):
        print(f"{count:4} {name}")
    assert max(lines.values()) <= MOST, "an architecture that needs more shares something with others, or is two"
