"""What may be passed as text: one text or many, alone or in pairs, whole or split into words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

Row = str | list[str] | tuple[Any, Any]
"""A text, its words, or a pair of either."""


@dataclasses.dataclass(frozen=True)
class Texts:
    """Rows to be encoded.

    Attributes:
        rows: each a text (or its words), or a pair of those; what is in them is checked by `check` when the
            library refuses them, so that good input costs nothing.
        single: whether one text was given, whose answer has no batch axis.
        pretokenized: whether the texts are split into words.
        name: the argument that they came by, for errors.
    """

    rows: list[Any]
    single: bool
    pretokenized: bool
    name: str = "text"

    @classmethod
    def of(cls, text: Any, pair: Any, pretokenized: bool, name: str) -> Texts:
        """Sort out what was passed.

        Raises:
            ValueError: neither text nor texts, or as many pairs as texts are not there.
            TypeError: one pair for many texts.
        """
        text = _collection(text, name)
        pair = None if pair is None else _collection(pair, f"{name}_pair")
        if isinstance(text, str) or (pretokenized and not (text and isinstance(text[0], list | tuple))):
            # as the reference has it, an empty second text is none; in a batch of pairs it is one
            return cls([(text, pair)] if pair else [text], True, pretokenized, name)
        if pair is None:
            return cls(text, False, pretokenized, name)
        if isinstance(pair, str):
            raise TypeError(f"{name} is a batch of {len(text)}, {name}_pair one text: pass as many pairs as texts")
        if len(text) != len(pair):
            raise ValueError(f"{name} has {len(text)} texts, {name}_pair {len(pair)}: pass as many pairs as texts")
        return cls(list(zip(text, pair, strict=True)), False, pretokenized, name)

    def where(self, index: int) -> str:
        """How errors name a row."""
        return self.name if self.single else f"{self.name}[{index}]"

    def is_pair(self, row: Any) -> bool:
        """Whether a row is a pair of texts."""
        if self.pretokenized:
            return len(row) == 2 and not any(isinstance(side, str) for side in row)
        return not isinstance(row, str)

    def check(self) -> None:
        """Refuse rows that are no texts.

        Raises:
            ValueError: naming the index of the first row that is no text, or no Unicode text.
        """
        for index, row in enumerate(self.rows):
            where = self.where(index)
            if not self.pretokenized and isinstance(row, list | tuple) and len(row) == 2:
                for side, part in zip((where, f"{where}, its pair"), row, strict=True):
                    _check_text(part, side)
            elif not self.pretokenized:
                _check_text(row, where)
            else:
                for side in row if isinstance(row, list | tuple) and self.is_pair(row) else [row]:
                    _check_words(side, where)


def _collection(text: Any, name: str) -> Any:
    """A text as it is, or anything that yields texts as a list."""
    if isinstance(text, str | list):
        return text
    if isinstance(text, Iterable) and not isinstance(text, bytes | bytearray | Mapping):
        return list(text)
    raise ValueError(f"{name} must be a str or a list of them, not {type(text).__name__}")


def _check_text(text: Any, where: str) -> None:
    if not isinstance(text, str):
        raise ValueError(f"{where} is {_shown(text)}, expected a str or a pair of two")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{where} is no Unicode text: a lone surrogate U+{ord(text[error.start]):04X} at character {error.start}; "
            "text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace') mends it"
        ) from None


def _check_words(words: Any, where: str) -> None:
    if not isinstance(words, list | tuple):
        raise ValueError(f"{where} is {_shown(words)}, expected a list of words, as is_split_into_words=True says")
    for index, word in enumerate(words):
        _check_text(word, f"{where}, word {index},")


def _shown(value: Any) -> str:
    return "None" if value is None else f"{value!r:.40} ({type(value).__name__})"
