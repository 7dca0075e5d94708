"""A room imports only from the floors below it, so that each can be read, tested and replaced without those above."""

from __future__ import annotations

import ast
import graphlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "jaxformers"

FLOORS = (
    ("config", "outputs", "declare", "placement", "runtime", "hub", "durable", "gguf"),
    ("layers",),
    ("checkpoint", "tokenizers", "parallel", "sizes"),
    ("adapters", "generation"),
    ("architecture", "batch", "bundle", "network", "pretrained", "registry", "tasks"),
    ("models",),
    ("auto", "training"),
    ("pipelines",),
    ("cli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}

# On one floor: meshes divide arrays by their axes; configs say how arrays start, are read by name, also out of GGUF
# files, and written safely; the bundle is spread over six.
BESIDE = {
    ("config", "declare"),
    ("config", "hub"),
    ("config", "durable"),
    ("config", "gguf"),
    ("gguf", "hub"),
    ("hub", "durable"),
    ("placement", "declare"),
    ("architecture", "batch"),
    ("architecture", "network"),
    ("bundle", "architecture"),
    ("bundle", "batch"),
    ("bundle", "pretrained"),
    ("registry", "bundle"),
    ("tasks", "architecture"),
    ("tasks", "batch"),
    ("tasks", "bundle"),
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


def graph(root: Path) -> dict[str, set[str]]:
    """Each file's module → the modules of the package that it imports, also for types alone and inside functions."""
    files = {}
    for path in sorted(root.rglob("*.py")):
        parts = ["jaxformers", *path.relative_to(root).with_suffix("").parts]
        files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    found: dict[str, set[str]] = {}
    for module, path in files.items():
        found[module] = set()
        for _, name in imports(path, root):
            while name and name not in files:  # what is imported may be a thing in a module
                name = name.rpartition(".")[0]
            found[module] |= {name} - {"", module}
    return found


def circle(root: Path) -> list[str]:
    """Modules of which each is imported by the next, and the last is the first; none if there are no such."""
    try:
        graphlib.TopologicalSorter(graph(root)).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert not circle(PACKAGE)


@pytest.mark.parametrize(
    "back",
    [
        "from .one import f",
        "def g():\n    from . import one",
        "if TYPE_CHECKING:\n    from jaxformers.room.one import f",
        "import jaxformers.room.one",
        "from . import f",
    ],
)
def test_every_kind_of_circle_is_seen(back: str, tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    for name, source in {"__init__": "from .one import f", "one": "from .two import g", "two": ""}.items():
        (room / f"{name}.py").write_text(source)
    assert not circle(tmp_path)
    (room / "two.py").write_text(back)
    assert {"jaxformers.room.one", "jaxformers.room.two"} <= set(circle(tmp_path))


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
