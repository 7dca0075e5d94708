"""What a compiled program does on each of its devices, counted in its optimised text.

    work(compiled.as_text()).traffic  # bytes to and from the device's memory

`compiled.cost_analysis()` counts the body of a loop once, and what goes through a TPU's caches as memory. Here a body
counts as often as its loop runs it, and arrays count that lie in memory: parts of them where parts are read or written.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "all-to-all", "collective-permute", "ragged-all-to-all")
"""Operations in which devices take part together."""

_FREE = {"parameter", "get-tuple-element", "tuple", "bitcast", "constant", "after-all", "partition-id", "iota"}
_PARTS = {"dynamic-slice", "slice", "gather"}  # which read a part of their first operand
_SAME = {"bitcast", "copy"}  # within a fusion: the operand, perhaps read in another order
_BODIES = ("calls", "to_apply", "called_computations")

_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_INSTRUCTION = re.compile(r"^\s*(ROOT )?%?([\w.\-]+) = ")
_ARRAY = re.compile(r"([a-z]\w*)\[([\d,]*)\](?:\{([^{}]*)\})?")
_NAME = re.compile(r"%([\w.\-]+)")


class Exchange(NamedTuple):
    """One kind of collective on one device: how many times it runs, and the bytes of what goes in, of an all-gather of
    what comes out, in all.
    """

    times: int
    bytes: int


@dataclasses.dataclass(frozen=True)
class Work:
    """What one device does.

    traffic: bytes read from and written to its memory. sources: the same by the name that the operation has in the
    traced program, largest first. collectives: by kind.
    """

    traffic: int
    sources: Mapping[str, int]
    collectives: Mapping[str, Exchange]


class _Instruction(NamedTuple):
    name: str
    shape: str
    kind: str
    operands: Sequence[str]
    rest: str
    is_root: bool

    def called(self, *keys: str) -> list[str]:
        """The computations that it names under a key."""
        found = []
        for key in keys:
            for one in re.findall(rf"\b{key}=(\{{[^}}]*\}}|%?[\w.\-]+)", self.rest):
                found += _NAME.findall(one) or [one]
        return found


_Computation = Mapping[str, _Instruction]


def work(text: str) -> Work:
    """What a program does, from `compiled.as_text()`.

    Raises:
        ValueError: a loop whose number of turns does not stand in the text.
    """
    computations, entry = _parsed(text)
    sources: collections.Counter[str] = collections.Counter()
    counts: collections.Counter[str] = collections.Counter()
    moved: collections.Counter[str] = collections.Counter()
    for instruction, own, times in _executed(computations, entry, 1):
        kind = instruction.kind.removesuffix("-start")
        if kind in COLLECTIVES:
            counts[kind] += times
            moved[kind] += times * _exchanged(instruction, own)
        name = re.search(r'op_name="([^"]*)"', instruction.rest)
        sources[name[1] if name else instruction.name] += times * _traffic(instruction, own, computations)
    sources = collections.Counter({name: size for name, size in sources.items() if size})
    exchanges = {kind: Exchange(counts[kind], moved[kind]) for kind in COLLECTIVES if counts[kind]}
    return Work(sum(sources.values()), dict(sources.most_common()), exchanges)


# -- the text ---------------------------------------------------------------------------------------------------------


def _parsed(text: str) -> tuple[dict[str, _Computation], str]:
    """All computations, and the name of the first to run."""
    computations: dict[str, dict[str, _Instruction]] = {}
    entry, here = "", None
    for line in text.splitlines():
        if head := _COMPUTATION.match(line):
            here = computations.setdefault(head[2], {})
            entry = head[2] if head[1] else entry
        elif here is not None and (found := _INSTRUCTION.match(line)):
            instruction = _instruction(found[2], line[found.end() :], bool(found[1]))
            here[instruction.name] = instruction
    return dict(computations), entry


def _instruction(name: str, line: str, is_root: bool) -> _Instruction:
    """From what follows "name = ": a shape, the operation, and the rest, which begins with its operands."""
    end = _closing(line, 0) if line.startswith("(") else line.index(" ")
    shape, line = line[:end], line[end:].lstrip()
    kind, _, line = line.partition("(")
    end = _closing("(" + line, 0) - 1
    return _Instruction(name, shape, kind, _NAME.findall(line[:end]), line, is_root)


def _closing(line: str, start: int) -> int:
    """Behind the parenthesis that closes the one at a place."""
    depth = 0
    for place in range(start, len(line)):
        depth += {"(": 1, ")": -1}.get(line[place], 0)
        if depth == 0:
            return place + 1
    return len(line)


# -- what runs, and how often -----------------------------------------------------------------------------------------


def _executed(
    computations: Mapping[str, _Computation], name: str, times: int
) -> Iterator[tuple[_Instruction, _Computation, int]]:
    """Every instruction that runs as a kernel of its own, and collectives within such, with how often."""
    for instruction in computations[name].values():
        if instruction.kind == "while":
            (condition,), (body,) = instruction.called("condition"), instruction.called("body")
            yield from _executed(computations, body, times * _turns(instruction, computations[condition]))
        elif instruction.kind == "conditional":
            for branch in instruction.called("branch_computations", "true_computation", "false_computation"):
                yield from _executed(computations, branch, times)  # at most one of them, but which is not known
        elif instruction.kind in ("call", "async-start"):
            for called in instruction.called(*_BODIES):
                yield from _executed(computations, called, times)
        else:
            yield instruction, computations[name], times
            if instruction.kind == "fusion":
                for called in instruction.called("calls"):
                    for inner, own, often in _executed(computations, called, times):
                        if inner.kind.removesuffix("-start") in COLLECTIVES:
                            yield inner._replace(shape=""), own, often  # its memory is counted with the fusion


def _turns(loop: _Instruction, condition: _Computation) -> int:
    """How often a loop runs."""
    if told := re.search(r"known_trip_count\D+(\d+)", loop.rest):
        return int(told[1])
    for instruction in condition.values():
        if instruction.is_root and instruction.kind == "compare" and "direction=LT" in instruction.rest:
            for operand in instruction.operands:
                limit = condition[operand]
                if limit.kind == "constant" and (number := re.match(r"(\d+)\)", limit.rest)):
                    return int(number[1])
    raise ValueError(f"loop {loop.name}: how often it runs does not stand in the program")


# -- what an instruction moves ----------------------------------------------------------------------------------------


def _traffic(instruction: _Instruction, own: _Computation, computations: Mapping[str, _Computation]) -> int:
    """Bytes of memory that an instruction reads and writes."""
    if instruction.kind in _FREE or instruction.kind.endswith("-done") or not instruction.shape:
        return 0
    shapes = [own[name].shape for name in instruction.operands if name in own]
    if instruction.kind == "fusion":
        (called,) = instruction.called("calls")
        inner = computations[called]
        taken = [_taken(inner, place, computations) for place in range(len(shapes))]
        read = sum(
            size if part is None else min(size, part) for size, part in zip(map(_size, shapes), taken, strict=True)
        )
        return read + _given(instruction, inner)
    if instruction.kind == "dynamic-update-slice":
        return 2 * _size(shapes[1]) if _size(shapes[0]) else _size(shapes[1])
    if instruction.kind in _PARTS:
        part = _size(instruction.shape, everywhere=True)
        return min(_size(shapes[0]), part) + _size(instruction.shape)
    if not instruction.kind.endswith("-start"):
        return sum(map(_size, shapes)) + _size(instruction.shape)
    parts = _elements(instruction.shape)
    result = parts[0] if instruction.kind == "copy-start" else parts[min(1, len(parts) - 1)]  # others: from, to
    given = sum(map(_size, shapes))
    return min(given, _size(result, everywhere=True)) + _size(result)  # a slice reads a part


def _taken(inner: _Computation, place: int, computations: Mapping[str, _Computation]) -> int | None:
    """How many bytes a fusion reads of an operand; None: all."""
    (name,) = (one.name for one in inner.values() if one.kind == "parameter" and one.rest.startswith(f"{place})"))
    return _read(inner, name, computations)


def _read(inner: _Computation, name: str, computations: Mapping[str, _Computation]) -> int | None:
    total = 0
    for user in inner.values():
        if name not in user.operands:
            continue
        if user.kind in _SAME:
            part = _read(inner, user.name, computations)
        elif user.kind in _PARTS and user.operands[0] == name:
            part = _size(user.shape, everywhere=True)
        elif user.kind == "dynamic-update-slice" and user.operands[0] == name:
            part = 0
        elif user.kind == "fusion":
            part = _read_nested(inner, user, name, computations)
        else:
            part = None
        if part is None:
            return None
        total += part
    return total


def _read_nested(
    inner: _Computation, user: _Instruction, name: str, computations: Mapping[str, _Computation]
) -> int | None:
    """How many bytes a fusion within a fusion reads, or hands on as they are to what does."""
    nested = computations[user.called("calls")[0]]
    places = [place for place, operand in enumerate(user.operands) if operand == name]
    parts = [_taken(nested, place, computations) for place in places]
    root = next(one for one in nested.values() if one.is_root)
    while root.kind in _SAME:
        root = nested[root.operands[0]]
    if root.kind == "parameter":
        parts.append(_read(inner, user.name, computations))
    return None if None in parts else sum(filter(None, parts))


def _given(fusion: _Instruction, inner: _Computation) -> int:
    """How many bytes of memory a fusion writes: of an array that it updates in place, the new part."""
    root = next(one for one in inner.values() if one.is_root)
    shapes = _elements(fusion.shape)
    roots = [inner[name] for name in root.operands] if root.kind == "tuple" else [root]
    return sum(_written(one, shape, inner) for one, shape in zip(roots, shapes, strict=False))


def _written(root: _Instruction, shape: str, inner: _Computation) -> int:
    while root.kind == "bitcast":
        root = inner[root.operands[0]]
    if root.kind == "dynamic-update-slice":
        return min(_size(shape), _size(inner[root.operands[1]].shape, everywhere=True))
    return _size(shape)


def _exchanged(instruction: _Instruction, own: _Computation) -> int:
    """Bytes of a collective."""
    shapes = [own[name].shape for name in instruction.operands if name in own]
    into = sum(_size(shape, everywhere=True) for shape in shapes)
    if not instruction.kind.startswith("all-gather"):
        return into
    groups = re.search(r"replica_groups=\[(\d+),(\d+)\]|replica_groups=\{\{([\d,]*)\}", instruction.rest)
    among = 1 if groups is None else int(groups[2]) if groups[2] else len(groups[3].split(","))
    return into * among


def _elements(shape: str) -> list[str]:
    """The shapes in a tuple's, or the only one."""
    return [found[0] for found in _ARRAY.finditer(shape)]


def _size(shape: str, everywhere: bool = False) -> int:
    """Bytes of an array, or of a tuple's arrays; without `everywhere` of those that lie in the device's memory."""
    total = 0
    for kind, lengths, layout in _ARRAY.findall(shape):
        if everywhere or not re.search(r"S\([1-9]", layout):
            digits = re.search(r"\d+", kind)
            bits = 8 if kind == "pred" else int(digits[0]) if digits else 0
            total += bits * math.prod(map(int, filter(None, lengths.split(",")))) // 8
    return total
