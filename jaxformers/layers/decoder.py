"""What decoders have in common around their layers, and the layer that most of them have."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import jax

from .. import declare
from . import cells
from .activation import ACTIVATIONS
from .attention import merge, project, through_out
from .causal import FULL, Causal
from .gated import opened
from .gqa import head_dim, kv_heads
from .inputs import Ask
from .linear import linear
from .norm import layer_norm, offset_rms_norm, rms_norm
from .rotation import CosSin, rotate_half, rotation
from .run import Encoded, either, remembering
from .sites import Sites

Norm = Callable[[Any, jax.Array], jax.Array]
"""(arrays, x [..., D]) → x normalised."""
Feed = Callable[[Any, jax.Array, Sites], jax.Array]
"""(arrays, x [B, T, D], sites) → what is added to each token for itself."""
Rotate = Callable[[jax.Array, CosSin], jax.Array]
"""(heads [B, T, H, d], cosines and sines) → heads rotated by their positions."""
Heads = Callable[[Any, jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array, jax.Array]]
"""(arrays, queries [B, T, H, d], keys and values [B, T, K, d]) → what becomes of them before they are turned."""
Layer = Callable[..., tuple[jax.Array, Any]]
"""(arrays, x [B, T, D], cell, sites, what is this layer's) → x and the cell."""
Look = Callable[..., jax.Array]
"""(arrays, x [B, T, D], cell, sites, what is this layer's) → what is added of what an encoder has read."""
Added = Callable[[str, jax.Array, Sites], jax.Array]
"""("attention" or "ffn", what it gave [B, T, D], sites) → what of it is added to the residual."""


class Mix(Protocol):
    """How tokens mix within a layer: (arrays, x [B, T, D], cell, sites, what is this layer's) → context, cell."""

    def __call__(self, p: Any, x: jax.Array, cell: Any, sites: Sites, *own: Any) -> tuple[jax.Array, Any]:
        """The context [B, T, H * d] before the output projection, and the cell."""
        ...


def run_decoder(
    order: Causal,
    block: Layer,
    params: Any,
    x: jax.Array,
    *each: Sequence[Any],
    ask: Ask,
    sites: Sites,
    norm: Norm,
) -> Encoded:
    """Send x [B, T, D] through the layers and the last norm, with the cache that the call came with.

    Args:
        order: of the call's tokens.
        block: as `remembering` takes it.
        params: the model's, with "layers" and, where there is one, "final_norm".
        x: what enters the first layer.
        *each: what is each layer's own.
        ask: which intermediate results to collect; of hidden states the last is the normed one.
        sites: of the model, or of its decoder.
        norm: after the last layer.
    """
    kept = None if order.cache is None else order.cache.cells
    encoded = remembering(block, params["layers"], kept, x, *each, ask=ask, sites=sites)
    encoded = encoded.normed(norm(params.get("final_norm"), encoded.state))
    return dataclasses.replace(encoded, cells=None, cache=order.after(encoded.cells))


def rotated(
    order: Causal,
    cos_sin: CosSin,
    width: int,
    keys: int,
    *,
    rotate: Rotate = rotate_half,
    rate: float = 0.0,
    scale: float | None = None,
    cap: float | None = None,
    heads: Heads = lambda p, q, k, v: (q, k, v),
) -> Mix:
    """Attention of heads with `width` numbers, `keys` heads of keys and values, whose positions are rotations.

    Of what is a layer's own it takes its window, and whether it rotates heads at all.
    """

    def mix(
        p: Any, x: jax.Array, cell: Any, sites: Sites, window: Any = FULL, uses_rope: Any = True
    ) -> tuple[jax.Array, Any]:
        q, k, v = heads(p, *project(p, x, width, keys))
        q, k = either(uses_rope, lambda: (rotate(q, cos_sin), rotate(k, cos_sin)), lambda: (q, k))
        return order.attend(q, k, v, cell, window=window, scale=scale, cap=cap, rate=rate, sites=sites)

    return mix


def rotary_attention(c: Any, order: Causal) -> Mix:
    """Attention of the config's heads, whole heads turned as its rotation says (Su et al. 2021, arXiv 2104.09864)."""
    cos_sin = rotation(c, head_dim(c)).cos_sin(order.positions, order.reach)
    return rotated(order, cos_sin, head_dim(c), kv_heads(c), rate=c.attention_dropout)


def normed(norm: Norm) -> Heads:
    """Queries and keys are normalised, each head for itself, where the layer has norms for them."""
    return lambda p, q, k, v: (norm(p["query_norm"], q), norm(p["key_norm"], k), v) if "query_norm" in p else (q, k, v)


def normed_as_one(norm: Norm) -> Heads:
    """Queries and keys are normalised, all heads together."""

    def heads(p: Any, q: jax.Array, k: jax.Array, v: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        queries, keys = norm(p["query_norm"], merge(q)), norm(p["key_norm"], merge(k))
        return queries.reshape(q.shape), keys.reshape(k.shape), v

    return heads


SLIDING, WHOLE = "sliding_attention", "full_attention"
"""What configs call layers that see a window of tokens, and all of them."""


def windows(kinds: Sequence[str], window: int | None) -> list[int]:
    """How many tokens each layer sees, by its kind."""
    return [window if kind == SLIDING and window else FULL for kind in kinds]


def rotations(c: Any, local: float) -> dict[str, tuple[Any, Mapping[str, Any]]]:
    """Base and kind of the rotation of each kind of layer: newer files say both in rope_parameters; older ones say the
    one where all is seen, and `local` is the base of the plain one where a window is.

    Raises:
        ValueError: rope_parameters has something else.
    """
    told = c.rope_parameters or {}
    if not all(isinstance(told.get(kind, {}), Mapping) for kind in (WHOLE, SLIDING)):
        raise ValueError(f"{type(c).__name__}: rope_parameters must hold an object for each kind of layer")
    whole, near = told.get(WHOLE, told or c.rope_scaling or {}), told.get(SLIDING, {})
    return {
        WHOLE: (whole.get("rope_theta", c.rope_theta), whole),
        SLIDING: (near.get("rope_theta", local), near),
    }


def check_kinds(c: Any, known: Sequence[str] = (SLIDING, WHOLE)) -> None:
    """Refuse `layer_types` that are not one known kind for each layer.

    Raises:
        ValueError: naming what is wrong.
    """
    if c.layer_types is None:
        return
    owner, count = type(c).__name__, c.num_hidden_layers
    if len(c.layer_types) != count:
        raise ValueError(f"{owner}: layer_types names {len(c.layer_types)} layers, num_hidden_layers={count}")
    if strange := [kind for kind in c.layer_types if kind not in known]:
        raise ValueError(f"{owner}: layer_types has {str(strange[0])[:60]!r}, supported: {', '.join(map(repr, known))}")


def gated(activation: str) -> Feed:
    """The network with a gate: down(act(gate(x)) * up(x))."""

    def feed(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        return linear(p["down"], opened(p, x, ACTIVATIONS[activation]), like=x)

    return feed


def plain(activation: str, rate: float = 0.0) -> Feed:
    """The network without a gate: down(act(up(x))), with dropout between the two."""

    def feed(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        return linear(p["down"], sites.drop("activation", ACTIVATIONS[activation](linear(p["up"], x)), rate), like=x)

    return feed


def dropped(*, attention: float = 0.0, ffn: float = 0.0) -> Added:
    """What dropout at these rates leaves."""
    rates = {"attention": attention, "ffn": ffn}
    return lambda half, y, sites: sites(half, y, rates[half])


def times(gain: float) -> Added:
    """The same times a number."""
    return lambda half, y, sites: sites(half, y * gain)


all_of_it = dropped()
"""What most layers add to the residual."""


def norms_first(mix: Mix, feed: Feed, norm: Norm, added: Added = all_of_it, look: Look | None = None) -> Layer:
    """The layer of Llama and its relatives: x + mix(norm(x)), then x + feed(norm(x)); between the two x + look(x)."""

    def apply(p: Any, x: jax.Array, cell: Any, sites: Sites, *own: Any) -> tuple[jax.Array, Any]:
        context, cell = mix(p, norm(p["attention_norm"], x), cell, sites, *own)
        x = x + added("attention", through_out(p, context, x, sites), sites)
        x = x if look is None else x + look(p, x, cell, sites, *own)
        return x + added("ffn", feed(p, norm(p["ffn_norm"], x), sites), sites), cell

    return apply


def norms_last(mix: Mix, feed: Feed, norm: Norm) -> Layer:
    """The layer of OLMo 2: x + norm(mix(x)), then x + norm(feed(x))."""

    def apply(p: Any, x: jax.Array, cell: Any, sites: Sites, *own: Any) -> tuple[jax.Array, Any]:
        context, cell = mix(p, x, cell, sites, *own)
        x = x + sites("attention", norm(p["attention_norm"], through_out(p, context, x, sites)))
        return x + sites("ffn", norm(p["ffn_norm"], feed(p, x, sites))), cell

    return apply


def side_by_side(mix: Mix, feed: Feed, norm: Norm, added: Added = all_of_it) -> Layer:
    """The layer whose halves read the same: x + mix(norm(x)) + feed(norm(x)), with a norm for both or for each."""

    def apply(p: Any, x: jax.Array, cell: Any, sites: Sites, *own: Any) -> tuple[jax.Array, Any]:
        normal = norm(p["attention_norm"], x)
        context, cell = mix(p, normal, cell, sites, *own)
        y = added("attention", through_out(p, context, x, sites), sites)
        normal = norm(p["ffn_norm"], x) if "ffn_norm" in p else normal
        return x + y + added("ffn", feed(p, normal, sites), sites), cell

    return apply


def norms_around(mix: Mix, feed: Feed, norm: Norm) -> Layer:
    """The layer with norms before and after both halves: x + norm(mix(norm(x))), then x + norm(feed(norm(x)))."""

    def apply(p: Any, x: jax.Array, cell: Any, sites: Sites, *own: Any) -> tuple[jax.Array, Any]:
        context, cell = mix(p, norm(p["attention_norm"], x), cell, sites, *own)
        x = x + sites("attention", norm(p["attention_post_norm"], through_out(p, context, x, sites)))
        return x + sites("ffn", norm(p["ffn_post_norm"], feed(p, norm(p["ffn_norm"], x), sites))), cell

    return apply


def root_mean_square(epsilon: float) -> Norm:
    """`rms_norm` with its epsilon."""
    return lambda p, x: rms_norm(p, x, epsilon)


def standardised(epsilon: float) -> Norm:
    """`layer_norm` with its epsilon."""
    return lambda p, x: layer_norm(p, x, epsilon)


def offset_root_mean_square(epsilon: float) -> Norm:
    """`offset_rms_norm` with its epsilon."""
    return lambda p, x: offset_rms_norm(p, x, epsilon)


def keys_values(c: Any, rows: int, slots: int) -> declare.Tree:
    """What the layers keep, from the fields that most configs have: keys and values in each."""
    width = getattr(c, "head_dim", None) or c.hidden_size // c.num_attention_heads
    keys = getattr(c, "num_key_value_heads", None) or c.num_attention_heads
    return [cells.keys_values(rows, slots, keys, width) for _ in range(c.num_hidden_layers)]
