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


def architectures() -> dict[str, tuple[str, list[str]]]:
    """`model_type` → its file, its configs and models in the order of the file; twins stand after it.

    A twin is a call `twin(globals(), "Camembert", "camembert", ...)`, which makes all of the file's classes once more.
    """
    found = {}
    for path in sorted(path for path in (PACKAGE / "models").glob("*.py") if path.name != "__init__.py"):
        body = ast.parse(path.read_text()).body
        classes = [node.name for node in body if isinstance(node, ast.ClassDef) and node.bases]
        found[_model_type(body)] = (path.stem, classes)
        old = _prefix(classes)
        for node in body:
            if isinstance(node, ast.Expr) and isinstance(call := node.value, ast.Call) and _is_twin(call):
                prefix, model_type = (ast.literal_eval(word) for word in call.args[1:3])
                found[model_type] = (path.stem, [prefix + name.removeprefix(old) for name in classes])
    return found


def _model_type(body: list[ast.stmt]) -> str:
    """The word that the file's first config class reads."""
    said = (word for node in body if isinstance(node, ast.ClassDef) for word in node.keywords)
    return next(ast.literal_eval(word.value) for word in said if word.arg == "model_type")


def _is_twin(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id == "twin"


def _prefix(classes: list[str]) -> str:
    return next(name for name in classes if name.endswith("Config")).removesuffix("Config")


def room_names() -> dict[str, list[str]]:
    """The public names by the room that holds them, from the table in `jaxformers/__init__.py`."""
    for node in ast.parse((PACKAGE / "__init__.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_ROOMS":
            return {room: names.split() for room, names in ast.literal_eval(node.value).items()}
    raise SystemExit("jaxformers/__init__.py has no table _ROOMS")


def stub() -> str:
    """The text of `__init__.pyi`: every public name, from where it is defined."""
    lines = [f"from .{room} import {name} as {name}" for room, names in room_names().items() for name in names]
    twins: list[str] = []
    originals: dict[str, list[str]] = {}
    for file, classes in architectures().values():
        if file in originals:
            twins += [f"{ours} = {other}" for ours, other in zip(classes, originals[file], strict=True)]
        else:
            originals[file] = classes
            lines += [f"from .models.{file} import {name} as {name}" for name in classes]
    head = "# Made by docs/generate.py: what `jaxformers/__init__.py` loads lazily, for editors and type checkers.\n"
    return head + "\n".join(sorted(lines)) + "\n\n__version__: str\n" + "".join(f"{line}\n" for line in sorted(twins))


def table() -> str:
    """The text of `docs/models.md`: architectures × heads."""
    classes = {model_type: names for model_type, (_, names) in architectures().items()}
    heads: list[str] = []
    for names in classes.values():
        for name in names:
            task = name.removeprefix(f"{_prefix(names)}For")
            if task != name and task not in heads:
                heads.append(task)
    lines = [
        "# Architectures and heads",
        "",
        "Made by `docs/generate.py`. A cell says that the class `<architecture>For<head>` exists, and so does",
        "`AutoModelFor<head>` for it; the model without a head is `<architecture>Model`, or `AutoModel`.",
        "",
        "| architecture | `model_type` | " + " | ".join(heads) + " |",
        "| --- | --- |" + " :-: |" * len(heads),
    ]
    for model_type, names in classes.items():
        prefix = _prefix(names)
        cells = ("yes" if f"{prefix}For{head}" in names else "" for head in heads)
        lines.append(f"| {prefix} | `{model_type}` | " + " | ".join(cells) + " |")
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
