"""Write what is generated from the source: `jaxformers/__init__.pyi`, `docs/models.md` and `docs/tasks.md`.

    python docs/generate.py            write all
    python docs/generate.py --check    exit with 1, naming the stale files, if one is not what would be written

The model files are read, not imported: every public class at the top level of a file in `jaxformers/models/` is public.
Tasks are imported.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "jaxformers"


def architectures() -> dict[str, tuple[str, list[str]]]:
    """`model_type` → its file, and its public classes in the order of the file, the config first.

    Most files have one architecture; those that are another one under another name stand after it.
    """
    found: dict[str, tuple[str, list[str]]] = {}
    for path in sorted(path for path in (PACKAGE / "models").glob("*.py") if path.name != "__init__.py"):
        classes: list[str] = []
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.ClassDef) or not _is_public(node):
                continue
            if model_type := next((word.value for word in node.keywords if word.arg == "model_type"), None):
                early = classes if path.stem not in {file for file, _ in found.values()} else []
                found[ast.literal_eval(model_type)] = (path.stem, classes := [*early])
            classes.append(node.name)
    return dict(sorted(found.items(), key=lambda item: item[1][0]))


def _is_public(node: ast.ClassDef) -> bool:
    """Whether a class is a config, a model or an output, and no part of the file's own."""
    return bool(node.keywords) or any(ast.unparse(base).endswith("Output") for base in node.bases)


def _prefix(classes: Iterable[str]) -> str:
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
    lines += [
        f"from .models.{file} import {name} as {name}" for file, names in architectures().values() for name in names
    ]
    lines.append("from . import tasks as tasks")
    head = "# Made by docs/generate.py: what `jaxformers/__init__.py` loads lazily, for editors and type checkers.\n"
    return head + "\n".join(sorted(lines)) + "\n\n__version__: str\n"


# What torch calls otherwise than `<architecture>For<head>`: whole names, and what follows the architecture in them.
_SPELT = {
    "LMHeadModel": "CausalLM",
    "WithLMHeadModel": "MaskedLM",
    "ForQuestionAnsweringSimple": "QuestionAnswering",
    "ForConditionalGeneration": "Seq2SeqLM",
    "MTModel": "Seq2SeqLM",
    "EncoderDecoderModel": "Seq2SeqLM",
    "BertGenerationDecoder": "CausalLM",
}


def _task(name: str, prefix: str) -> str:
    """The head in the name of a class, "" where it has none."""
    rest = name.removeprefix(prefix)
    return (
        _SPELT.get(name) or _SPELT.get(rest) or rest.partition("For")[2]
    )  # Gemma3TextConfig's has a Gemma3ForCausalLM


def table() -> str:
    """The text of `docs/models.md`: architectures × heads."""
    classes = {model_type: names for model_type, (_, names) in architectures().items()}
    heads: list[str] = []
    for names in classes.values():
        for name in names:
            task = _task(name, _prefix(names))
            if task and task not in heads:
                heads.append(task)
    lines = [
        "# Architectures and heads",
        "",
        "Made by `docs/generate.py`. A cell says that the class `<architecture>For<head>` exists, and so does",
        "`AutoModelFor<head>` for it; the model without a head is `<architecture>Model`, or `AutoModel`. A few names",
        "differ, as in torch Transformers: `T5ForConditionalGeneration` is what `AutoModelForSeq2SeqLM` gives.",
        "",
        "| architecture | `model_type` | " + " | ".join(heads) + " |",
        "| --- | --- |" + " :-: |" * len(heads),
    ]
    for model_type, names in classes.items():
        prefix = _prefix(names)
        tasks = {_task(name, prefix) for name in names}
        cells = ("yes" if head in tasks else "" for head in heads)
        lines.append(f"| {prefix} | `{model_type}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def tasks_table() -> str:
    """The text of `docs/tasks.md`: task → class → pipeline → default model."""
    sys.path.insert(0, str(ROOT))
    from jaxformers.pipelines import Pipeline, task

    lines = [
        "# Tasks",
        "",
        "Made by `docs/generate.py`. The names that `pipeline(task)` takes, the class that reads its model, the class",
        "of the object that comes back, and the model and revision that are used where none is named; those that ship",
        "with the package need no network. [Pipelines](pipelines.md) says what goes in and what comes out.",
        "",
        "| task | model | pipeline | default model |",
        "| --- | --- | --- | --- |",
    ]
    for name in sorted({*task.TASKS, *task.DEFAULTS}):
        own = task.find(name)
        names = [name, *sorted(alias for alias, known in task.ALIASES.items() if known == name)]
        default = " at ".join(f"`{part}`" for part in task.DEFAULTS.get(name, ()))
        shipped = f"ships: `{task.SHIPPED[name]}`" if name in task.SHIPPED else ""
        cells = [
            ", ".join(f"`{name}`" for name in names),
            f"`AutoModelFor{own.head}`" if own.head else "`AutoModel`",
            f"`{(own.pipeline_class or Pipeline).__name__}`",
            "; ".join(filter(None, [default, shipped])) or "none",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", f"Other pairs of languages are named `{task.PAIRS}`, and have no default model."]
    return "\n".join(lines) + "\n"


def generated() -> dict[Path, str]:
    """Every generated file and what it should hold."""
    docs = ROOT / "docs"
    return {PACKAGE / "__init__.pyi": stub(), docs / "models.md": table(), docs / "tasks.md": tasks_table()}


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
