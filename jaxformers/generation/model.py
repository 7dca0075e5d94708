"""A model as the loops of generation take it: functions that read and write a cache, and what they compute with."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import jax

from ..layers.cache import Cache
from ..layers.inputs import Inputs


class Decoder(Protocol):
    """What the loops ask of a model's class; all are pure functions of params. One whose prompts have a source, which
    an encoder reads, has `begin` too.
    """

    def nothing(self, params: Any, config: Any, rows: int, slots: int) -> Cache:
        """An empty cache."""
        ...

    def begin(self, params: Any, config: Any, source: Inputs, rows: int, slots: int) -> Cache:
        """A cache that has what an encoder makes of the sources [R, S] of its rows."""
        ...

    def prefill(self, params: Any, config: Any, tokens: jax.Array, real: jax.Array, cache: Cache) -> Cache:
        """The cache with tokens in it, of which real [R, T] is true: ids [R, T] or vectors [R, T, D]."""
        ...

    def decode_step(
        self, params: Any, config: Any, tokens: jax.Array, cache: Cache, real: jax.Array | None = None
    ) -> tuple[jax.Array, Cache]:
        """Logits float32 [R, T, V] of what follows each of tokens, ids [R, T] or vectors [R, T, D], and the cache with
        those in it that are real.
        """
        ...


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A model's class (a `Decoder`), its params (best `prepared`), and its config without what is `rest`."""

    cls: Any = dataclasses.field(metadata={"static": True})
    params: Any
    config: Any

    def empty_cache(self, rows: int, slots: int) -> Cache:
        """A cache without tokens."""
        return self.cls.nothing(self.params, self.config, rows, slots)

    def begin(self, source: Inputs, rows: int, slots: int) -> Cache:
        """A cache that knows the sources of its rows, and no tokens."""
        return self.cls.begin(self.params, self.config, source, rows, slots)

    def prefill(self, tokens: jax.Array, real: jax.Array, cache: Cache) -> Cache:
        """As of `Decoder`."""
        return self.cls.prefill(self.params, self.config, tokens, real, cache)

    def decode_step(self, tokens: jax.Array, cache: Cache, real: jax.Array | None = None) -> tuple[jax.Array, Cache]:
        """As of `Decoder`."""
        return self.cls.decode_step(self.params, self.config, tokens, cache, real)
