"""A mesh from what callers say: one, the sizes of its axes as a mapping or as text, or "auto"."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from jax.sharding import AxisType, Mesh

from .. import declare
from ..declare import Tree
from ..placement.rules import ALIASES, AXES
from ..placement.sharding import fits

MOST_TENSOR = 8
"""Devices among which "auto" divides a layer at most: more exchange its sums over slower links."""


def mesh_of(value: Any, declaration: Tree | None = None) -> Mesh | None:
    """The mesh that a caller means.

    "auto" is all devices. `tensor` has as many as divide the heads of keys, up to 8, and `fsdp` the rest; where the
    model's arrays cannot be divided so, `tensor` is shorter, and then `data`, which holds copies, is longer. Where no
    model is known, it is `fsdp` alone. A mesh that is made here has automatic axes.

    Args:
        value: a `jax.sharding.Mesh` with axes of any type, which is returned as it is; sizes of axes ({"data": 2,
            "tensor": 4} or "data=2,tensor=4") whose product is the number of devices; "auto"; None for no mesh.
        declaration: the arrays of the model that is to lie there.

    Raises:
        ValueError: it is none of these, an axis has no known name, or the sizes are not those of the devices.
    """
    if value is None or isinstance(value, Mesh):
        return value
    if value == "auto":
        return _made(_chosen(declaration))
    sizes = dict(_read(value)) if isinstance(value, str) else value
    if not isinstance(sizes, Mapping):
        raise _wrong(value)
    return _made(_checked(sizes, value))


def _read(text: str) -> Iterator[tuple[str, int]]:
    """Names and sizes of "data=2,tensor=4"."""
    seen = set()
    for part in text.split(","):
        name, equals, size = (word.strip() for word in part.partition("="))
        if not equals or not name or not size.isascii() or not size.isdigit():
            raise _wrong(text)
        if name in seen:
            raise ValueError(f"mesh={text!r:.60}: expected each axis once, found {name!r} twice")
        seen.add(name)
        yield name, int(size)


def _checked(sizes: Mapping[Any, Any], value: Any) -> Mapping[str, int]:
    """The sizes, if they are of a mesh of all devices."""
    if not sizes or any(type(size) is not int or size < 1 for size in sizes.values()):
        raise _wrong(value)
    if unknown := [name for name in sizes if name not in AXES and name not in ALIASES]:
        raise ValueError(
            f"mesh={value!r:.60}: expected axes among {', '.join((*AXES, *ALIASES))}, found {unknown[0]!r}"
        )
    product, count = math.prod(sizes.values()), jax.device_count()
    if product != count:
        raise ValueError(
            f"mesh={value!r:.60}: expected axes of all {count} devices, found {product}: {_instead(sizes)}"
        )
    return sizes


def _instead(sizes: Mapping[str, int]) -> str:
    """A mesh of the same axes that has all devices."""
    left, found = jax.device_count(), dict(sizes)
    for name in found:
        found[name] = math.gcd(found[name], left)
        left //= found[name]
    found[max(found, key=sizes.__getitem__)] *= left
    return f'"{",".join(f"{name}={size}" for name, size in found.items())}" would do'


def _chosen(declaration: Tree | None) -> Mapping[str, int]:
    """The sizes of "auto": see `mesh_of`."""
    count = jax.device_count()
    if declaration is None:
        return {"fsdp": count}
    heads = _heads(declaration)
    divisors = [n for n in range(1, count + 1) if count % n == 0]
    for data in divisors:
        for tensor in reversed([n for n in divisors if n <= MOST_TENSOR and heads % n == 0]):
            sizes = {"data": data, "fsdp": count // (data * tensor), "tensor": tensor}
            if count % (data * tensor) == 0 and fits(declaration, sizes):
                return {name: size for name, size in sizes.items() if size > 1} or {"data": 1}
    raise AssertionError("copies fit on any mesh")


def _heads(declaration: Tree) -> int:
    """Among how many devices the heads of all layers can be divided; 1: none are declared."""
    counts = [param.heads for _, param in declare.walk(declaration) if param.heads]
    return math.gcd(*counts) or 1


def _made(sizes: Mapping[str, int]) -> Mesh:
    return jax.make_mesh(tuple(sizes.values()), tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


def _wrong(value: Any) -> ValueError:
    return ValueError(
        f"mesh={value!r:.60}: expected a jax.sharding.Mesh, such as "
        f'jax.make_mesh(({jax.device_count()},), ("tensor",)), sizes of its axes such as "data=2,tensor=4", or "auto"'
    )
