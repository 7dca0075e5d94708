"""T5's line (Raffel et al. 2020, arXiv 1910.10683): an encoder and a decoder whose scores go by distance, without
biases, with norms by the root mean square before each part of a layer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from ..declare import Param, repeat, under
from . import cross, heads, relative
from .activation import ACTIVATIONS
from .attention import attend, merge, project, through_out, visible
from .causal import Causal
from .cells import keys_values
from .decoder import Norm, root_mean_square, run_decoder
from .embedding import embed_tokens
from .gated import opened
from .inputs import Ask, Inputs
from .linear import linear
from .post_norm import Mix
from .run import Encoded, run
from .sites import PLAIN, Sites

PLAIN_KIND = "SelfAttention"
"""What files call attention of all tokens with all."""


def normal(c: Any, width: int = 1) -> declare.Normal:
    """How a matrix of so many inputs starts, times initializer_factor, so that its outputs are of order one."""
    return declare.Normal(getattr(c, "initializer_factor", 1.0) * width**-0.5)


def attention(c: Any, prefix: str) -> declare.Tree:
    """The arrays of four projections; queries start as if scores were scaled."""
    d, inner = c.d_model, c.num_heads * c.d_kv

    def inside(name: str, width: int) -> declare.Tree:
        return declare.linear(d, inner, name, ("embed", "heads"), bias=False, init=normal(c, width))

    out = declare.linear(inner, d, "o", ("heads", "embed"), bias=False, init=normal(c, inner))
    tree = {"query": inside("q", d * c.d_kv), "key": inside("k", d), "value": inside("v", d), "out": out}
    return under(prefix, tree)


def network(c: Any, prefix: str) -> declare.Tree:
    """The arrays of a feed-forward network and the norm before it."""
    gated = c.feed_forward_proj.startswith("gated-")
    names = {"gate": "wi_0", "up": "wi_1"} if gated else {"up": "wi"}
    into: dict[str, Any] = {"axes": ("embed", "mlp"), "bias": False, "init": normal(c, c.d_model)}
    wide = {ours: declare.linear(c.d_model, c.d_ff, name, **into) for ours, name in names.items()}
    down = {"down": declare.linear(c.d_ff, c.d_model, "wo", ("mlp", "embed"), bias=False, init=normal(c, c.d_ff))}
    inside = under(f"{prefix}.DenseReluDense", (declare.together("gate_up", wide) if gated else wide) | down)
    return {"ffn_norm": declare.rms_norm(c.d_model, f"{prefix}.layer_norm")} | inside


def layers(
    c: Any, count: int, *, crossed: bool, kind: str = PLAIN_KIND, more: declare.Tree | None = None
) -> list[declare.Tree]:
    """The arrays of the encoder's layers, or with attention to it of the decoder's.

    kind: what files call a layer's attention to its own side. more: what it has beside the four projections.
    """
    norm = lambda i: declare.rms_norm(c.d_model, f"layer.{i}.layer_norm")  # noqa: E731
    own = attention(c, f"layer.0.{kind}")
    out = own.pop("out")
    layer = {"attention_norm": norm(0), **declare.together("qkv", own), "out": out, **(more or {})}
    if crossed:
        layer |= {"cross_norm": norm(1), "cross": attention(c, "layer.1.EncDecAttention")}
    return repeat(count, "block.{}", layer | network(c, f"layer.{2 if crossed else 1}"))


def distance(c: Any, block: int, *, kind: str = PLAIN_KIND, table: str = "relative_attention_bias") -> declare.Tree:
    """The table of scores by distance that files hold in a layer. kind: as in `layers`; table: its name there."""
    name = f"block.{block}.layer.0.{kind}.{table}.weight"
    shape = (c.relative_attention_num_buckets, c.num_heads)
    return {"table": Param(shape, (None, "heads"), name, "bias", normal(c, c.d_model))}


def side(
    c: Any, count: int, *, crossed: bool, kind: str = PLAIN_KIND, more: declare.Tree | None = None
) -> declare.Tree:
    """The arrays of the encoder or the decoder, as `layers` takes them; the table in the first layer is for all."""
    return {
        "distance": distance(c, 0, kind=kind),
        "layers": layers(c, count, crossed=crossed, kind=kind, more=more),
        "final_norm": declare.rms_norm(c.d_model, "final_layer_norm"),
    }


Side = Callable[..., declare.Tree]
"""(config, number of layers, crossed=) → the arrays of a side."""


def encoder_arrays(c: Any, side: Side = side) -> declare.Tree:
    """The word table and the encoder's arrays."""
    word = declare.embedding(c.vocab_size, c.d_model, "shared", "vocab", init=normal(c))
    word["table"] = declare.tied(word["table"], "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    return {"word": word, "encoder": under("encoder", side(c, c.num_layers, crossed=False))}


def parameters(c: Any, side: Side = side) -> declare.Tree:
    """The arrays of both sides."""
    return encoder_arrays(c, side) | {"decoder": under("decoder", side(c, c.depth, crossed=True))}


Score = Callable[[Any], jax.Array]
"""The arrays of a table of distances → what is added to the scores of a call."""
Bias = Callable[[Any], jax.Array]
"""A layer's arrays → what is added to its scores."""


def of_all(p: Any, score: Score) -> Bias:
    """One table for the layers of a side: its scores are looked up once."""
    found = score(p["distance"])
    return lambda layer: found


def of_each(p: Any, score: Score) -> Bias:
    """A table in each layer."""
    return lambda layer: score(layer["distance"])


def wide(x: jax.Array) -> jax.Array:
    """Float16 as float32: what large T5s add up goes beyond its range."""
    return x.astype(jnp.float32) if x.dtype == jnp.float16 else x


def norm_into(c: Any, dtype: Any) -> Norm:
    """The norm by the root mean square, in the type in which parts of a layer compute."""
    norm = root_mean_square(c.layer_norm_epsilon)
    return lambda p, x: norm(p, x).astype(dtype)


def feed(c: Any, p: Any, x: jax.Array, norm: Norm, sites: Sites) -> jax.Array:
    """What the feed-forward network adds."""
    act, h = ACTIVATIONS[c.activation], norm(p["ffn_norm"], x)
    h = opened(p, h, act) if c.feed_forward_proj.startswith("gated-") else act(linear(p["up"], h))
    h = linear(p["down"], wide(sites.drop("activation", h, c.dropout_rate)), like=x)
    return sites("ffn", h, c.dropout_rate)


Mixing = Callable[[Any, Any, Inputs], Mix]
"""(the encoder's arrays, config, what is read) → how tokens mix in a layer, given normed."""


def everything(biases: Callable[[Any, Score], Bias] = of_all) -> Mixing:
    """Every token takes from all of its row. biases: where tables of distances stand."""

    def mixing(p: Any, c: Any, inputs: Inputs) -> Mix:
        seen, places, furthest = visible(inputs.mask), inputs.places, c.relative_attention_max_distance
        bias = biases(p, lambda table: relative.between(table, places, places, furthest, ahead=True))

        def mix(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
            q, k, v = project(p, x, c.d_kv)
            return merge(attend(q, k, v, seen, bias=bias(p), scale=1.0, rate=c.dropout_rate, sites=sites))

        return mix

    return mixing


def encode(
    params: Any,
    c: Any,
    inputs: Inputs,
    ask: Ask = Ask(),
    sites: Sites = PLAIN,
    *,
    mixing: Mixing = everything(),
) -> Encoded:
    """Hidden states [B, S, D] of what the encoder reads."""
    p, rate = params["encoder"], c.dropout_rate
    mix = mixing(p, c, inputs)
    x = sites.drop("embeddings", embed_tokens(params["word"], inputs), rate)
    norm = norm_into(c, x.dtype)

    def block(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        context = mix(p, norm(p["attention_norm"], x), sites)
        x = x + sites("attention", through_out(p, context, x, sites), rate)
        return x + feed(c, p, x, norm, sites)

    encoded = run(block, p["layers"], wide(x), ask=ask, sites=sites)
    return encoded.normed(sites.drop("final", norm(p["final_norm"], encoded.state), rate))


def decode(
    params: Any,
    c: Any,
    inputs: Inputs,
    ask: Ask = Ask(),
    sites: Sites = PLAIN,
    *,
    biases: Callable[[Any, Score], Bias] = of_all,
) -> Encoded:
    """Hidden states [B, T, D] of the decoder's tokens, behind those of its cache. biases: as `everything` has it."""
    p, rate, furthest = params["decoder"], c.dropout_rate, c.relative_attention_max_distance
    order, memory = Causal.of(inputs), inputs.memory
    bias = biases(p, lambda table: relative.between(table, order.positions, order.keys, furthest, ahead=False))
    x = sites.drop("embeddings", embed_tokens(params["word"], inputs), rate)
    norm = norm_into(c, x.dtype)

    def block(p: Any, x: jax.Array, cell: Any, sites: Sites) -> tuple[jax.Array, Any]:
        q, k, v = project(p, norm(p["attention_norm"], x), c.d_kv)
        context, cell = order.attend(q, k, v, cell, bias=bias(p), scale=1.0, rate=rate, sites=sites)
        x = x + sites("attention", through_out(p, context, x, sites), rate)
        h = norm(p["cross_norm"], x)
        h = cross.attention(p["cross"], h, cell, memory, c.num_heads, sites, scale=1.0, rate=rate)
        x = x + sites("cross", h, rate)
        return x + feed(c, p, x, norm, sites), cell

    final = lambda own, x: sites.drop("final", norm(own, x), rate)  # noqa: E731
    return run_decoder(order, block, p, wide(x), ask=ask, sites=sites, norm=final)


def cells(c: Any, rows: int, slots: int, source: int) -> declare.Tree:
    """What the decoder's layers keep: of its tokens, and of the encoder's."""
    cell = keys_values(rows, slots, c.num_heads, c.d_kv) | cross.cells(rows, source, c.num_heads, c.d_kv)
    return [cell] * c.depth


def scored(c: Any, x: jax.Array) -> jax.Array:
    """States as the head reads them: where the word table scores them, as much smaller as it is wide."""
    smaller = c.tie_word_embeddings if c.scale_decoder_outputs is None else c.scale_decoder_outputs
    return x * c.d_model**-0.5 if smaller else x


ENCODER = ("input_ids", "attention_mask", "inputs_embeds")
"""What the encoder alone takes."""


def narrow(c: Any) -> declare.Normal:
    """How matrices of heads start."""
    return normal(c, c.d_model)


words = heads.words("lm_head", start=normal, before=scored)
ends = heads.last_end(start=narrow)
tokens = heads.each_token(rate=heads.classifier_rate, start=normal)
spans = heads.span(start=narrow)
