"""Allowed sequences of tokens, compiled: what `prefix_allowed_tokens_fn` says, without a function of the host."""

from __future__ import annotations

import bisect
import dataclasses
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from .buckets import rounded
from .history import History


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenTrie:
    """Allowed sequences of new tokens as arrays, made by `of`.

    Children of a node stand together, in the order of their tokens; node 0 is the root.

    first: [nodes + 1] where a node's children begin.
    tokens: [edges + fan] the token that leads to child i, which is node i + 1; `nothing` behind the last.
    most: [] the largest token.
    fan: how many children a node has at most.
    """

    first: Any
    tokens: Any
    most: Any
    fan: int = dataclasses.field(metadata={"static": True})

    @classmethod
    def of(cls, sequences: Sequence[Sequence[int]], eos: int | Sequence[int]) -> TokenTrie:
        """Compile sequences of ids.

        Args:
            sequences: what a row may write.
            eos: the ids that may stand after a whole sequence.

        Raises:
            ValueError: no sequence, no end, or what is no id.
        """
        try:
            ends = tuple(map(operator.index, (eos,) if isinstance(eos, int) else eos))
            whole = sorted({(*map(operator.index, sequence), end) for sequence in sequences for end in ends})
        except TypeError:
            raise ValueError("TokenTrie: expected lists of ids, and an end or several; ids are whole numbers") from None
        if not whole:
            raise ValueError("TokenTrie: at least one sequence and one end are needed")
        if any(i < 0 for sequence in whole for i in sequence):
            raise ValueError("TokenTrie: ids are whole numbers from 0")
        # Breadth first: a node is the range of the sorted sequences that begin alike, and how many tokens those share.
        nodes = [(0, len(whole), 0)]
        first: list[int] = []
        tokens: list[int] = []
        for start, stop, depth in nodes:
            first.append(len(tokens))
            while start < stop:
                if len(whole[start]) == depth:  # it ends here
                    start += 1
                    continue
                token = whole[start][depth]
                after = bisect.bisect_left(whole, (*whole[start][:depth], token + 1), start, stop)
                nodes.append((start, after, depth + 1))
                tokens.append(token)
                start = after
        first.append(len(tokens))
        fan = rounded(int(np.diff(first).max()))
        # Sizes are rounded up, so that other tries of about the same size share a program.
        size = rounded(len(first))
        first += [len(tokens)] * (size - len(first))
        tokens += [-1] * (size + fan - len(tokens))
        return cls(
            first=np.asarray(first, np.int32),
            tokens=np.asarray(tokens, np.int32),
            most=np.int32(max(map(max, whole))),
            fan=fan,
        )

    @property
    def ends(self) -> set[int]:
        """The tokens that sequences end with."""
        first, tokens = np.asarray(self.first), np.asarray(self.tokens)
        edges = int((tokens >= 0).sum())
        leaves = np.flatnonzero(first[1 : edges + 1] == np.append(first, first[-1])[2 : edges + 2])
        return set(tokens[leaves].tolist())

    def __call__(self, history: History, scores: jax.Array) -> jax.Array:
        """−∞ for [R, V] scores of what no sequence goes on with."""
        first, tokens = jnp.asarray(self.first), jnp.asarray(self.tokens)
        vocab = scores.shape[1]
        branches = jnp.arange(self.fan)

        def children(node: jax.Array) -> tuple[jax.Array, jax.Array]:
            """The tokens that follow a node, `vocab` where there are fewer than `fan`, and the child of the first."""
            begin = first[node]
            found = lax.dynamic_slice(tokens, (begin,), (self.fan,))
            return jnp.where(branches < first[node + 1] - begin, found, vocab), begin + 1

        def row(ids: jax.Array, start: jax.Array, stop: jax.Array, scores: jax.Array) -> jax.Array:
            def walk(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
                at, node = state
                found, child = children(node)
                match = found == ids[at]
                return at + 1, jnp.where(match.any(), child + jnp.argmax(match), -1).astype(jnp.int32)

            _, node = lax.while_loop(lambda s: (s[0] < stop) & (s[1] >= 0), walk, (start, jnp.int32(0)))
            found, _ = children(jnp.maximum(node, 0))
            allowed = jnp.zeros(vocab, bool).at[found].set(node >= 0, mode="drop")
            return jnp.where(allowed, scores, -jnp.inf)

        return jax.vmap(row)(history.ids, history.prompt, history.length, scores)
