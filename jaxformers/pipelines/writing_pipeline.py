"""The pipeline of tasks that write: streamers hear what a call raises, and settings can be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..generation import GenerationConfig
from ..generation.streamers import telling
from .engine import Answers
from .object import Pipeline


class _Heard(Iterator[Any]):
    """Answers of a stream of inputs, whose errors are told to who reads the streamer."""

    def __init__(self, answers: Answers, streamer: Any) -> None:
        self._answers, self._streamer = answers, streamer

    def __next__(self) -> Any:
        with telling(self._streamer):
            for answer in self._answers:
                return answer
        raise StopIteration

    def close(self) -> None:
        """Read and compute no further."""
        self._answers.close()


class WritingPipeline(Pipeline):
    """Writes on texts."""

    def __call__(
        self, *inputs: Any, batch_size: int | None = None, num_workers: int | None = None, **options: Any
    ) -> Any:
        """As of `Pipeline`; what is raised is raised in the reader of a streamer too."""
        streamer = options.get("streamer") or self._options.streamer
        with telling(streamer):
            answers = super().__call__(*inputs, batch_size=batch_size, num_workers=num_workers, **options)
            if streamer is not None and answers == []:  # of no texts there is nothing to hear
                streamer.end()
        return _Heard(answers, streamer) if streamer is not None and isinstance(answers, Answers) else answers

    predict = __call__
    transform = __call__

    @property
    def generation_config(self) -> GenerationConfig:
        """The settings of a call that says none."""
        return self._options.config
