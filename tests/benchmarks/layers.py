"""The orders of computing that `layers/product.py` and `layers/attention.py` choose between on a CPU, side by side.

    python tests/benchmarks/layers.py

Ratios of times, interleaved, medians; above 1 the order that is named is the faster one. Weights are so many that no
cache holds them.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from peers import machine

from jaxformers.layers import attention, product

BYTES = 256 << 20  # of weights in float32
SHAPES = ((576, 576), (576, 3072), (1536, 576), (768, 768), (768, 3072), (1024, 4096), (2048, 2048), (8192, 2048))
TYPES = {"float32": "float32", "bfloat16": "float32", "int8": "int32"}
SCORES = {  # rows, heads, heads of keys, new tokens, slots, numbers a head
    "prompts of a decoder": (8, 9, 3, 256, 768, 64),
    "a long prompt, few heads of keys": (1, 32, 8, 256, 2048, 128),
    "long texts of an encoder": (8, 12, 12, 512, 512, 64),
    "short texts of an encoder": (64, 12, 12, 128, 128, 64),
}


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", nargs="+", type=int, default=[1, 2, 4, 8, 16, 32, 64])
    options = parser.parse_args()
    print(f"{machine()}, {options.rounds} rounds, medians\n")
    products(options.rounds, options.tokens)
    scores(options.rounds)


def products(rounds: int, tokens: list[int]) -> None:
    """Weight first against tokens first."""
    print(f"{'weight first, by tokens':<34}" + "".join(f"{count:>7}" for count in tokens))
    product._few = lambda size: 1 << 20  # type: ignore[assignment]  # asked for more tokens than it is used for
    for dtype, sums in TYPES.items():
        for into, out in SHAPES:
            keys = jax.random.split(jax.random.key(0), max(2, BYTES // (4 * into * out)))
            weights = [(20 * jax.random.normal(key, (out, into))).astype(dtype) for key in keys]
            line = f"{f'{dtype}, {into} to {out}':<34}"
            for count in tokens:
                x = jax.random.normal(keys[0], (count, into))
                ways = {
                    "tokens": partial(chained, dtype, partial(product._tokens_first, sums=sums)),
                    "weight": partial(chained, dtype, partial(product._on_cpu, sums)),
                }
                took = timed(rounds, {name: jax.jit(way) for name, way in ways.items()}, x, weights)
                line += f"{took['tokens'] / took['weight']:>7.2f}"
            print(line, flush=True)


def chained(dtype: str, way: Callable[..., jax.Array], x: jax.Array, weights: list[jax.Array]) -> list[jax.Array]:
    """Products one after the other."""
    found: list[jax.Array] = []
    for weight in weights:
        after = 0 * found[-1][0, 0].astype(x.dtype) if found else 0
        found.append(way((x + after).astype(dtype), weight))
    return found


def scores(rounds: int) -> None:
    """Attention in parts of several sizes against all at once."""
    sizes = [attention._CACHED * share // 4 for share in (1, 2, 4, 8)]
    print(f"\n{'in parts of so many scores':<34}" + "".join(f"{size:>9}" for size in sizes))
    whole = partial(attention._weighed, scale=None, cap=None, rate=0.0, sites=attention.PLAIN)
    for name, (rows, heads, keys, new, slots, dim) in SCORES.items():
        draw = partial(jax.random.normal, jax.random.key(0))
        q, k, v = draw((rows, heads, new, dim)), draw((rows, keys, dim, slots)), draw((rows, keys, slots, dim))
        seen = jnp.arange(slots) <= jnp.arange(new)[:, None] + slots - new
        ways = {"whole": jax.jit(lambda *a: whole(*a, None, None))}
        for size in sizes:
            attention._CACHED = size
            parts = attention._in_cached_parts(whole, q, k)
            ways[str(size)] = jax.jit(lambda *a, parts=parts: parts(*a, None, None))
        took = timed(rounds, ways, q, k, v, seen[None, None])
        print(f"{name:<34}" + "".join(f"{took['whole'] / took[str(size)]:>9.2f}" for size in sizes), flush=True)
        attention._CACHED = sizes[2]


def timed(rounds: int, ways: Mapping[str, Callable[..., Any]], *arrays: Any) -> dict[str, float]:
    """Median seconds of each."""
    took: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            jax.block_until_ready(way(*arrays))
            if turn:
                took[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in took.items()}


if __name__ == "__main__":
    main()
