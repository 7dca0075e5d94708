"""What layers keep of earlier tokens, as arrays whose declared axes say what becomes of them.

Keys and values are kept by position (`layers.cells`): a row's token at position p stands in slot p, whatever padding is
beside it, and sees the slots up to its own. What stands in later slots is meaningless and harmless: a slot is written
before a token can see it. So nothing is ever cleared, tokens are taken back by making a row shorter, and prompts of any
length share their programs.

A leaf without slots is the state of a recurrence: masked tokens must leave it as it is, and whoever takes tokens back
puts the state from before them in its place (`restored`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Self

import jax
import jax.numpy as jnp

from .. import declare
from ..declare import Param, is_param
from ..placement.constraints import laid, platform_of, zeros


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Leaf:
    """One array of what a layer keeps, with what its axes count.

    "batch": rows, of which beams are some. "source": rows that the beams of a row share. "length": slots, one for each
    position. "ring": slots that later positions take over. "key_dim": numbers of a key. Layers that are stacked have
    one axis more in front, so axes are counted from the end.

    layer: within a scan over stacked layers, whose leaf this is of those in the array; None: the array is the leaf's.
    """

    array: jax.Array
    axes: tuple[str | None, ...] = dataclasses.field(metadata={"static": True})
    layer: jax.Array | None = None

    def at(self, name: str) -> int | None:
        """Which axis counts this, from the end; None: none does."""
        return self.axes.index(name) - len(self.axes) if name in self.axes else None

    @property
    def rows(self) -> int | None:
        """Which axis counts rows, from the start; None: none does."""
        axis = self.at("batch" if "batch" in self.axes else "source")
        return None if axis is None else axis + self.array.ndim

    def read(self) -> jax.Array:
        """What a layer has here."""
        return self.array if self.layer is None else jax.lax.dynamic_index_in_dim(self.array, self.layer, 0, False)

    def put(self, array: jax.Array) -> Self:
        """The leaf with another array in its place."""
        if self.layer is not None:
            array = jax.lax.dynamic_update_index_in_dim(self.array, array, self.layer, 0)
        return dataclasses.replace(self, array=array)

    def of(self, layer: jax.Array | None) -> Self:
        """The same array as the leaf of one of its layers, or of all."""
        return dataclasses.replace(self, layer=layer)

    @property
    def recurrent(self) -> bool:
        """Whether it is a state of all earlier tokens together."""
        return "batch" in self.axes and not {"length", "ring"} & {*self.axes}


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Cache:
    """The earlier tokens of B rows.

    cells: what each layer keeps, a tree of `Leaf`, listed or stacked as the layers' params are.
    length: [B] how many tokens each row has.
    reach: [B] the length that each row is known to reach, 0 where nobody said; rotations that depend on the length go
        by it, so that a prompt gives the same in parts as at once.
    past: the tokens themselves, where the layers may have to read them again (`layers.again`).
    """

    cells: Any
    length: jax.Array
    reach: jax.Array
    past: Past | None = None

    @property
    def slots(self) -> int:
        """How many tokens a row has room for; 0: nothing is kept by position."""
        return max((leaf.array.shape[axis] for leaf in leaves(self) if (axis := leaf.at("length"))), default=0)

    @property
    def recurrent(self) -> bool:
        """Whether any layer keeps a state, from which no token can be taken back."""
        return any(leaf.recurrent for leaf in leaves(self))


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Past:
    """The earlier tokens of B rows as they were given to the layers, each in its slot.

    embeds: [B, S, D] what entered. positions: [B, S]. beyond: [B] whether each row was read as one that is longer than
    those of training.
    """

    embeds: Leaf
    positions: Leaf
    beyond: Leaf


def leaves(cache: Cache) -> list[Leaf]:
    """What the layers keep, leaf by leaf."""
    return jax.tree.leaves(cache.cells, is_leaf=_is_leaf)


def _is_leaf(x: Any) -> bool:
    return isinstance(x, Leaf)


def _mapped(function: Callable[..., Leaf], cache: Cache, *others: Cache) -> Cache:
    """The cache with what the function gives for each leaf, and for those of other caches in its place."""
    kept, *same = ((one.cells, one.past) for one in (cache, *others))
    cells, past = jax.tree.map(function, kept, *same, is_leaf=_is_leaf)
    return dataclasses.replace(cache, cells=cells, past=past)


def by_rows(function: Callable[..., jax.Array], cache: Cache, *others: Cache) -> Cache:
    """The cache of what `function(array, axis of rows, *arrays of the others)` gives; an axis of None: no rows."""

    def put(leaf: Leaf, *same: Leaf) -> Leaf:
        return leaf.put(function(leaf.array, leaf.rows, *(other.array for other in same)))

    length, reach = (
        function(getattr(cache, name), 0, *(getattr(other, name) for other in others)) for name in ("length", "reach")
    )
    return dataclasses.replace(_mapped(put, cache, *others), length=length, reach=reach)


def empty(cells: declare.Tree, dtype: Any, like: jax.Array) -> Cache:
    """A cache without tokens, from the declaration of its cells; its axes are those of `Leaf`, and it lies on the mesh
    of another array, as the devices there read it (`layers.cells`).
    """
    platform = platform_of(like)

    def leaf(declared: Param) -> Leaf:
        p = lying(declared, platform)
        return Leaf(zeros(p.shape, p.dtype or dtype, p.axes, like), p.axes)

    made = jax.tree.map(leaf, cells, is_leaf=is_param)
    rows = next(p.shape[p.axes.index("batch")] for _, p in declare.walk(cells) if "batch" in p.axes)
    nothing = jnp.zeros(rows, jnp.int32)
    return Cache(made, nothing, nothing)


def lying(p: Param, platform: str) -> Param:
    """A cell as devices of a platform read it. Keys have their slots last: on CPU products over keys and values are two
    to ten times as fast so. On TPU they have their numbers last, since what is written there is a slice.
    """
    if platform != "tpu" or "key_dim" not in p.axes:
        return p
    order = [*(axis for axis, name in enumerate(p.axes) if name != "key_dim"), p.axes.index("key_dim")]
    shape, axes = tuple(p.shape[axis] for axis in order), tuple(p.axes[axis] for axis in order)
    return dataclasses.replace(p, shape=shape, axes=axes)


def of_layer(cells: Any, layer: jax.Array | None) -> Any:
    """The cells of stacked layers as those of one; None: as those of all."""
    return jax.tree.map(lambda leaf: leaf.of(layer), cells, is_leaf=_is_leaf)


def no_past(rows: int, slots: int, width: int, dtype: Any, like: jax.Array) -> Past:
    """Room for the tokens of a cache, vectors of `width` numbers, on the mesh of another array."""

    def leaf(shape: tuple[int, ...], dtype: Any, axes: tuple[str | None, ...]) -> Leaf:
        return Leaf(zeros(shape, dtype, axes, like), axes)

    return Past(
        leaf((rows, slots, width), dtype, ("batch", "length", None)),
        leaf((rows, slots), jnp.int32, ("batch", "length")),
        leaf((rows,), bool, ("batch",)),
    )


def grown(cache: Cache, slots: int) -> Cache:
    """The cache with room for more tokens."""

    def widen(leaf: Leaf) -> Leaf:
        axis = leaf.at("length")
        if axis is None:
            return leaf
        more = [(0, 0)] * leaf.array.ndim
        more[axis] = (0, slots - leaf.array.shape[axis])
        return leaf.put(laid(jnp.pad(leaf.array, more), leaf.axes))

    return _mapped(widen, cache)


def rows_of(cache: Cache, rows: jax.Array) -> Cache:
    """The cache whose row i is row `rows[i]` of this one."""
    return _taken(cache, rows, ("batch", "source"))


def beams_of(cache: Cache, rows: jax.Array) -> Cache:
    """The same where the rows become beams, or change places among them: what beams share stays as it is."""
    return _taken(cache, rows, ("batch",))


def _taken(cache: Cache, rows: jax.Array, names: tuple[str, ...]) -> Cache:
    def take(leaf: Leaf) -> Leaf:
        axis = next((axis for name in names if (axis := leaf.at(name)) is not None), None)
        return leaf if axis is None else leaf.put(jnp.take(leaf.array, rows, axis=axis, mode="clip"))  # all are there

    length, reach = jnp.take(cache.length, rows), jnp.take(cache.reach, rows)
    return dataclasses.replace(_mapped(take, cache), length=length, reach=reach)


def replaced(cache: Cache, rows: jax.Array, other: Cache) -> Cache:
    """The cache with the rows of another one in place of its own `rows`; numbers past the end are left out."""

    def put(array: jax.Array, axis: int | None, new: jax.Array) -> jax.Array:
        if axis is None:
            return array
        moved = jnp.moveaxis(array, axis, 0).at[rows].set(jnp.moveaxis(new, axis, 0), mode="drop")
        return jnp.moveaxis(moved, 0, axis)

    return by_rows(put, cache, other)


def saved(cache: Cache) -> Cache:
    """The cache with copies of its states, which are still there when the rest has been given away."""
    copy = lambda leaf: leaf.put(jnp.copy(leaf.array)) if leaf.recurrent else leaf  # noqa: E731
    return dataclasses.replace(cache, cells=jax.tree.map(copy, cache.cells, is_leaf=_is_leaf))


def restored(cache: Cache, before: Cache) -> Cache:
    """The cache with the states of another in place of its own."""
    back = lambda leaf, old: old if leaf.recurrent else leaf  # noqa: E731
    return dataclasses.replace(cache, cells=jax.tree.map(back, cache.cells, before.cells, is_leaf=_is_leaf))
