"""A plain save for kills.py: three files that belong together, one superseded, one that is nobody's business."""

from __future__ import annotations

from pathlib import Path

from jaxformers import durable

NAMES = ("a.bin", "b.bin", "config.json")


def prepare(folder: Path) -> None:
    """Generation 0, and a file of another library."""
    for name in (*NAMES, "old.bin"):
        (folder / name).write_text("0")
    (folder / "notes.txt").write_text("mine")


def save(folder: Path, generation: int) -> None:
    """Replace the three files, drop the old one."""
    with durable.Replacement(folder) as files:
        for name in NAMES:
            files.write(name, str(generation).encode())
        files.remove("old.bin")


def generation_of(folder: Path) -> int:
    """What a reader finds; an error if it is a mix."""
    paths = [durable.resolve(folder, name) for name in NAMES]
    assert all(paths)
    (generation,) = {int(path.read_text()) for path in paths if path}
    assert (durable.resolve(folder, "old.bin") is not None) == (generation == 0)
    assert (folder / "notes.txt").read_text() == "mine"
    return generation
