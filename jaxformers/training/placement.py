"""Where weights and batches lie: on one device, on a mesh, or on a mesh over several processes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..bundle import Model
from ..parallel import explicit, mesh_of, row_axes, shardings

Arrays = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Placement:
    """Where a trainer's arrays lie.

    mesh: of several devices, or None. spread: whether weights are to be laid out on it, rather than lying there.
    """

    mesh: Mesh | None
    spread: bool = False

    @classmethod
    def of(cls, model: Model, mesh: Any = None) -> Placement:
        """On the mesh that is given, else on the one that the model lies on.

        Raises:
            ValueError: it is no mesh.
        """
        given = mesh_of(mesh, model.laid_out)
        if given is not None and given.size > 1:
            return cls(explicit.automatic_mesh(given), spread=True)
        layouts = (x.sharding for x in jax.tree.leaves(explicit.to_automatic(model.params)) if isinstance(x, jax.Array))
        meshes = (one.mesh for one in layouts if isinstance(one, NamedSharding))
        return cls(next((mesh for mesh in meshes if isinstance(mesh, Mesh) and mesh.size > 1), None))

    @property
    def parts(self) -> int:
        """Among how many devices the rows of a batch are divided."""
        return 1 if self.mesh is None else math.prod(self.mesh.shape[axis] for axis in self._axes)

    @property
    def _axes(self) -> tuple[str, ...]:
        assert self.mesh is not None
        return row_axes(self.mesh.axis_names)

    def rows(self, per_device: int) -> int:
        """Rows of a micro-batch on this process."""
        return max(per_device * self.parts // jax.process_count(), 1)

    def fitting(self, rows: int) -> int:
        """Rows of this process, so many or some more, that can be divided among its devices."""
        own = max(self.parts // jax.process_count(), 1)
        return -(-rows // own) * own

    def model(self, model: Model) -> Model:
        """The model, with its weights where they are trained."""
        if self.mesh is None or not self.spread:
            return model
        laid_out = shardings(model.laid_out, self.mesh)
        return model.replace(params=jax.device_put(explicit.to_automatic(model.params), laid_out))

    def put(self, arrays: Arrays) -> dict[str, jax.Array]:
        """A batch on the devices: of several processes each gives its own rows. What cannot be divided is copied."""
        if self.mesh is None:
            return {name: jax.device_put(array) for name, array in arrays.items()}
        divided = NamedSharding(self.mesh, PartitionSpec(self._axes))
        copied = NamedSharding(self.mesh, PartitionSpec())
        each = {
            name: divided if array.ndim and not array.shape[0] % self.fitting(1) else copied
            for name, array in arrays.items()
        }
        return {name: jax.make_array_from_process_local_data(each[name], array) for name, array in arrays.items()}
