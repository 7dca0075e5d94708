"""Logical axes of arrays to axes of a mesh."""

from . import explicit
from .sharding import ROWS, RULES, checked_mesh, shardings

__all__ = ["ROWS", "RULES", "checked_mesh", "explicit", "shardings"]
