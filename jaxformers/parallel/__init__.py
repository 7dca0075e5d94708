"""Logical axes of arrays to axes of a mesh."""

from . import explicit
from .meshes import mesh_of
from .rules import ALIASES, AXES, RULES, Rules, row_axes
from .sharding import shardings

__all__ = ["ALIASES", "AXES", "RULES", "Rules", "explicit", "mesh_of", "row_axes", "shardings"]
