"""Sizes of batches, caches and chunks of prompts: few, so that there are few programs."""

from __future__ import annotations

_FEWEST, _COARSE = 48, 512  # slots


def rounded(count: int) -> int:
    """The next power of two: 1, 2, 4, 8, …"""
    return 1 << (count - 1).bit_length()


def rows_for(count: int) -> int:
    """Few numbers of rows: 1, 2, 3, 4, 6, 8, 12, …"""
    power = rounded(count)
    return power * 3 // 4 if power > 2 and power * 3 // 4 >= count else power


def slots_for(tokens: int) -> int:
    """Few numbers of slots: 48, 64, 128, 256, 512, 768, 1024, 1536, …: each step looks at all, so many are spared."""
    if tokens <= _FEWEST:
        return _FEWEST
    slots = rounded(tokens)
    return slots * 3 // 4 if slots > _COARSE and slots * 3 // 4 >= tokens else slots


def chunk_of(slots: int, platform: str) -> int:
    """How many tokens of prompts are read at once into caches of a size, so that each size has one such program."""
    if platform == "cpu":
        parts = 3 if slots % 3 == 0 else 4  # so 768 slots take 512 tokens in two chunks
        return min(max(slots // parts, 32), 256)
    return min(max(slots // 4, 32), 2048)
