"""Run the python blocks of one page in one namespace: `python blocks.py PAGE`. See test_docs.py for the rules."""

from __future__ import annotations

import ast
import doctest
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def blocks(text: str) -> Iterator[tuple[int, str]]:
    """The first line's number and the code of every python block of a page."""
    for match in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield text.count("\n", 0, match.start(1)) + 1, match[1]


def comments(code: str) -> dict[int, str]:
    """The text of each comment by its line."""
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return {token.start[0]: token.string[1:].strip() for token in tokens if token.type == tokenize.COMMENT}


def run(code: str, names: dict[str, Any], page: str) -> list[str]:
    """Run the statements one by one; what was promised and not answered."""
    promised, wrong = comments(code), []
    for node in ast.parse(code, page).body:
        if not isinstance(node, ast.Expr):
            exec(compile(ast.Module([node], []), page, "exec", dont_inherit=True), names)
            continue
        answer = repr(eval(compile(ast.Expression(node.value), page, "eval", dont_inherit=True), names))
        promise = promised.get(node.end_lineno or 0)
        if promise is not None and not agrees(promise, answer):
            wrong.append(f"{page}:{node.end_lineno}: promised {promise}, answered {answer}")
    return wrong


def agrees(promise: str, answer: str) -> bool:
    """Whether an answer is what a comment says."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(promise + "\n", answer + "\n", flags)


def main(page: str) -> int:
    """Run one page; 1 if an answer is not the promised one."""
    names: dict[str, Any] = {"__name__": "__main__"}
    wrong: list[str] = []
    np.set_printoptions(precision=4, suppress=True)
    for line, code in blocks(Path(page).read_text()):
        wrong += run("\n" * (line - 1) + code, names, page)  # so that tracebacks name the page's own lines
    print("\n".join(wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
