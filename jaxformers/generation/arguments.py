"""What a call brings beside prompts and settings, checked, and the session that all of it asks for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax

from . import checks
from .assisted import AssistedSession
from .beams import BeamSession
from .config import GenerationConfig
from .model import LoadedModel
from .plan import Plan
from .session import Listeners, Session
from .stopping import Rule
from .streamers import BaseStreamer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments:
    """Functions and objects of a call of `generate`.

    logits_processor: functions of a `History` and scores [R, V]. stopping_criteria: see `Rule`.
    prefix_allowed_tokens_fn: (row, ids) → allowed ids, or a `TokenTrie`. tokenizer: for stop_strings. streamer: told
    each token of a single row. assistant: gives a faster model that drafts tokens.

    Raises:
        ValueError: what cannot be called; it says which argument, and what is expected.
    """

    logits_processor: Sequence[Callable[..., jax.Array]] | None = None
    stopping_criteria: Sequence[Rule] | None = None
    prefix_allowed_tokens_fn: Any = None
    tokenizer: Any = None
    streamer: BaseStreamer | None = None
    assistant: Callable[[], LoadedModel] | None = None

    def __post_init__(self) -> None:
        checks.functions("logits_processor", self.logits_processor)
        checks.functions("stopping_criteria", self.stopping_criteria)
        checks.streamer(self.streamer)

    def drafts(self, settings: GenerationConfig) -> bool:
        """Whether tokens are drafted and then verified."""
        return self.assistant is not None or settings.prompt_lookup_num_tokens is not None

    def check(self, settings: GenerationConfig, prompts: int = 1) -> None:
        """Refuse ways of writing that do not go together, and several prompts in a call where there can be but one.

        Raises:
            ValueError: it says what to leave out.
        """
        several = settings.num_beams > 1 or settings.num_return_sequences > 1
        if self.assistant is not None and settings.prompt_lookup_num_tokens is not None:
            raise ValueError("assistant_model and prompt_lookup_num_tokens both propose tokens: leave one out")
        if self.drafts(settings) and several:
            raise ValueError("an assistant helps with one row: pass num_beams=1 and num_return_sequences=1")
        if self.streamer is not None and several:
            raise ValueError("a streamer shows one row: pass num_beams=1 and num_return_sequences=1")
        if settings.guided and settings.num_beams > 1:
            raise ValueError("guidance_scale with num_beams > 1 is not implemented: leave one out")
        if self.streamer is not None and prompts > 1:
            raise ValueError(f"a streamer shows one row, and there are {prompts} prompts: pass one")
        if self.drafts(settings) and prompts > 1:
            raise ValueError("assisted decoding writes one row: pass one prompt, and leave num_return_sequences out")

    @property
    def listeners(self) -> Listeners:
        """Those of each prompt."""
        return Listeners(self.streamer, self.tokenizer, self.stopping_criteria)

    def session(self, plan: Plan, model: LoadedModel, width: int, platform: str, **options: Any) -> Session:
        """The session of the kind that settings ask for; arguments as of `Session`.

        Raises:
            ValueError: as `AssistedSession`.
        """
        if plan.settings.num_beams > 1:
            return BeamSession(plan, model, width, platform, **options)
        if self.drafts(plan.settings):
            assistant = None if self.assistant is None else self.assistant()
            return AssistedSession(plan, model, platform, assistant=assistant, **options)
        return Session(plan, model, width, platform, **options)
