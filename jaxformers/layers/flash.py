"""Attention by a fused kernel, whose scores never lie in memory (Dao et al. 2022, arXiv 2205.14135).

On TPU it is jax's "splash" kernel in Pallas. It takes masks of one structure, a `Band`; whoever has another one, or
looks at the probabilities, takes the plain way of `layers.attention`.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from ..placement.constraints import layout_of, may_be_on
from .inputs import Inputs

SHORTEST = 256
"""Tokens of a row from which on a kernel is worth it."""
_BLOCKS = (512, 256, 128)  # tokens that the kernel takes at a time


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Band:
    """Which of T tokens see each other: those of the same text that are near enough.

    segments: [B, T] the text of each token, 0 for padding, which sees padding. before, after: how many tokens before
    and behind its own each sees; None: all.
    """

    segments: jax.Array
    before: int | None = dataclasses.field(default=None, metadata={"static": True})
    after: int | None = dataclasses.field(default=None, metadata={"static": True})


def band_of(inputs: Inputs, before: int | None = None, after: int | None = None) -> Band | None:
    """The band of a batch; None: its mask says more of which tokens see each other than to which text they belong."""
    if inputs.texts is None and inputs.mask is not None and inputs.mask.ndim == 3:
        return None
    return Band(inputs.segment_ids, before, after)


def fits(band: Band | None, q: jax.Array, k: jax.Array, v: jax.Array) -> bool:
    """Whether the kernel takes a band and arrays as `attention` has them, and there is something to compute it."""
    if band is None or q.shape[2] != k.shape[3] or q.shape[2] < SHORTEST or not may_be_on("tpu", q):
        return False
    layout = layout_of(band.segments, ("batch", "tokens"))
    return layout is None or layout.spec[1] is None  # a row is on one device


def attention(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    band: Band,
    *,
    scale: float | None = None,
    cap: float | None = None,
    interpret: bool = False,
) -> jax.Array:
    """`attention.weighed` of queries [B, H, T, d], keys [B, K, d, T] and values [B, K, T, e]: [B, H, T, e].

    interpret: compute what the kernel does without a TPU.
    """
    q = q * (q.shape[-1] ** -0.5 if scale is None else scale)
    k = jnp.swapaxes(k, -1, -2)
    kernel = partial(_rows, before=band.before, after=band.after, cap=cap, interpret=interpret)
    layout = layout_of(q, ("batch", "kv_heads", None, None))
    if layout is None:
        return kernel(q, k, v, band.segments)
    rows, heads = layout.spec[:2]
    sizes = dict(layout.mesh.shape)
    parts = 1
    for name in (heads,) if isinstance(heads, str) else heads or ():
        parts *= sizes[name]
    if k.shape[1] % parts:  # fewer heads of keys than devices: each device has those of its queries
        k, v = (jnp.repeat(x, q.shape[1] // x.shape[1], axis=1) for x in (k, v))
    specs = (PartitionSpec(rows, heads),) * 3
    on_devices = jax.shard_map(
        kernel, mesh=layout.mesh, in_specs=(*specs, PartitionSpec(rows)), out_specs=specs[0], check_vma=False
    )
    return on_devices(q, k, v, band.segments)


def _rows(
    q: jax.Array,
    k: jax.Array,
    v: jax.Array,
    segments: jax.Array,
    *,
    before: int | None,
    after: int | None,
    cap: float | None,
    interpret: bool,
) -> jax.Array:
    """The kernel for each row of one device; q [B, H, T, d], k [B, K, T, d], v [B, K, T, e]."""
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_kernel as splash
    from jax.experimental.pallas.ops.tpu.splash_attention import splash_attention_mask as masks

    heads, length, dtype = q.shape[1], q.shape[2], v.dtype
    whole = -(-length // _BLOCKS[-1]) * _BLOCKS[-1]
    block = next(size for size in _BLOCKS if whole % size == 0)
    q, k, v = (jnp.pad(x, ((0, 0), (0, 0), (0, whole - length), (0, 0))) for x in (q, k, v))
    segments = jnp.pad(segments, ((0, 0), (0, whole - length)))
    if before is None and after is None:
        mask: Any = masks.FullMask((whole, whole))
    else:
        mask = masks.LocalMask((whole, whole), (before, after), 0)
    kernel = splash.make_splash_mha(
        masks.MultiHeadMask([mask] * heads),
        head_shards=1,
        q_seq_shards=1,
        block_sizes=splash.BlockSizes(*(block,) * 8),
        attn_logits_soft_cap=cap,
        interpret=interpret,
    )
    return jax.vmap(kernel)(q, k, v, splash.SegmentIds(segments, segments))[:, :, :length].astype(dtype)
