"""T5 (Raffel et al. 2020, arXiv 1910.10683): an encoder and a decoder whose scores go by distance, without biases, with
norms by the root mean square before each part of a layer. Version 1.1 and FLAN have a gate, and tables of words apart.
"""

from __future__ import annotations

from typing import Any

import jax

from .. import declare, tasks
from ..config import Config, Depth, Endless, Epsilon, Rate, Size, Token
from ..declare import Param, repeat, under
from ..layers import cache, cross, heads, relative
from ..layers.activation import ACTIVATIONS
from ..layers.attention import attend, merge, project, through_out, visible
from ..layers.causal import Causal
from ..layers.decoder import root_mean_square, run_decoder
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


def attention(c: T5Config, prefix: str) -> declare.Tree:
    """The arrays of four projections."""
    d, inner = c.d_model, c.num_heads * c.d_kv
    inside = lambda name: declare.linear(d, inner, name, ("embed", "heads"), bias=False)  # noqa: E731
    out = declare.linear(inner, d, "o", ("heads", "embed"), bias=False)
    return under(prefix, {"query": inside("q"), "key": inside("k"), "value": inside("v"), "out": out})


def network(c: T5Config, prefix: str) -> declare.Tree:
    """The arrays of a feed-forward network and the norm before it."""
    gated = c.feed_forward_proj.startswith("gated-")
    names = {"gate": "wi_0", "up": "wi_1"} if gated else {"up": "wi"}
    wide = {ours: declare.linear(c.d_model, c.d_ff, name, ("embed", "mlp"), bias=False) for ours, name in names.items()}
    down = {"down": declare.linear(c.d_ff, c.d_model, "wo", ("mlp", "embed"), bias=False)}
    inside = under(f"{prefix}.DenseReluDense", (declare.together("gate_up", wide) if gated else wide) | down)
    return {"ffn_norm": declare.rms_norm(c.d_model, f"{prefix}.layer_norm")} | inside


def side(c: T5Config, count: int, *, crossed: bool) -> declare.Tree:
    """The arrays of the encoder, or with attention to it of the decoder."""
    norm = lambda i: declare.rms_norm(c.d_model, f"layer.{i}.layer_norm")  # noqa: E731
    own = attention(c, "layer.0.SelfAttention")
    out = own.pop("out")
    layer = {"attention_norm": norm(0), **declare.together("qkv", own), "out": out}
    if crossed:
        layer |= {"cross_norm": norm(1), "cross": attention(c, "layer.1.EncDecAttention")}
    layer |= network(c, f"layer.{2 if crossed else 1}")
    name = "block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    return {
        "distance": {"table": Param((c.relative_attention_num_buckets, c.num_heads), (None, "heads"), name, "bias")},
        "layers": repeat(count, "block.{}", layer),
        "final_norm": declare.rms_norm(c.d_model, "final_layer_norm"),
    }


def encoder_arrays(c: T5Config) -> declare.Tree:
    """The word table and the encoder's arrays."""
    word = declare.embedding(c.vocab_size, c.d_model, "shared", "vocab")
    word["table"] = declare.tied(word["table"], "encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    return {"word": word, "encoder": under("encoder", side(c, c.num_layers, crossed=False))}


def parameters(c: T5Config) -> declare.Tree:
    """The arrays of both sides."""
    return encoder_arrays(c) | {"decoder": under("decoder", side(c, c.depth, crossed=True))}


def feed(c: T5Config, p: Any, x: jax.Array, sites: Sites) -> jax.Array:
    """What the feed-forward network adds."""
    norm, act = root_mean_square(c.layer_norm_epsilon), ACTIVATIONS[c.activation]
    h = norm(p["ffn_norm"], x)
    h = opened(p, h, act) if c.feed_forward_proj.startswith("gated-") else act(linear(p["up"], h))
    h = linear(p["down"], sites.drop("activation", h, c.dropout_rate), like=x)
    return sites("ffn", h, c.dropout_rate)


def encode(params: Any, c: T5Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, S, D] of what the encoder reads."""
    p, norm, rate = params["encoder"], root_mean_square(c.layer_norm_epsilon), c.dropout_rate
    furthest, seen, places = c.relative_attention_max_distance, visible(inputs.mask), inputs.places
    bias = relative.between(p["distance"], places, places, furthest, ahead=True)

    def block(p: Any, x: jax.Array, sites: Sites) -> jax.Array:
        q, k, v = project(p, norm(p["attention_norm"], x), c.d_kv)
        context = merge(attend(q, k, v, seen, bias=bias, scale=1.0, rate=rate, sites=sites))
        x = x + sites("attention", through_out(p, context, x, sites), rate)
        return x + feed(c, p, x, sites)

    x = sites.drop("embeddings", embed_tokens(params["word"], inputs), rate)
    encoded = run(block, p["layers"], x, ask=ask, sites=sites)
    return encoded.normed(sites.drop("final", norm(p["final_norm"], encoded.state), rate))


def decode(params: Any, c: T5Config, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D] of the decoder's tokens, behind those of its cache."""
    p, norm, rate = params["decoder"], root_mean_square(c.layer_norm_epsilon), c.dropout_rate
    order, memory = Causal.of(inputs), inputs.memory
    furthest = c.relative_attention_max_distance
    bias = relative.between(p["distance"], order.positions, order.keys, furthest, ahead=False)

    def block(p: Any, x: jax.Array, cell: Any, sites: Sites) -> tuple[jax.Array, Any]:
        q, k, v = project(p, norm(p["attention_norm"], x), c.d_kv)
        context, cell = order.attend(q, k, v, cell, bias=bias, scale=1.0, rate=rate, sites=sites)
        x = x + sites("attention", through_out(p, context, x, sites), rate)
        h = norm(p["cross_norm"], x)
        h = cross.attention(p["cross"], h, cell, memory, c.num_heads, sites, scale=1.0, rate=rate)
        x = x + sites("cross", h, rate)
        return x + feed(c, p, x, sites), cell

    x = sites.drop("embeddings", embed_tokens(params["word"], inputs), rate)
    final = lambda own, x: sites.drop("final", norm(own, x), rate)  # noqa: E731
    return run_decoder(order, block, p, x, ask=ask, sites=sites, norm=final)


def cells(c: T5Config, rows: int, slots: int, source: int) -> declare.Tree:
    """What the decoder's layers keep: of its tokens, and of the encoder's."""
    cell = cache.keys_values(rows, slots, c.num_heads, c.d_kv) | cross.cells(rows, source, c.num_heads, c.d_kv)
    return [cell] * c.depth


def scored(c: T5Config, x: jax.Array) -> jax.Array:
    """States as the head reads them: where the word table scores them, as much smaller as it is wide."""
    return x * c.d_model**-0.5 if c.tie_word_embeddings else x


words = heads.words("lm_head", width=lambda c: c.d_model, before=scored)


class T5Model(tasks.Seq2Seq, config=T5Config, prefix="", network=Network(parameters, encode, decode, cells)):
    """Encoder and decoder without a head."""


class T5EncoderModel(
    tasks.Encoder,
    config=T5Config,
    prefix="",
    network=Network(encoder_arrays, encode),
    accepts=("input_ids", "attention_mask", "inputs_embeds"),
):
    """The encoder alone."""


class T5ForConditionalGeneration(tasks.Seq2SeqLM, base=T5Model, head=words):
    """Scores of every word to follow each of the decoder's tokens."""
