"""Files to examples: lines of JSON, tables and plain texts, each row a mapping under the names that a task has."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..generation.config import nearest

Example = dict[str, Any]

KINDS = (".jsonl", ".json", ".csv", ".tsv", ".txt")


def read(paths: str | Sequence[str], *, whole: bool = False) -> list[Example]:
    """The rows of some files, in their order.

    Args:
        paths: one or several, each of one of `KINDS`.
        whole: a .txt file is one text, not one each line.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file of another kind, without rows, or with a line that is none.
    """
    found: list[Example] = []
    for path in map(Path, [paths] if isinstance(paths, str) else paths):
        try:
            rows = list(_rows(path, whole))
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from None
        if not rows:
            raise ValueError(f"{path} has no rows")
        found += rows
    return found


def columns(names: Sequence[str], said: Mapping[str, str]) -> dict[str, str]:
    """What files call each name of a task: as was said, else the same.

    Raises:
        ValueError: something was said of a name that the task has not.
    """
    if unknown := [name for name in said if name not in names]:
        raise ValueError(f"data.columns: the task reads no {nearest(unknown, names)}; it reads {', '.join(names)}")
    return {name: said.get(name, name) for name in names}


def named(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], needed: Sequence[str]) -> list[Example]:
    """Rows under a task's names.

    Args:
        rows: as read.
        columns: of each name what the rows call it.
        needed: names without which a row is none.

    Raises:
        ValueError: a row that lacks one.
    """
    found = []
    for place, row in enumerate(rows):
        for name in needed:
            if row.get(columns[name]) is None:
                near = nearest([columns[name]], row)
                raise ValueError(
                    f"row {place} has no column {near}, the task's {name!r}; it has {', '.join(row) or 'none'}. "
                    f"Say what it is called by data.columns, such as columns = {{ {name} = ... }}"
                )
        found.append({name: row[column] for name, column in columns.items() if row.get(column) is not None})
    return found


def split(rows: Sequence[Example], share: float) -> tuple[list[Example], list[Example]]:
    """Rows to train on, and a share of them to evaluate, by what stands in a row alone: equal rows go together.

    Raises:
        ValueError: one side would be empty.
    """
    learnt: list[Example] = []
    kept: list[Example] = []
    for row in rows:
        digest = hashlib.sha256(json.dumps(row, sort_keys=True, default=str).encode()).digest()
        (kept if int.from_bytes(digest[:8], "big") < share * 2**64 else learnt).append(row)
    if not (learnt and kept):
        raise ValueError(
            f"split={share:g} of {len(rows)} rows leaves none on one side: say another share, or give eval"
        )
    return learnt, kept


def _rows(path: Path, whole: bool) -> Iterator[Example]:
    if path.suffix == ".txt":
        text = path.read_text("utf-8-sig")
        yield from ({"text": one} for one in ([text] if whole else text.splitlines()) if one.strip())
    elif path.suffix in (".csv", ".tsv"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",", restkey="")
    elif path.suffix == ".jsonl":
        for number, line in enumerate(path.read_text("utf-8-sig").splitlines(), 1):
            if line.strip():
                yield _mapping(line, f"{path}, line {number}")
    elif path.suffix == ".json":
        listed = _parsed(path.read_text("utf-8-sig"), str(path))
        if not isinstance(listed, list):
            raise ValueError(f"{path} must be a list of objects; {path.stem}.jsonl has one a line")
        for number, one in enumerate(listed):
            yield _checked(one, f"{path}, entry {number}")
    else:
        raise ValueError(f"{path}: expected a file of {', '.join(KINDS)}")


def _mapping(text: str, where: str) -> Example:
    return _checked(_parsed(text, where), where)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"{where} is no JSON: {error}") from None


def _checked(value: Any, where: str) -> Example:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: expected an object of columns, found {type(value).__name__}")
    return value
