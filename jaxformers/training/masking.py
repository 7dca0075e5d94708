"""Which tokens a masked language model is to find, and what it reads in their place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

MOST_WORD_TOKENS = 512
"""Tokens of a row that masking by whole words hides, at most."""


def tokens_chosen(free: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """Each of the free tokens [B, T] with the same probability: [B, T]."""
    return (rng.random(free.shape) < probability) & free


def words_chosen(words: np.ndarray, probability: float, rng: np.random.Generator) -> np.ndarray:
    """All tokens of words that are chosen with the same probability.

    Args:
        words: [B, T] the number of each token's word in its row, negative where a token belongs to none.
        probability: of each word.
        rng: where chance comes from.

    Returns:
        [B, T] which tokens.
    """
    rows, length = words.shape
    chance = rng.random((rows, length + 1)) < probability
    return np.take_along_axis(chance, np.maximum(words, 0), axis=1) & (words >= 0)


def words_by_offsets(offsets: np.ndarray, special: np.ndarray) -> np.ndarray:
    """The number of each token's word in its row, 1, 2, …; -1 at special tokens.

    A word begins where a token does not go on at the letter at which the one before it ended.

    Args:
        offsets: [B, T, 2] where in its text each token begins and ends.
        special: [B, T] 1 at special tokens and padding.
    """
    special = special.astype(bool)
    begins = np.ones(special.shape, bool)
    begins[:, 1:] = (offsets[:, 1:, 0] != offsets[:, :-1, 1]) | special[:, :-1]
    return np.where(special, -1, np.cumsum(begins & ~special, axis=1))


def words_by_pieces(tokens: Sequence[str], continued: Iterable[int] = ()) -> list[list[int]]:
    """The places of each word's tokens in one row: a token that begins with "##" goes on with a word.

    Args:
        tokens: of the row; [CLS] and [SEP] belong to no word.
        continued: places that go on with a word though their tokens do not say so.
    """
    goes_on, words = set(continued), list[list[int]]()
    for place, token in enumerate(tokens):
        if token in ("[CLS]", "[SEP]"):
            continue
        if words and (token.startswith("##") or place in goes_on):
            words[-1].append(place)
        else:
            words.append([place])
    return words


def words_within(words: Sequence[Sequence[int]], most: int, rng: np.random.Generator) -> list[int]:
    """The places of words in random order, as far as they are no more than so many; what does not fit is left out."""
    chosen: list[int] = []
    for i in rng.permutation(len(words)):
        if len(chosen) + len(words[i]) <= most:
            chosen += words[i]
    return sorted(chosen)


def replaced(
    ids: np.ndarray,
    chosen: np.ndarray,
    mask_id: int,
    vocabulary: int,
    masked: float,
    random: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The ids [B, T] with other ones where tokens are chosen.

    Args:
        ids: [B, T].
        chosen: [B, T] which of them may change.
        mask_id: the mask's.
        vocabulary: how many ids there are.
        masked: the share that becomes the mask.
        random: the share that becomes any word; what is left stays.
        rng: where chance comes from.
    """
    chance, others = rng.random(ids.shape), rng.integers(0, vocabulary, ids.shape)
    ids = np.where(chosen & (chance < masked), mask_id, ids)
    return np.where(chosen & (chance >= masked) & (chance < masked + random), others, ids)
