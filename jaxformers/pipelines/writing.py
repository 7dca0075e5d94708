"""Prompts to what a model writes on them: many through few rows, groups by beams, or each by itself.

No prompt is padded to the length of another, and draws go by the number of a prompt, so that what is written on one
depends on nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ..generation import GenerationConfig, TokenTrie, Voice, beams
from ..generation.assisted import assisted
from ..generation.flow import Memory, Task, Watch, flow
from ..generation.generate import check_functions, check_ways, stops_of, task_of
from ..generation.rows import Kept, Prompt

_NOTHING = -1  # stands behind the end of rows: no token
_CPU_ROWS, _ACCELERATOR_ROWS = 32, 64


@dataclasses.dataclass(frozen=True)
class Job:
    """A prompt: ids [n], at least one; how many tokens it gets at most; its number among all prompts."""

    ids: np.ndarray
    most: int
    number: int


class Written(NamedTuple):
    """What came of a prompt: the new tokens [m] with the one that ended them, and what else was asked for, by name."""

    tokens: np.ndarray
    beside: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Way:
    """How prompts are written on.

    config: the settings, merged and checked. tokenizer: for stop texts. key: what draws go by. processors, rules,
    prefix: the caller's functions, as `generate` takes them. streamer: told each token. assistant: proposes tokens.
    negative: [m] what guidance leads away from; None: each prompt's last token.
    """

    config: GenerationConfig
    tokenizer: Any
    key: jax.Array | None = None
    processors: Sequence[Callable[..., Any]] = ()
    rules: Sequence[Callable[..., Any]] = ()
    prefix: Any = None
    streamer: Any = None
    assistant: Voice | None = None
    negative: np.ndarray | None = None

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            ValueError: it says what to leave out.
        """
        check_ways(self.config, assistant=self.assistant is not None, streamer=self.streamer is not None)
        check_functions(self.processors, self.rules, self.streamer)
        if self.negative is not None and not self.guided:
            raise ValueError("negative_prompt_ids without guidance_scale has no effect: pass both, or neither")
        for name in ("output_attentions", "output_hidden_states"):
            if getattr(self.config, name):
                raise ValueError(f"{name}: answers of pipelines have no place for it; call model.generate")

    @property
    def drafts(self) -> bool:
        """Whether tokens are proposed and then judged."""
        return self.assistant is not None or self.config.prompt_lookup_num_tokens is not None

    @property
    def guided(self) -> bool:
        """Whether the model is also asked without the prompt."""
        return self.config.guided

    @property
    def alone(self) -> bool:
        """Whether each prompt is written on by itself: it is watched, timed, traced, or helped."""
        c = self.config
        host = self.prefix is not None and not isinstance(self.prefix, TokenTrie)
        return (
            host
            or self.drafts
            or self.streamer is not None
            or c.max_time is not None
            or bool(c.return_dict_in_generate)
        )

    def prompts(self, job: Job) -> list[Prompt]:
        """The rows of a job: one, or with several results of sampling that many."""
        copies = 1 if self.config.num_beams > 1 else self.config.num_return_sequences
        without = None
        if self.guided:
            without = job.ids[-1:] if self.negative is None else self.negative
        return [Prompt(job.ids, job.most, job.number * copies + copy, copy, without=without) for copy in range(copies)]


def written(
    voice: Voice, way: Way, jobs: Sequence[Job], *, platform: str, most_rows: int | None = None
) -> Iterator[tuple[int, list[Written]]]:
    """The place of each job, with what came of it, as they are ready.

    Args:
        voice: the model.
        way: how.
        jobs: the prompts.
        platform: of the model's device.
        most_rows: how many rows are written at a time; None: as many as is fast.

    Raises:
        ValueError: settings that do not go together, or do not fit the model.
    """
    way.check()
    width = min(most_rows or 1 << 20, _CPU_ROWS if platform == "cpu" else _ACCELERATOR_ROWS)
    task = task_of(
        way.config, vocab=voice.config.vocab_size, pad=_NOTHING, key=way.key, custom=way.processors, prefix=way.prefix
    )
    places = range(len(jobs)) if way.alone else sorted(range(len(jobs)), key=lambda i: len(jobs[i].ids))
    if way.config.num_beams > 1:
        size = 1 if way.alone else max(1, width // way.config.num_beams)
        for start in range(0, len(places), size):
            group = places[start : start + size]
            best = _searched(voice, task, way, [jobs[place] for place in group], platform)
            yield from zip(group, best, strict=True)
    elif way.alone:
        for place in places:
            ((_, found),) = _flowing(voice, task, way, [jobs[place]], way.config.num_return_sequences, platform)
            yield place, found
    else:
        for number, found in _flowing(voice, task, way, [jobs[place] for place in places], width, platform):
            yield places[number], found


def _flowing(
    voice: Voice, task: Task, way: Way, jobs: Sequence[Job], width: int, platform: str
) -> Iterator[tuple[int, list[Written]]]:
    """Each job as its last row ends."""
    rows = [(number, prompt) for number, job in enumerate(jobs) for prompt in way.prompts(job)]
    prompts = [prompt for _, prompt in rows]
    copies = len(rows) // len(jobs) if jobs else 0
    found: list[list[np.ndarray | None]] = [[None] * copies for _ in jobs]
    memory = Memory() if task.scores or task.logits else None
    stops = stops_of(way.config, way.tokenizer, way.rules)
    on_token = None
    if way.streamer is not None:
        way.streamer.put(prompts[0].ids)
        on_token = lambda token: way.streamer.put(np.array([token]))  # noqa: E731

    if way.drafts:
        ended = iter([(0, assisted(voice, task, way.config, prompts, way.assistant, platform, stops, on_token))])
    else:
        watch = Watch(stops, on_token, memory)
        ended = flow(voice, task, prompts, width=width, platform=platform, watch=watch)
    for row, tokens in ended:
        number, copy = row // copies, row % copies
        found[number][copy] = tokens
        whole = [own for own in found[number] if own is not None]
        if len(whole) == copies:
            yield number, [Written(own, _beside(memory, place, len(own))) for place, own in enumerate(whole)]
    if way.streamer is not None:
        way.streamer.end()


def _beside(memory: Memory | None, row: int, length: int) -> dict[str, Any]:
    """Scores of each step [steps, V] of one row, by the names that they have in an output."""
    steps = {} if memory is None else {name: memory.steps(name) for name in Kept._fields}
    return {name: kept[:length, row] for name, kept in steps.items() if kept is not None}


def _searched(voice: Voice, task: Task, way: Way, jobs: Sequence[Job], platform: str) -> list[list[Written]]:
    """The best beams of each job."""
    prompts = [prompt for job in jobs for prompt in way.prompts(job)]
    stops = stops_of(way.config, way.tokenizer, way.rules)
    nothing = np.zeros((len(jobs), 0), np.int32)
    out = beams.generate(voice, task, way.config, prompts, ids=nothing, platform=platform, stops=stops, trace=None)
    asked = way.config.return_dict_in_generate
    rows = np.asarray(out.sequences if asked else out)
    rows = rows.reshape(len(jobs), way.config.num_return_sequences, -1)
    found = [[Written(row[row != _NOTHING], {}) for row in own] for own in rows]
    if not asked:
        return found
    sums, came = np.asarray(out.sequences_scores), np.asarray(out.beam_indices)
    steps = {name: np.stack(getattr(out, name)) for name in Kept._fields if getattr(out, name) is not None}
    return [
        [
            Written(one.tokens, {"sequences_scores": sums[i], "beam_indices": came[i][: len(one.tokens)], **steps})
            for i, one in enumerate(own)
        ]
        for own in found
    ]
