"""Prose of docstrings whose authors have marked what is code in it, as words with tags.

`docstrings.txt` names the packages, `docstrings.py` says how to get them. A literal, ``like this`` or :func:`this`, is
an entity: its marks are taken away, and a model is to find it by the words alone. Authors do not mark all that is code,
so no model can be right everywhere.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import docstrings
import pairs

TAGS = ("O", "B-CODE", "I-CODE")
LONGEST = 80  # words of a paragraph

_LITERAL = re.compile(r"``([^`\n]+)``|:[\w:]+:`~?([^`<\n]+)`")
_WORD = re.compile(r"\w+|[^\w\s]")


class Tagged(NamedTuple):
    """Words and the number of each one's tag."""

    words: list[str]
    tags: list[int]


def tagged(paragraph: str) -> Tagged:
    """The words of a paragraph, those of its literals with tags of an entity."""
    words: list[str] = []
    tags: list[int] = []

    def add(text: str, first: int, further: int) -> None:
        found = _WORD.findall(text)
        words.extend(found)
        tags.extend([first, *[further] * (len(found) - 1)][: len(found)])

    end = 0
    for literal in _LITERAL.finditer(paragraph):
        add(paragraph[end : literal.start()], 0, 0)
        add(literal[1] or literal[2], 1, 2)
        end = literal.end()
    add(paragraph[end:], 0, 0)
    return Tagged(words, tags)


def read_all(folder: Path) -> tuple[list[Tagged], list[Tagged]]:
    """Paragraphs with a literal to learn from, and those of held-out packages that stand in no other.

    Raises:
        ValueError: a package that is held out and not there.
    """
    learnt: dict[str, Tagged] = {}
    held: dict[str, Tagged] = {}
    for name, paragraphs in docstrings.prose(folder):
        aside = docstrings.held_out(name)
        for paragraph in paragraphs:
            found = tagged(paragraph)
            if any(found.tags) and len(found.words) <= LONGEST:
                (held if aside else learnt).setdefault(pairs.words(paragraph), found)
    return list(learnt.values()), [one for key, one in held.items() if key not in learnt]
