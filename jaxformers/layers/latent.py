"""Multi-head latent attention (DeepSeek-AI 2024, arXiv 2405.04434): keys and values of all heads come from a few
numbers of a token, of which positions turn a part that all heads share.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from . import rotation
from .attention import merge
from .causal import Causal
from .cells import shared
from .decoder import Mix, Rotate
from .linear import linear
from .norm import rms_norm
from .product import einsum
from .sites import Sites
from .weight import Weight

EPSILON = 1e-6
"""Of the norms within attention, whatever the others have."""


def attention_arrays(c: Any) -> declare.Tree:
    """The arrays of a layer but those of its feed-forward network."""
    d, heads, bias = c.hidden_size, c.num_attention_heads, c.attention_bias
    still, turned, values, rank = c.qk_nope_head_dim, c.qk_rope_head_dim, c.v_head_dim, c.q_lora_rank
    if rank is None:
        query = {"query": declare.linear(d, heads * (still + turned), "q_proj", ("embed", "heads"), bias=False)}
    else:
        query = {
            "query_down": declare.linear(d, rank, "q_a_proj", ("embed", "latent"), bias=bias),
            "query_norm": declare.rms_norm(rank, "q_a_layernorm", "latent"),
            "query_up": declare.linear(rank, heads * (still + turned), "q_b_proj", ("latent", "heads"), bias=False),
        }
    tree = {
        **query,
        "kv_down": declare.linear(d, c.kv_lora_rank + turned, "kv_a_proj_with_mqa", ("embed", "latent"), bias=bias),
        "kv_norm": declare.rms_norm(c.kv_lora_rank, "kv_a_layernorm", "latent"),
        "kv_up": declare.linear(c.kv_lora_rank, heads * (still + values), "kv_b_proj", ("latent", "heads"), bias=False),
        "out": declare.linear(heads * values, d, "o_proj", ("heads", "embed"), bias=bias),
    }
    return declare.under("self_attn", tree) | {
        "attention_norm": declare.rms_norm(d, "input_layernorm"),
        "ffn_norm": declare.rms_norm(d, "post_attention_layernorm"),
    }


def cells(c: Any, rows: int, slots: int) -> declare.Tree:
    """What the layers keep of a token: the numbers that keys and values are made of, and the part that is turned."""
    return [shared(rows, slots, c.kv_lora_rank + c.qk_rope_head_dim) for _ in range(c.num_hidden_layers)]


def attention(c: Any, order: Causal, rotate: Rotate) -> Mix:
    """Attention whose keys and values are made of a few numbers of a token.

    Beside a cache these are never made: what would make the keys goes into the queries, and what would make the values
    comes behind the sum (2.1.2 and appendix C there). All heads then have one key, which is kept.
    """
    cos_sin = rotation.rotation(c, c.qk_rope_head_dim).cos_sin(order.positions, order.reach)
    still, heads, factor = c.qk_nope_head_dim, c.num_attention_heads, scale(c)

    def mix(p: Any, x: jax.Array, cell: Any, sites: Sites) -> tuple[jax.Array, Any]:
        split = lambda y: y.reshape(*y.shape[:2], heads, -1)  # noqa: E731
        if "query" in p:
            q = split(linear(p["query"], x))
        else:
            q = split(linear(p["query_up"], rms_norm(p["query_norm"], linear(p["query_down"], x), EPSILON)))
        few, turned = jnp.split(linear(p["kv_down"], x), [c.kv_lora_rank], axis=-1)
        few, turned = rms_norm(p["kv_norm"], few, EPSILON), rotate(turned[:, :, None], cos_sin)
        q, turned_q = q[..., :still], rotate(q[..., still:], cos_sin)
        attend = partial(order.attend, cell=cell, scale=factor, rate=c.attention_dropout, sites=sites)
        if cell is None:
            k, v = jnp.split(split(linear(p["kv_up"], few)), [still], axis=-1)
            turned = jnp.broadcast_to(turned, (*k.shape[:3], c.qk_rope_head_dim))
            return attend(jnp.concatenate([q, turned_q], axis=-1), jnp.concatenate([k, turned], axis=-1), v)
        up = _array(p["kv_up"]["weight"], x.dtype).reshape(heads, -1, c.kv_lora_rank)
        q = _product("bthn,hnr->bthr", q, up[:, :still])
        one = few[:, :, None]
        key = jnp.concatenate([one, turned], axis=-1)
        context, cell = attend(jnp.concatenate([q, turned_q], axis=-1), key, one)
        return merge(_product("bthr,hvr->bthv", split(context), up[:, still:])), cell

    return mix


def _array(weight: Any, dtype: Any) -> jax.Array:
    return weight.widened(dtype) if isinstance(weight, Weight) else weight


def _product(formula: str, a: jax.Array, b: jax.Array) -> jax.Array:
    """In the type of a, with wide sums."""
    return einsum(formula, a, b, jnp.promote_types(a.dtype, jnp.float32)).astype(a.dtype)


def scale(c: Any) -> float:
    """The factor on scores, which grows with the rows that a rotation is stretched to."""
    told = rotation.scaling(c)
    strength, factor = told.get("mscale_all_dim") or 0.0, told.get("factor", 1.0)
    gain = 0.1 * strength * math.log(factor) + 1 if strength and factor > 1 else 1.0
    return gain**2 * (c.qk_nope_head_dim + c.qk_rope_head_dim) ** -0.5
