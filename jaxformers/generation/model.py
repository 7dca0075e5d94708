"""A model as the loops of generation take it."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

from ..layers.cache import Cache
from ..layers.inputs import Inputs
from ..layers.sites import PLAIN, Sites


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A model's class, its params (best `prepared`), its config without what is `rest`, and what is done at its sites.

    Of the class these are pure functions of params: `empty_cache`, `prefill`, `decode_step`, and where prompts have a
    source, which an encoder reads, `begin`.
    """

    cls: Any = dataclasses.field(metadata={"static": True})
    params: Any
    config: Any
    sites: Sites = PLAIN

    def empty_cache(self, rows: int, slots: int) -> Cache:
        """A cache without tokens."""
        return self.cls.empty_cache(self.params, self.config, rows, slots)

    def begin(self, source: Inputs, rows: int, slots: int) -> Cache:
        """A cache without tokens that has what an encoder makes of the sources [R, S] of its rows."""
        return self.cls.begin(self.params, self.config, source, rows, slots, self.sites)

    def prefill(self, tokens: jax.Array, real: jax.Array, cache: Cache) -> Cache:
        """The cache with tokens in it, of which real [R, T] is true: ids [R, T] or vectors [R, T, D]."""
        return self.cls.prefill(self.params, self.config, tokens, real, cache, self.sites)

    def decode_step(self, tokens: jax.Array, cache: Cache, real: jax.Array | None = None) -> tuple[jax.Array, Cache]:
        """Logits float32 [R, T, V] of what follows each of tokens, ids [R, T] or vectors [R, T, D], and the cache with
        those in it that are real; None: all.
        """
        return self.cls.decode_step(self.params, self.config, tokens, cache, real, self.sites)
