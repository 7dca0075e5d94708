"""Write what is generated from the source: `jaxformers/__init__.pyi` and `docs/models.md`.

    python docs/generate.py            write both
    python docs/generate.py --check    exit with 1, naming the stale files, if either is not what would be written

The model files are read, not imported: every public class at the top level of a file in `jaxformers/models/` is public.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "jaxformers"


def model_classes() -> dict[str, list[str]]:
    """The public classes of each model file, in the order in which they stand there."""
    files = sorted(path for path in (PACKAGE / "models").glob("*.py") if path.name != "__init__.py")
    return {path.stem: _classes(path) for path in files}


def _classes(path: Path) -> list[str]:
    body = ast.parse(path.read_text()).body
    return [node.name for node in body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]


def room_names() -> dict[str, list[str]]:
    """The public names by the room that holds them, from the table in `jaxformers/__init__.py`."""
    for node in ast.parse((PACKAGE / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_ROOMS":
            return {room: names.split() for room, names in ast.literal_eval(node.value).items()}
    raise SystemExit("jaxformers/__init__.py has no table _ROOMS")


def stub() -> str:
    """The text of `__init__.pyi`: every public name, from where it is defined."""
    names = room_names() | {f"models.{file}": classes for file, classes in model_classes().items()}
    lines = [
        f"from .{room} import {name} as {name}" for room, public in sorted(names.items()) for name in sorted(public)
    ]
    head = "# Made by docs/generate.py: what `jaxformers/__init__.py` loads lazily, for editors and type checkers.\n"
    return head + "\n".join(lines) + "\n\n__version__: str\n"


def table() -> str:
    """The text of `docs/models.md`: architectures × heads."""
    classes = model_classes()
    prefixes = {
        file: next(name for name in names if name.endswith("Config")).removesuffix("Config")
        for file, names in classes.items()
    }
    heads: list[str] = []
    for file, names in classes.items():
        for name in names:
            task = name.removeprefix(f"{prefixes[file]}For")
            if task != name and task not in heads:
                heads.append(task)
    lines = [
        "# Architectures and heads",
        "",
        "Made by `docs/generate.py`. A cell says that the class `<architecture>For<head>` exists, and so does",
        "`AutoModelFor<head>` for it; the model without a head is `<architecture>Model`, or `AutoModel`.",
        "",
        "| head | " + " | ".join(f"{prefixes[file]} (`{file.replace('_', '-')}`)" for file in classes) + " |",
        "| --- |" + " :-: |" * len(classes),
        "| none | " + " | ".join("yes" for _ in classes) + " |",
    ]
    for head in heads:
        cells = ("yes" if f"{prefixes[file]}For{head}" in names else "" for file, names in classes.items())
        lines.append(f"| {head} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def generated() -> dict[Path, str]:
    """Every generated file and what it should hold."""
    return {PACKAGE / "__init__.pyi": stub(), ROOT / "docs" / "models.md": table()}


def stale() -> list[Path]:
    """The generated files that are absent or hold something else."""
    return [path for path, text in generated().items() if not path.is_file() or path.read_text() != text]


def main(argv: list[str]) -> int:
    """Write the files, or only compare them; the exit code."""
    if argv not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    wrong = stale()
    for path in wrong:
        name = path.relative_to(ROOT)
        if argv:
            print(f"{name} is stale: run python docs/generate.py", file=sys.stderr)
        else:
            path.write_text(generated()[path])
            print(f"wrote {name}")
    return int(bool(argv and wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
