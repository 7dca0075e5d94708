"""Arrays with one row a word, for more or fewer words."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from .quantized import Quantized

_SHARE = 1e-9  # of the covariance: new rows differ from each other, and hardly from the mean


def resized(rows: jax.Array, count: int, key: jax.Array) -> jax.Array:
    """The first `count` rows of [V, ...]; rows beyond V are drawn around the mean of the old ones.

    A new word then scores about as the average word does, so that it neither wins nor distorts what the model says
    (J. Hewitt, "Initializing New Word Embeddings for Pretrained Language Models", 2021; torch Transformers since 4.46).

    Args:
        rows: [V, ...], one row a word.
        count: how many words there shall be.
        key: chooses the new rows.
    """
    old = rows.shape[0]
    if count <= old:
        return rows[:count]
    flat = rows.reshape(old, -1).astype(jnp.float32)
    mean = flat.mean(0)
    # Independent weights of the centred rows give sums with just their covariance.
    drawn = jax.random.normal(key, (count - old, old)) @ (flat - mean) * (_SHARE / old) ** 0.5
    return jnp.concatenate([rows, (mean + drawn).reshape(count - old, *rows.shape[1:]).astype(rows.dtype)])


def resized_tree(params: Any, key: jax.Array, *, declaration: declare.Tree, count: int) -> Any:
    """A model's params with another number of words, each array's new rows chosen by a key of its own."""

    def resize(param: declare.Param, array: Any) -> Any:
        rows = param.axes.index("vocab") if "vocab" in param.axes else None
        if rows is None or param.shape[rows] == count:
            return array
        own = declare.key_of(key, param.path)
        if isinstance(array, Quantized):
            return array.alike(resized(array.widened(), count, own))
        return jnp.moveaxis(resized(jnp.moveaxis(array, rows, 0), count, own), 0, rows)

    return jax.tree.map(resize, declaration, params, is_leaf=declare.is_param)
