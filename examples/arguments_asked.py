"""Questions about what arguments are, made of the sections of docstrings that describe them.

`docstrings.txt` names the packages, `docstrings.py` says how to get them. The section's descriptions, one after
another, are the context, "What is the argument width?" a question, and what the author says of it the answer. So
questions have one form, and answers are whole sentences: what is learnt is to find a name and where its description
ends, which is less than what people ask.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import docstrings

from jaxformers.training.spans import Question

SHORTEST, LONGEST = 2, 8  # arguments of a section

_GOOGLE = re.compile(r"^(?:Args|Arguments|Parameters):[ ]*\n((?:[ ]+.*\n|\n)+)", re.MULTILINE)
_NUMPY = re.compile(r"^Parameters[ ]*\n-{4,}[ ]*\n((?:.+\n|\n(?!.*\n-{4,}))+)", re.MULTILINE)
_OF_GOOGLE = re.compile(r"^[ ]{2,8}(\w+)[ ]*(?:\([^)\n]*\))?:[ ]*(\S.*(?:\n[ ]{8,}.*)*)", re.MULTILINE)
_OF_NUMPY = re.compile(r"^(\w+)[ ]*(?::.*)?\n((?:[ ]+.*\n?)+)", re.MULTILINE)


def described(docstring: str) -> list[tuple[str, str]]:
    """The arguments of a docstring, in the manner of Google or of NumPy, each with its description on one line."""
    text = docstring + "\n"
    for section, entry in ((_GOOGLE, _OF_GOOGLE), (_NUMPY, _OF_NUMPY)):
        if found := section.search(text):
            pairs = [(one[1], docstrings.plain(one[2])) for one in entry.finditer(found[1])]
            return [(name, said) for name, said in pairs if len(said.split()) > 2]
    return []


def questions(docstring: str) -> Iterator[Question]:
    """A question about each argument of a docstring."""
    found = described(docstring)
    if not SHORTEST <= len(found) <= LONGEST:
        return
    context, starts = "", []
    for name, said in found:
        context += f"{name}: "
        starts.append(len(context))
        context += f"{said} "
    for (name, said), start in zip(found, starts, strict=True):
        yield Question(f"What is the argument {name}?", context.rstrip(), (said,), (start,))


def read_all(folder: Path) -> tuple[list[Question], list[Question]]:
    """Questions to learn from, and those of held-out packages whose contexts are in no other.

    Raises:
        ValueError: a package that is held out and not there.
    """
    learnt: dict[Question, None] = {}
    held: dict[Question, None] = {}
    for name, texts in docstrings.whole(folder):
        for text in texts:
            (held if docstrings.held_out(name) else learnt).update(dict.fromkeys(questions(text)))
    known = {question.context for question in learnt}
    return list(learnt), [question for question in held if question.context not in known]


def answered(questions: Sequence[Question]) -> list[str]:
    """The right answers."""
    return [question.answers[0] for question in questions]
