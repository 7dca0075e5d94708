"""LongT5 (Guo et al. 2022, arXiv 2112.07916): T5 for long sources. A token of these sees those near it, and where
attention is "transient-global" the sums of blocks of tokens too, which each layer makes anew.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Size
from ..layers import relative, t5, window
from ..layers.attention import attend, merge, project
from ..layers.decoder import root_mean_square
from ..layers.inputs import Inputs
from ..layers.post_norm import Mix
from ..layers.sites import Sites
from ..network import Network
from ..sizes import T5Sizes

KINDS = {"local": "LocalSelfAttention", "transient-global": "TransientGlobalSelfAttention"}
"""What files call the encoder's attention, by what the config calls it."""


class LongT5Config(T5Sizes, Config, model_type="longt5", allowed={"encoder_attention_type": KINDS}):
    """Sizes and rates of a LongT5; the defaults are torch Transformers'.

    local_radius: how far a token of the source sees to either side. global_block_size: tokens of which a sum is made.
    encoder_attention_type: "local", or "transient-global", with these sums.
    """

    local_radius: Size = 127
    global_block_size: Size = 16
    encoder_attention_type: str = "local"


def side(c: LongT5Config, count: int, *, crossed: bool) -> declare.Tree:
    """The arrays of the encoder or the decoder."""
    if crossed:
        return t5.side(c, count, crossed=True)
    kind = KINDS[c.encoder_attention_type]
    if c.encoder_attention_type == "local":
        return t5.side(c, count, crossed=False, kind=kind)
    norm = declare.rms_norm(c.d_model, f"layer.0.{kind}.global_input_layer_norm")
    table = t5.distance(c, 0, kind=kind, table="global_relative_attention_bias")
    return t5.side(c, count, crossed=False, kind=kind, more={"global_norm": norm}) | {"global_distance": table}


class Laid(NamedTuple):
    """How the rows of a source lie while attention is computed, N rows in place of B.

    asks, asked: tokens [B, S, ...] as those that take [N, T, ...], and as those that are taken from [N, K, ...], of
    which as many stand in front of the first of T as behind the last. shared: what is of a row [B, ...] as [N, ...].
    """

    asks: Callable[[jax.Array], jax.Array]
    asked: Callable[[jax.Array], jax.Array]
    shared: Callable[[jax.Array], jax.Array]


WHOLE = Laid(lambda x: x, lambda x: x, lambda x: x)
"""As they are."""


def in_blocks(width: int, length: int) -> Laid:
    """Blocks of `width` tokens as rows of their own, taken from with the two beside them: memory of S · width."""
    return Laid(
        lambda x: window.together(window.cut(x, width)),
        lambda x: window.together(window.between_neighbours(window.cut(x, width))),
        lambda x: jnp.repeat(x, -(-length // width), axis=0),
    )


def near(p: Any, c: LongT5Config, real: jax.Array, laid: Laid) -> tuple[jax.Array, jax.Array]:
    """Which keys tokens see near them [N, 1, T, K], and what the distance adds to scores [1, H, T, K].

    p: the encoder's arrays. real: [B, S] which tokens are no padding.
    """
    shown, count = laid.asked(real), laid.asks(real).shape[1]
    queries = jnp.arange(count)[None]
    keys = jnp.arange(shown.shape[1])[None] - (shown.shape[1] - count) // 2
    close = jnp.abs(keys[:, None, :] - queries[:, :, None]) <= c.local_radius
    bias = relative.between(p["distance"], queries, keys, c.relative_attention_max_distance, ahead=True)
    return (close & shown[:, None, :])[:, None], bias


def merged(context: jax.Array, x: jax.Array) -> jax.Array:
    """What N rows have taken [N, T, H, d], heads side by side, for tokens x [B, S, D]: [B, S, H * d]."""
    rows, length = x.shape[:2]
    return merge(context).reshape(rows, -1, context.shape[-2] * context.shape[-1])[:, :length]


def local(p: Any, c: LongT5Config, inputs: Inputs) -> Mix:
    """Tokens take from those near them."""
    real = inputs.segment_ids != 0
    blocks = in_blocks(c.local_radius + 1, inputs.shape[1])
    close = near(p, c, real, blocks)

    def mix(layer: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = project(layer, x, c.d_kv)
        laid, (seen, bias) = blocks, close
        if sites.taps("attention_weights"):
            laid, (seen, bias) = WHOLE, near(p, c, real, WHOLE)
        options: dict[str, Any] = {"bias": bias, "scale": 1.0, "rate": c.dropout_rate, "sites": sites}
        return merged(attend(laid.asks(q), laid.asked(k), laid.asked(v), seen, **options), x)

    return mix


def owners(c: LongT5Config, real: jax.Array) -> jax.Array:
    """Into which sum each token goes [B, S], -1: none; real [B, S]: which tokens are no padding.

    Blocks are counted by place. What is behind the last whole one goes with it.
    """
    size, place = c.global_block_size, jnp.arange(real.shape[1])
    whole = (real & (place % size == size - 1)).sum(1, keepdims=True)
    return jnp.where(real, jnp.minimum(place // size, whole - 1), -1)


def sums(x: jax.Array, owner: jax.Array, count: int) -> jax.Array:
    """The sums [B, G, D] of tokens x [B, S, D] that belong to each of `count` owners [B, S]."""
    return jnp.einsum("bsd,bsg->bgd", x, (owner[..., None] == jnp.arange(count)).astype(x.dtype))


def transient(p: Any, c: LongT5Config, inputs: Inputs) -> Mix:
    """Tokens take from those near them, and from sums of blocks of tokens, which a layer makes of what it reads."""
    real = inputs.segment_ids != 0
    owner = owners(c, real)
    ordinal = jnp.arange(inputs.shape[1] // c.global_block_size)[None]
    there = ordinal <= owner.max(1, keepdims=True)
    far = relative.between(p["global_distance"], owner, ordinal, c.relative_attention_max_distance, ahead=True)
    norm = root_mean_square(c.layer_norm_epsilon)
    blocks = in_blocks(c.local_radius + 1, inputs.shape[1])

    def reached(laid: Laid) -> tuple[jax.Array, jax.Array]:
        """Which keys tokens see, those of sums last, and what is added to scores."""
        seen, bias = near(p, c, real, laid)
        added = jnp.swapaxes(laid.asks(jnp.swapaxes(far, 1, 2)), 1, 2)
        whole = jnp.broadcast_to(laid.shared(there)[:, None, None, :], (*seen.shape[:3], there.shape[1]))
        bias = jnp.broadcast_to(bias, (len(added), *bias.shape[1:]))
        return jnp.concatenate([seen, whole], axis=-1), jnp.concatenate([bias, added], axis=-1)

    close = reached(blocks)

    def mix(layer: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = project(layer, x, c.d_kv)
        _, *summed = project(layer, norm(layer["global_norm"], sums(x, owner, ordinal.size)), c.d_kv)
        laid, (seen, bias) = blocks, close
        if sites.taps("attention_weights"):
            laid, (seen, bias) = WHOLE, reached(WHOLE)
        k, v = (
            jnp.concatenate([laid.asked(tokens), laid.shared(whole)], axis=1)
            for tokens, whole in zip((k, v), summed, strict=True)
        )
        options: dict[str, Any] = {"bias": bias, "scale": 1.0, "rate": c.dropout_rate, "sites": sites}
        return merged(attend(laid.asks(q), k, v, seen, **options), x)

    return mix


def mixing(p: Any, c: LongT5Config, inputs: Inputs) -> Mix:
    """How the encoder's tokens mix, as the config says; of rows without a whole block there are no sums."""
    summed = c.encoder_attention_type == "transient-global" and inputs.shape[1] >= c.global_block_size
    return (transient if summed else local)(p, c, inputs)


encode = partial(t5.encode, mixing=mixing)


class LongT5Model(
    tasks.Seq2Seq,
    config=LongT5Config,
    prefix="",
    network=Network(partial(t5.parameters, side=side), encode, t5.decode, t5.cells),
):
    """Encoder and decoder without a head.

    The encoder's attentions are of all tokens with all, and with the sums behind them, [B, H, S, S + G].
    """


class LongT5EncoderModel(
    tasks.Encoder,
    config=LongT5Config,
    prefix="",
    network=Network(partial(t5.encoder_arrays, side=side), encode),
    accepts=t5.ENCODER,
    packs=False,
):
    """The encoder alone."""


class LongT5ForConditionalGeneration(tasks.Seq2SeqLM, base=LongT5Model, head=t5.words):
    """Scores of every word to follow each of the decoder's tokens."""
