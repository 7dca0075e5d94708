"""Byte-level BPE from a file of tiktoken: a token in base64 and its rank on each line."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

import tokenizers
from tokenizers import Regex, decoders, pre_tokenizers, processors

from . import files, merges
from .patterns import CL100K
from .settings import whole_number


def read(path: Path) -> dict[bytes, int]:
    """The ranks of all tokens.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is not a token and its rank.
    """
    ranks: dict[bytes, int] = {}
    for number, line in enumerate(files.read_text(path).splitlines(), 1):
        if not line:
            continue
        try:
            token, rank = line.split()
            ranks[base64.b64decode(token, validate=True)] = whole_number(int(rank))
        except (ValueError, binascii.Error):
            raise ValueError(
                f"{path}: line {number} is not a token in base64 and its rank: is this a file of tiktoken? "
                f"found {line!r:.60}"
            ) from None
    if not ranks or b"" in ranks:
        raise ValueError(f"{path}: expected tokens in base64 and their ranks, found none, or an empty one")
    return ranks


def build(path: Path) -> tokenizers.Tokenizer:
    """The tokenizer of a file.

    Raises:
        OSError, ValueError: as `read`.
    """
    ranks = read(path)
    letters = bytes_to_unicode()
    spelling = {token: "".join(letters[byte] for byte in token) for token in ranks}
    found = []
    for token, rank in ranks.items():
        halves = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
        local = [(left, right) for left, right in halves if left in ranks and right in ranks]
        local.sort(key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
        found += [(rank, spelling[left], spelling[right]) for left, right in local]
    found.sort(key=lambda merge: merge[0])
    backend = merges.build(
        {spelling[token]: rank for token, rank in ranks.items()},
        [(left, right) for _, left, right in found],
        str(path),
        ignore_merges=True,
    )
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CL100K), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    return backend


def bytes_to_unicode() -> dict[int, str]:
    """The letter that stands for each byte: itself where it can be seen, else one from 256 on (GPT-2's table)."""
    seen = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    rest = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(256 + place) for place, byte in enumerate(rest)}
