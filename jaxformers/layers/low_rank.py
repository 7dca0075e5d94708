"""Low-rank additions to weights of dense layers (Hu et al. 2021, arXiv 2106.09685), which are trained in their place.

One leaf holds the weight and its addition. Many additions in one batch would be axes in front of `down` and `up`, and
the number of each row's beside them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from ..declare import Param
from .product import product
from .quantized import Quantized
from .sites import Sites
from .weight import Weight, multiplied


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LowRank(Weight):
    """A weight [..., out, in] plus scale * up @ down.

    base: [..., out, in], plain or `Quantized`. down: [..., r, in]. up: [..., out, r]. scale: of the addition. rate: of
    the dropout on what `down` reads, where there is a key [...] for it (`dropping`).

    The same node stands in declarations, with records in the places of arrays.
    """

    base: Any
    down: Any
    up: Any
    key: Any = None
    scale: float = dataclasses.field(default=1.0, metadata={"static": True})
    rate: float = dataclasses.field(default=0.0, metadata={"static": True})

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the weight."""
        return self.base.shape

    @property
    def dtype(self) -> Any:
        """That of the base."""
        return self.base.dtype

    def widened(self, dtype: Any = None) -> jax.Array:
        """The weight [..., out, in] with its addition, as an array."""
        base = self.base.widened() if isinstance(self.base, Quantized) else self.base
        wide = jnp.promote_types(base.dtype, jnp.float32)
        added = jnp.matmul(self.up.astype(wide), self.down.astype(wide), precision="highest")
        return (base.astype(wide) + self.scale * added).astype(self.dtype if dtype is None else dtype)

    def product(self, x: jax.Array, out_sharding: Any = None) -> jax.Array:
        """X [..., in] by a weight [out, in] and by its addition: [..., out] in float32 or wider."""
        wide = jnp.promote_types(x.dtype, jnp.float32)
        kept = Sites(key=self.key).drop("adapter", x, self.rate)
        narrow = product(kept, self.down.astype(x.dtype), wide).astype(x.dtype)
        added = product(narrow, self.up.astype(x.dtype), wide, out_sharding)
        return multiplied(self.base, x, out_sharding) + self.scale * added

    def merged(self) -> Any:
        """The weight with its addition, kept as the base is: what is quantised is rounded anew."""
        return self.base.alike(self.widened(jnp.float32)) if isinstance(self.base, Quantized) else self.widened()

    def laid_out(self, param: Param) -> LowRank:
        """The declaration of a weight, as this one is: see `declare.like`."""
        return declared(param, self.down.shape[-2], self.scale, self.rate)


def is_low_rank(leaf: object) -> bool:
    """Whether a leaf is a weight with a low-rank addition."""
    return isinstance(leaf, LowRank)


def declared(
    param: Param,
    rank: int,
    scale: float,
    rate: float = 0.0,
    starts: tuple[declare.Init, declare.Init] = (declare.zeros, declare.zeros),
) -> LowRank:
    """The declaration of a weight with an addition, under the names that PEFT gives it.

    Args:
        param: of the weight [..., out, in], layers listed or stacked.
        rank: of the addition.
        scale: of the addition.
        rate: of its dropout.
        starts: how `down` and `up` begin.
    """

    def beside(param: Param, part: str, letter: str, init: declare.Init, *, rows: bool) -> Param:
        def put(sizes: tuple[Any, ...], own: Any) -> tuple[Any, ...]:
            return (*sizes[:-1], own) if rows else (*sizes[:-2], own, sizes[-1])

        named = lambda name: f"{name.removesuffix('.weight')}.lora_{letter}.weight"  # noqa: E731
        return dataclasses.replace(
            param,
            shape=put(param.shape, rank),
            axes=put(param.axes, None),
            name=named(param.name),
            aliases=tuple(map(named, param.aliases)),
            role="adapter",
            init=init,
            layout="plain" if param.layout == "transposed" else param.layout,
            dtype="float32",
            group=None,
            path=f"{param.path}.{part}",
            entries=tuple(beside(entry, part, letter, init, rows=rows) for entry in param.entries),
        )

    down, up = starts
    return LowRank(
        param,
        beside(param, "down", "A", down, rows=False),
        beside(param, "up", "B", up, rows=True),
        scale=scale,
        rate=rate,
    )


def dropping(params: Any, key: jax.Array | None) -> Any:
    """The tree in which additions that have a rate of dropout have keys for it, each of its own; None: none."""
    if key is None:
        return params

    def keyed(path: tuple[Any, ...], leaf: Any) -> Any:
        if not is_low_rank(leaf) or leaf.rate == 0.0:
            return leaf
        own, layers = declare.key_of(key, declare.keystr(path)), leaf.up.shape[:-2]
        return dataclasses.replace(leaf, key=jax.random.split(own, layers) if layers else own)

    return jax.tree_util.tree_map_with_path(keyed, params, is_leaf=is_low_rank)
