"""How many tokens a prompt may get: by what settings say, and by what the model has room for."""

from __future__ import annotations

import logging

from ..config import Config
from .config import SETTINGS, GenerationConfig

logger = logging.getLogger(__name__)


def new_tokens(settings: GenerationConfig, width: int) -> int:
    """How many new tokens settings ask for behind `width` of a prompt.

    Raises:
        ValueError: max_length leaves no room.
    """
    if settings.max_new_tokens is not None:
        return settings.max_new_tokens
    if not settings.has_length:
        return settings.max_length  # nobody says how many: 20 new tokens, not 20 with the prompt
    if width >= settings.max_length:
        raise ValueError(
            f"max_length={settings.max_length} leaves no room behind a prompt of {width} tokens: pass max_new_tokens"
        )
    return settings.max_length - width


def beside_vectors(settings: GenerationConfig, width: int, wide: int) -> tuple[GenerationConfig, int]:
    """The settings where `wide` vectors are read in the place of `width` ids, and how many tokens of a prompt their
    lengths count: vectors too where these are not as many as the ids, as in torch Transformers 4.57.
    """
    sources = ("encoder_repetition_penalty", "encoder_no_repeat_ngram_size")
    if idle := [name for name in sources if getattr(settings, name) not in (None, SETTINGS[name].default)]:
        logger.warning("no effect: %s: vectors are read in the place of ids", ", ".join(idle))
    settings = settings.replace(**dict.fromkeys(idle))
    if width == wide:
        return settings, width
    short = max(0, (settings.min_length or 0) - wide)
    return settings.replace(min_length=short, max_length=settings.max_length), width + wide


def fitted(settings: GenerationConfig, model: Config, prompt: int, most: int) -> int:
    """How many tokens a prompt of so many may get, `most` at most. What is not said ends where positions do, and also
    where no more is promised; what is said ends with the positions alone.

    Raises:
        ValueError: there is no room.
    """
    positions, promised = model.longest_target, model.promised_row
    if not settings.has_length and (positions is None or prompt < positions):
        if promised is not None and prompt >= promised:
            raise ValueError(
                f"a prompt of {prompt} tokens leaves nothing of the {promised} that the config promises: "
                "pass max_new_tokens to go on"
            )
        most = min([most, *(places - prompt for places in (positions, promised) if places is not None)])
    check_room(model, prompt, most)
    return most


def check_room(model: Config, prompt: int, most: int) -> None:
    """Refuse a prompt of so many tokens that gets `most` more than the model has positions for.

    Raises:
        ValueError: it says how many it may get.
    """
    positions = model.longest_target
    if positions is not None and prompt >= positions:
        raise ValueError(
            f"a prompt of {prompt} tokens leaves no room: the model has {positions} positions; pass a shorter one"
        )
    if positions is not None and prompt + most > positions:
        raise ValueError(
            f"a prompt of {prompt} tokens and {most} new ones are more than the model's {positions} positions: "
            f"pass max_new_tokens={positions - prompt} or a shorter prompt"
        )
    model.warn_of_row(prompt + most)
