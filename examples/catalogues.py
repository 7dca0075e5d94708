"""English messages of programs and their translations, from the catalogues that Python packages carry.

`catalogues.txt` beside this file lists the packages. One of them, wxPython, has wheels for other systems alone:

    pip download -d wheels -r catalogues.txt --no-deps --only-binary :all: --python-version 3.12.8 --platform win_amd64

Of the held-out packages no message counts whose English, but for case and punctuation, stands in any that is learnt
from.
"""

from __future__ import annotations

import gettext
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pairs
import wheels
from pairs import Pair, Pairs

VALIDATION = ("django_machina",)  # a forum: where sizes and steps are chosen
HELD_OUT = ("django_helpdesk", "ihatemoney", "thonny")  # tickets, a shared budget, an editor for beginners
LONGEST = 160  # characters of a message
PIECES = (48, 56)  # of both sides at most

_LINE = re.compile(r'(msgctxt|msgid|msgid_plural|msgstr|msgstr\[\d\])?\s*"(.*)"')
_ESCAPE = re.compile(r"\\(.)")
_PLACE = re.compile(r"%\(\w+\)[a-z]|%[sdr]|\$?\{[^{}]*\}")
_STRANGE = re.compile(r"[<>\n\t\\]|https?:|(?:^|\s)--?\w|__")  # markup, paths, options: nothing to translate


def read_po(text: str) -> Iterator[tuple[str, str]]:
    """Each message of a .po file and its translation, the singular of plurals; none that is marked as unsure."""
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        lines = [line.strip() for line in block.split("\n")]
        if any(line.startswith("#,") and "fuzzy" in line for line in lines):
            continue
        parts: dict[str, str] = {}
        key = ""
        for line in lines:
            if found := _LINE.fullmatch(line):
                key = found[1] or key
                parts[key] = parts.get(key, "") + _ESCAPE.sub(_unescaped, found[2])
        yield parts.get("msgid", ""), parts.get("msgstr", parts.get("msgstr[0]", ""))


def _unescaped(found: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t", "r": "\r"}.get(found[1], found[1])


def read_mo(data: bytes) -> Iterator[tuple[str, str]]:
    """Each message of a .mo file and its translation, the singular of plurals."""
    for key, translation in gettext.GNUTranslations(io.BytesIO(data))._catalog.items():  # type: ignore[attr-defined]
        message, number = key if isinstance(key, tuple) else (key, 0)
        if number == 0:
            yield message.rpartition("\x04")[2], translation  # behind its context


def read_wheel(path: Path, language: str) -> Iterator[Pair]:
    """Every message of a package that is translated into a language."""
    folder = rf"{language}([_-](?i:{language}))?"
    ours = re.compile(rf"(.*/)?({folder}/(LC_MESSAGES/)?[^/]+|{folder})\.(po|mo)")
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if ours.fullmatch(name)}
        for name in sorted(names):
            if name.endswith(".po"):
                found = read_po(wheel.read(name).decode("utf-8"))
            elif f"{name[:-2]}po" not in names:
                found = read_mo(wheel.read(name))
            else:
                continue
            yield from (Pair(plain(source), plain(target)) for source, target in found)


def plain(text: str) -> str:
    """A message without the marks of keys and without space around it."""
    return re.sub(r"&(?=\w)(?!\w+;)", "", text.strip())


def usable(pair: Pair) -> bool:
    """Whether a pair is one line of words with the same places to fill in on both sides."""
    source, target = pair.source, pair.target
    if not 2 <= len(source) <= LONGEST or not 2 <= len(target) <= 1.5 * LONGEST or source == target:
        return False
    if _STRANGE.search(source) or _STRANGE.search(target) or not re.search(r"[A-Za-z]{2}", _PLACE.sub("", source)):
        return False
    if not 0.3 < (len(target) + 5) / (len(source) + 5) < 3:
        return False
    return Counter(_PLACE.findall(source)) == Counter(_PLACE.findall(target))


def read_all(folder: Path, language: str) -> Pairs:
    """The messages of all wheels in a folder, each English one once.

    Raises:
        ValueError: a wheel that must not be learnt from, or one that is held out and not there.
    """
    packages = ((name, filter(usable, read_wheel(path, language))) for name, path in wheels.listed(folder))
    return pairs.split(packages, VALIDATION, HELD_OUT)
