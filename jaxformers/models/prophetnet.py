"""ProphetNet (Qi et al. 2020, arXiv 2001.04063): BART's encoder, and a decoder of several streams. The first one reads,
and the others, which take from it, say the next token, the one behind that, and so on. XLM-ProphetNet, the same for a
hundred languages, is made in the last lines.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, outputs, tasks
from ..batch import CAUSAL
from ..config import Config, Depth, Rate, Repeats, Size, Token
from ..declare import repeat, under
from ..layers import bart, cross, heads, losses, streams
from ..layers.activation import ACTIVATIONS
from ..layers.attention import through_out
from ..layers.causal import Causal
from ..layers.decoder import run_decoder
from ..layers.embedding import embed, embed_tokens
from ..layers.inputs import Ask, Inputs
from ..layers.norm import layer_norm
from ..layers.run import Encoded
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import check_distances


class ProphetNetConfig(
    Config,
    model_type="prophetnet",
    aliases={
        "d_model": "hidden_size",
        "encoder_layers": "num_encoder_layers",
        "decoder_layers": "num_decoder_layers",
        "encoder_attention_heads": "num_encoder_attention_heads",
        "decoder_attention_heads": "num_decoder_attention_heads",
        "num_hidden_layers": "num_encoder_layers",
        "num_attention_heads": "num_encoder_attention_heads",
    },
    allowed={
        "activation_function": ACTIVATIONS,
        "is_encoder_decoder": (True, False),
        "is_decoder": (True, False, None),
        "add_cross_attention": (True,),
    },
    ignores=("init_std",),
):
    """Sizes and rates of a ProphetNet; the defaults are torch Transformers'.

    ngram: how many tokens are said at each place. num_buckets, relative_max_distance: of scores by distance.
    disable_ngram_loss: whether the next token's loss is all. eps: of label smoothing.
    """

    vocab_size: Size = 30522
    hidden_size: Size = 1024
    num_encoder_layers: Depth = 12
    num_encoder_attention_heads: Size = 16
    encoder_ffn_dim: Size = 4096
    num_decoder_layers: Depth = 12
    num_decoder_attention_heads: Size = 16
    decoder_ffn_dim: Size = 4096
    activation_function: str = "gelu"
    dropout: Rate = 0.1
    attention_dropout: Rate = 0.1
    activation_dropout: Rate = 0.1
    max_position_embeddings: Size = 512
    ngram: Repeats = 2
    num_buckets: Size = 32
    relative_max_distance: Size = 128
    disable_ngram_loss: bool = False
    eps: Rate = 0.0
    is_encoder_decoder: bool = True
    add_cross_attention: bool = True
    pad_token_id: Token = 0
    eos_token_id: int | tuple[int, ...] | None = 2
    decoder_start_token_id: Token | None = 0

    def check(self) -> None:
        """Heads share the width evenly, distances have buckets, and positions are left behind the padding token's."""
        name = type(self).__name__
        check_distances(self, "num_buckets", "relative_max_distance")
        for count in ("num_encoder_attention_heads", "num_decoder_attention_heads"):
            if self.hidden_size % getattr(self, count):
                raise ValueError(
                    f"{name}: hidden_size={self.hidden_size} is no multiple of {count}={getattr(self, count)}"
                )
        if not 0 <= self.pad_token_id < self.max_position_embeddings - 2:
            raise ValueError(
                f"{name}: positions count from pad_token_id={self.pad_token_id}, max_position_embeddings="
                f"{self.max_position_embeddings} has too few behind it"
            )

    @property
    def longest_row(self) -> int:
        """The positions behind the padding token's."""
        return self.max_position_embeddings - self.pad_token_id - 1

    @property
    def longest_target(self) -> int:
        """The same less one, since what follows the last token has a position too."""
        return self.longest_row - 1

    @property
    def spread(self) -> float:
        """The standard deviation of random weights: init_std."""
        return getattr(self, "init_std", 0.02)


# -- arrays -----------------------------------------------------------------------------------------------------------


def attention(d: int, prefix: str) -> declare.Tree:
    """The four projections of a layer's attention."""
    return under(prefix, cross.arrays(d, "query_proj", "key_proj", "value_proj", "out_proj"))


def layer(c: ProphetNetConfig, inner: int) -> declare.Tree:
    """What a layer has on both sides."""
    d = c.hidden_size
    return {
        **attention(d, "self_attn"),
        "attention_norm": declare.layer_norm(d, "self_attn_layer_norm"),
        "up": declare.linear(d, inner, "feed_forward.intermediate", ("embed", "mlp")),
        "down": declare.linear(inner, d, "feed_forward.output", ("mlp", "embed")),
        "ffn_norm": declare.layer_norm(d, "feed_forward_layer_norm"),
    }


def tables(c: ProphetNetConfig) -> declare.Tree:
    """A side's positions, and the norm before its layers."""
    d = c.hidden_size
    return {
        "position": declare.embedding(c.max_position_embeddings, d, "position_embeddings", zero_row=c.pad_token_id),
        "norm": declare.layer_norm(d, "embeddings_layer_norm"),
    }


def parameters(c: ProphetNetConfig) -> declare.Tree:
    """The arrays of both sides."""
    d, places = c.hidden_size, c.num_buckets * c.num_decoder_attention_heads
    word = declare.embedding(c.vocab_size, d, "word_embeddings", "vocab", zero_row=c.pad_token_id)
    names = ("encoder.word_embeddings.weight", "decoder.word_embeddings.weight")
    directed = layer(c, c.decoder_ffn_dim) | {
        "distance": declare.linear(d, places, "self_attn.relative_pos_embeddings", ("embed", "heads")),
        "cross": attention(d, "cross_attn"),
        "cross_norm": declare.layer_norm(d, "cross_attn_layer_norm"),
    }
    encoder = repeat(c.num_encoder_layers, "layers.{}", layer(c, c.encoder_ffn_dim))
    decoder = repeat(c.num_decoder_layers, "layers.{}", directed)
    streams = declare.embedding(c.ngram, d, "ngram_embeddings")
    return {
        "word": {"table": declare.tied(word["table"], *names)},
        "encoder": under("encoder", tables(c) | {"layers": encoder}),
        "decoder": under("decoder", tables(c) | {"stream": streams, "layers": decoder}),
    }


def arrays_alone(c: ProphetNetConfig) -> declare.Tree:
    """The arrays of a decoder without its encoder; those that look at one are in files, and written again."""
    tree = parameters(c)
    return {"word": tree["word"], **tree["decoder"]}


# -- the two sides ----------------------------------------------------------------------------------------------------


def words_of(params: Any, c: ProphetNetConfig, inputs: Inputs) -> jax.Array:
    """The vectors [B, T, D] of a batch's tokens."""
    return embed_tokens(params["word"], inputs)


def counted(c: ProphetNetConfig, inputs: Inputs) -> jax.Array:
    """Rows of the encoder's table of positions [B or 1, S], padding in front counted."""
    return inputs.places + c.pad_token_id + 1


encode = partial(bart.encode, order=bart.after, found=bart.from_table(0), places=counted, vectors=words_of)


def decode(params: Any, c: ProphetNetConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """States [B, T, 1 + N, D] of the decoder's streams, behind those of its cache; the first one is what reads."""
    p, order, memory = params["decoder"], Causal.of(inputs), inputs.memory
    mix = streams.mixing(c, order)

    def block(p: Any, x: jax.Array, cell: Any, sites: Sites) -> tuple[jax.Array, Any]:
        context, kept = mix(p, x, cell, sites)
        h = sites("attention", through_out(p, context, x, sites), c.dropout)
        x = layer_norm(p["attention_norm"], x + h, bart.EPSILON)
        if cross.beside(cell, memory):
            h = sites("cross", streams.looked(c, p["cross"], x, cell, memory, sites), c.dropout)
            x = layer_norm(p["cross_norm"], x + h, bart.EPSILON)
        return bart.after(p["ffn_norm"], x, lambda x: bart.feed(c, p, x, sites)), kept

    places = order.positions + c.pad_token_id + 1
    first = words_of(params, c, inputs) + embed(p["position"], places)
    ahead = jnp.roll(p["stream"]["table"], 1, axis=0) + embed(p["position"], places + 1)[:, :, None]
    ahead = jnp.broadcast_to(ahead, (*first.shape[:2], *ahead.shape[2:])).astype(first.dtype)
    x = layer_norm(p["norm"], jnp.concatenate([first[:, :, None], ahead], axis=2), bart.EPSILON)
    x = sites.drop("embeddings", x, c.dropout)
    return run_decoder(order, block, p, x, ask=ask, sites=sites, norm=lambda own, x: x)


# -- classes ----------------------------------------------------------------------------------------------------------


@outputs.output
class ProphetNetSeq2SeqModelOutput(outputs.Output):
    """As `Seq2SeqModelOutput`, of the first stream; last_hidden_state_ngram and decoder_ngram_hidden_states are of
    the others, one behind the other: [batch, ngram * seq, dim].
    """

    last_hidden_state: jax.Array | None = None
    last_hidden_state_ngram: jax.Array | None = None
    past_key_values: Any = None
    decoder_hidden_states: outputs.Layers | None = None
    decoder_ngram_hidden_states: outputs.Layers | None = None
    decoder_attentions: outputs.Layers | None = None
    cross_attentions: outputs.Layers | None = None
    encoder_last_hidden_state: jax.Array | None = None
    encoder_hidden_states: outputs.Layers | None = None
    encoder_attentions: outputs.Layers | None = None


@outputs.output
class ProphetNetSeq2SeqLMOutput(outputs.Output):
    """As `Seq2SeqLMOutput`; logits_ngram: [batch, ngram - 1, seq, vocab], of the tokens behind the one that follows.

    The rest as of `ProphetNetSeq2SeqModelOutput`.
    """

    loss: jax.Array | None = None
    logits: jax.Array | None = None
    logits_ngram: jax.Array | None = None
    past_key_values: Any = None
    decoder_hidden_states: outputs.Layers | None = None
    decoder_ngram_hidden_states: outputs.Layers | None = None
    decoder_attentions: outputs.Layers | None = None
    cross_attentions: outputs.Layers | None = None
    encoder_last_hidden_state: jax.Array | None = None
    encoder_hidden_states: outputs.Layers | None = None
    encoder_attentions: outputs.Layers | None = None


@outputs.output
class ProphetNetDecoderLMOutput(outputs.Output):
    """As `CausalLMOutputWithPast`, of the first stream; logits_ngram: [batch, ngram - 1, seq, vocab], of the tokens
    behind the one that follows; hidden_states_ngram: of the other streams.
    """

    loss: jax.Array | None = None
    logits: jax.Array | None = None
    logits_ngram: jax.Array | None = None
    past_key_values: Any = None
    hidden_states: outputs.Layers | None = None
    hidden_states_ngram: outputs.Layers | None = None
    attentions: outputs.Layers | None = None


def scores_ahead(c: ProphetNetConfig, scores: jax.Array, labels: Any) -> dict[str, Any]:
    """Of scores [B, T, N, V] those of tokens behind the one that follows, and the loss."""
    loss: Any = smoothed(c, scores, labels["labels"]) if labels else None
    return {"loss": loss, "logits_ngram": jnp.swapaxes(scores[:, :, 1:], 1, 2) if c.ngram > 1 else None}


every_stream = heads.words("lm_head", before=lambda c, x: x[:, :, 1:])
"""Scores by all streams but the one that reads."""


class ProphetNetModel(
    tasks.Seq2Seq,
    config=ProphetNetConfig,
    prefix="prophetnet",
    network=Network(parameters, encode, decode, bart.cells),
):
    """Encoder and decoder without a head."""

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Any, config: Any) -> outputs.Output:
        """The decoder's result under the names that users know."""
        plain = super().finish(scores, streams.first_alone(encoded), labels, config)
        ahead: dict[str, Any] = {"last_hidden_state_ngram": streams.others(encoded.state)}
        ahead |= {"decoder_ngram_hidden_states": streams.states_ahead(encoded)}
        return ProphetNetSeq2SeqModelOutput(**plain, **ahead)


class ProphetNetForConditionalGeneration(tasks.Seq2SeqLM, base=ProphetNetModel, head=every_stream):
    """Scores of every word to follow each of the decoder's tokens, and to follow those."""

    @classmethod
    def following(cls, scores: jax.Array) -> jax.Array:
        """Of scores [B, T, N, V] those of the first of N tokens."""
        return scores[:, :, 0]

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Any, config: Any) -> outputs.Output:
        """Scores [B, T, N, V] of N tokens to follow, and the mean cross-entropy of each counted label under all."""
        plain = super().finish(cls.following(scores), streams.first_alone(encoded), {}, config)
        ahead = {"decoder_ngram_hidden_states": streams.states_ahead(encoded), **scores_ahead(config, scores, labels)}
        return ProphetNetSeq2SeqLMOutput(**plain, **ahead)


class ProphetNetForCausalLM(
    tasks.CausalLM,
    base=ProphetNetModel,
    network=Network(arrays_alone, decode=bart.alone(decode), cells=bart.cells),
    accepts=CAUSAL,
    head=every_stream,
):
    """The decoder alone: scores of every word to follow each token, and to follow those; labels are shifted already."""

    @classmethod
    def following(cls, scores: jax.Array) -> jax.Array:
        """Of scores [B, T, N, V] those of the first of N tokens."""
        return scores[:, :, 0]

    @classmethod
    def finish(cls, scores: Any, encoded: Encoded, labels: Any, config: Any) -> outputs.Output:
        """Scores [B, T, N, V] of N tokens to follow, and the mean cross-entropy of each counted label under all."""
        plain = super().finish(cls.following(scores), streams.first_alone(encoded), {}, config)
        ahead = {"hidden_states_ngram": streams.states_ahead(encoded), **scores_ahead(config, scores, labels)}
        return ProphetNetDecoderLMOutput(**plain, **ahead)


def smoothed(c: ProphetNetConfig, scores: jax.Array, labels: jax.Array) -> losses.Loss:
    """The cross-entropy of labels [B, T] under scores [B, T, N, V], and of all words as the config smooths it."""
    scores = scores[:, :, : 1 if c.disable_ngram_loss else c.ngram]
    return losses.cross_entropy(scores, jnp.broadcast_to(labels[..., None], scores.shape[:3]), c.eps)


# -- XLM-ProphetNet: the same, trained on a hundred languages ----------------------------------------------------------


class XLMProphetNetConfig(ProphetNetConfig, model_type="xlm-prophetnet"):
    """Sizes and rates of an XLM-ProphetNet; the defaults are torch Transformers'."""


class XLMProphetNetModel(ProphetNetModel, config=XLMProphetNetConfig, prefix="prophetnet"):
    """Encoder and decoder without a head."""


class XLMProphetNetForConditionalGeneration(ProphetNetForConditionalGeneration, base=XLMProphetNetModel):
    """Scores of every word to follow each of the decoder's tokens, and to follow those."""


class XLMProphetNetForCausalLM(ProphetNetForCausalLM, base=XLMProphetNetModel, accepts=CAUSAL):
    """The decoder alone: scores of every word to follow each token, and to follow those; labels are shifted already."""
