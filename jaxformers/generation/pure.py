"""Generation as one pure function of params and prompts, for `jit`, `vmap`, `shard_map` and programs of your own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import processors
from .config import GenerationConfig
from .generate import beside_vectors, check_functions, ends_of, fitted, most_new, pad_of
from .processors import TokenTrie
from .rows import Ends, Rows, Style, Voice, write


def written(
    voice: Voice,
    config: GenerationConfig,
    ids: Any,
    mask: Any,
    *,
    vectors: Any = None,
    key: jax.Array | None = None,
    logits_processor: Sequence[Callable[..., jax.Array]] | None = None,
    trie: TokenTrie | None = None,
    typed_length: bool = False,
) -> jax.Array:
    """Rows with `max_new_tokens` places behind their prompts: [B, T + new], int32.

    All of it may be traced but the settings. Prompts are moved to the left end of their rows for the work, and back to
    the right end of their places in the result.

    Args:
        voice: the model; its params may be traced.
        config: the settings, merged and checked; greedy search or sampling.
        ids: [B, T] prompts, padded on either side.
        mask: [B, T] zero at padding; each row has a token. With vectors [B, E].
        vectors: [B, E, D] as of `generate`.
        key: what draws go by.
        logits_processor: functions of a `Sight` and scores [B, V].
        trie: what rows may write.
        typed_length: whether the call itself says max_length.

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
        if getattr(config, name):
            raise ValueError(f"{name}: one pure function gives ids alone; use model.generate")
    host = ("max_time", "stop_strings", "prompt_lookup_num_tokens")
    for name in host:
        if getattr(config, name) is not None:
            raise ValueError(f"{name} needs the host between tokens: use model.generate")
    if config.num_beams > 1 or config.guided or config.num_return_sequences > 1:
        raise ValueError("one pure function does greedy search and sampling of a row each: use model.generate")
    ids, real = jnp.asarray(ids, jnp.int32), jnp.asarray(mask) != 0
    (count, width), wide = ids.shape, real.shape[1]
    shown = real if width == wide else jnp.ones(ids.shape, bool)
    config, before = (config, 0) if vectors is None else beside_vectors(config, width, wide)
    most, default = most_new(config, width + before, typed_length or before > 0)
    most = fitted(voice.config, wide, most, default)
    eos = config.eos
    check_functions(logits_processor, None, None)
    program, values = processors.chosen(
        config,
        vocab=voice.config.vocab_size,
        eos=eos,
        sampling=bool(config.do_sample),
        custom=logits_processor or (),
        prefix=trie,
    )
    fill = pad_of(config, eos)

    length, read = shown.sum(1, dtype=jnp.int32), real.sum(1, dtype=jnp.int32)
    row, tokens = _first(ids, shown), _first(ids if vectors is None else jnp.asarray(vectors), real)
    cache = voice.cls.nothing(voice.params, voice.config, count, wide + most)
    cache = dataclasses.replace(cache, reach=read)
    if wide > 1:
        early = jnp.arange(wide) < read[:, None] - 1
        cache = voice.cls.read(voice.params, voice.config, tokens, early, cache)
    last = None if vectors is None else _taken(tokens, (read - 1)[:, None])
    padded = _taken(ids, jnp.argmin(shown, axis=1)[:, None])[:, 0] if width else jnp.zeros(count, jnp.int32)
    rows = Rows(
        ids=jnp.pad(row, ((0, 0), (0, most))),
        length=length,
        prompt=length,
        padding=width - length,
        pad=padded,
        limit=length + most,
        ahead=read - length,
        stream=jnp.arange(count, dtype=jnp.int32),
        number=jnp.arange(count, dtype=jnp.int32),
        done=jnp.zeros(count, bool),
        cache=cache,
    )
    ends = Ends(ends_of(eos), np.int32(fill))
    key = jax.random.key(0) if key is None else key
    rows, _, _ = write(
        voice.cls, Style(program, 0), voice.params, voice.config, rows, values, ends, key, np.int32(most), last
    )
    places = jnp.arange(width + most)
    own = jnp.where(places < rows.length[:, None], rows.ids, fill)  # what stands behind a row's end is not its
    back = places - (width - length)[:, None]
    moved = jnp.take_along_axis(own, jnp.maximum(back, 0), axis=1)
    prompts = jnp.take_along_axis(ids, jnp.argsort(shown, axis=1, stable=True), axis=1)
    return jnp.where(back < 0, jnp.pad(prompts, ((0, 0), (0, most))), moved)


def _first(tokens: jax.Array, real: jax.Array) -> jax.Array:
    """Rows [B, T, ...] with what is real at their beginning, in its order."""
    return _taken(tokens, jnp.argsort(~real, axis=1, stable=True))


def _taken(tokens: jax.Array, places: jax.Array) -> jax.Array:
    """What stands in rows [B, T, ...] at places [B, N]: [B, N, ...]."""
    return jnp.take_along_axis(tokens, places.reshape(*places.shape, *[1] * (tokens.ndim - 2)), axis=1)
