"""Wheels in a folder, read as they are, without being installed, and their licences."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

COPYLEFT = re.compile(r"\bA?GPL|GNU (Affero )?General Public", re.IGNORECASE)  # LGPL is none of these


def listed(folder: Path) -> list[tuple[str, Path]]:
    """Name with version, and path, of each wheel in a folder.

    Raises:
        ValueError: one under a licence that models which ship should not learn from.
    """
    paths = sorted(folder.glob("*.whl"), key=lambda path: path.name.lower())
    for path in paths:
        if COPYLEFT.search(licence(path)):
            raise ValueError(f"{path.name} is under {licence(path)}: take it away")
    return [("-".join(path.name.split("-")[:2]), path) for path in paths]


def licence(path: Path) -> str:
    """What a wheel says of its licence."""
    with zipfile.ZipFile(path) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        head = wheel.read(name).decode("utf-8", errors="replace").partition("\n\n")[0]
    lines = re.findall(r"^(?:License|License-Expression|Classifier: License ::[^\n]*::):? *(.*)", head, re.MULTILINE)
    return "; ".join(dict.fromkeys(lines))
