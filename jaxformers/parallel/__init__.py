"""Logical axes of arrays to axes of a mesh."""

from ..placement.rules import ALIASES, AXES, RULES, Rules, row_axes
from ..placement.sharding import shardings
from . import explicit
from .meshes import mesh_of

__all__ = ["ALIASES", "AXES", "RULES", "Rules", "explicit", "mesh_of", "row_axes", "shardings"]
