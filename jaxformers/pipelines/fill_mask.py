"""Fill-mask: which words may stand where a text has a mask. Only scores at masks leave the device."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..config import Config
from ..layers.inputs import Inputs
from ..tokenizers import Tokenizer
from . import shapes, text
from .task import Extra, Forward, Row, Task, one_or_several

logger = logging.getLogger(__name__)


class PipelineException(ValueError):
    """A text that a pipeline cannot work on; the name is torch Transformers'."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What users may say.

    top_k: how many words for each mask, best first.
    targets: only these words; what the vocabulary lacks stands for its first token.
    tokenizer_kwargs: settings for the tokenizer.
    """

    top_k: int | None = 5
    targets: str | Sequence[str] | None = None
    tokenizer_kwargs: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.top_k is not None and (not isinstance(self.top_k, int) or self.top_k < 1):
            raise ValueError(f"top_k={self.top_k!r}: how many words, 1 or more")
        if not isinstance(self.targets, str | list | tuple | None):
            raise ValueError(f"targets={self.targets!r}: expected a word or a list of words")
        if self.targets is not None and not self.words:
            raise ValueError("targets= is empty: at least one word, or leave it out")
        text.settings(self.tokenizer_kwargs, "tokenizer_kwargs")

    @property
    def words(self) -> list[str]:
        """The targets one by one."""
        return [self.targets] if isinstance(self.targets, str) else list(self.targets or ())

    @property
    def most(self) -> int:
        """How many words for each mask."""
        return 5 if self.top_k is None else self.top_k


@dataclasses.dataclass(frozen=True)
class About:
    """Of a row: where its masks are, the ids of the targets, and the tokenizer."""

    masks: Sequence[int]
    targets: Sequence[int]
    tokenizer: Tokenizer


def read(given: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The texts; a list of one is that one."""
    texts, options = one_or_several(given, options)
    if isinstance(texts, list | tuple) and len(texts) == 1:
        texts = texts[0]
    return texts, options


def rows(items: Sequence[Any], tokenizer: Tokenizer, options: Options, longest: int) -> list[list[Row]]:
    """A row a text."""
    if tokenizer.mask_token_id is None:
        raise PipelineException("the tokenizer has no mask token: this model was not trained to fill masks")
    for item in items:
        if not isinstance(item, str):
            raise ValueError(f"fill-mask takes texts; found {type(item).__name__}")
    settings = text.settings(options.tokenizer_kwargs, "tokenizer_kwargs")
    targets = _ids(options.words, tokenizer)
    out = []
    for (row,) in text.rows(items, tokenizer, TASK.name, settings, longest):
        masked = [int(token == tokenizer.mask_token_id) for token in row.fields["input_ids"]]
        if not any(masked):
            raise PipelineException(f"No mask_token ({tokenizer.mask_token}) found on the input")
        about = About([i for i, mask in enumerate(masked) if mask], targets, tokenizer)
        out.append([Row(row.fields, {"masked": masked}, about, asked=targets)])
    return out


def _ids(words: Sequence[str], tokenizer: Tokenizer) -> list[int]:
    """The targets as tokens, each once."""
    vocabulary = tokenizer.get_vocab() if words else {}
    ids = []
    for word in words:
        if not isinstance(word, str):
            raise ValueError(f"targets= has {word!r}: expected words")
        if word in vocabulary:
            ids.append(vocabulary[word])
            continue
        pieces = tokenizer(word, add_special_tokens=False, verbose=False)["input_ids"]
        if pieces:
            token = tokenizer.convert_ids_to_tokens(pieces[0])
            logger.warning("target %r is not in the vocabulary: %r stands for it", word, token)
            ids.append(pieces[0])
    if words and not ids:
        raise ValueError("At least one target must be provided when passed: none of these is in the vocabulary")
    return list(dict.fromkeys(ids))


def compute(forward: Forward, inputs: Inputs, extra: Extra, places: int, count: int) -> Any:
    """Words at the first masks of each row.

    extra: "masked" [B, T]. places: masks a row, at most. count: words a mask; 0: all, in their order.

    Returns probabilities [B, places, count] and, where they are not all, the words [B, places, count].
    """
    where = jax.lax.top_k(extra["masked"], min(places, extra["masked"].shape[1]))[1]
    logits = jnp.take_along_axis(forward(inputs)["logits"].astype("float32"), where[:, :, None], axis=1)
    chances = jax.nn.softmax(logits, axis=-1)
    if count == 0:
        return {"score": chances}
    score, word = jax.lax.top_k(chances, min(count, chances.shape[-1]))
    return {"score": score, "word": word}


def static(options: Options, rows: Sequence[Row]) -> tuple[int, int]:
    """How many masks and words are looked at, in steps, so that few programs serve all values."""
    masks = max(len(row.about.masks) for row in rows)
    words = 0 if options.targets is not None else shapes.rounded_up(options.most, first=8, factor=4)
    return shapes.rounded_up(masks, first=1, factor=4), words


def answer(item: Any, results: Sequence[tuple[Row, Any]], options: Options, config: Config) -> Any:
    """Of one mask a list of `{score, token, token_str, sequence}`, of several a list of such lists."""
    ((row, found),) = results
    about: About = row.about
    ids = list(row.fields["input_ids"])
    alone = len(about.masks) == 1
    answers = []
    for n, place in enumerate(about.masks):
        if options.targets is None:
            scores, words = found["score"][n], found["word"][n]
        else:
            words = np.array(about.targets)
            order = np.argsort(-found["score"][n][words], kind="stable")
            words = words[order]
            scores = found["score"][n][words]
        listed = []
        for score, word in zip(scores[: options.most], words[: options.most].tolist(), strict=True):
            filled = [*ids[:place], word, *ids[place + 1 :]]
            kept = [token for token in filled if token != about.tokenizer.pad_token_id]
            sequence = about.tokenizer.decode(kept, skip_special_tokens=alone)
            token_str = about.tokenizer.decode([word])
            listed.append({"score": float(score), "token": word, "token_str": token_str, "sequence": sequence})
        answers.append(listed)
    return answers[0] if alone else answers


def shorter(options: Options, longest: int) -> str:
    """What to do about a text that is too long."""
    return f"pass tokenizer_kwargs={{'truncation': True, 'max_length': {longest}}}"


def asked(options: Options) -> int | None:
    """The tokens of a text, where the caller says so."""
    return (options.tokenizer_kwargs or {}).get("max_length")


TASK = Task(
    "fill-mask", "MaskedLM", Options, rows, compute, answer, static=static, read=read, shorter=shorter, asked=asked
)
