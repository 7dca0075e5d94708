"""Logical axes of arrays to axes of a mesh."""

from . import explicit
from .sharding import RULES, checked_mesh, shardings

__all__ = ["RULES", "checked_mesh", "explicit", "shardings"]
