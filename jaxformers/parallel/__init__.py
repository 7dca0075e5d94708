"""Logical axes of arrays to axes of a mesh."""

from .sharding import RULES, shardings

__all__ = ["RULES", "shardings"]
