"""Pegasus-X (Phang et al. 2022, arXiv 2208.04347): Pegasus for long sources. A token of these sees its block, whose
borders move by half a block in every second layer, and some global tokens, which see all.
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from .. import declare, tasks
from ..config import Config, Depth, Endless, Size, Token
from ..layers import bart, heads
from ..layers.attention import attend, merge, project, through_out
from ..layers.inputs import Ask, Inputs
from ..layers.norm import layer_norm
from ..layers.run import Encoded, run
from ..layers.sites import PLAIN, Sites
from ..network import Network
from ..sizes import BartSizes


class PegasusXConfig(Endless, BartSizes, Config, model_type="pegasus_x"):
    """Sizes and rates of a Pegasus-X; the defaults are torch Transformers'.

    num_global_tokens: how many tokens all of a source see. block_size: tokens of a block. stagger_local_blocks: whether
    the borders of blocks move in every second layer.
    """

    vocab_size: Size = 96103
    max_position_embeddings: Size = 16384
    encoder_layers: Depth = 16
    decoder_layers: Depth = 16
    scale_embedding: bool = True
    pad_token_id: Token | None = 0
    eos_token_id: int | tuple[int, ...] | None = 1
    decoder_start_token_id: Token | None = 0
    num_global_tokens: Size = 32
    block_size: Size = 512
    stagger_local_blocks: bool = True

    def check(self) -> None:
        """Heads share the width evenly, and blocks have a half to move by."""
        super().check()
        if self.stagger_local_blocks and self.block_size % 2:
            raise ValueError(f"PegasusXConfig: block_size={self.block_size} must be even where blocks are staggered")


def parameters(c: PegasusXConfig) -> declare.Tree:
    """The arrays of both sides."""
    of = partial(bart.side, c, position=None, embedding_norm=False, final_norm=True, bias=False)
    own = bart.own_attention(c.d_model, bias=False)
    own["global_norm"] = declare.layer_norm(c.d_model, "global_self_attn_layer_norm")
    wide = declare.embedding(c.num_global_tokens, c.d_model, "encoder.embed_global")
    return {"word": bart.words(c), "encoder": of("encoder", own=own) | {"global": wide}, "decoder": of("decoder")}


def in_blocks(c: PegasusXConfig, q: Any, k: Any, v: Any, real: jax.Array, shift: Any, sites: Sites) -> jax.Array:
    """What tokens take [B, T, H, d] of their blocks and of the global tokens, in front of all [B, G + T, H, d].

    real: [B, T] which tokens are no padding. shift: how many places the first border is in front of the first token.
    """
    few, size = c.num_global_tokens, c.block_size
    rows, length = real.shape
    count = -(-length // size) + 1

    def cut(x: jax.Array) -> jax.Array:
        x = jnp.pad(x, [(0, 0), (0, count * size - length)] + [(0, 0)] * (x.ndim - 2))
        return jnp.roll(x, shift, axis=1).reshape(rows * count, size, *x.shape[2:])

    def behind_global(x: jax.Array) -> jax.Array:
        return jnp.concatenate([jnp.repeat(x[:, :few], count, axis=0), cut(x[:, few:])], axis=1)

    seen = jnp.concatenate([jnp.ones((rows * count, few), bool), cut(real)], axis=1)[:, None, None, :]
    options: dict[str, Any] = {"rate": c.attention_dropout, "sites": sites}
    context = attend(cut(q[:, few:]), behind_global(k), behind_global(v), seen, **options)
    return jnp.roll(context.reshape(rows, count * size, *context.shape[2:]), -shift, axis=1)[:, :length]


def at_once(c: PegasusXConfig, q: Any, k: Any, v: Any, real: jax.Array, shift: Any, sites: Sites) -> jax.Array:
    """The same of all tokens [B, G + T, H, d], the global ones in front, with the probabilities of each with all."""
    few, block = c.num_global_tokens, (jnp.arange(real.shape[1]) + shift) // c.block_size
    own = jnp.pad(block[:, None] == block, [(few, 0), (few, 0)], constant_values=True)
    seen = own & jnp.pad(real, [(0, 0), (few, 0)], constant_values=True)[:, None]
    return attend(q, k, v, seen[:, None], rate=c.attention_dropout, sites=sites)


def encode(params: Any, c: PegasusXConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, S, D] of what the encoder reads; within layers the global tokens stand in front of these."""
    p, few, real = params["encoder"], c.num_global_tokens, inputs.segment_ids != 0
    norm = partial(layer_norm, epsilon=bart.EPSILON)

    def mix(p: Any, x: jax.Array, sites: Sites, shift: Any) -> jax.Array:
        own = jnp.concatenate([norm(p["global_norm"], x[:, :few]), norm(p["attention_norm"], x[:, few:])], axis=1)
        q, k, v = project(p, own, c.d_model // c.encoder_attention_heads)
        if sites.taps("attention_weights"):
            return merge(at_once(c, q, k, v, real, shift, sites))
        seen = jnp.pad(real, [(0, 0), (few, 0)], constant_values=True)[:, None, None, :]
        wide = attend(q[:, :few], k, v, seen, rate=c.attention_dropout, sites=sites)
        return merge(jnp.concatenate([wide, in_blocks(c, q, k, v, real, shift, sites)], axis=1))

    def block(p: Any, x: jax.Array, sites: Sites, shift: Any) -> jax.Array:
        context = mix(p, x, sites, shift)
        x = x + sites("attention", through_out(p, context, x, sites), c.dropout)
        return bart.before(p["ffn_norm"], x, lambda x: bart.feed(c, p, x, sites))

    x = bart.sum_normed(p, bart.words_of(params, c, inputs), found(p, c, inputs.places))
    x = sites.drop("embeddings", x, c.dropout)
    wide = jnp.broadcast_to(p["global"]["table"], (len(x), few, c.d_model)).astype(x.dtype)
    shifts = [c.block_size // 2 if c.stagger_local_blocks and i % 2 else 0 for i in range(c.encoder_layers)]
    encoded = run(block, p["layers"], jnp.concatenate([wide, x], axis=1), shifts, ask=ask, sites=sites)
    states = encoded.hidden_states and tuple(state[:, few:] for state in encoded.hidden_states)
    encoded = dataclasses.replace(encoded, hidden_states=states)
    return encoded.normed(norm(p["final_norm"], encoded.state[:, few:]))


found = bart.waves(bart.fairseq_steps)
network = Network(parameters, encode, partial(bart.decode, order=bart.before, found=found), bart.cells)


class PegasusXModel(tasks.Seq2Seq, config=PegasusXConfig, prefix="model", network=network):
    """Encoder and decoder without a head.

    The encoder's attentions are of all tokens with all, the global ones first, [B, H, G + S, G + S].
    """


class PegasusXForConditionalGeneration(tasks.Seq2SeqLM, base=PegasusXModel, head=heads.words("lm_head")):
    """Scores of every word to follow each of the decoder's tokens."""
