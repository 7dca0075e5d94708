"""Programs compiled for TPUs that are not there: nothing runs, and what the compiler made can be read."""

from __future__ import annotations

import math
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxformers import declare, parallel, training
from jaxformers.layers.cache import Cache, Leaf, leaves
from jaxformers.layers.inputs import Ask, Inputs
from jaxformers.layers.sites import PLAIN
from jaxformers.placement.sharding import spec_of
from jaxformers.training import step

QUIET = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
"""What keeps libtpu from looking for a TPU."""
TOPOLOGIES = {"v5e-1": "v5e:1x1", "v5e-8": "v5e:2x4", "v5p-8": "v5p:2x2x2"}  # of the last eight chips
Compiled = Any


def mesh_of(topology: str, **sizes: int) -> Mesh:
    """A mesh of compile-only devices: `mesh_of("v5e-8", tensor=8)`."""
    from jax.experimental import topologies

    os.environ.update(QUIET)
    bounds: dict[str, Any] = {"chips_per_host_bounds": [1, 1, 1]} if topology.endswith("-1") else {}
    found = topologies.get_topology_desc(platform="tpu", topology_name=TOPOLOGIES[topology], **bounds)
    devices = np.array(found.devices)[: math.prod(sizes.values())].reshape(*sizes.values())
    return Mesh(devices, tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))


class Abstract:
    """A model whose arrays are shapes on a mesh, with stacked or listed layers."""

    def __init__(self, cls: Any, config: Any, mesh: Mesh, dtype: Any = jnp.bfloat16, stacked: bool = True) -> None:
        self.cls, self.config, self.mesh = cls, config.bare(), mesh
        listed = cls.declaration(config)
        self.declaration = declare.stacked(listed) if stacked else listed
        shapes = declare.abstract(self.declaration, dtype)
        layouts = parallel.shardings(self.declaration, mesh)
        self.params = jax.tree.map(lambda x, own: x.update(sharding=own), shapes, layouts)

    def laid(self, x: Any, *axes: str | None) -> jax.ShapeDtypeStruct:
        """A shape that lies as the rules say of its axes."""
        names = (*(None,) * (len(x.shape) - len(axes)), *axes)
        spec = spec_of(declare.Param(x.shape, names, "", "buffer"), dict(self.mesh.shape))
        return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=NamedSharding(self.mesh, spec))

    def ids(self, rows: int, tokens: int) -> jax.ShapeDtypeStruct:
        """Ids [rows, tokens]."""
        return self.laid(jax.ShapeDtypeStruct((rows, tokens), jnp.int32), "batch", None)

    def cache(self, rows: int, slots: int) -> Cache:
        """An empty cache, beside an encoder with as much room for sources."""
        source = (slots,) if self.cls.network.two_sided else ()
        made = jax.eval_shape(
            lambda params: self.cls.network.empty_cache(params, self.config, rows, slots, *source), self.params
        )

        def place(x: Any) -> Any:
            return x.put(self.laid(x.array, *x.axes)) if isinstance(x, Leaf) else self.laid(x, "batch")

        return jax.tree.map(place, made, is_leaf=lambda x: isinstance(x, Leaf))

    def forward(self, rows: int, tokens: int) -> Compiled:
        """Hidden states of a batch, with a mask."""

        def compute(params: Any, ids: jax.Array, mask: jax.Array) -> Any:
            inputs = Inputs(ids=ids, mask=mask)
            if self.cls.network.two_sided:
                inputs = Inputs(ids=ids, mask=mask, target=Inputs(ids=ids))
            return self.cls.network(params, self.config, inputs, Ask(), PLAIN).state

        ids = self.ids(rows, tokens)
        return jax.jit(compute).lower(self.params, ids, ids).compile()

    def decode(self, rows: int, slots: int, tokens: int = 1) -> Compiled:
        """A step of writing, or with more tokens a chunk of prompts: the likeliest next ids, and the cache."""

        def compute(params: Any, ids: jax.Array, cache: Cache) -> Any:
            logits, cache = self.cls.decode_step(params, self.config, ids, cache)
            return jnp.argmax(logits[:, -1], axis=-1), cache

        given = self.params, self.ids(rows, tokens), self.cache(rows, slots)
        return jax.jit(compute, donate_argnums=2).lower(*given).compile()

    def train(self, rows: int, tokens: int, dtype: str | None = "bfloat16") -> Compiled:
        """A step of training with AdamW, layers computed again in the backward pass."""
        optimizer = training.optimizer("adamw", 1e-4, self.declaration, weight_decay=0.1)
        names = frozenset(name for name, _ in declare.walk(self.declaration))
        plan = step.TrainPlan(self.cls, self.config, optimizer, names, compute_dtype=dtype, remat="nothing_saveable")
        beside = {x.shape: x.sharding for x in jax.tree.leaves(self.params)}
        everywhere = NamedSharding(self.mesh, PartitionSpec())

        def start(params: Any) -> step.State:
            return step.State(params, optimizer.init(params), None, jnp.int32(0))

        state = jax.tree.map(
            lambda x: x.update(sharding=beside.get(x.shape, everywhere)), jax.eval_shape(start, self.params)
        )
        layout = tuple(x.sharding for x in jax.tree.leaves(state))
        ids = self.ids(rows, tokens)
        inputs = Inputs(ids=ids, target=Inputs(ids=ids)) if self.cls.network.two_sided else Inputs(ids=ids)
        compiled = jax.jit(step.jaxformers_train_step, static_argnums=(0, 1), donate_argnums=2)
        return compiled.lower(plan, layout, state, inputs, {"labels": ids}).compile()


def bytes_of(tree: Any) -> int:
    """Of the part of each array that one device has."""
    return sum(math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize for x in jax.tree.leaves(tree))


def cells_of(cache: Cache) -> int:
    """Bytes of what layers keep."""
    return bytes_of([leaf.array for leaf in leaves(cache)])
