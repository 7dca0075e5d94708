"""Named sites of a forward pass: where dropout acts, and where values are captured or replaced.

A model hands what it computes through `sites(name, x, rate)` and goes on with what comes back. `PLAIN` gives x back and
leaves no trace in the compiled program. All architectures use the names of `TABLE`; in an encoder-decoder those of its
sides are preceded by "encoder." and "decoder.".
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jax.tree_util import Partial

TABLE: Mapping[str, str] = MappingProxyType(
    {
        "embeddings": "[B, T, D] what the layers read",
        "layers.*.attention_weights": "[B, H, T, S] the probabilities by which tokens take from others",
        "layers.*.attention_heads": "[B, T, H * d] what the heads took, before the output projection",
        "layers.*.attention": "[B, T, D] what attention adds to the residual",
        "layers.*.cross.attention_weights": "[B, H, T, S] of attention to what an encoder has read",
        "layers.*.cross.attention_heads": "[B, T, H * d] likewise",
        "layers.*.cross": "[B, T, D] likewise",
        "layers.*.router": "[B, T, E] the scores by which experts are chosen",
        "layers.*.ffn": "[B, T, D] what the feed-forward network adds to the residual",
        "layers.*.residual": "[B, T, D] what leaves the layer",
        "final": "[B, T, D] what a head reads, after the last norm",
    }
)
"""The names, and what stands there. An architecture has those whose values it computes."""

Patch = Callable[[jax.Array], Any] | Any
"""What stands at a site in place of x: a function of x, or an array that broadcasts to it."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Sites:
    """What is done at the sites of one call.

    key: what dropout draws by, each site by a key of its own: its name's, layer's and side's; None: no dropout.
    patches: what stands in place of a value, by name, "*" for any one part of it. Of several for one site all act, in
        the order of their names, so that exact ones come last. Arrays are data; functions, as `jax.tree_util.Partial`,
        select the program.
    layer: where layers are scanned, which one runs: a part "*" of `path` stands for it.
    capture: the names of values to be kept.
    path: the parts of names up to here, each with a dot behind.
    shown: where captured values go. One belongs to the trace of one function and never leaves it.
    """

    key: jax.Array | None = None
    patches: Mapping[str, Patch] = dataclasses.field(default_factory=dict)
    layer: jax.Array | None = None
    capture: tuple[str, ...] = dataclasses.field(default=(), metadata={"static": True})
    path: str = dataclasses.field(default="", metadata={"static": True})
    shown: dict[str, jax.Array] | None = dataclasses.field(default=None, metadata={"static": True})

    def __call__(self, name: str, x: jax.Array, rate: float = 0.0) -> jax.Array:
        """X [...] at a site: after dropout at a rate, as patches have it, and kept if captured.

        Raises:
            ValueError: a patch is of another shape.
        """
        x = self.drop(name, x, rate)
        for pattern, patch in sorted(self.patches.items()):
            here = self._is_here(pattern, name)
            if here is True:
                x = self._put(patch, name, x)
            elif here is not False:
                x = jax.lax.cond(here, lambda x, patch=patch: self._put(patch, name, x), lambda x: x, x)
        self.keep({name: x})
        return x

    def drop(self, name: str, x: jax.Array, rate: float) -> jax.Array:
        """X with a share `rate` of its entries zeroed and the rest scaled by 1 / (1 - rate) (Srivastava et al. 2014).

        For what is dropped at a place that is no site.
        """
        if rate == 0.0 or self.key is None:
            return x
        if rate == 1.0:  # nothing is kept, and 1 / (1 - rate) would make the gradient NaN
            return jnp.zeros_like(x)
        dropped = round(rate * _DRAWS)
        kept = _draws(_folded(self.key, name), x.shape) >= dropped
        return jnp.where(kept, x / (1.0 - dropped / _DRAWS), 0).astype(x.dtype)

    def show(self, name: str, x: jax.Array) -> None:
        """Keep x if it is captured: a site beside the way to the result, where nothing can be replaced.

        Raises:
            ValueError: a patch is given for it.
        """
        for pattern in self.patches:
            if self._is_here(pattern, name) is not False:
                raise ValueError(f"patch: {self.path}{name} is beside the way to the result here: only capture it")
        self.keep({name: x})

    def closed(self) -> Sites:
        """The same where nothing can be captured, as within a loop."""
        return dataclasses.replace(self, capture=(), shown=None)

    def dropping(self) -> Sites:
        """The same for what is no site: dropout alone."""
        return Sites(key=self.key)

    def keep(self, values: Mapping[str, jax.Array]) -> None:
        """Keep of values by name those that are captured."""
        if self.shown is None:
            return
        for name, x in values.items():
            if any(self._is_here(pattern, name) is not False for pattern in self.capture):
                full = self.path + name
                assert full not in self.shown, f"{full} is the name of two sites"
                self.shown[full] = x

    def taps(self, name: str) -> bool:
        """Whether x is captured or replaced at a site, so that it has to be there as the table says."""
        return any(self._is_here(pattern, name) is not False for pattern in (*self.capture, *self.patches))

    def under(self, part: str) -> Sites:
        """The sites whose names go on with a part: a side of the model, or what is within a layer."""
        key = None if self.key is None else _folded(self.key, part)
        return dataclasses.replace(self, key=key, path=f"{self.path}{part}.")

    def part(self, number: jax.Array) -> Sites:
        """The same with a dropout of its own, for one of the parts in which a value is computed."""
        return self if self.key is None else dataclasses.replace(self, key=jax.random.fold_in(self.key, number))

    def at(self, layer: int | jax.Array) -> Sites:
        """The sites of a layer, by its number from 0; an array where layers are scanned."""
        key = None if self.key is None else jax.random.fold_in(self.key, layer)
        if isinstance(layer, int):
            return dataclasses.replace(self, key=key, path=f"{self.path}layers.{layer}.")
        return dataclasses.replace(self, key=key, layer=layer, path=f"{self.path}layers.*.")

    def opened(self, *more: str) -> Sites:
        """The same with a place of its own for captured values, and for those whose names go on from here as `more`."""
        asked = tuple(self.path + name for name in more)
        return dataclasses.replace(self, capture=(*self.capture, *asked), shown={})

    def _is_here(self, pattern: str, name: str) -> bool | jax.Array:
        """Whether a pattern names this site; an array where that depends on the layer that runs."""
        full = self.path + name
        here = _matches(pattern, full)
        if here or self.layer is None:
            return here
        asked, where = pattern.split("."), full.split(".").index("*")  # of any layer; which one is asked for?
        if where >= len(asked) or not asked[where].isdecimal():
            return False
        others = ".".join([*asked[:where], "*", *asked[where + 1 :]])
        return self.layer == int(asked[where]) if _matches(others, full) else False

    def _put(self, patch: Patch, name: str, x: jax.Array) -> jax.Array:
        full, given = self.path + name, patch(x) if callable(patch) else patch
        try:
            new = jnp.asarray(given)
        except (TypeError, ValueError):
            raise ValueError(f"patch: {full}: the function gave {given!r:.60}, expected an array") from None
        if jnp.iscomplexobj(new):
            raise ValueError(f"patch: {full}: what is to stand there is {new.dtype}, expected real numbers")
        try:
            return jnp.broadcast_to(new, x.shape).astype(x.dtype)
        except ValueError:
            raise ValueError(f"patch: {full} is {x.shape}, what is to stand there {new.shape}") from None


PLAIN = Sites()
"""No dropout, and nothing captured or replaced."""


EVERY = tuple(".".join("*" * parts) for parts in range(1, 7))
"""Patterns that all names are of."""


def parse_taps(
    owner: str, sites: Sites, capture: Sequence[str] | None, patch: Mapping[str, Patch] | None
) -> tuple[Sites, tuple[str, ...]]:
    """The sites with a caller's patches, and the names that it captures.

    Raises:
        ValueError: they are no names, or no arrays and functions.
    """
    listed = capture is None or isinstance(capture, Collection)
    if isinstance(capture, str) or not listed or not all(isinstance(name, str) for name in capture or ()):
        raise ValueError(f"{owner}: capture={capture!r:.80}: expected a list of names, such as ['layers.*.residual']")
    if not isinstance(patch, Mapping | None) or not all(isinstance(name, str) for name in patch or ()):
        raise ValueError(f"{owner}: patch={patch!r:.80}: expected a dict of names to arrays or functions")
    patches = {name: _patch(owner, name, one) for name, one in (patch or {}).items()}
    return dataclasses.replace(sites, patches=patches), tuple(dict.fromkeys(capture or ()))


def _patch(owner: str, name: str, patch: Any) -> Patch:
    if isinstance(patch, Partial):
        return patch
    if callable(patch):
        return Partial(patch)
    try:
        return jnp.asarray(patch)
    except (TypeError, ValueError):
        raise ValueError(f"{owner}: patch of {name}: expected an array or a function, found {patch!r:.60}") from None


def check_names(owner: str, names: Collection[str], *asked: Collection[str]) -> None:
    """Refuse patterns that are no site's name.

    Raises:
        ValueError: it says which sites there are.
    """
    for pattern in (one for some in asked for one in some):
        if not any(_matches(pattern, name) for name in names):
            known = dict.fromkeys(".".join("*" if part.isdecimal() else part for part in n.split(".")) for n in names)
            raise ValueError(f"{owner}: no site is named {pattern!r}; there are {', '.join(known)}")


def in_order(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by name, layers in their order."""
    parts = lambda name: [int(part) if part.isdecimal() else part for part in name.split(".")]  # noqa: E731
    return {name: values[name] for name in sorted(values, key=parts)}


def _matches(pattern: str, name: str) -> bool:
    asked, parts = pattern.split("."), name.split(".")
    return len(asked) == len(parts) and all(one in ("*", part) for one, part in zip(asked, parts, strict=True))


_DRAWS = 1 << 16


def _draws(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    """Numbers below 65,536: of each draw of 32 bits two, since these are what dropout takes its time and memory for.

    The two are of different tokens, the axis before the last, along which meshes seldom divide.
    """
    if len(shape) < 2 or shape[-2] % 2:
        return jax.random.bits(key, shape, jnp.uint32) >> 16
    both = jax.random.bits(key, (*shape[:-2], shape[-2] // 2, shape[-1]), jnp.uint32)
    return jnp.concatenate([both >> 16, both & (_DRAWS - 1)], axis=-2)


def _folded(key: jax.Array, name: str) -> jax.Array:
    return jax.random.fold_in(key, zlib.crc32(name.encode()))
