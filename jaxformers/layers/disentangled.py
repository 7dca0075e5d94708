"""Disentangled attention: what a token is and how far away it stands are scored apart (He et al. 2020, arXiv
2006.03654): content to content, content to position ("c2p") and position to content ("p2c").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import declare
from . import post_norm
from .attention import attend, visible
from .inputs import Inputs
from .linear import linear
from .norm import layer_norm
from .product import einsum
from .relative import sheared
from .sites import Sites

KINDS = ("c2p", "p2c")


def kinds(c: Any) -> tuple[str, ...]:
    """Which scores by position a config asks for; old ones write them as "c2p|p2c".

    Raises:
        ValueError: a kind that is none of these.
    """
    named = c.pos_att_type or ()
    found = tuple(kind.strip() for kind in (named.lower().split("|") if isinstance(named, str) else named))
    if unknown := [kind for kind in found if kind not in KINDS]:
        raise ValueError(f"{type(c).__name__}: pos_att_type has {unknown}, known are {list(KINDS)}")
    return found


def embeddings(c: Any) -> declare.Tree:
    """Tables of words and, where the config says so, of positions and segments, and the norm of their sum."""
    width = c.embedding_size or c.hidden_size
    tree = post_norm.embeddings(c, width)
    if not c.position_biased_input:
        del tree["position"]
    if not c.type_vocab_size:
        del tree["type"]
    tree["norm"] = declare.layer_norm(c.hidden_size, "embeddings.LayerNorm")
    if width != c.hidden_size:
        tree["project"] = declare.projection(width, c.hidden_size, "embeddings.embed_proj", bias=False)
    return tree


def embedded(params: Any, c: Any, inputs: Inputs, sites: Sites) -> jax.Array:
    """What enters the first layer [B, T, D]; nothing of padding."""
    x = post_norm.summed(params, inputs, inputs.places)
    if "project" in params:
        x = linear(params["project"], x)
    x = layer_norm(params["norm"], x, c.layer_norm_eps)
    return sites.drop("embeddings", jnp.where((inputs.segment_ids != 0)[..., None], x, 0), c.hidden_dropout_prob)


def sees(inputs: Inputs) -> jax.Array | None:
    """Which tokens see which, as `attend` takes it; padding sees nothing."""
    seen = visible(inputs.mask)
    return seen if seen is None or inputs.mask is None or inputs.mask.ndim == 3 else seen & jnp.swapaxes(seen, -1, -2)


def furthest(c: Any) -> int:
    """The largest distance to either side that is told from further ones."""
    return c.max_relative_positions if c.max_relative_positions > 0 else c.max_position_embeddings


def log_buckets(distance: np.ndarray, near: int, furthest: int) -> np.ndarray:
    """Distances up to near / 2 as they are, further ones on a logarithmic scale, up to `furthest`."""
    middle = near // 2
    steps = np.maximum(np.abs(distance), middle).astype(np.float32)
    share = np.log(steps / np.float32(middle)) / np.log(np.float32((furthest - 1) / middle))
    far = np.ceil(share * (middle - 1)).astype(np.int32) + middle
    return np.where(np.abs(distance) <= middle, distance, np.sign(distance) * far)


def rows(length: int, span: int, near: int = 0, furthest: int = 0) -> jax.Array:
    """The rows of a table of 2·span distances for T - 1 places back to T - 1 ahead: [2T - 1], back first.

    near, furthest: of logarithmic buckets; 0: none.
    """
    distance = np.arange(length - 1, -length, -1)  # of the query from the key
    if near > 0 and furthest > 0:
        distance = log_buckets(distance, near, furthest)
    return jnp.asarray(np.clip(distance + span, 0, 2 * span - 1), jnp.int32)


def disentangled(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    seen: jax.Array | None,
    parts: Sequence[tuple[str, jax.Array]],
    *,
    rate: float,
    sites: Sites,
) -> jax.Array:
    """Attention whose scores are sums: tokens with tokens, and with distances.

    Args:
        q: [B, T, H, d].
        k: [B, T, H, d].
        v: [B, T, H, d].
        seen: as `attend` takes it.
        parts: of each kind ("c2p": keys, "p2c": queries) what it makes of the distances [2T - 1, H, d], in the order of
            `rows`.
        rate: of dropout.
        sites: as `attend` takes it.
    """
    q, bias = by_distance(q, k, parts)
    return attend(q, k, v, seen, bias=bias, rate=rate, sites=sites)


def by_distance(q: jax.Array, k: jax.Array, parts: Sequence[tuple[str, jax.Array]]) -> tuple[jax.Array, Any]:
    """Queries [B, T, H, d] as they are multiplied with keys, and the scores by distance [B, H, T, T] to add, or None.

    The arguments are those of `disentangled`.
    """
    share = (1 + len(parts)) ** -0.5
    scale = q.shape[-1] ** -0.5 * share
    wide = jnp.promote_types(q.dtype, jnp.float32)
    bias = None
    for kind, distances in parts:
        if kind == "c2p":
            scores = sheared(einsum("bthd,rhd->bhtr", q * scale, distances, wide))
        else:  # the key's side: distances the other way round, then queries and keys change places
            scores = einsum("bshd,rhd->bhsr", k * scale, distances[::-1], wide)
            scores = jnp.swapaxes(sheared(scores), -1, -2)
        bias = scores if bias is None else bias + scores
    return q * share, bias
