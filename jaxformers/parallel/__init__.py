"""Logical axes of arrays to axes of a mesh."""

from . import door
from .sharding import RULES, checked_mesh, shardings

__all__ = ["RULES", "checked_mesh", "door", "shardings"]
