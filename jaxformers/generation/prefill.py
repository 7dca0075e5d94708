"""Rows that begin with prompts: read in chunks but for their last tokens, which the first step feeds."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..layers.cache import Cache
from ..layers.inputs import Inputs, Memory
from .buckets import chunk_of, slots_for, source_slots_for
from .history import Source
from .model import LoadedModel
from .prompts import Prompt
from .rows import Negative, Rows, jaxformers_begin, jaxformers_cache_rows, jaxformers_prefill


def begin_rows(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    count: int,
    slots: int,
    platform: str,
    past: Cache | None = None,
    source: int = 0,
) -> Rows:
    """`count` rows with room for `slots` tokens or more, of which the first are the prompts, read but for their last
    tokens.

    past: of the prompts' first tokens, one row each, fewer than the prompts have. source: for how many tokens of
    sources there is room, at least.
    """
    if past is not None:
        slots = slots_for(max(slots, past.slots))
        own = jax.eval_shape(lambda: model.empty_cache(count, slots))
        past = jax.tree.map(lambda array, own: array.astype(own.dtype), past, own)
        cache = jaxformers_cache_rows(past, np.minimum(np.arange(count), len(prompts) - 1), slots)
    elif prompts[0].source is None:
        cache = model.empty_cache(count, slots)
    else:
        cache = jaxformers_begin(model, _sources(prompts, count, source, model.config.longest_row), count, slots)
    field = lambda name: _column([getattr(p, name) for p in prompts], count)  # noqa: E731
    length = _column([len(p.ids) for p in prompts], count, 1)
    ids = _filled([p.ids for p in prompts], count, slots)
    read = ids if prompts[0].embeds is None else _filled([p.read for p in prompts], count)
    negative = None
    if prompts[0].negative is not None:
        others = [p.negative for p in prompts if p.negative is not None]
        lengths, texts = _column(list(map(len, others)), count, 1), _filled(others, count, slots)
        last = np.take_along_axis(texts, lengths[:, None] - 1, axis=1)
        negative = Negative(last, _read(model, texts, lengths, model.empty_cache(count, slots), platform))
    return Rows(
        ids=ids,
        length=length,
        prompt=length.copy(),
        padding=field("padding"),
        pad=field("pad"),
        limit=length + field("max_new_tokens"),
        offset=field("offset"),
        seed=field("seed"),
        number=field("number"),
        done=np.arange(count) >= len(prompts),
        cache=_read(model, read, _column([len(p.read) for p in prompts], count, 1), cache, platform),
        negative=negative,
        source=_source_ids(prompts, count, source, model.config.longest_row),
    )


def last_embeds(prompts: Sequence[Prompt], count: int) -> np.ndarray | None:
    """Of `count` rows the last vectors [R, 1, D] of their prompts, which `begin_rows` leaves to the first step; None
    where prompts are ids.
    """
    return None if prompts[0].embeds is None else _filled([prompt.read[-1:] for prompt in prompts], count)


def _read(model: LoadedModel, tokens: np.ndarray, length: np.ndarray, cache: Cache, platform: str) -> Cache:
    """The cache with all but the last of each row's tokens, ids [R, T] or vectors [R, T, D], `length` [R] of them."""
    first = np.asarray(cache.length)[:, None]
    missing = int((length - 1 - first[:, 0]).max())
    cache = dataclasses.replace(cache, reach=jnp.asarray(length))
    size = chunk_of(cache.slots, platform)
    for start in range(0, missing, size):
        places = first + np.arange(start, start + size)
        part = tokens[np.arange(len(tokens))[:, None], np.minimum(places, tokens.shape[1] - 1)]
        cache = jaxformers_prefill(model, part, places < length[:, None] - 1, cache)
    return cache


def source_slots(prompts: Sequence[Prompt], most: int | None) -> int:
    """Room for the longest source, of few sizes, and `most` tokens where there is an end; 0 where there is none."""
    longest = max(0 if prompt.source is None else len(prompt.source) for prompt in prompts)
    slots = source_slots_for(longest) if longest else 0
    return slots if most is None else min(slots, most)


def _sources(prompts: Sequence[Prompt], count: int, width: int, most: int | None) -> Inputs:
    """What the encoder reads, or has made; rows without a prompt have the first one's. What a source does not say is
    zero.
    """
    given = [(p.source, p.source_mask) for p in prompts if p.source is not None]
    given += given[:1] * (count - len(given))
    sources = [source for source, _ in given]
    shown = [np.ones(len(source), bool) if mask is None else mask != 0 for source, mask in given]
    width = max(width, source_slots(prompts, most))
    mask: Any = _filled(shown, count, width) != 0
    tokens: Any = _filled(sources, count, width)
    if prompts[0].encoded:
        return Inputs(memory=Memory(tokens, mask))
    names = {name for prompt in prompts for name in prompt.source_beside}
    said = {name: [np.asarray(p.source_beside.get(name, ()), np.int32) for p in prompts] for name in sorted(names)}
    beside: Any = {name: _filled(rows, count, width) for name, rows in said.items()}
    return Inputs(**{"ids" if tokens.ndim == 2 else "embeds": tokens}, mask=mask, beside=beside)


def _source_ids(prompts: Sequence[Prompt], count: int, width: int, most: int | None) -> Source | None:
    """The sources as processors see them; of vectors there are no ids."""
    if prompts[0].source is None:
        return None
    width = max(width, source_slots(prompts, most))
    given = [(p.source, p.source_mask) for p in prompts if p.source is not None]
    real = [ids if mask is None else ids[mask != 0] for ids, mask in given]
    real = [ids if ids.ndim == 1 else np.zeros(0, np.int32) for ids in real]
    return Source(_filled(real, count, width), _column(list(map(len, real)), count))


def _filled(rows: Sequence[np.ndarray], count: int, width: int | None = None) -> np.ndarray:
    """Ids [n] or vectors [n, D] of rows in `count` rows of one width, filled with zeros."""
    kind = np.int32 if rows[0].ndim == 1 else rows[0].dtype
    whole = np.zeros((count, width or max(map(len, rows)), *rows[0].shape[1:]), kind)
    for row, own in zip(whole, rows, strict=False):
        row[: len(own)] = own
    return whole


def _column(values: Sequence[int], count: int, fill: int = 0) -> np.ndarray:
    return np.array([*values, *[fill] * (count - len(values))], np.int32)
