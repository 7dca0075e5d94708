"""Tokenizers whose pieces are found by one file and looked up in another, in which some of them may be missing.

The pieces are split off as words, so that a model of words gives the ids. What finds them is a function of a text that
returns parts of it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path
from typing import ClassVar, cast

import tokenizers
from tokenizers import NormalizedString, Regex, models, normalizers, pre_tokenizers, processors

from . import files, merges, post_processor, sentencepiece
from .backend import as_value_error
from .base import Tokenizer
from .metaspace import SPACE

Finder = Callable[[NormalizedString], list[NormalizedString]]
"""A text → its pieces."""


class PieceSplitter:
    """A pre-tokenizer: every piece is a word.

    Args:
        find: finds the pieces of a text between special tokens.
    """

    def __init__(self, find: Finder) -> None:
        self._find = find

    def __call__(self, view: tokenizers.Tokenizer) -> None:
        view.pre_tokenizer = pre_tokenizers.PreTokenizer.custom(self)

    def pre_tokenize(self, text: tokenizers.PreTokenizedString) -> None:
        """What the library calls for each text."""
        with as_value_error("finding pieces failed"):
            text.split(lambda _, piece: self._find(piece))


def part(text: NormalizedString, start: int, end: int) -> NormalizedString:
    """Some characters of a text, which know where they stand in it."""
    return cast(NormalizedString, text.slice((start, end)))


class PieceFinder:
    """Finds pieces as sentencepiece itself does; neighbouring characters that have none are one piece.

    Args:
        path: the .model file.

    Raises:
        ImportError, OSError, ValueError: as `sentencepiece.read`.
    """

    def __init__(self, path: Path) -> None:
        charsmap = sentencepiece.read(path).normalizer_spec.precompiled_charsmap
        with as_value_error(f"{path}: no usable model of sentencepiece"):
            from sentencepiece import SentencePieceProcessor

            self._processor = SentencePieceProcessor(model_proto=path.read_bytes())
            self._normalizer = normalizers.Sequence(
                [
                    *([normalizers.Precompiled(charsmap)] if charsmap else []),
                    normalizers.Replace(Regex(r"\A +| +\z"), ""),
                    normalizers.Replace(Regex(" {2,}"), " "),
                    normalizers.Prepend(SPACE),
                    normalizers.Replace(" ", SPACE),
                    normalizers.Replace(Regex(rf"{SPACE}+\z"), ""),
                ]
            )

    def __call__(self, text: NormalizedString) -> list[NormalizedString]:
        pieces = self._processor.encode(text.normalized, out_type=str)
        whole = "".join(pieces)
        self._normalizer.normalize(text)
        if text.normalized != whole:  # for a few accents the libraries read the file's table otherwise
            text.replace(Regex(r"[\s\S]+"), whole)
        ends = list(itertools.accumulate(map(len, pieces)))
        return [part(text, start, end) for start, end in zip([0, *ends], ends, strict=False)]

    def join(self, pieces: list[str]) -> str:
        """The text of pieces; those that the model lacks are left as they are."""
        return self._processor.decode(pieces) if pieces else ""


class MergeFinder:
    """Finds the words of a text, and their pieces as merges make them; which of these have an id counts later.

    Args:
        words: what splits a text into words.
        path: the file of the merges.
        header: its first line says which version this is.
        inside: what is written behind a piece that does not end its word.
        last: what is written behind one that does.

    Raises:
        OSError, ValueError: as `merges.read_merges`.
    """

    def __init__(
        self, words: Callable[[str], list[str]], path: Path, header: bool, inside: str = "", last: str = ""
    ) -> None:
        pairs = merges.read_merges(path, header)
        known = ["", *dict.fromkeys(piece for pair in pairs for piece in (*pair, "".join(pair)))]
        ids = {piece: index for index, piece in enumerate(known)}
        self._words, self._inside, self._last = words, inside, last
        # a character that no merge knows is a piece, too: the empty one is none of a text
        self._bpe = merges.build(ids, pairs, str(path), unk_token="", end_of_word_suffix=merges.END_OF_WORD)

    def __call__(self, text: NormalizedString) -> list[NormalizedString]:
        words = self._words(text.normalized)
        text.replace(Regex(r"[\s\S]+"), " ".join(words))
        found, start = [], 0
        for word in words:
            places = self._bpe.encode(word).offsets
            for first, behind in places:
                piece = part(text, start + first, start + behind)
                piece.append(self._last if behind == len(word) else self._inside)
                found.append(piece)
            start += len(word) + 1
        return found


def joined(pieces: list[str]) -> str:
    """The text of sentencepiece's pieces, where there is no model to ask."""
    return "".join(pieces).lstrip(SPACE)


def of_words(ids: Mapping[str, int], unknown: str) -> tokenizers.Tokenizer:
    """A tokenizer whose words have these ids."""
    return tokenizers.Tokenizer(models.WordLevel(dict(ids), unk_token=unknown))


def read_words(path: Path, unknown: str) -> tokenizers.Tokenizer:
    """A tokenizer whose words are the pieces of a vocab.json.

    Raises:
        OSError, ValueError: as `files.read_ids`; ValueError also if the unknown token is missing.
    """
    ids = files.read_ids(path)
    if unknown not in ids:
        raise ValueError(f"{path}: no piece is the unk_token {unknown!r}: pieces that are missing would have no id")
    return of_words(ids, unknown)


class AddedTokensApart(Tokenizer):
    """A tokenizer in whose decoded texts added tokens stand apart, as the reference's that are written in Python do."""

    def _text_of(self, ids: list[int], skip_special_tokens: bool) -> str:
        size, roles = self._written.get_vocab_size(with_added_tokens=False), set(self._role_texts().values())
        skipped = set(self.all_special_tokens) if skip_special_tokens else set()
        texts: list[str] = []
        found = zip(ids, self.convert_ids_to_tokens(ids), strict=True)
        kept = [(index, token) for index, token in found if token is not None and token not in skipped]
        # tokens that were added behind the vocabulary stand apart, but those that have a role
        for apart, group in itertools.groupby(kept, lambda pair: pair[0] >= size and pair[1] not in roles):
            tokens = [token for _, token in group]
            texts += tokens if apart else [self.convert_tokens_to_string(tokens)]
        return " ".join(filter(None, texts))


class PieceTokenizer(AddedTokensApart):
    """A tokenizer whose pieces are found by one file and looked up in another."""

    keeps_files: ClassVar[bool] = True
    _finders: tuple[Finder, Finder] | None = None
    """What finds the pieces of texts, and those of targets; None: the backend, which is from a tokenizer.json."""
    _target_vocabulary: tokenizers.Tokenizer | None = None
    """The words of targets, where they are not those of texts."""
    _join: Callable[[list[str]], str] = staticmethod(joined)
    """What makes a text of the pieces that a model writes."""

    @property
    def _written(self) -> tokenizers.Tokenizer:
        return self._backend if self._target_vocabulary is None else self._target_vocabulary

    def _text_of(self, ids: list[int], skip_special_tokens: bool) -> str:
        if skip_special_tokens and self._target_vocabulary is not None:
            # A model has one id for both vocabularies: its decoder begins with what is the padding of texts.
            of_texts = set(self.all_special_ids)
            ids = [index for index in ids if index not in of_texts]
        return super()._text_of(ids, skip_special_tokens)

    def _custom_for(self, target: bool) -> Callable[[tokenizers.Tokenizer], None] | None:
        if self._finders is None:
            return super()._custom_for(target)
        splitter = PieceSplitter(self._finders[target])
        if not target or self._target_vocabulary is None:
            return splitter
        words, owner = self._target_vocabulary, type(self).__name__
        rows = post_processor.build(self._templates(), self._role_texts(), words, owner)
        return functools.partial(_set_vocabulary, words, rows, splitter)


def _set_vocabulary(
    words: tokenizers.Tokenizer, rows: processors.PostProcessor, splitter: PieceSplitter, view: tokenizers.Tokenizer
) -> None:
    """Give a view another vocabulary, with what goes with it."""
    view.model = words.model
    view.post_processor = rows
    splitter(view)


def text_of_pieces(
    pieces: Iterable[str], special: Container[str], join: Callable[[list[str]], str], behind: str = ""
) -> str:
    """The text of sentencepiece's pieces and of special tokens.

    Args:
        pieces: tokens.
        special: those that are special.
        join: makes a text of what stands between these.
        behind: what follows each of these.
    """
    text = ""
    for is_special, group in itertools.groupby(pieces, special.__contains__):
        tokens = list(group)
        text += "".join(f"{token}{behind}" for token in tokens) if is_special else join(tokens)
    return text.replace(SPACE, " ").strip()
