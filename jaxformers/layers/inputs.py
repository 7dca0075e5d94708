"""What a forward pass takes: the arrays of one batch, and what it is asked for beside its result."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp

from .cache import Cache


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Memory:
    """What a decoder beside an encoder reads of it: its states [B, S, D], and which are no padding [B, S]."""

    state: jax.Array
    mask: jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Inputs:
    """One batch of B rows of T tokens; what is None was not given.

    ids: [B, T] token ids, or embeds: [B, T, D] in their place.
    mask: [B, T] or [B, T, T], zero where a token must not be seen.
    types: [B, T] which segment a token belongs to.
    positions: [B, T] place of a token in its row.
    texts: [B, T] where rows hold several texts: which of them a token belongs to, 1, 2, …; zero is padding.
    starts: [N] where their first tokens are, counted through all rows.
    cache: the tokens before these, for models that read in one direction.
    target: what a decoder reads beside an encoder, which reads these.
    memory: of an encoder, for the decoder beside it; None in a cache that has it.
    choices: how many rows, one behind another, are choices for one example.
    beside: what one architecture alone takes, by the Hub's keyword, as its class declares it (`batch.Beside`).
    """

    ids: jax.Array | None = None
    embeds: jax.Array | None = None
    mask: jax.Array | None = None
    types: jax.Array | None = None
    positions: jax.Array | None = None
    texts: jax.Array | None = None
    starts: jax.Array | None = None
    cache: Cache | None = None
    target: Inputs | None = None
    memory: Memory | None = None
    beside: Mapping[str, jax.Array] = dataclasses.field(default_factory=dict)
    choices: int = dataclasses.field(default=1, metadata={"static": True})

    @property
    def shape(self) -> tuple[int, int]:
        """B and T."""
        tokens = self.ids if self.ids is not None else self.embeds
        assert tokens is not None
        return tokens.shape[0], tokens.shape[1]

    @property
    def places(self) -> jax.Array:
        """The positions, or where none were given 0, 1, 2, … for every row, or every text of it: [B or 1, T]."""
        if self.positions is not None:
            return self.positions
        place = jnp.arange(self.shape[1])[None]
        if self.texts is None:
            return place
        begins = jnp.diff(self.texts, axis=1, prepend=0) != 0
        return place - jax.lax.cummax(jnp.where(begins, place, 0), axis=1)

    def counted(self, pad: int) -> jax.Array:
        """The positions, or where none were given those of fairseq's models: [B or 1, T].

        Tokens other than `pad` count from pad + 1, and `pad` itself stands at `pad`, whatever side it is on (Ott et al.
        2019, arXiv 1904.01038). Of embeddings nobody knows which are padding, so all count.
        """
        if self.positions is not None:
            return self.positions
        if self.ids is None or self.texts is not None:
            return self.places + pad + 1
        real = (self.ids != pad).astype(jnp.int32)
        return jnp.cumsum(real, axis=1, dtype=jnp.int32) * real + pad

    def separated(self) -> Inputs:
        """Where rows hold several texts, these inputs with a mask [B, T, T]: a token sees its own text alone."""
        if self.texts is None:
            return self
        own = self.texts[:, :, None] == self.texts[:, None, :]
        return dataclasses.replace(self, mask=own & (self.texts != 0)[:, None, :])

    @property
    def segment_ids(self) -> jax.Array:
        """Which text of its row each token belongs to, zero for padding: [B, T]."""
        if self.texts is not None:
            return self.texts
        if self.mask is None:
            return jnp.ones(self.shape, jnp.int32)
        seen = self.mask if self.mask.ndim == 2 else (self.mask != 0).any(-2)
        return (seen != 0).astype(jnp.int32)

    def ends(self, pad: int | None) -> jax.Array:
        """Where each text's last token is, counted through all rows [B or N]: the last that is not `pad`.

        Of embeddings, and where there is no `pad`, the last that the mask shows.
        """
        rows, length = self.shape
        if self.texts is not None and self.starts is not None:
            owner = (self.texts + jnp.arange(rows)[:, None] * (length + 1)).reshape(-1)
            return self.starts + jnp.bincount(owner, length=rows * (length + 1))[owner[self.starts]] - 1
        real = self.segment_ids != 0 if self.ids is None or pad is None or pad < 0 else self.ids != pad
        return jnp.arange(rows) * length + jnp.where(real, jnp.arange(length), 0).max(1)

    @property
    def segments(self) -> jax.Array:
        """The types, or where none were given zeros: [B or 1, T]."""
        return jnp.zeros((1, self.shape[1]), jnp.int32) if self.types is None else self.types


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, kw_only=True)
class Ask:
    """What a forward pass is asked for beside its result. Static: each combination is a program of its own.

    hidden_states: what entered the first layer and left each. attentions, cross_attentions: each layer's probabilities.
    cache: what the next tokens need of these. remat: the policy (`layers.remat`) by which gradients compute layers
    again. captured: names of sites (`layers.sites`) whose values are kept.
    """

    hidden_states: bool = False
    attentions: bool = False
    cross_attentions: bool = False
    cache: bool = False
    remat: str | None = None
    captured: tuple[str, ...] = ()
