"""Generation as one pure function of params and prompts, for `jit`, `vmap`, `shard_map` and programs of your own."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..layers.inputs import Inputs
from .arguments import Arguments
from .config import GenerationConfig
from .generate import pad_of
from .history import Source
from .lengths import beside_vectors, fitted, new_tokens
from .model import LoadedModel
from .plan import Plan
from .processors import Values
from .rows import Rows, jaxformers_decode


def generate_traced(
    model: LoadedModel,
    settings: GenerationConfig,
    arguments: Arguments,
    ids: Any,
    mask: Any,
    *,
    embeds: Any = None,
    source: Inputs | None = None,
    key: jax.Array | None = None,
) -> jax.Array:
    """Rows with `max_new_tokens` places behind their prompts: [B, T + new], int32.

    All of it may be traced but the settings. Prompts are moved to the left end of their rows for the work, and back to
    the right end of their places in the result.

    Args:
        model: what writes; its params may be traced.
        settings: merged and checked; greedy search or sampling.
        arguments: processors and a trie.
        ids: [B, T] prompts, padded on either side.
        mask: [B, T] zero at padding; each row has a token. With embeds [B, E].
        embeds: [B, E, D] as of `generate`.
        source: what an encoder reads for each prompt, or has made, in models that have one.
        key: what draws go by.

    Raises:
        ValueError: settings that need the host, or beams.
    """
    for name in (
        "return_dict_in_generate",
        "output_scores",
        "output_logits",
        "output_attentions",
        "output_hidden_states",
    ):
        if getattr(settings, name):
            raise ValueError(f"{name}: one pure function gives ids alone; use model.generate")
    host = ("max_time", "stop_strings", "prompt_lookup_num_tokens")
    for name in host:
        if getattr(settings, name) is not None:
            raise ValueError(f"{name} needs the host between tokens: use model.generate")
    if settings.num_beams > 1 or settings.guided or settings.num_return_sequences > 1:
        raise ValueError("one pure function does greedy search and sampling of a row each: use model.generate")
    ids, real = jnp.asarray(ids, jnp.int32), jnp.asarray(mask) != 0
    (count, width), wide = ids.shape, real.shape[1]
    shown = real if width == wide else jnp.ones(ids.shape, bool)
    settings, counted = (settings, width) if embeds is None else beside_vectors(settings, width, wide)
    most = fitted(settings, model.config, wide, new_tokens(settings, counted))
    plan = Plan.of(
        settings, model.config.target_vocab_size, arguments.logits_processor, arguments.prefix_allowed_tokens_fn
    )
    fill = pad_of(settings)

    length, read = shown.sum(1, dtype=jnp.int32), real.sum(1, dtype=jnp.int32)
    row, tokens = _first(ids, shown), _first(ids if embeds is None else jnp.asarray(embeds), real)
    slots = wide + most
    cache = model.empty_cache(count, slots) if source is None else model.begin(source, count, slots)
    cache = dataclasses.replace(cache, reach=read)
    if wide > 1:
        early = jnp.arange(wide) < read[:, None] - 1
        cache = model.prefill(tokens, early, cache)
    last = None if embeds is None else _taken(tokens, (read - 1)[:, None])
    padded = _taken(ids, jnp.argmin(shown, axis=1)[:, None])[:, 0] if width else jnp.zeros(count, jnp.int32)
    rows = Rows(
        ids=jnp.pad(row, ((0, 0), (0, most))),
        length=length,
        prompt=length,
        padding=width - length,
        pad=padded,
        limit=length + most,
        offset=read - length,
        seed=jnp.arange(count, dtype=jnp.int32),
        number=jnp.arange(count, dtype=jnp.int32),
        done=jnp.zeros(count, bool),
        cache=cache,
        source=None if source is None else _words_of(source),
    )
    values = Values(plan.shared, plan.columns([settings]))
    key = jax.random.key(0) if key is None else key
    rows, _, _ = jaxformers_decode(plan.program, model, rows, values, key, np.int32(most), last)
    places = jnp.arange(width + most)
    own = jnp.where(places < rows.length[:, None], rows.ids, fill)  # what stands behind a row's end is not its
    back = places - (width - length)[:, None]
    moved = jnp.take_along_axis(own, jnp.maximum(back, 0), axis=1)
    prompts = jnp.take_along_axis(ids, jnp.argsort(shown, axis=1, stable=True), axis=1)
    return jnp.where(back < 0, jnp.pad(prompts, ((0, 0), (0, most))), moved)


def _words_of(source: Inputs) -> Source:
    """A source as processors see it; of vectors and states there are no ids."""
    if source.ids is None:
        rows = len(jax.tree.leaves(source)[0])
        return Source(jnp.zeros((rows, 1), jnp.int32), jnp.zeros(rows, jnp.int32))
    real = source.segment_ids != 0
    return Source(_first(jnp.asarray(source.ids, jnp.int32), real), real.sum(1, dtype=jnp.int32))


def _first(tokens: jax.Array, real: jax.Array) -> jax.Array:
    """Rows [B, T, ...] with what is real at their beginning, in its order."""
    return _taken(tokens, jnp.argsort(~real, axis=1, stable=True))


def _taken(tokens: jax.Array, places: jax.Array) -> jax.Array:
    """What stands in rows [B, T, ...] at places [B, N]: [B, N, ...]."""
    return jnp.take_along_axis(tokens, places.reshape(*places.shape, *[1] * (tokens.ndim - 2)), axis=1)
