"""What a logits processor may look at: the rows as far as they have been written."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Source:
    """What an encoder has read for R rows. ids: [R, S] from the first real token on. length: [R] how many are real."""

    ids: Any
    length: Any


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class History:
    """R rows (beams are rows of their own) in the middle of a generation; all of it may be traced.

    ids: [R, S] the tokens of each row from its first real one on, prompt and new ones; what stands behind `length` is
        meaningless.
    length: [R] how many real tokens a row has.
    prompt: [R] how many of them are the prompt's.
    padding: [R] how many padding tokens the prompt had beside them. The reference counts these: its lengths are
        `length + padding`, and its penalties see `pad` in such rows.
    pad: [R] the id of that padding.
    limit: [R] the length, without padding, at which a row ends.
    number: [R] which row of the call it is, as it was passed; −1 for one that has ended, or is none.
    source: what an encoder has read for each row; None: the model has none.
    """

    ids: jax.Array
    length: jax.Array
    prompt: jax.Array
    padding: jax.Array
    pad: jax.Array
    limit: jax.Array
    number: jax.Array
    source: Source | None = None

    @property
    def new(self) -> jax.Array:
        """How many tokens each row has got beside its prompt: [R]."""
        return self.length - self.prompt

    @property
    def counted(self) -> jax.Array:
        """The rows' lengths as the reference counts them, padding and all: [R]."""
        return self.length + self.padding
