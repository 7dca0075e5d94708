"""BPE of pieces and merges (Sennrich et al. 2015, arXiv 1508.07909)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import models

from . import files
from .backend import as_value_error

Merges = list[tuple[str, str]]

END_OF_WORD = "</w>"
"""The suffix of the last piece of a word, in the vocabularies of OpenAI's first GPT and XLM."""


def read_merges(path: Path, header: bool = True) -> Merges:
    """The merges of a merges.txt, two pieces a line.

    Args:
        path: the file. As the reference reads it, what follows the last line break is no merge.
        header: the first line says which version this is.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is no merge, or the file is not UTF-8.
    """
    merges = []
    for number, line in enumerate(files.read_text(path).split("\n")[:-1]):
        pieces = line.split()
        if number == 0 and header:
            continue
        if len(pieces) < 2 or (header and len(pieces) > 2):  # XLM's lines end in counts
            raise ValueError(f"{path}: line {number + 1} must be two pieces, found {line!r:.80}")
        merges.append((pieces[0], pieces[1]))
    return merges


def merges_of(ids: Mapping[str, int], scores: Mapping[str, float]) -> Merges:
    """The merges of a BPE whose file has only pieces and scores: the better the piece, the sooner it is made.

    Of pieces with the same score those merges come first whose first half is longer, then whose second is.
    """
    found: Merges = []
    best_first = sorted(scores, key=scores.__getitem__, reverse=True)
    for _, alike in itertools.groupby(best_first, scores.__getitem__):
        start, pieces = len(found), list(alike)
        for piece in pieces:
            cuts = range(len(piece) - 1, 0, -1)
            found += [(piece[:cut], piece[cut:]) for cut in cuts if piece[:cut] in ids and piece[cut:] in ids]
        if len(pieces) > 1:
            found[start:] = sorted(found[start:], key=lambda merge: (len(merge[0]), len(merge[1])), reverse=True)
    return found


def build(vocabulary: Mapping[str, int], merges: Merges, where: str, **options: Any) -> tokenizers.Tokenizer:
    """A tokenizer with this BPE and nothing around it.

    Raises:
        ValueError: the vocabulary lacks what merges make.
    """
    with as_value_error(f"{where}: vocabulary and merges do not fit"):
        return tokenizers.Tokenizer(models.BPE(vocab=dict(vocabulary), merges=merges, **options))
