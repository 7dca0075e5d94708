"""Sizes of batches, caches and chunks of prompts: few, so that there are few programs."""

from __future__ import annotations

_FEWEST, _COARSE, _SHORTEST = 48, 512, 16  # slots of caches, and of sources


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


def source_slots_for(tokens: int) -> int:
    """Few numbers of places in a source: 16, 32, 64, 96, 128, 192, …: an encoder reads all that there is room for."""
    slots = max(_SHORTEST, rounded(tokens))
    return slots * 3 // 4 if slots > 64 and slots * 3 // 4 >= tokens else slots


def chunk_of(slots: int, platform: str) -> int:
    """How many tokens of prompts are read at once into caches of a size, so that each size has one such program."""
    if platform == "cpu":
        parts = 3 if slots % 3 == 0 else 4  # so 768 slots take 512 tokens in two chunks
        return min(max(slots // parts, 32), 256)
    return min(max(slots // 4, 32), 2048)
