"""Token classification: a label for each token, and the entities that neighbouring tokens make (NER)."""

from __future__ import annotations

import dataclasses
import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ..config import Config
from ..layers.inputs import Inputs
from ..tokenizers import Tokenizer
from . import text
from .task import Extra, Forward, Row, Task

_STRATEGIES = ("none", "simple", "first", "average", "max")
_BY_WORD = ("first", "average", "max")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What users may say.

    aggregation_strategy: "none": an answer for each token; "simple": neighbours with the same tag are one entity;
        "first", "average", "max": the tokens of a word first agree on its first token's label, on that of their mean
        scores, or on the surest one's. Words are the tokenizer's, or where it marks none, stand between white space.
    ignore_labels: labels that are left out, and of entities their kinds, as "LOC" for "B-LOC"; None: "O" alone.
    stride: read long texts in windows that share so many tokens; None: cut them.
    is_split_into_words, delimiter: texts are lists of words; places are given in the words joined by the delimiter.
    grouped_entities, ignore_subwords: the older spelling of "simple" and, both together, "first".
    """

    aggregation_strategy: str | None = None
    ignore_labels: Sequence[str] | None = None
    stride: int | None = None
    is_split_into_words: bool = False
    delimiter: str | None = None
    grouped_entities: bool | None = None
    ignore_subwords: bool | None = None

    def __post_init__(self) -> None:
        if self.grouped_entities is not None or self.ignore_subwords is not None:
            meant = ("first" if self.ignore_subwords else "simple") if self.grouped_entities else "none"
            warnings.warn(f"this is now called aggregation_strategy={meant!r}", FutureWarning, stacklevel=3)
            for name, value in (("aggregation_strategy", meant), ("grouped_entities", None), ("ignore_subwords", None)):
                object.__setattr__(self, name, value)
        if self.strategy not in _STRATEGIES:
            raise KeyError(f"aggregation_strategy={self.aggregation_strategy!r}: one of {', '.join(_STRATEGIES)}")
        if isinstance(self.ignored, str) or not all(isinstance(label, str) for label in self.ignored):
            raise ValueError(f"ignore_labels={self.ignore_labels!r}: expected a list of labels")
        if not isinstance(self.delimiter, str | None):
            raise ValueError(f"delimiter={self.delimiter!r}: expected a string")
        if self.stride is not None:
            if not isinstance(self.stride, int) or self.stride < 0:
                raise ValueError(f"stride={self.stride!r}: expected a whole number, 0 or more")
            if self.strategy == "none":
                raise ValueError("stride= reads overlapping windows: choose an aggregation_strategy to join them")

    @property
    def ignored(self) -> Sequence[str]:
        """The labels that are left out."""
        return ("O",) if self.ignore_labels is None else self.ignore_labels

    @property
    def strategy(self) -> str:
        """The strategy by its plain name."""
        return str(self.aggregation_strategy or "none").lower()


class Measured(dict[str, Any]):
    """A text whose tokens' places the caller has given."""


@dataclasses.dataclass(frozen=True)
class About:
    """Of a row: the text, each token's string and place in it, the word that the tokenizer counts it to, which tokens
    are special, and the tokenizer. counted: whether these are the words that labels are for.
    """

    text: str
    tokens: Sequence[str]
    places: Sequence[tuple[int, int]]
    words: Sequence[int | None]
    special: Sequence[int]
    tokenizer: Tokenizer
    counted: bool

    def is_blank(self, token: str, piece: str) -> bool:
        """Whether a token, or the piece of text that it stands for, is white space and nothing else."""
        shown = self.tokenizer.convert_tokens_to_string([token])
        return piece.isspace() or not shown.replace("\u2581", " ").strip()


def read(given: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The texts; one list of words is wrapped, and places that the caller gives go with their texts."""
    if not given or (isinstance(given[0], list | tuple) and not given[0]):
        raise ValueError("At least one input is required.")
    texts = given[0] if len(given) == 1 else list(given)
    options = dict(options)
    places = options.pop("offset_mapping", None)
    if options.get("is_split_into_words"):
        texts = texts.tolist() if isinstance(texts, np.ndarray) else texts
        if isinstance(texts, list | tuple):
            texts = list(texts) if all(isinstance(words, list | tuple) for words in texts) else [list(texts)]
    if places is None:
        return texts, options
    if isinstance(texts, str):
        return Measured(text=texts, places=places if _are_places(places) else _one_of(places)), options
    listed = isinstance(texts, list | tuple) and isinstance(places, list | tuple) and len(places) == len(texts)
    if not listed or not all(map(_are_places, places)):
        raise ValueError("offset_mapping needs one list of (start, end) for each text of a list")
    return [Measured(text=text, places=own) for text, own in zip(texts, places, strict=True)], options


def _are_places(places: Any) -> bool:
    """Whether these are the places of one text's tokens."""
    return isinstance(places, list | tuple) and all(
        isinstance(place, list | tuple) and len(place) == 2 and all(isinstance(end, int) for end in place)
        for place in places
    )


def _one_of(places: Any) -> Any:
    """The places of one text, which may stand in a list of their own."""
    if isinstance(places, list | tuple) and len(places) == 1 and _are_places(places[0]):
        return places[0]
    raise ValueError(f"offset_mapping={places!r:.60}: expected a list of (start, end), one for each token")


def rows(items: Sequence[Any], tokenizer: Tokenizer, options: Options, longest: int) -> list[list[Row]]:
    """A row a text, or with a stride a row a window."""
    split = options.is_split_into_words
    given = [item["text"] if isinstance(item, Measured) else item for item in items]
    for one in given:
        if split and not (isinstance(one, list | tuple) and all(isinstance(word, str) for word in one)):
            raise ValueError(f"with is_split_into_words=True a text is a list of words; found {one!r:.60}")
        if not split and not isinstance(one, str):
            raise ValueError(f"token-classification takes texts; found {type(one).__name__}")
    size = text.limit(tokenizer, longest)
    if options.stride is not None and options.stride >= size:
        raise ValueError(f"stride={options.stride} must be less than the {size} tokens of a window")
    encoded = tokenizer(
        [list(one) if split else str(one) for one in given],
        truncation=True,
        max_length=size,
        return_special_tokens_mask=True,
        return_offsets_mapping=True,
        is_split_into_words=split,
        return_overflowing_tokens=options.stride is not None,
        stride=options.stride or 0,
        verbose=False,
    )
    whose = encoded.get("overflow_to_sample_mapping", range(len(given)))
    delimiter = " " if options.delimiter is None else options.delimiter
    counted = split or bool(getattr(tokenizer.backend_tokenizer.model, "continuing_subword_prefix", None))
    out: list[list[Row]] = [[] for _ in items]
    for i, (owner, fields) in enumerate(zip(whose, text.fields(encoded), strict=True)):
        source, places, words = given[owner], encoded["offset_mapping"][i], encoded.word_ids(i)
        if split:
            starts = np.cumsum([0, *(len(word) + len(delimiter) for word in source)])
            places = [
                (start, end) if word is None else (int(starts[word]) + start, int(starts[word]) + end)
                for (start, end), word in zip(places, words, strict=True)
            ]
            source = delimiter.join(source)
        if isinstance(items[owner], Measured):
            places = items[owner]["places"]
            if len(places) != len(encoded["input_ids"][i]):
                raise ValueError(f"offset_mapping has {len(places)} places, the text {len(encoded['input_ids'][i])}")
        special = encoded["special_tokens_mask"][i]
        about = About(source, encoded.tokens(i), places, words, special, tokenizer, counted)
        out[owner].append(Row(fields, about=about))
    return out


def compute(forward: Forward, inputs: Inputs, extra: Extra) -> jax.Array:
    """The probability of each label for each token [B, T, num_labels]."""
    return jax.nn.softmax(forward(inputs)["logits"].astype("float32"), axis=-1)


def answer(item: Any, results: Sequence[tuple[Row, np.ndarray]], options: Options, config: Config) -> Any:
    """A list of tokens or entities, in the order of the text."""
    found: list[dict[str, Any]] = []
    for row, scores in results:
        tokens = _tokens(row, scores)
        labelled = _words(tokens, options.strategy, row.about) if options.strategy in _BY_WORD else map(_own, tokens)
        named = [{"entity": config.id2label[token.pop("label")], **token} for token in labelled]
        if options.strategy == "none":
            found += [one for one in named if one["entity"] not in options.ignored]
            continue
        groups = [(group[0]["entity"], _entity(group, options.strategy, row.about)) for group in _groups(named)]
        found += [one for label, one in groups if not _is_ignored(label, one["entity_group"], options, config)]
    return _without_overlaps(found) if len(results) > 1 else found


def _tokens(row: Row, scores: np.ndarray) -> list[dict[str, Any]]:
    """The row's own tokens, each with its scores; of an unknown one the word is what stands in the text."""
    about: About = row.about
    unknown = about.tokenizer.unk_token_id
    tokens = []
    for i in range(len(row)):
        if about.special[i]:
            continue
        start, end = about.places[i]
        word = about.text[start:end] if row.fields["input_ids"][i] == unknown else about.tokens[i]
        tokens.append({"scores": scores[i], "index": i, "word": word, "start": start, "end": end})
    return tokens


def _own(token: dict[str, Any]) -> dict[str, Any]:
    """A token under its own best label."""
    scores = token["scores"]
    label = int(scores.argmax())
    rest = {name: token[name] for name in ("index", "word", "start", "end")}
    return {"label": label, "score": float(scores[label]), **rest}


def _by_word(tokens: Sequence[dict[str, Any]], about: About) -> list[list[dict[str, Any]]]:
    """The tokens of each word.

    Words are those that the tokenizer counts, or where it marks none, what stands between white space. Tokens that are
    white space alone are no words: where the tokenizer begins a word with them they belong to it, else to none.
    """
    groups: list[list[dict[str, Any]]] = []
    blank: list[dict[str, Any]] = []  # those since the last token that is not
    last, reached = None, 0  # the number of that one's word, and where it ends
    for token in tokens:
        word, piece = about.words[token["index"]], about.text[token["start"] : token["end"]]
        if about.is_blank(token["word"], piece):
            blank.append(token)
            continue
        begins = token["start"] + len(piece) - len(piece.lstrip())
        apart = any(map(str.isspace, about.text[reached:begins]))
        if not groups or (word != last if about.counted else apart):
            groups.append([one for one in blank if about.words[one["index"]] == word != last] + [token])
        else:
            groups[-1] += [*blank, token]
        blank, last, reached = [], word, token["start"] + len(piece.rstrip())
    return groups


def _words(tokens: Sequence[dict[str, Any]], strategy: str, about: About) -> list[dict[str, Any]]:
    """The words that tokens make, each under one label."""
    words = []
    for group in _by_word(tokens, about):
        if strategy == "first":
            scores = group[0]["scores"]
        elif strategy == "max":
            scores = max(group, key=lambda token: token["scores"].max())["scores"]
        else:
            scores = np.nanmean([token["scores"] for token in group], axis=0)
        label = int(scores.argmax())
        word = about.tokenizer.convert_tokens_to_string([token["word"] for token in group])
        place = {"start": group[0]["start"], "end": group[-1]["end"]}
        words.append({"label": label, "score": float(scores[label]), "word": word, **place})
    return words


def _groups(named: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Neighbours with the same tag, which are one entity; "B-" begins a new one, and "O" is another tag than "I-O"."""
    groups: list[list[dict[str, Any]]] = []
    before: Any = None
    for one in named:
        label = one["entity"]
        marked = label.startswith(("B-", "I-"))
        name = label[2:] if marked else label
        tag = (marked, name) if name == "O" else name
        if tag == before and not label.startswith("B-"):
            groups[-1].append(one)
        else:
            groups.append([one])
        before = tag
    return groups


def _entity(group: Sequence[dict[str, Any]], strategy: str, about: About) -> dict[str, Any]:
    """What users see of tokens or words that are one entity."""
    texts = [one["word"] for one in group]
    whole = strategy in _BY_WORD and not about.counted
    return {
        "entity_group": group[0]["entity"].split("-", 1)[-1],
        "score": float(np.nanmean([one["score"] for one in group])),
        "word": _spaced(group, about.text) if whole else about.tokenizer.convert_tokens_to_string(texts),
        "start": group[0]["start"],
        "end": group[-1]["end"],
    }


def _spaced(words: Sequence[dict[str, Any]], text: str) -> str:
    """Words side by side, with the white space that stands between them in the text."""
    whole: str = words[0]["word"]
    for before, one in itertools.pairwise(words):
        piece = text[one["start"] : one["end"]]
        reached = before["start"] + len(text[before["start"] : before["end"]].rstrip())
        space = text[reached : one["start"] + len(piece) - len(piece.lstrip())]
        whole = f"{whole.rstrip()}{space}{one['word'].lstrip()}"
    return whole


def _is_ignored(label: str, kind: str, options: Options, config: Config) -> bool:
    """Whether entities of a kind are left out. What is a label of the model means this one: "O" is no kind of "B-O"."""
    return kind in options.ignored and (kind == label or kind not in config.label2id)


def _without_overlaps(found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The entities of all windows by their start; of overlapping ones the longer, on a tie the surer."""
    kept: list[dict[str, Any]] = []
    for one in sorted(found, key=lambda one: one["start"]):
        if kept and kept[-1]["start"] <= one["start"] < kept[-1]["end"]:
            before = kept[-1]
            if (one["end"] - one["start"], one["score"]) > (before["end"] - before["start"], before["score"]):
                kept[-1] = one
        else:
            kept.append(one)
    return kept


TASK = Task("token-classification", "TokenClassification", Options, rows, compute, answer, read=read, packs=True)
