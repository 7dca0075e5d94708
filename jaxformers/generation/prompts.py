"""Prompts, and what one must be for a model to write on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from .config import GenerationConfig
from .lengths import check_room
from .model import LoadedModel

_LARGEST = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Prompt:
    """A row to be written on.

    ids: [n] its real tokens, at least one. max_new_tokens: how many it gets at most. seed: the number that its draws go
    by; None: its number in the session. number, padding, pad: as of `History`. negative: [m] what guidance leads away
    from: it stands in the prompt's place. embeds: [e, D] what is read in the place of ids, of which there may be none
    then, or any number: they are what processors see. source: ids [s] or vectors [s, D] that an encoder reads, of a
    model that has one, and source_mask: [s] which of them are no padding, which some encoders count as places; None:
    all. source_beside: by the Hub's keyword what one architecture alone takes of a source, [s] each. encoded: whether
    the source is what the encoder has made, which is not read again.
    """

    ids: np.ndarray
    max_new_tokens: int
    seed: int | None = None
    number: int = 0
    padding: int = 0
    pad: int = 0
    negative: np.ndarray | None = None
    embeds: np.ndarray | None = None
    source: np.ndarray | None = None
    source_mask: np.ndarray | None = None
    source_beside: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    encoded: bool = False

    @property
    def read(self) -> np.ndarray:
        """What of it the model reads: ids [n] or vectors [e, D]."""
        return self.ids if self.embeds is None else self.embeds

    @property
    def offset(self) -> int:
        """How many tokens more than ids have been read with the prompt; below 0 where it is fewer."""
        return len(self.read) - len(self.ids)

    @property
    def extra(self) -> int:
        """How many slots more than its ids it takes, in the cache or in that without the prompt."""
        return max(0, self.offset, 0 if self.negative is None else len(self.negative) - len(self.ids))

    def padded(self, ids: np.ndarray) -> np.ndarray:
        """The row's tokens behind the prompt's padding [T], as the user's functions see them."""
        return np.concatenate([np.full(self.padding, self.pad, np.int32), ids])


def first_tokens(settings: GenerationConfig, config: Any, rows: int) -> np.ndarray:
    """What a decoder beside an encoder reads first [rows, 1]: decoder_start_token_id, else bos_token_id.

    settings: of generation, which go before the model's config.

    Raises:
        ValueError: nobody says one, or several that are not as many as rows.
    """
    said = (settings.decoder_start_token_id, config.decoder_start_token_id, settings.bos_token_id)
    token = next((token for token in said if token is not None), None)
    if token is None:
        raise ValueError("neither decoder_start_token_id nor bos_token_id is set: pass one")
    tokens = np.reshape(np.asarray(token, np.int32), (-1, 1))
    if len(tokens) not in (1, rows):
        raise ValueError(f"decoder_start_token_id={token}: expected one, or one for each of {rows} rows")
    return np.broadcast_to(tokens, (rows, 1))


def checked(prompt: Prompt, model: LoadedModel, seed: int) -> Prompt:
    """The prompt as rows begin with it: its arrays are numpy's, and it has a seed, `seed` unless it says one.

    Raises:
        ValueError: it is none that the model can write on; the message names the field.
    """
    if not isinstance(prompt, Prompt):
        raise ValueError(f"prompt={prompt!r:.60}: expected a Prompt(ids, max_new_tokens)")
    name, vocab = model.cls.__name__, model.config.target_vocab_size
    ids, embeds, negative, source = _ids("ids", prompt.ids, vocab), prompt.embeds, prompt.negative, prompt.source
    if embeds is not None:
        embeds = _vectors("embeds", embeds, model.config.target_width)
    if negative is not None:
        negative = _filled("negative", _ids("negative", negative, vocab))
    if (source is not None) != hasattr(model.cls, "begin"):
        raise ValueError(
            f"{name} has an encoder: a prompt needs a source for it to read"
            if source is None
            else f"{name} has no encoder: a prompt has no source"
        )
    if source is not None:
        vectors, words = np.ndim(source) == 2, model.config.source_vocab_size
        if prompt.encoded and not vectors:
            raise ValueError("Prompt.encoded: expected a source [s, D] that an encoder has made")
        source = _filled("source", _vectors("source", source) if vectors else _ids("source", source, words))
        longest = model.config.longest_row
        if longest is not None and len(source) > longest:
            raise ValueError(f"Prompt.source has {len(source)} tokens, the encoder of {name} has {longest} positions")
    mask = prompt.source_mask
    if mask is not None and (source is None or np.shape(mask) != source.shape[:1] or not np.any(mask)):
        raise ValueError(f"Prompt.source_mask has shape {np.shape(mask)}: expected a flag for each token of the source")
    for word, array in prompt.source_beside.items():
        if word not in model.cls.beside or source is None or np.shape(array) != source.shape[:1]:
            raise ValueError(f"Prompt.source_beside[{word!r}]: expected what {name} takes, a number for each token")
    most = _whole("max_new_tokens", prompt.max_new_tokens, 0)
    read = len(ids if embeds is None else embeds)
    if min(read, most) < 1:
        raise ValueError(f"a prompt of {read} tokens and {most} new ones: expected one of each at least")
    for tokens in (read, 0 if negative is None else len(negative)):
        check_room(model.config, tokens, most)
    return dataclasses.replace(
        prompt,
        ids=ids,
        max_new_tokens=_whole("max_new_tokens", most, 1, _LARGEST - max(read, len(ids))),
        seed=seed if prompt.seed is None else _whole("seed", prompt.seed, -_LARGEST),
        number=_whole("number", prompt.number, 0),
        padding=_whole("padding", prompt.padding, 0),
        pad=_whole("pad", prompt.pad, -_LARGEST),
        negative=negative,
        embeds=embeds,
        source=source,
    )


def _whole(name: str, value: Any, low: int, high: int = _LARGEST) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise ValueError(f"Prompt.{name}={value!r:.60}: expected a whole number from {low} to {high}")
    return int(value)


def _ids(name: str, ids: Any, vocab: int) -> np.ndarray:
    """Ids int32 [n], of which there may be none."""
    found = _array(name, ids)
    if found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise ValueError(f"Prompt.{name}: expected ids [n] of one row, whole numbers, found {_said(found)}")
    if len(strange := found[(found < 0) | (found >= vocab)]):
        raise ValueError(f"Prompt.{name} has {strange[0]}, allowed are 0 to {vocab - 1}")
    return found.astype(np.int32)


def _vectors(name: str, vectors: Any, width: int | None = None) -> np.ndarray:
    """Vectors [n, D]; width: what D must be, where that is known."""
    found = _array(name, vectors)
    fits = found.ndim == 2 and width in (None, found.shape[-1])
    if not fits or not jnp.issubdtype(found.dtype, jnp.floating):
        axes = f"[n, {width or 'D'}]"
        raise ValueError(f"Prompt.{name}: expected vectors {axes} of one row, floats, found {_said(found)}")
    return found


def _array(name: str, values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except (TypeError, ValueError):  # rows of several lengths
        raise ValueError(f"Prompt.{name}={values!r:.60}: expected an array") from None


def _filled(name: str, tokens: np.ndarray) -> np.ndarray:
    if not len(tokens):
        raise ValueError(f"Prompt.{name} is empty: expected one token at least, or None")
    return tokens


def _said(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"
