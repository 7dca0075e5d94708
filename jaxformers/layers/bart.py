"""BART's line (Lewis et al. 2020, arXiv 1910.13461), as fairseq has it: an encoder and a decoder with biases, norms
behind the parts of a layer or before them, and positions from a table.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare
from ..declare import Param, under
from . import cross, heads
from .activation import ACTIVATIONS
from .attention import QKV, attend, merge, project, through_out, visible
from .causal import Causal
from .cells import keys_values
from .decoder import run_decoder
from .embedding import embed, embed_tokens
from .gpt import sines
from .inputs import Ask, Inputs
from .linear import linear, unembed
from .norm import layer_norm
from .post_norm import Mix
from .run import Encoded, run
from .sites import Sites

EPSILON = 1e-5
"""Of all norms."""
Places = Callable[[Any, Any, jax.Array], jax.Array]
"""(the arrays of a side, config, places of tokens [B or 1, T]) → their vectors [B or 1, T, D]."""


# -- arrays -----------------------------------------------------------------------------------------------------------


def attention(d: int, prefix: str, bias: bool = True) -> declare.Tree:
    """The four projections of a layer's attention."""
    return under(prefix, cross.arrays(d, "q_proj", "k_proj", "v_proj", "out_proj", bias=bias))


def own_attention(d: int, bias: bool = True) -> declare.Tree:
    """The projections of a layer's attention to its own side."""
    own = attention(d, "self_attn", bias)
    return declare.together("qkv", {name: own[name] for name in QKV}) | {"out": own["out"]}


def layer(c: Any, inner: int, own: declare.Tree, *, crossed: bool, bias: bool) -> declare.Tree:
    """One layer's arrays, given those of its attention to its own side; `crossed`: of a decoder."""
    d = c.d_model
    tree = own | {
        "attention_norm": declare.layer_norm(d, "self_attn_layer_norm"),
        "up": declare.linear(d, inner, "fc1", ("embed", "mlp")),
        "down": declare.linear(inner, d, "fc2", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "final_layer_norm"),
    }
    if crossed:
        tree["cross"] = attention(d, "encoder_attn", bias)
        tree["cross_norm"] = declare.layer_norm(d, "encoder_attn_layer_norm")
    return tree


def learned(c: Any, ahead: int = 2) -> declare.Tree:
    """A table of positions, whose first rows nothing reads."""
    return declare.embedding(c.max_position_embeddings + ahead, c.d_model, "embed_positions")


def side(
    c: Any,
    name: str,
    *,
    position: declare.Tree | None,
    embedding_norm: bool,
    final_norm: bool,
    own: declare.Tree | None = None,
    bias: bool = True,
) -> declare.Tree:
    """The arrays of "encoder" or "decoder".

    position: a table of positions; None: there is none. embedding_norm, final_norm: whether there is a norm before the
    layers, and behind them. own: of a layer's attention to its own side; None: `own_attention`.
    bias: whether projections of attention have biases.
    """
    crossed, own = name == "decoder", own_attention(c.d_model, bias) if own is None else own
    count, inner = getattr(c, f"{name}_layers"), getattr(c, f"{name}_ffn_dim")
    tree: dict[str, Any] = {
        "layers": declare.repeat(count, "layers.{}", layer(c, inner, own, crossed=crossed, bias=bias))
    }
    if position is not None:
        tree["position"] = position
    if embedding_norm:
        tree["norm"] = declare.layer_norm(c.d_model, "layernorm_embedding")
    if final_norm:
        tree["final_norm"] = declare.layer_norm(c.d_model, "layer_norm")
    return under(name, tree)


def words(c: Any) -> declare.Tree:
    """The word table that both sides read."""
    word = declare.embedding(c.vocab_size, c.d_model, "shared", "vocab", zero_row=c.pad_token_id)
    word["table"] = declare.tied(word["table"], "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    return word


def both(c: Any, *, position: declare.Tree | None, embedding_norm: bool, final_norm: bool) -> declare.Tree:
    """The arrays of a model with both sides, as `side` takes them."""
    of = functools.partial(side, c, position=position, embedding_norm=embedding_norm, final_norm=final_norm)
    return {"word": words(c), "encoder": of("encoder"), "decoder": of("decoder")}


def cells(c: Any, rows: int, slots: int, source: int | None = None) -> declare.Tree:
    """What the decoder's layers keep: of its tokens, and beside an encoder of those of the source."""
    count = c.decoder_attention_heads
    width = c.d_model // count
    cell = keys_values(rows, slots, count, width)
    if source is not None:
        cell |= cross.cells(rows, source, count, width)
    return [cell] * c.decoder_layers


# -- the two sides ----------------------------------------------------------------------------------------------------


def after(p: Any, x: jax.Array, part: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """BART's order: norm(x + part(x))."""
    return layer_norm(p, x + part(x), EPSILON)


def before(p: Any, x: jax.Array, part: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """MBART's order: x + part(norm(x))."""
    return x + part(layer_norm(p, x, EPSILON))


Order = Callable[[Any, jax.Array, Callable[[jax.Array], jax.Array]], jax.Array]
"""(a norm's arrays, x [B, T, D], what is added to x) → x behind this part of a layer."""


def from_table(ahead: int = 2) -> Places:
    """Rows of the side's table, the first of which nothing reads."""
    return lambda p, c, places: embed(p["position"], places + ahead)


def waves(steps: Callable[[int], jax.Array]) -> Places:
    """Sines, then cosines, of places times `steps(D / 2)`; zeros at places below 0. No file needs to hold them."""

    def found(p: Any, c: Any, places: jax.Array) -> jax.Array:
        return jnp.where((places < 0)[..., None], 0.0, sines(places, steps(c.d_model // 2)))

    return found


def fairseq_steps(count: int) -> jax.Array:
    """How far a place turns each of `count` of fairseq's waves."""
    return 10_000.0 ** (-jnp.arange(count, dtype=jnp.float32) / (count - 1))


def fairseq_waves(p: Any, c: Any, places: jax.Array) -> jax.Array:
    """Fairseq's waves, which begin behind the padding token's."""
    return jnp.where((places < 0)[..., None], 0.0, waves(fairseq_steps)(p, c, places + c.pad_token_id + 1))


def counted(c: Any, inputs: Inputs) -> jax.Array:
    """Places [B or 1, S] from 0, counted over what is no padding, which has -1."""
    return inputs.counted(c.pad_token_id) - c.pad_token_id - 1


def sum_normed(p: Any, x: jax.Array, places: jax.Array) -> jax.Array:
    """Words [B, T, D] and places as a sum, which is normed where the side has a norm for it."""
    x = (x + places).astype(x.dtype)
    return layer_norm(p["norm"], x, EPSILON) if "norm" in p else x


def words_normed(p: Any, x: jax.Array, places: jax.Array) -> jax.Array:
    """Words [B, T, D], normed, and places."""
    return (layer_norm(p["norm"], x, EPSILON) + places).astype(x.dtype)


Enter = Callable[[Any, jax.Array, jax.Array], jax.Array]
"""(the arrays of a side, words [B, T, D], vectors of places) → what enters its layers."""


def words_of(params: Any, c: Any, inputs: Inputs) -> jax.Array:
    """The vectors [B, T, D] of a batch's tokens, those from the table scaled where the config says so."""
    x = embed_tokens(params["word"], inputs)
    return x * c.d_model**0.5 if c.scale_embedding and inputs.ids is not None else x


Mixing = Callable[[Any, Inputs], tuple[Callable[..., Mix], Sequence[Sequence[Any]]]]
"""(config, what is read) → a function of what is a layer's own to how tokens mix there, and that for `run`."""


def everything(c: Any, inputs: Inputs) -> tuple[Callable[..., Mix], Sequence[Sequence[Any]]]:
    """Every token takes from all of its row, in all layers."""
    seen, width = visible(inputs.mask), c.d_model // c.encoder_attention_heads

    def mix(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        return merge(attend(*project(p, x, width), seen, rate=c.attention_dropout, sites=sites))

    return lambda: mix, ()


Vectors = Callable[[Any, Any, Inputs], jax.Array]
"""(params, config, what a side reads) → the vectors [B, T, D] of its tokens."""


def feed(c: Any, p: Any, x: jax.Array, sites: Sites) -> jax.Array:
    """What the feed-forward network adds."""
    h = sites.drop("activation", ACTIVATIONS[c.activation_function](linear(p["up"], x)), c.activation_dropout)
    return sites("ffn", linear(p["down"], h, like=x), c.dropout)


def encode(
    params: Any,
    c: Any,
    inputs: Inputs,
    ask: Ask,
    sites: Sites,
    *,
    order: Order,
    found: Places = from_table(),
    places: Callable[[Any, Inputs], jax.Array] = lambda c, inputs: inputs.places,
    vectors: Vectors = words_of,
    mixing: Mixing = everything,
) -> Encoded:
    """Hidden states [B, S, D] of what the encoder reads. places: (config, inputs) → of its tokens [B or 1, S]."""
    p = params["encoder"]
    mix, each = mixing(c, inputs)

    def block(p: Any, x: jax.Array, sites: Sites, *own: Any) -> jax.Array:
        def attended(x: jax.Array) -> jax.Array:
            context = mix(*own)(p, x, sites)
            return sites("attention", through_out(p, context, x, sites), c.dropout)

        x = order(p["attention_norm"], x, attended)
        return order(p["ffn_norm"], x, lambda x: feed(c, p, x, sites))

    x = sum_normed(p, vectors(params, c, inputs), found(p, c, places(c, inputs)))
    x = sites.drop("embeddings", x, c.dropout)
    encoded = run(block, p["layers"], x, *each, ask=ask, sites=sites)
    return encoded.normed(layer_norm(p["final_norm"], encoded.state, EPSILON)) if "final_norm" in p else encoded


def decode(
    params: Any,
    c: Any,
    inputs: Inputs,
    ask: Ask,
    sites: Sites,
    *,
    order: Order,
    found: Places = from_table(),
    enter: Enter = sum_normed,
    vectors: Vectors = words_of,
) -> Encoded:
    """Hidden states [B, T, D] of the decoder's tokens, behind those of its cache; alone where it has no memory."""
    p, causal, memory = params["decoder"], Causal.of(inputs), inputs.memory
    count = c.decoder_attention_heads
    width, rate = c.d_model // count, c.attention_dropout

    def block(p: Any, x: jax.Array, cell: Any, sites: Sites) -> tuple[jax.Array, Any]:
        kept = cell

        def attended(x: jax.Array) -> jax.Array:
            nonlocal kept
            context, kept = causal.attend(*project(p, x, width), cell, rate=rate, sites=sites)
            return sites("attention", through_out(p, context, x, sites), c.dropout)

        def looked(x: jax.Array) -> jax.Array:
            h = cross.attention(p["cross"], x, cell, memory, count, sites, rate=rate)
            return sites("cross", h, c.dropout)

        x = order(p["attention_norm"], x, attended)
        x = order(p["cross_norm"], x, looked) if cross.beside(cell, memory) else x
        return order(p["ffn_norm"], x, lambda x: feed(c, p, x, sites)), kept

    x = enter(p, vectors(params, c, inputs), found(p, c, causal.positions))
    x = sites.drop("embeddings", x, c.dropout)
    last = lambda own, x: x if own is None else layer_norm(own, x, EPSILON)  # noqa: E731
    return run_decoder(causal, block, p, x, ask=ask, sites=sites, norm=last)


# -- the decoder alone ------------------------------------------------------------------------------------------------


def arrays_alone(both: Callable[[Any], declare.Tree]) -> Callable[[Any], declare.Tree]:
    """The arrays of a decoder without its encoder, from those of both sides.

    Files hold those that look at an encoder all the same, so they are kept, and written again.
    """

    def parameters(c: Any) -> declare.Tree:
        tree = both(c)
        table = dataclasses.replace(tree["word"]["table"], name="decoder.embed_tokens.weight")
        return {"word": {"table": declare.tied(table, "shared.weight")}, **tree["decoder"]}

    return parameters


def alone(decode: Callable[..., Encoded]) -> Callable[..., Encoded]:
    """The `decode` of a decoder with an encoder, for the tree of `arrays_alone`."""

    def decode_alone(params: Any, c: Any, inputs: Inputs, ask: Ask, sites: Sites) -> Encoded:
        return decode({"word": params["word"], "decoder": params}, c, inputs, ask, sites)

    return decode_alone


# -- heads ------------------------------------------------------------------------------------------------------------


def scores(decoder: str = "lm_head") -> heads.Head:
    """Scores [B, T, V] of every token by the word table, or one of its own, and a bias that files keep as a buffer."""
    plain = heads.words(decoder)

    def parameters(c: Any) -> declare.Tree:
        bias = Param((1, c.target_vocab_size), (None, "vocab"), "final_logits_bias", "buffer", declare.zeros)
        return {**plain.parameters(c), "bias": bias}

    def forward(params: Any, c: Any, encoded: Encoded, sites: Sites) -> jax.Array:
        p = params["head"]
        return unembed(p.get("decoder", params["word"]), encoded.state) + p["bias"][0]

    return heads.Head(parameters, forward, tied=plain.tied)
