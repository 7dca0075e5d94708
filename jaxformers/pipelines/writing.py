"""Prompts to what a model writes on them, through sessions: many through few rows, or each by itself.

No prompt is padded to the length of another, and draws go by the seed of a prompt, so that what is written on one
depends on nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from ..generation import Arguments, Completion, End, GenerationConfig, LoadedModel, Plan, Prompt, Session
from ..parallel import explicit
from .engine import Engine
from .writing_options import WritingOptions

_CPU_ROWS, _ACCELERATOR_ROWS = 32, 64


class Completed(NamedTuple):
    """What came of a prompt: the new tokens [m] with the one that ended them, and what else was asked for, by name."""

    tokens: Any
    outputs: Mapping[str, Any]

    @property
    def plain(self) -> dict[str, Any]:
        """What else was asked for, as Python's lists and numbers."""
        return {name: value.tolist() for name, value in self.outputs.items()}


def written(
    engine: Engine, prompts: Sequence[Prompt], options: WritingOptions
) -> Iterator[tuple[int, list[Completed]]]:
    """The place of each prompt, with what is written on it, as the options say; raises as `completed`."""
    model, assistant = engine.model, options.assistant_model
    arguments = Arguments(
        logits_processor=options.logits_processor,
        stopping_criteria=options.stopping_criteria,
        prefix_allowed_tokens_fn=options.prefix_allowed_tokens_fn,
        tokenizer=engine.tokenizer if options.tokenizer is None else options.tokenizer,
        streamer=options.streamer,
        assistant=None if assistant is None else model.helped_by(assistant),
    )
    return completed(
        options.written_by,
        arguments,
        LoadedModel(type(model), engine.params, model.config.bare()),
        prompts,
        key=explicit.to_automatic(options.key),
        platform=engine.platform,
        most_rows=engine.most_rows,
    )


def completed(
    settings: GenerationConfig,
    arguments: Arguments,
    model: LoadedModel,
    prompts: Sequence[Prompt],
    *,
    key: jax.Array | None,
    platform: str,
    most_rows: int | None = None,
) -> Iterator[tuple[int, list[Completed]]]:
    """The place of each prompt, with its num_return_sequences, as they are ready.

    Args:
        settings: merged and checked.
        arguments: of the call.
        model: what writes.
        prompts: each with a seed of its own.
        key: what draws go by.
        platform: of the model's device.
        most_rows: how many rows are written at a time; None: as many as is fast.

    Raises:
        ValueError: settings that do not go together, or do not fit the model.
    """
    arguments.check(settings)
    for name in ("output_attentions", "output_hidden_states"):
        if getattr(settings, name):
            raise ValueError(f"{name}: answers of pipelines have no place for it; call model.generate")
    copies = 1 if settings.num_beams > 1 else settings.num_return_sequences
    each = settings if copies == 1 else settings.replace(num_return_sequences=1)
    plan = Plan.of(each, model.config.target_vocab_size, arguments.logits_processor, arguments.prefix_allowed_tokens_fn)
    kept = bool(settings.return_dict_in_generate)
    alone = (  # watched, timed, traced or helped
        kept or arguments.streamer is not None or settings.max_time is not None or arguments.drafts(settings)
    )
    places = range(len(prompts))
    groups = [[place] for place in places] if alone else [sorted(places, key=lambda i: _length(prompts[i]))]
    usual = _CPU_ROWS if platform == "cpu" else _ACCELERATOR_ROWS
    usual *= 2 if settings.num_beams > 1 else 1  # groups of beams end together, and stay as wide as they begin
    width = min(most_rows or usual, usual)
    for group in groups:
        session = arguments.session(
            plan, model, copies * settings.num_beams if alone else width, platform, key=key, keep=kept
        )
        rows = [(place, copy) for place in group for copy in range(copies)]
        for place, copy in rows:
            own = prompts[place]
            prompt = dataclasses.replace(own, seed=(own.seed or 0) * copies + copy, number=copy)
            session.submit(prompt, listeners=arguments.listeners)
        found: dict[int, dict[int, Sequence[Completion]]] = {place: {} for place in group}
        while session.busy:
            for end in session.step():
                if not isinstance(end, End):
                    continue
                place, copy = rows[end.id]
                found[place][copy] = end.completions
                if len(found[place]) == copies:
                    yield place, _listed(session, found[place], kept)


def _length(prompt: Prompt) -> int:
    """How many tokens are read."""
    return len(prompt.ids if prompt.source is None else prompt.source)


def _listed(session: Session, found: Mapping[int, Sequence[Completion]], kept: bool) -> list[Completed]:
    """What was written on a prompt, of which each copy has a row."""
    each = [(row, one) for row, several in sorted(found.items()) for one in several]
    return [Completed(one.tokens, _outputs(session, row, one) if kept else {}) for row, one in each]


def _outputs(session: Session, row: int, one: Completion) -> dict[str, Any]:
    """What an output has beside the tokens of a row, or of one of its beams, by the names that it has there."""
    steps = {name: kept for name in ("scores", "logits") if (kept := session.kept(name)) is not None}
    if one.score is None:
        return {name: kept[: len(one.tokens), row] for name, kept in steps.items()}
    return {"sequences_scores": one.score, "beam_indices": one.parents, **steps}
