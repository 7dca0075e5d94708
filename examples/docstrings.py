"""The descriptions of functions and classes and their first lines, from the docstrings that Python packages carry.

`docstrings.txt` beside this file lists the packages:

    pip download -d wheels -r docstrings.txt --no-deps --only-binary :all: --python-version 3.12.8 --platform win_amd64

A pair's source is the prose behind the first paragraph of a docstring, up to the first list of arguments, example or
other markup; its target is the first paragraph.
"""

from __future__ import annotations

import ast
import inspect
import re
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pairs
import wheels
from pairs import Pair, Pairs

VALIDATION = ("werkzeug",)
HELD_OUT = ("evennia", "networkx", "tornado")  # games, graphs, a server
SUMMARY = (4, 16)  # words of a first paragraph
BODY = (12, 48)  # words of the rest; more are cut off

_MARKUP = re.compile(r"^\s*(?:[:@.>*+#|-]|\d+[.)]|\w[\w ]*:\s*$)|^[=~\-^]{3,}|::$|`{3}", re.MULTILINE)
_ROLE = re.compile(r":[\w:]+:`~?([^`]*)`|`+([^`]*)`+|\*\*?(\w[^*]*)\*\*?")


def plain(text: str) -> str:
    """Text on one line, without marks of roles and literals."""
    return " ".join(_ROLE.sub(lambda found: found[1] or found[2] or found[3] or "", text).split())


def pair_of(docstring: str) -> Pair | None:
    """The prose behind a docstring's first paragraph, and that paragraph; None where there is too little or much."""
    first, *rest = re.split(r"\n\s*\n", inspect.cleandoc(docstring))
    prose = []
    for paragraph in rest:
        if _MARKUP.search(paragraph) or paragraph.startswith(" "):
            break
        prose.append(plain(paragraph))
    source, target = " ".join(prose).split(), plain(first).split()
    if len(source) < BODY[0] or not SUMMARY[0] <= len(target) <= SUMMARY[1] or _MARKUP.search(first):
        return None
    if not all(re.fullmatch(r"[\w\s.,;:!?'\"()/%+*=<>\[\]-]+", " ".join(side), re.ASCII) for side in (source, target)):
        return None
    return Pair(" ".join(source[: BODY[1]]), " ".join(target))


def read_wheel(path: Path) -> Iterator[str]:
    """The docstrings of all modules, classes and functions of a package but its tests."""
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if name.endswith(".py") and not re.search(r"\btests?\b|_test", name)]
        for name in sorted(names):
            try:
                with warnings.catch_warnings(action="ignore"):
                    tree = ast.parse(wheel.read(name))
            except (SyntaxError, ValueError):  # a template, or of another Python
                continue
            documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            nodes = (node for node in ast.walk(tree) if isinstance(node, documented))
            yield from filter(None, map(ast.get_docstring, nodes))


def whole(folder: Path) -> Iterator[tuple[str, Iterator[str]]]:
    """Of each package in a folder its name with version, and its docstrings.

    Raises:
        ValueError: a wheel that must not be learnt from, or one that is held out and not there.
    """
    found = wheels.listed(folder)
    if absent := [name for name in HELD_OUT if not any(_named(package) == name for package, _ in found)]:
        raise ValueError(f"nothing found of {', '.join(absent)}: download all that is listed")
    return ((name, read_wheel(path)) for name, path in found)


def prose(folder: Path) -> Iterator[tuple[str, Iterator[str]]]:
    """The same by paragraphs, those of words alone, each on one line; errors are those of `whole`."""

    def paragraphs(texts: Iterator[str]) -> Iterator[str]:
        for text in texts:
            for paragraph in re.split(r"\n\s*\n", text):
                if not (_MARKUP.search(paragraph) or paragraph.startswith(" ")):
                    yield " ".join(paragraph.split())

    return ((name, paragraphs(texts)) for name, texts in whole(folder))


def held_out(package: str) -> bool:
    """Whether a package, by its name with version, is one on which results are measured."""
    return _named(package) in HELD_OUT


def _named(package: str) -> str:
    return package.partition("-")[0].lower()


def read_all(folder: Path) -> Pairs:
    """The pairs of all wheels in a folder, each source once.

    Raises:
        ValueError: a wheel that must not be learnt from, or one that is held out and not there.
    """
    packages = ((name, filter(None, map(pair_of, read_wheel(path)))) for name, path in wheels.listed(folder))
    return pairs.split(packages, VALIDATION, HELD_OUT)


def texts(folder: Path, shortest: int = 20) -> tuple[list[str], list[str]]:
    """Whole docstrings of so many words to learn from, and those of held-out packages that stand in no other.

    Errors are those of `whole`.
    """
    learnt: dict[str, None] = {}
    held: dict[str, None] = {}
    for name, found in whole(folder):
        long = (text for text in found if len(text.split()) >= shortest)
        (held if held_out(name) else learnt).update(dict.fromkeys(long))
    return list(learnt), [text for text in held if text not in learnt]
