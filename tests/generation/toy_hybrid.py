"""A toy whose layers keep all that layers can keep: keys and values by position and in a ring, a state, and a source.

`Hybrid` keeps these; `Plain` keeps every token's vector by position and computes the rest anew from all of them, so
that it needs only what Llamas need. With the same params both must write the same.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxformers import declare, tasks
from jaxformers.config import Config, Depth, Size
from jaxformers.declare import Param, repeat
from jaxformers.layers.causal import Causal
from jaxformers.layers.cells import keys_values
from jaxformers.layers.decoder import run_decoder
from jaxformers.layers.embedding import embed_tokens
from jaxformers.layers.inputs import Ask, Inputs
from jaxformers.layers.run import Encoded
from jaxformers.layers.sites import PLAIN, Sites
from jaxformers.network import Network

WINDOW, RING, DECAY, FIRST = 4, 4 + 64, 0.7, 2


class ToyConfig(Config, model_type="toy-hybrid"):
    """Sizes."""

    vocab_size: Size = 53
    hidden_size: Size = 16
    num_hidden_layers: Depth = 2
    max_position_embeddings: Size = 512


def parameters(c: ToyConfig) -> declare.Tree:
    """The arrays."""
    d = c.hidden_size
    layer = {name: declare.linear(d, d, name, bias=False) for name in ("state", "near", "source", "whole")}
    return {
        "word": declare.embedding(c.vocab_size, d, "word", "vocab"),
        "layers": repeat(c.num_hidden_layers, "layer.{}", layer),
    }


def together(p: Any, x: jax.Array, state: jax.Array, near: jax.Array, source: jax.Array, whole: jax.Array) -> Any:
    """What a layer makes of a token [..., D], given four summaries of those before it."""
    parts = {"state": state, "near": near, "source": source, "whole": whole}
    return x + sum(jnp.tanh(parts[name]) @ p[name]["weight"].T for name in parts)


def weighed(x: jax.Array, keys: jax.Array, seen: jax.Array) -> jax.Array:
    """Attention of x [B, T, D] to keys [B, S, D] that are seen [B, T, S]."""
    scores = jnp.where(seen, jnp.einsum("btd,bsd->bts", x, keys), -1e9)
    return jax.nn.softmax(scores, axis=-1) @ keys


def passed(x: jax.Array, start: jax.Array, real: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The states [B, T, D] at each token, from `start` [B, D] on; those that are not real leave them alone."""

    def step(h: jax.Array, now: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        y, counts = now
        h = jnp.where(counts[:, None], DECAY * h + y, h)
        return h, h

    last, states = jax.lax.scan(step, start, (x.swapaxes(0, 1), real.swapaxes(0, 1)))
    return last, states.swapaxes(0, 1)


def hybrid(params: Any, c: ToyConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """Hidden states [B, T, D], behind the tokens of its cache."""
    order, x = Causal.of(inputs), embed_tokens(params["word"], inputs)
    real = jnp.ones(inputs.shape, bool) if inputs.mask is None else inputs.mask.astype(bool)
    places = order.positions * jnp.ones(inputs.shape, jnp.int32)

    def block(p: Any, x: jax.Array, cell: Any, sites: Sites) -> tuple[jax.Array, Any]:
        rows, _, d = x.shape
        first = (real & (places < FIRST))[..., None]
        if cell is None:
            far = places[:, :, None] - places[:, None, :]
            seen = (far >= 0) & real[:, None, :]
            state = passed(x, jnp.zeros((rows, d)), real)[1]
            source = jnp.cumsum(jnp.where(first, x, 0), axis=1)
            return together(p, x, state, weighed(x, x, seen & (far < WINDOW)), source, weighed(x, x, seen)), cell
        one = x[:, :, None]
        whole, kept = order.attend(one, one, one, {"key": cell["key"], "value": cell["value"]}, scale=1.0)
        last, state = passed(x, cell["state"].read(), real)
        at = jnp.where(real, places % RING, RING)
        put = jax.vmap(lambda ring, i, new: ring.at[i].set(new, mode="drop"))
        ring, when = put(cell["ring"].read(), at, x), put(cell["when"].read(), at, places + 1)  # 0: nothing yet
        far = places[:, :, None] - when[:, None, :] + 1
        near = weighed(x, ring, (when > 0)[:, None] & (far >= 0) & (far < WINDOW))
        source = cell["source"].read()
        beams = rows // source.shape[0]
        if beams == 1:  # those that beams share are there before they begin
            so_far = source[:, None] + jnp.cumsum(jnp.where(first, x, 0), axis=1)
            source = so_far[:, -1]
        else:
            so_far = jnp.repeat(source, beams, axis=0)[:, None] * jnp.ones_like(x)
        new = {"state": last, "ring": ring, "when": when, "source": source}
        cell = kept | {name: cell[name].put(array) for name, array in new.items()}
        return together(p, x, state, near, so_far, whole), cell

    return run_decoder(order, block, params, x, ask=ask, sites=sites, norm=lambda p, x: x)


def cells(c: ToyConfig, rows: int, slots: int) -> declare.Tree:
    """What the layers keep."""
    d = c.hidden_size
    cell = keys_values(rows, slots, 1, d) | {
        "state": Param((rows, d), ("batch", None), "state", "buffer"),
        "ring": Param((rows, RING, d), ("batch", "ring", None), "ring", "buffer"),
        "when": Param((rows, RING), ("batch", "ring"), "when", "buffer", dtype="int32"),
        "source": Param((rows, d), ("source", None), "source", "buffer"),
    }
    return [cell] * c.num_hidden_layers


def plain(params: Any, c: ToyConfig, inputs: Inputs, ask: Ask = Ask(), sites: Sites = PLAIN) -> Encoded:
    """The same from all tokens' words, which are kept by position."""
    if inputs.cache is None:
        return hybrid(params, c, inputs, ask, sites)
    order, cache = Causal.of(inputs), inputs.cache
    kept = cache.cells[0]["seen"]
    put = jax.vmap(lambda seen, i, new: seen.at[i].set(new, mode="drop"))
    seen = put(kept.array, order.slots, inputs.ids)
    there = jnp.arange(cache.slots) < (cache.length + (order.slots < cache.slots).sum(1))[:, None]
    whole = hybrid(params, c, Inputs(ids=seen, mask=there))
    state = jnp.take_along_axis(whole.state, jnp.minimum(order.slots, cache.slots - 1)[..., None], axis=1)
    return Encoded(state=state, cache=order.after([{"seen": kept.put(seen)}]))


def words_kept(c: ToyConfig, rows: int, slots: int) -> declare.Tree:
    """What `plain` keeps."""
    return [{"seen": Param((rows, slots), ("batch", "length"), "seen", "buffer", dtype="int32")}]


class HybridModel(tasks.Decoder, config=ToyConfig, prefix="", network=Network(parameters, decode=hybrid, cells=cells)):
    """Without a head."""


class HybridForCausalLM(tasks.CausalLM, base=HybridModel):
    """Scores of words."""


class PlainModel(
    tasks.Decoder, config=ToyConfig, prefix="", network=Network(parameters, decode=plain, cells=words_kept)
):
    """Without a head."""


class PlainForCausalLM(tasks.CausalLM, base=PlainModel):
    """Scores of words."""


def pair(seed: int = 0, **fields: Any) -> tuple[Any, Any]:
    """Both with the same random weights."""
    config = ToyConfig(initializer_range=0.5, pad_token_id=0, bos_token_id=1, eos_token_id=None, **fields)
    ours = HybridForCausalLM(config, key=jax.random.key(seed))
    return ours, PlainForCausalLM(config, params=ours.params)
