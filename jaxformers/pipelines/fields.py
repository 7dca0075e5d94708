"""Objects of JSON in a checkpoint's files, read so that nothing in them is passed over."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ..hub import Source


@dataclasses.dataclass
class Fields:
    """What an object of JSON says: fields are taken one by one, so that what is left is what nobody knows.

    found: what is left. source, file: where it stands, for errors.
    """

    found: dict[str, Any]
    source: str
    file: str

    @classmethod
    def read(cls, source: Source, file: str) -> Fields:
        """Of a file of a checkpoint; nothing where it is absent."""
        return cls(dict(found_in(source, file, dict, {})), str(source), file)

    def wrong(self, name: str, what: str, value: Any) -> ValueError:
        """The error that says what a field must be."""
        return ValueError(f"{self.source}: {name} of {self.file} must be {what}; found {value!r:.60}")

    def take(self, name: str, kind: type[Any], absent: Any = None) -> Any:
        """The value of a field; where it is absent or null, another.

        Raises:
            ValueError: it is of another kind.
        """
        value = self.found.pop(name, None)
        if value is None:
            return absent
        if type(value) not in ((float, int) if kind is float else (kind,)):
            raise self.wrong(name, _KINDS[kind], value)
        return value

    def positive(self, name: str) -> int | None:
        """A whole number, 1 or more, or None."""
        value = self.take(name, int)
        if value is not None and value < 1:
            raise self.wrong(name, "1 or more, or null", value)
        return value

    def choose(self, name: str, known: Collection[Any], absent: Any) -> Any:
        """One of what is known."""
        value = self.found.pop(name, None)
        if value is None:
            return absent
        if value not in known:
            raise self.wrong(name, f"one of {', '.join(map(str, known))}", value)
        return value

    def inner(self, name: str) -> Fields:
        """The fields of an object within; none where it is absent."""
        return Fields(dict(self.take(name, dict, {})), self.source, f"{name} of {self.file}")

    def drop(self, names: Collection[str]) -> None:
        """Leave out fields without effect."""
        self.found = {name: value for name, value in self.found.items() if name not in names}

    def end(self) -> None:
        """No more fields are known.

        Raises:
            ValueError: there are some.
        """
        if self.found:
            unknown = ", ".join(map(repr, sorted(self.found)))
            raise ValueError(f"{self.source}: {unknown} of {self.file}: not known here, and might change results")


_KINDS = {
    str: "a string or null",
    bool: "true, false or null",
    int: "a whole number or null",
    float: "a number or null",
    dict: "an object or null",
}


def found_in(source: Source, name: str, kind: type[Any], absent: Any) -> Any:
    """What a file of JSON of a checkpoint holds; where it is absent, something else."""
    path = source.find(name)
    return absent if path is None else loaded(path, kind)


def loaded(path: Path, kind: type[Any]) -> Any:
    """What a file of JSON holds.

    Raises:
        ValueError: it is damaged, or holds something else.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no valid JSON: {error}") from None
    if not isinstance(found, kind):
        what = "a list of modules" if kind is list else "an object"
        raise ValueError(f"{path} must be {what}, found {type(found).__name__}")
    return found
