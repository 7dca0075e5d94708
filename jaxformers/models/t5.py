"""T5 (Raffel et al. 2020, arXiv 1910.10683): an encoder and a decoder whose scores go by distance, without biases, with
norms by the root mean square before each part of a layer. Version 1.1 and FLAN have a gate, and tables of words apart.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Depth, Endless, Epsilon, Rate, Size, Token
from ..declare import Param, repeat, under
from ..layers import cache, cross, heads, relative
from ..layers.activation import ACTIVATIONS
from ..layers.attention import attend, merge, project, through_out, visible
from ..layers.causal import Causal
from ..layers.decoder import Norm, root_mean_square, run_decoder
from ..layers.embedding import embed_tokens
from ..layers.gated import opened
from ..layers.inputs import Ask, Inputs
from ..layers.linear import linear
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network


class T5Config(
    Endless,
    Config,
    model_type="t5",
    aliases={"hidden_size": "d_model", "num_hidden_layers": "num_layers", "num_attention_heads": "num_heads"},
    allowed={
        "is_encoder_decoder": (True, False),
        "feed_forward_proj": ("relu", "gelu", "gated-gelu", "gated-silu", "gated-relu"),
    },
    ignores=("dense_act_fn", "is_gated_act", "n_positions", "output_past"),
):
    """Sizes and rates of a T5; the defaults are t5-small's.

    d_kv: numbers of a head. num_decoder_layers: None, as many as the encoder has. feed_forward_proj: the activation,
    and "gated-" before it where there is a gate.
    """

    vocab_size: Size = 32128
    d_model: Size = 512
    d_kv: Size = 64
    d_ff: Size = 2048
    num_layers: Depth = 6
    num_decoder_layers: Depth | None = None
    num_heads: Size = 8
    relative_attention_num_buckets: Size = 32
    relative_attention_max_distance: Size = 128
    dropout_rate: Rate = 0.1
    layer_norm_epsilon: Epsilon = 1e-6
    feed_forward_proj: str = "relu"
    is_encoder_decoder: bool = True
    decoder_start_token_id: Token | None = 0
    pad_token_id: Token | None = 0
    eos_token_id: int | tuple[int, ...] | None = 1
    classifier_dropout: Rate = 0.0

    @property
    def depth(self) -> int:
        """Layers of the decoder."""
        return self.num_layers if self.num_decoder_layers is None else self.num_decoder_layers

    @property
    def activation(self) -> str:
        """Of the feed-forward network; T5's gated one has the approximate GELU."""
        name = self.feed_forward_proj.removeprefix("gated-")
        return "gelu_new" if self.feed_forward_proj == "gated-gelu" else name


def normal(c: T5Config, width: int = 1) -> declare.Normal:
    """How a matrix of so many inputs starts, times initializer_factor, so that its outputs are of order one."""
    return declare.Normal(getattr(c, "initializer_factor", 1.0) * width**-0.5)


def attention(c: T5Config, prefix: str) -> declare.Tree:
    """The arrays of four projections; queries start as if scores were scaled."""
    d, inner = c.d_model, c.num_heads * c.d_kv

    def inside(name: str, width: int) -> declare.Tree:
        return declare.linear(d, inner, name, ("embed", "heads"), bias=False, init=normal(c, width))

    out = declare.linear(inner, d, "o", ("heads", "embed"), bias=False, init=normal(c, inner))
    tree = {"query": inside("q", d * c.d_kv), "key": inside("k", d), "value": inside("v", d), "out": out}
    return under(prefix, tree)


def network(c: T5Config, prefix: str) -> declare.Tree:
    """The arrays of a feed-forward network and the norm before it."""
    gated = c.feed_forward_proj.startswith("gated-")
    names = {"gate": "wi_0", "up": "wi_1"} if gated else {"up": "wi"}
    into: dict[str, Any] = {"axes": ("embed", "mlp"), "bias": False, "init": normal(c, c.d_model)}
    wide = {ours: declare.linear(c.d_model, c.d_ff, name, **into) for ours, name in names.items()}
    down = {"down": declare.linear(c.d_ff, c.d_model, "wo", ("mlp", "embed"), bias=False, init=normal(c, c.d_ff))}
    inside = under(f"{prefix}.DenseReluDense", (declare.together("gate_up", wide) if gated else wide) | down)
    return {"ffn_norm": declare.rms_norm(c.d_model, f"{prefix}.layer_norm")} | inside


def layers(c: T5Config, count: int, *, crossed: bool) -> list[declare.Tree]:
    """The arrays of the encoder's layers, or with attention to it of the decoder's."""
    norm = lambda i: declare.rms_norm(c.d_model, f"layer.{i}.layer_norm")  # noqa: E731
    own = attention(c, "layer.0.SelfAttention")
    out = own.pop("out")
    layer = {"attention_norm": norm(0), **declare.together("qkv", own), "out": out}
    if crossed:
        layer |= {"cross_norm": norm(1), "cross": attention(c, "layer.1.EncDecAttention")}
    return repeat(count, "block.{}", layer | network(c, f"layer.{2 if crossed else 1}"))


def distance(c: T5Config, block: int) -> declare.Tree:
    """The table of scores by distance that files hold in a layer."""
    name = f"block.{block}.layer.0.SelfAttention.relative_attention_bias.weight"
    shape = (c.relative_attention_num_buckets, c.num_heads)
    return {"table": Param(shape, (None, "heads"), name, "bias", normal(c, c.d_model))}


def side(c: T5Config, count: int, *, crossed: bool) -> declare.Tree:
    """The arrays of the encoder or the decoder; the table in the first layer is for all."""
    return {
        "distance": distance(c, 0),
        "layers": layers(c, count, crossed=crossed),
        "final_norm": declare.rms_norm(c.d_model, "final_layer_norm"),
    }


Side = Callable[..., declare.Tree]
"""(config, number of layers, crossed=) → the arrays of a side."""


def encoder_arrays(c: T5Config, side: Side = side) -> declare.Tree:
    """The word table and the encoder's arrays."""
    word = declare.embedding(c.vocab_size, c.d_model, "shared", "vocab", init=normal(c))
    word["table"] = declare.tied(word["table"], "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    return {"word": word, "encoder": under("encoder", side(c, c.num_layers, crossed=False))}


def parameters(c: T5Config, side: Side = side) -> declare.Tree:
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


def norm_into(c: T5Config, dtype: Any) -> Norm:
    """The norm by the root mean square, in the type in which parts of a layer compute."""
    norm = root_mean_square(c.layer_norm_epsilon)
    return lambda p, x: norm(p, x).astype(dtype)


def feed(c: T5Config, p: Any, x: jax.Array, norm: Norm, sites: Sites) -> jax.Array:
    """What the feed-forward network adds."""
    act, h = ACTIVATIONS[c.activation], norm(p["ffn_norm"], x)
    h = opened(p, h, act) if c.feed_forward_proj.startswith("gated-") else act(linear(p["up"], h))
    h = linear(p["down"], wide(sites.drop("activation", h, c.dropout_rate)), like=x)
    return sites("ffn", h, c.dropout_rate)


def encode(
    params: Any,
    c: T5Config,
    inputs: Inputs,
    ask: Ask = Ask(),
    sites: Sites = PLAIN,
    *,
    biases: Callable[[Any, Score], Bias] = of_all,
) -> Encoded:
    """Hidden states [B, S, D] of what the encoder reads. biases: where tables of distances stand."""
    p, rate, furthest = params["encoder"], c.dropout_rate, c.relative_attention_max_distance
    seen, places = visible(inputs.mask), inputs.places
    bias = biases(p, lambda table: relative.between(table, places, places, furthest, ahead=True))
    x = sites.drop("embeddings", embed_tokens(params["word"], inputs), rate)
    norm = norm_into(c, x.dtype)

    def block(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = project(p, norm(p["attention_norm"], x), c.d_kv)
        context = merge(attend(q, k, v, seen, bias=bias(p), scale=1.0, rate=rate, sites=sites))
        x = x + sites("attention", through_out(p, context, x, sites), rate)
        return x + feed(c, p, x, norm, sites)

    encoded = run(block, p["layers"], wide(x), ask=ask, sites=sites)
    return encoded.normed(sites.drop("final", norm(p["final_norm"], encoded.state), rate))


def decode(
    params: Any,
    c: T5Config,
    inputs: Inputs,
    ask: Ask = Ask(),
    sites: Sites = PLAIN,
    *,
    biases: Callable[[Any, Score], Bias] = of_all,
) -> Encoded:
    """Hidden states [B, T, D] of the decoder's tokens, behind those of its cache. biases: as in `encode`."""
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


def cells(c: T5Config, rows: int, slots: int, source: int) -> declare.Tree:
    """What the decoder's layers keep: of its tokens, and of the encoder's."""
    cell = cache.keys_values(rows, slots, c.num_heads, c.d_kv) | cross.cells(rows, source, c.num_heads, c.d_kv)
    return [cell] * c.depth


def scored(c: T5Config, x: jax.Array) -> jax.Array:
    """States as the head reads them: where the word table scores them, as much smaller as it is wide."""
    return x * c.d_model**-0.5 if c.tie_word_embeddings else x


ENCODER = ("input_ids", "attention_mask", "inputs_embeds")
"""What the encoder alone takes."""


def narrow(c: T5Config) -> declare.Normal:
    """How matrices of heads start."""
    return normal(c, c.d_model)


words = heads.words("lm_head", start=normal, before=scored)
ends = heads.last_end(start=narrow)
tokens = heads.each_token(rate=heads.classifier_rate, start=normal)
spans = heads.span(start=narrow)


class T5Model(tasks.Seq2Seq, config=T5Config, prefix="", network=Network(parameters, encode, decode, cells)):
    """Encoder and decoder without a head."""


class T5EncoderModel(
    tasks.Encoder, config=T5Config, prefix="", network=Network(encoder_arrays, encode), accepts=ENCODER
):
    """The encoder alone."""


class T5ForConditionalGeneration(tasks.Seq2SeqLM, base=T5Model, head=words):
    """Scores of every word to follow each of the decoder's tokens."""


class T5ForSequenceClassification(
    tasks.Seq2SeqSequenceClassification, base=T5Model, prefix="transformer", head=ends, reads_source_twice=True
):
    """One set of scores a text, by the decoder's state at its end."""


class T5ForTokenClassification(tasks.TokenClassification, base=T5EncoderModel, prefix="transformer", head=tokens):
    """One set of scores a token, by the encoder's state."""


class T5ForQuestionAnswering(tasks.Seq2SeqQuestionAnswering, base=T5Model, head=spans, reads_source_twice=True):
    """Where in a context the answer starts and ends, by the decoder's states."""


# -- mT5 (Xue et al. 2020, arXiv 2010.11934): T5 1.1 for many languages ------------------------------------------------


class MT5Config(T5Config, model_type="mt5"):
    """Sizes and rates of an mT5; the defaults are mt5-small's."""

    vocab_size: Size = 250112
    d_ff: Size = 1024
    num_layers: Depth = 8
    num_heads: Size = 6
    feed_forward_proj: str = "gated-gelu"
    tie_word_embeddings: bool = False


class MT5Model(T5Model, config=MT5Config):
    """Encoder and decoder without a head."""


class MT5EncoderModel(T5EncoderModel, config=MT5Config):
    """The encoder alone."""


class MT5ForConditionalGeneration(T5ForConditionalGeneration, base=MT5Model):
    """Scores of every word to follow each of the decoder's tokens."""


class MT5ForSequenceClassification(
    T5ForSequenceClassification, base=MT5Model, prefix="transformer", reads_source_twice=True
):
    """One set of scores a text, by the decoder's state at its end."""


class MT5ForTokenClassification(T5ForTokenClassification, base=MT5EncoderModel, prefix="transformer"):
    """One set of scores a token, by the encoder's state."""


class MT5ForQuestionAnswering(T5ForQuestionAnswering, base=MT5Model, reads_source_twice=True):
    """Where in a context the answer starts and ends, by the decoder's states."""


# -- UMT5 (Chung et al. 2023, arXiv 2304.09151): mT5 with a table of distances in each layer ---------------------------


class UMT5Config(MT5Config, model_type="umt5"):
    """Sizes and rates of a UMT5; the defaults are umt5-small's."""

    tie_word_embeddings: bool = True


def side_of_each(c: UMT5Config, count: int, *, crossed: bool) -> declare.Tree:
    """The arrays of the encoder or the decoder, with a table of distances in each layer."""
    blocks = [block | {"distance": distance(c, i)} for i, block in enumerate(layers(c, count, crossed=crossed))]
    return {"layers": blocks, "final_norm": declare.rms_norm(c.d_model, "final_layer_norm")}


read = partial(encode, biases=of_each)


class UMT5Model(
    tasks.Seq2Seq,
    config=UMT5Config,
    prefix="",
    network=Network(partial(parameters, side=side_of_each), read, partial(decode, biases=of_each), cells),
):
    """Encoder and decoder without a head."""


class UMT5EncoderModel(
    tasks.Encoder,
    config=UMT5Config,
    prefix="",
    network=Network(partial(encoder_arrays, side=side_of_each), read),
    accepts=ENCODER,
):
    """The encoder alone."""


class UMT5ForConditionalGeneration(tasks.Seq2SeqLM, base=UMT5Model, head=words):
    """Scores of every word to follow each of the decoder's tokens."""


class UMT5ForSequenceClassification(
    tasks.Seq2SeqSequenceClassification, base=UMT5Model, prefix="transformer", head=ends, reads_source_twice=True
):
    """One set of scores a text, by the decoder's state at its end."""


class UMT5ForTokenClassification(tasks.TokenClassification, base=UMT5EncoderModel, prefix="transformer", head=tokens):
    """One set of scores a token, by the encoder's state."""


class UMT5ForQuestionAnswering(tasks.Seq2SeqQuestionAnswering, base=UMT5Model, head=spans, reads_source_twice=True):
    """Where in a context the answer starts and ends, by the decoder's states."""
