"""A room imports only from the floors below it, so that each can be read, tested and replaced without those above."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "jaxformers"

FLOORS = (
    ("config", "outputs", "declare", "runtime", "hub", "durable", "gguf"),
    ("layers",),
    ("checkpoint", "tokenizers", "parallel", "sizes"),
    ("generation",),
    ("batch", "bundle", "network", "tasks"),
    ("models",),
    ("auto", "training"),
    ("pipelines",),
    ("cli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# On one floor: configs say how arrays start; they are read by name, also out of GGUF files, and written safely; the
# bundle is spread over four.
BESIDE = {
    ("config", "declare"),
    ("config", "hub"),
    ("config", "durable"),
    ("config", "gguf"),
    ("gguf", "hub"),
    ("hub", "durable"),
    ("bundle", "batch"),
    ("tasks", "bundle"),
    ("tasks", "batch"),
    ("bundle", "network"),
}

FOREIGN = {"torch", "transformers", "tensorflow", "sentence_transformers"}


def room_of(path: Path) -> str:
    """The room of a file of the package; "" for the package's own front door."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first in ("__init__", "__main__") else first


def imports(path: Path, root: Path = PACKAGE) -> Iterator[tuple[int, str]]:
    """Line and absolute module name of every import in a file, also of those inside functions."""
    package = ["jaxformers", *path.relative_to(root).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            # `from .. import hub` names a module, `from ..hub import find` a thing in it: both begin with the room
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_every_room_has_a_floor() -> None:
    assert {room_of(path) for path in sources()} - {""} <= FLOOR.keys()


def test_rooms_import_only_from_floors_below() -> None:
    wrong = []
    for path in sources():
        room = room_of(path)
        if not room:
            continue
        for line, module in imports(path):
            parts = module.split(".")
            if parts[0] != "jaxformers" or parts[1] not in FLOOR:
                continue
            other = parts[1]
            if other != room and FLOOR[other] >= FLOOR[room] and (room, other) not in BESIDE:
                wrong.append(f"{path.relative_to(ROOT)}:{line}: {room} imports {other}")
    assert not wrong, "\n".join(wrong)


def test_no_other_framework_is_imported() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {module}"
        for path in sources()
        for line, module in imports(path)
        if module.split(".")[0] in FOREIGN
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from .. import hub", ["jaxformers.hub"]),
        ("from ..hub import find", ["jaxformers.hub.find"]),
        ("from . import load", ["jaxformers.checkpoint.load"]),
        ("def f():\n    import jaxformers.cli", ["jaxformers.cli"]),
    ],
)
def test_every_kind_of_import_is_seen(source: str, expected: list[str], tmp_path: Path) -> None:
    file = tmp_path / "checkpoint" / "file.py"
    file.parent.mkdir()
    file.write_text(source)
    assert [module for _, module in imports(file, tmp_path)] == expected


def test_no_file_names_a_place_of_one_machine() -> None:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.split(b"\0")
    places = (b"/wo" + b"rk/", b"/tmp/bash" + b"_jobs")  # split, so that this file does not hold them
    found = []
    for name in filter(None, listed):
        path = ROOT / name.decode()
        if path.is_file():
            text = path.read_bytes()
            found += [f"{name.decode()} holds {place.decode()}" for place in places if place in text]
    assert not found, "\n".join(found)
